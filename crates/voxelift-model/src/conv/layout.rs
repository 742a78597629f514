//! Memory orders: planar `[N,C,Z,Y,X]`, as burn stores tensors, and channels-last with zeros around.

use rayon::prelude::*;

use super::grid::Places;

/// Values that follow every buffer's last voxel, so that a kernel may load whole registers anywhere.
pub(super) const SLACK: usize = 64;

/// Copies below this many values stay on one thread.
const PARALLEL_FROM: usize = 1 << 14;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; 16]);

/// f32 memory that begins on a cache line, so that a voxel's channels do not straddle two.
pub(super) struct Buffer {
    lines: Vec<CacheLine>,
}

impl Buffer {
    pub fn zeros(len: usize) -> Self {
        Self {
            lines: vec![CacheLine([0.0; 16]); (len + SLACK).div_ceil(16)],
        }
    }

    pub fn values(&self) -> &[f32] {
        // SAFETY: CacheLine is repr(C) around 16 f32, without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16) }
    }
}

/// A tensor's values and the order they lie in.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// `[N,C,Z,Y,X]`.
    Planar(&'a [f32]),
    /// `[N,Z,Y,X,C]`.
    ChannelsLast(&'a [f32]),
}

/// The derivative of an activation, read from the sign of its output: values are kept where `output` is
/// above zero and multiplied by `slope` elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Gate<'a> {
    /// `[N,Z,Y,X,C]`.
    pub output: &'a [f32],
    pub slope: f32,
}

impl Gate<'_> {
    fn factor(&self, index: usize) -> f32 {
        if self.output[index] > 0.0 { 1.0 } else { self.slope }
    }
}

/// Channels-last voxels with `low` zeros before and `high` zeros after each of the axes z, y, x.
pub(super) struct Padded {
    pub buffer: Buffer,
    /// `[z, y, x]` with the zeros.
    pub size: [usize; 3],
    pub channels: usize,
}

impl Padded {
    /// Copies `[N, channels, size]` values, through a gate where there is one.
    pub fn copy(
        source: Source,
        batch: usize,
        channels: usize,
        size: [usize; 3],
        low: [usize; 3],
        high: [usize; 3],
        gate: Option<Gate>,
    ) -> Self {
        let padded: [usize; 3] = std::array::from_fn(|axis| low[axis] + size[axis] + high[axis]);
        let row = padded[2] * channels;
        let plane = padded[1] * row;
        let mut buffer = Buffer::zeros(batch * padded[0] * plane);
        let spatial = size.iter().product::<usize>();
        let fill = |(rank, plane): (usize, &mut [f32])| {
            let (n, z) = (rank / padded[0], rank % padded[0]);
            if z < low[0] || z >= low[0] + size[0] {
                return plane.fill(0.0);
            }
            for (y, row) in plane.chunks_exact_mut(row).enumerate() {
                if y < low[1] || y >= low[1] + size[1] {
                    row.fill(0.0);
                    continue;
                }
                let (before, rest) = row.split_at_mut(low[2] * channels);
                let (inside, after) = rest.split_at_mut(size[2] * channels);
                before.fill(0.0);
                after.fill(0.0);
                let voxel = ((n * size[0] + z - low[0]) * size[1] + y - low[1]) * size[2];
                match source {
                    Source::ChannelsLast(values) => {
                        inside.copy_from_slice(&values[voxel * channels..(voxel + size[2]) * channels]);
                    }
                    Source::Planar(values) => {
                        let first = voxel + n * (channels - 1) * spatial;
                        for channel in 0..channels {
                            let from = &values[first + channel * spatial..][..size[2]];
                            let to = inside[channel..].iter_mut().step_by(channels);
                            to.zip(from).for_each(|(to, from)| *to = *from);
                        }
                    }
                }
                if let Some(gate) = gate {
                    for (index, value) in inside.iter_mut().enumerate() {
                        *value *= gate.factor(voxel * channels + index);
                    }
                }
            }
        };
        let total = batch * padded[0] * plane;
        let planes = &mut buffer.values_mut()[..total];
        if total < PARALLEL_FROM {
            planes.chunks_exact_mut(plane).enumerate().for_each(fill);
        } else {
            planes.par_chunks_exact_mut(plane).enumerate().for_each(fill);
        }
        Self {
            buffer,
            size: padded,
            channels,
        }
    }

    /// Zeros, to be filled through [`Padded::places`].
    pub fn zeros(batch: usize, channels: usize, size: [usize; 3], low: [usize; 3], high: [usize; 3]) -> Self {
        let size: [usize; 3] = std::array::from_fn(|axis| low[axis] + size[axis] + high[axis]);
        Self {
            buffer: Buffer::zeros(batch * size.iter().product::<usize>() * channels),
            size,
            channels,
        }
    }

    /// Where the voxels lie, `low` after the corner.
    pub fn places(&self, low: [usize; 3]) -> Places {
        let step = self.steps();
        Places {
            base: low[0] * step[1] + low[1] * step[2] + low[2] * step[3],
            step,
        }
    }

    /// Steps of one voxel along n, z, y, x.
    pub fn steps(&self) -> [usize; 4] {
        let x = self.channels;
        let y = self.size[2] * x;
        let z = self.size[1] * y;
        [self.size[0] * z, z, y, x]
    }
}

/// `[N, channels, voxels]` to `[N, voxels, channels]`.
pub(super) fn to_channels_last(values: &[f32], batch: usize, channels: usize, voxels: usize) -> Vec<f32> {
    debug_assert_eq!(values.len(), batch * channels * voxels);
    let size = [1, 1, voxels];
    let copy = Padded::copy(
        Source::Planar(values),
        batch,
        channels,
        size,
        [0; 3],
        [0; 3],
        None,
    );
    copy.buffer.values()[..values.len()].to_vec()
}
