//! Layer 1 · Memory orders: planar `[N,C,Z,Y,X]`, as burn stores tensors, and channels-last with zeros around.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::grid::Places;

/// Copies below this many values stay on one thread.
const PARALLEL_FROM: usize = 1 << 14;

/// Sizes of some volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub batch: usize,
    pub channels: usize,
    /// `[z, y, x]`.
    pub size: [usize; 3],
}

impl Extent {
    pub fn voxels(&self) -> usize {
        self.size.iter().product()
    }

    pub fn values(&self) -> usize {
        self.batch * self.channels * self.voxels()
    }
}

/// Zeros before and after the axes z, y, x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Margin {
    pub low: [usize; 3],
    pub high: [usize; 3],
}

/// A tensor's values and the order they lie in.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// `[N,C,Z,Y,X]`.
    Planar(&'a [f32]),
    /// `[N,Z,Y,X,C]`.
    ChannelsLast(&'a [f32]),
}

/// The derivative of an activation, read from the sign of its output: values are kept where `output` is
/// above zero and multiplied by `slope` elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    /// `[N,Z,Y,X,C]`.
    pub output: &'a [f32],
    pub slope: f32,
}

/// Channels-last voxels with zeros around.
pub(crate) struct Padded {
    memory: Memory,
    pub extent: Extent,
    pub margin: Margin,
}

enum Memory {
    Pool(Buffer),
    /// Contiguous, and without slack behind the last voxel.
    Tensor(FlexTensor),
}

impl Padded {
    /// The memory of a contiguous tensor `[N,Z,Y,X,C]` itself, without zeros around or slack behind it.
    ///
    /// # Panics
    /// Where the tensor is not of this extent.
    pub fn of_tensor(tensor: FlexTensor, extent: Extent) -> Self {
        assert!(
            values(&tensor).len() == extent.values(),
            "{} values for {extent:?}",
            values(&tensor).len()
        );
        Self {
            memory: Memory::Tensor(tensor),
            extent,
            margin: Margin::default(),
        }
    }

    pub fn values(&self) -> &[f32] {
        match &self.memory {
            Memory::Pool(buffer) => buffer.values(),
            Memory::Tensor(tensor) => values(tensor),
        }
    }

    /// # Panics
    /// Where the memory is a tensor's.
    pub fn values_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Pool(buffer) => buffer.values_mut(),
            Memory::Tensor(_) => panic!("a tensor's memory is not written"),
        }
    }

    /// Zeros around, and each row of voxels as `fill(rank of its first voxel, row)` leaves it.
    pub fn rows(extent: Extent, margin: Margin, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let Extent {
            batch,
            channels,
            size,
        } = extent;
        let Margin { low, high } = margin;
        let padded: [usize; 3] = std::array::from_fn(|axis| low[axis] + size[axis] + high[axis]);
        let row = padded[2] * channels;
        let plane = padded[1] * row;
        let total = batch * padded[0] * plane;
        let mut buffer = Buffer::any(total);
        let inside = |axis: usize, index: usize| index >= low[axis] && index < low[axis] + size[axis];
        let fill_plane = |(rank, plane): (usize, &mut [f32])| {
            let (n, z) = (rank / padded[0], rank % padded[0]);
            if !inside(0, z) {
                return plane.fill(0.0);
            }
            for (y, row) in plane.chunks_exact_mut(row).enumerate() {
                if !inside(1, y) {
                    row.fill(0.0);
                    continue;
                }
                let (before, rest) = row.split_at_mut(low[2] * channels);
                let (voxels, after) = rest.split_at_mut(size[2] * channels);
                before.fill(0.0);
                after.fill(0.0);
                fill(
                    ((n * size[0] + z - low[0]) * size[1] + y - low[1]) * size[2],
                    voxels,
                );
            }
        };
        let planes = &mut buffer.values_mut()[..total];
        if total < PARALLEL_FROM {
            planes.chunks_exact_mut(plane).enumerate().for_each(fill_plane);
        } else {
            planes
                .par_chunks_exact_mut(plane)
                .enumerate()
                .for_each(fill_plane);
        }
        Self {
            memory: Memory::Pool(buffer),
            extent,
            margin,
        }
    }

    /// Zeros around, anything inside: a pass writes every voxel.
    pub fn unfilled(extent: Extent, margin: Margin) -> Self {
        Self::rows(extent, margin, |_, _| ())
    }

    /// Copies values, through a gate where there is one.
    pub fn copy(source: Source, extent: Extent, margin: Margin, gate: Option<Gate>) -> Self {
        let (channels, voxels) = (extent.channels, extent.voxels());
        Self::rows(extent, margin, |first, row| {
            let at = first * channels;
            match source {
                Source::ChannelsLast(values) => row.copy_from_slice(&values[at..at + row.len()]),
                Source::Planar(values) => {
                    let (sample, voxel) = (first / voxels, first % voxels);
                    interleave(
                        &values[sample * channels * voxels + voxel..],
                        voxels,
                        channels,
                        row,
                    );
                }
            }
            if let Some(Gate { output, slope }) = gate {
                for (value, output) in row.iter_mut().zip(&output[at..]) {
                    *value *= if *output > 0.0 { 1.0 } else { slope };
                }
            }
        })
    }

    /// Steps of one voxel along n, z, y, x.
    pub fn steps(&self) -> [usize; 4] {
        let Margin { low, high } = self.margin;
        let [z, y, x]: [usize; 3] =
            std::array::from_fn(|axis| low[axis] + self.extent.size[axis] + high[axis]);
        let channels = self.extent.channels;
        [z * y * x * channels, y * x * channels, x * channels, channels]
    }

    /// Where the voxels lie.
    pub fn places(&self) -> Places {
        let step = self.steps();
        let base = self
            .margin
            .low
            .iter()
            .zip(&step[1..])
            .map(|(low, step)| low * step)
            .sum();
        Places { base, step }
    }
}

/// `to[voxel][channel] = from[channel * stride + voxel]`.
fn interleave(from: &[f32], stride: usize, channels: usize, to: &mut [f32]) {
    for channel in 0..channels {
        let to = to[channel..].iter_mut().step_by(channels);
        to.zip(&from[channel * stride..])
            .for_each(|(to, from)| *to = *from);
    }
}

/// `[N, channels, voxels]` to `[N, voxels, channels]`.
pub(crate) fn to_channels_last(values: &[f32], extent: Extent) -> Vec<f32> {
    let copy = Padded::copy(Source::Planar(values), extent, Margin::default(), None);
    copy.values()[..values.len()].to_vec()
}

/// # Panics
/// Where the tensor is not contiguous f32.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous f32 tensor")
}
