//! Taps to frequencies and back.

use rayon::prelude::*;

use super::FREQUENCIES;
use crate::buffer::Buffer;
use crate::sweep::Weights;

/// `G g` along each axis: `[z][y][x]` of 3 taps to `[z][y][x]` of 4 frequencies.
fn transformed(taps: &[f32; 27]) -> [f32; FREQUENCIES] {
    let axis = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + c + b), 0.5 * (a + c - b), c];
    let mut along_x = [0.0; 36];
    for (line, to) in taps.chunks_exact(3).zip(along_x.chunks_exact_mut(4)) {
        to.copy_from_slice(&axis([line[0], line[1], line[2]]));
    }
    let mut along_y = [0.0; 48];
    for (z, x) in (0..3).flat_map(|z| (0..4).map(move |x| (z, x))) {
        let line = axis(std::array::from_fn(|y| along_x[(z * 3 + y) * 4 + x]));
        (0..4).for_each(|y| along_y[(z * 4 + y) * 4 + x] = line[y]);
    }
    let mut all = [0.0; FREQUENCIES];
    for plane in 0..16 {
        let line = axis(std::array::from_fn(|z| along_y[z * 16 + plane]));
        (0..4).for_each(|z| all[z * 16 + plane] = line[z]);
    }
    all
}

/// `G^T u` along each axis: the gradient of the taps from that of the frequencies.
pub(super) fn taps_gradient(frequencies: &[f32; FREQUENCIES]) -> [f32; 27] {
    let axis = |[a, b, c, d]: [f32; 4]| [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d];
    let mut along_z = [0.0; 48];
    for plane in 0..16 {
        let line = axis(std::array::from_fn(|z| frequencies[z * 16 + plane]));
        (0..3).for_each(|z| along_z[z * 16 + plane] = line[z]);
    }
    let mut along_y = [0.0; 36];
    for (z, x) in (0..3).flat_map(|z| (0..4).map(move |x| (z, x))) {
        let line = axis(std::array::from_fn(|y| along_z[(z * 4 + y) * 4 + x]));
        (0..3).for_each(|y| along_y[(z * 3 + y) * 4 + x] = line[y]);
    }
    let mut taps = [0.0; 27];
    for (line, to) in along_y.chunks_exact(4).zip(taps.chunks_exact_mut(3)) {
        to.copy_from_slice(&axis([line[0], line[1], line[2], line[3]]));
    }
    taps
}

/// `[frequencies][from][width]` of the channels `first..first + channels`, zeros up to `width`.
pub(super) fn packed(weights: &Weights, group: usize, first: usize, channels: usize, width: usize) -> Buffer {
    let mut buffer = Buffer::zeros(FREQUENCIES * weights.from * width);
    let mut transforms = vec![[0.0; FREQUENCIES]; weights.from * channels];
    transforms
        .par_iter_mut()
        .enumerate()
        .with_min_len(64)
        .for_each(|(index, transform)| {
            let (from, lane) = (index / channels, index % channels);
            *transform = transformed(&std::array::from_fn(|tap| {
                // The input gradient passes the taps in reverse.
                let tap = if weights.transposed { 26 - tap } else { tap };
                weights.at(from, first + lane, group, [tap / 9, tap / 3 % 3, tap % 3])
            }));
        });
    let rows = buffer.values_mut().chunks_exact_mut(width);
    for (index, row) in rows.take(FREQUENCIES * weights.from).enumerate() {
        let (frequency, from) = (index / weights.from, index % weights.from);
        let transforms = &transforms[from * channels..][..channels];
        row.iter_mut()
            .zip(transforms)
            .for_each(|(value, transform)| *value = transform[frequency]);
    }
    buffer
}
