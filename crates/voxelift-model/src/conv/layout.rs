//! Memory orders: planar `[N,C,Z,Y,X]`, as burn stores tensors, and channels-last with zeros around.

use rayon::prelude::*;

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

/// Channels-last voxels with `low` zeros before and `high` zeros after each of the axes z, y, x.
pub(super) struct Padded {
    pub buffer: Buffer,
    /// `[z, y, x]` with the zeros.
    pub size: [usize; 3],
    pub channels: usize,
}

impl Padded {
    /// Copies `[N, channels, size]` values, each multiplied by `gain(index in the source)`.
    pub fn copy(
        source: Source,
        batch: usize,
        channels: usize,
        size: [usize; 3],
        low: [usize; 3],
        high: [usize; 3],
        gain: impl Fn(usize) -> f32 + Sync,
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
                let first = ((z - low[0]) * size[1] + y - low[1]) * size[2];
                match source {
                    Source::ChannelsLast(values) => {
                        let first = (n * spatial + first) * channels;
                        for (index, to) in inside.iter_mut().enumerate() {
                            *to = values[first + index] * gain(first + index);
                        }
                    }
                    Source::Planar(values) => {
                        for channel in 0..channels {
                            let first = (n * channels + channel) * spatial + first;
                            let from = &values[first..first + size[2]];
                            for ((x, value), to) in from
                                .iter()
                                .enumerate()
                                .zip(inside[channel..].iter_mut().step_by(channels))
                            {
                                *to = value * gain(first + x);
                            }
                        }
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

    /// Steps of one voxel along n, z, y, x.
    pub fn steps(&self) -> [usize; 4] {
        let x = self.channels;
        let y = self.size[2] * x;
        let z = self.size[1] * y;
        [self.size[0] * z, z, y, x]
    }
}

/// `[N, voxels, channels]` to `[N, channels, voxels]`.
pub(super) fn to_planar(values: &[f32], batch: usize, channels: usize, voxels: usize) -> Vec<f32> {
    debug_assert_eq!(values.len(), batch * channels * voxels);
    if channels == 1 {
        return values.to_vec();
    }
    const BLOCK: usize = 16;
    let mut planar = vec![0.0; values.len()];
    let transpose = |(n, volume): (usize, &mut [f32])| {
        let from = &values[n * channels * voxels..][..channels * voxels];
        let planes = |(block, planes): (usize, &mut [f32])| {
            for start in (0..voxels).step_by(BLOCK) {
                let end = voxels.min(start + BLOCK);
                for (channel, plane) in planes.chunks_exact_mut(voxels).enumerate() {
                    let channel = block * BLOCK + channel;
                    for (voxel, to) in plane[start..end].iter_mut().enumerate() {
                        *to = from[(start + voxel) * channels + channel];
                    }
                }
            }
        };
        if values.len() < PARALLEL_FROM {
            volume.chunks_mut(BLOCK * voxels).enumerate().for_each(planes);
        } else {
            volume.par_chunks_mut(BLOCK * voxels).enumerate().for_each(planes);
        }
    };
    planar
        .par_chunks_exact_mut(channels * voxels)
        .enumerate()
        .for_each(transpose);
    planar
}
