//! Taps to frequencies and back.

use rayon::prelude::*;

use super::Tiling;
use crate::buffer::Buffer;
use crate::sweep::Weights;

/// `G g` along an axis.
fn taps_axis([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + c + b), 0.5 * (a + c - b), c]
}

/// `G g` along y and x: `[y][x]` of 3 taps to `[y][x]` of 4 frequencies.
fn square(taps: &[f32]) -> [f32; 16] {
    let mut along_x = [0.0; 12];
    for (line, to) in taps.chunks_exact(3).zip(along_x.chunks_exact_mut(4)) {
        to.copy_from_slice(&taps_axis([line[0], line[1], line[2]]));
    }
    let mut all = [0.0; 16];
    for x in 0..4 {
        let line = taps_axis(std::array::from_fn(|y| along_x[y * 4 + x]));
        (0..4).for_each(|y| all[y * 4 + x] = line[y]);
    }
    all
}

/// `G g` along each axis of a cube's 27 taps or a square's 9; a square fills the first 16 frequencies.
fn transformed(taps: &[f32]) -> [f32; Tiling::Cube.frequencies()] {
    let mut all = [0.0; Tiling::Cube.frequencies()];
    if taps.len() == 9 {
        all[..16].copy_from_slice(&square(taps));
        return all;
    }
    let planes: [[f32; 16]; 3] = std::array::from_fn(|z| square(&taps[9 * z..9 * (z + 1)]));
    for plane in 0..16 {
        let line = taps_axis(planes.map(|of| of[plane]));
        (0..4).for_each(|z| all[z * 16 + plane] = line[z]);
    }
    all
}

/// `G^T u` along an axis.
fn taps_gradient_axis([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}

/// `G^T u` along y and x: the gradient of a square's taps from that of its frequencies.
fn square_gradient(frequencies: &[f32]) -> [f32; 9] {
    let mut along_y = [0.0; 12];
    for x in 0..4 {
        let line = taps_gradient_axis(std::array::from_fn(|y| frequencies[y * 4 + x]));
        (0..3).for_each(|y| along_y[y * 4 + x] = line[y]);
    }
    let mut taps = [0.0; 9];
    for (line, to) in along_y.chunks_exact(4).zip(taps.chunks_exact_mut(3)) {
        to.copy_from_slice(&taps_gradient_axis([line[0], line[1], line[2], line[3]]));
    }
    taps
}

/// `G^T u` along each axis: the gradient of the taps from that of the frequencies, of a cube or a square.
pub(super) fn taps_gradient(frequencies: &[f32], taps: &mut [f32]) {
    if taps.len() == 9 {
        return taps.copy_from_slice(&square_gradient(frequencies));
    }
    let mut along_z = [0.0; 48];
    for plane in 0..16 {
        let line = taps_gradient_axis(std::array::from_fn(|z| frequencies[z * 16 + plane]));
        (0..3).for_each(|z| along_z[z * 16 + plane] = line[z]);
    }
    for (plane, to) in along_z.chunks_exact(16).zip(taps.chunks_exact_mut(9)) {
        to.copy_from_slice(&square_gradient(plane));
    }
}

/// `[frequencies][from][width]` of the channels `first..first + channels`, zeros up to `width`.
pub(super) fn packed(weights: &Weights, group: usize, first: usize, channels: usize, width: usize) -> Buffer {
    let taps: usize = weights.kernel.iter().product();
    let frequencies = if taps == 9 { Tiling::Square } else { Tiling::Cube }.frequencies();
    let mut buffer = Buffer::zeros(frequencies * weights.from * width);
    let mut transforms = vec![[0.0; Tiling::Cube.frequencies()]; weights.from * channels];
    transforms
        .par_iter_mut()
        .enumerate()
        .with_min_len(64)
        .for_each(|(index, transform)| {
            let (from, lane) = (index / channels, index % channels);
            let all: [f32; 27] = std::array::from_fn(|tap| {
                // The input gradient passes the taps in reverse.
                let tap = if weights.transposed {
                    taps.wrapping_sub(1 + tap)
                } else {
                    tap
                };
                if tap < taps {
                    weights.at(from, first + lane, group, [tap / 9, tap / 3 % 3, tap % 3])
                } else {
                    0.0
                }
            });
            *transform = transformed(&all[..taps]);
        });
    // A task takes the frequencies that lie in one cache line of a transform.
    let line = 16 * weights.from * width;
    buffer.values_mut()[..frequencies * weights.from * width]
        .par_chunks_exact_mut(line)
        .enumerate()
        .for_each(|(group, rows)| {
            for (index, transform) in transforms.iter().enumerate() {
                let (from, lane) = (index / channels, index % channels);
                for (frequency, value) in transform[16 * group..][..16].iter().enumerate() {
                    rows[(frequency * weights.from + from) * width + lane] = *value;
                }
            }
        });
    buffer
}
