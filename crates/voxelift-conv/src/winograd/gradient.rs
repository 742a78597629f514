//! Weight gradient: correlations of transformed tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::gathered;
use super::tiles::Tiles;
use super::{BLOCK_TILES, Tiling, pitch, weights};
use crate::buffer::Buffer;
use crate::contracts::{CorrelateFn, Correlation, Rounding, Spread};
use crate::halves;
use crate::kernels::{Block, Kernels};
use crate::layout::Padded;
use crate::problem::Problem;

/// Parts of the tiles with a partial sum of their own. Fixed, so that the order of additions does not depend on the
/// number of threads.
const PARTS: usize = 16;

/// Values that one thread adds up over the parts.
const SUM_VALUES: usize = 1 << 12;

/// `dw[k] = sum_o g[o] x[o + k - 1]`.
///
/// # Shapes
/// `x` and `gradient` with any margin; result `[Cout,Cin,3,3,3]` or `[Cout,Cin,1,3,3]`.
pub(crate) fn weight_gradient(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    gradient: &Padded,
    rounding: Option<Rounding>,
) -> Vec<f32> {
    // The kernels below rely on these sizes.
    assert!(
        x.extent == problem.input_extent() && gradient.extent == problem.output_extent(),
        "winograd: {:?} and {:?} of {problem:?}",
        x.extent,
        gradient.extent
    );
    let tiling = Tiling::of(problem.kernel).expect("a kernel that Winograd's way takes");
    let frequencies = tiling.frequencies();
    let tiles = Tiles::new(tiling, problem.batch, problem.input);
    let blocks = tiles.total().div_ceil(BLOCK_TILES);
    let parts = PARTS.min(blocks);
    let columns = kernels.columns(problem.channels_out);
    let widths: usize = columns.iter().map(|(block, ..)| block.width).sum();
    let mut partial = Buffer::zeros(parts * frequencies * problem.channels_in * widths);
    let size = frequencies * problem.channels_in * widths;
    let sums = &mut partial.values_mut()[..parts * size];
    sums.par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(part, sums)| {
            for block in part * blocks / parts..(part + 1) * blocks / parts {
                let first = block * BLOCK_TILES;
                let end = (first + BLOCK_TILES).min(tiles.total());
                let mut gathered = gathered(kernels, tiling, &tiles, first..end, x, false);
                pair(rounding, &mut gathered, end - first, problem.channels_in);
                let mut rest = &mut *sums;
                for &(block, at, channels) in &columns {
                    let (sums, after) = rest.split_at_mut(frequencies * problem.channels_in * block.width);
                    rest = after;
                    let mut spread = spread(block, tiling, &tiles, first..end, gradient, at, channels);
                    pair(rounding, &mut spread, end - first, block.width);
                    let (kernel, rows) = match (rounding, block.half) {
                        (Some(_), Some(half)) => (half.outer, (end - first).div_ceil(2)),
                        _ => (block.outer, end - first),
                    };
                    correlate(block, kernel, &gathered, &spread, problem.channels_in, rows, sums);
                }
            }
        });
    let (total, rest) = sums.split_at_mut(size);
    total
        .par_chunks_mut(SUM_VALUES)
        .enumerate()
        .for_each(|(chunk, total)| {
            for part in rest.chunks_exact(size) {
                let part = &part[chunk * SUM_VALUES..];
                total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
            }
        });
    let mut result = vec![0.0; problem.weights()];
    let mut rest = &*total;
    for (block, first, channels) in columns {
        let (sums, after) = rest.split_at(frequencies * problem.channels_in * block.width);
        rest = after;
        for to in first..first + channels {
            for from in 0..problem.channels_in {
                let at = |frequency: usize| {
                    sums[(frequency * problem.channels_in + from) * block.width + to - first]
                };
                let mut all = [0.0; Tiling::Cube.frequencies()];
                for (frequency, value) in all.iter_mut().enumerate().take(frequencies) {
                    *value = at(frequency);
                }
                let taps = problem.taps();
                let result = &mut result[(to * problem.channels_in + from) * taps..][..taps];
                weights::taps_gradient(&all, result);
            }
        }
    }
    result
}

/// `[frequencies][tiles][width]` of some tiles' gradients, [`pitch`] from one frequency to the next.
fn spread(
    block: &Block,
    tiling: Tiling,
    tiles: &Tiles,
    range: Range<usize>,
    gradient: &Padded,
    first: usize,
    channels: usize,
) -> Buffer {
    let pitch = pitch(block.width);
    let mut buffer = Buffer::any(tiling.frequencies() * pitch);
    let places = gradient.places();
    for row in tiles.rows(range.start, range.end) {
        let outputs = tiles.outputs(&row, &places);
        for tile in 0..row.tiles {
            let with = Spread {
                gradient: &gradient.values()[first..],
                voxels: outputs.voxels(tile),
                channels,
                pitch,
            };
            let to = &mut buffer.values_mut()[(row.at + tile) * block.width..];
            // SAFETY: the kernel is of this processor (`Kernels::available`); the voxels lie inside the gradient,
            // the last frequency's tile inside the buffer.
            unsafe { (tiling.transforms(block).spread)(&with, to.as_mut_ptr()) }
        }
    }
    buffer
}

/// Tiles two by two as pairs of bf16, where the products are of these.
fn pair(rounding: Option<Rounding>, buffer: &mut Buffer, tiles: usize, channels: usize) {
    let Some(rounding) = rounding else { return };
    let pitch = pitch(channels);
    for frequency in buffer.values_mut().chunks_exact_mut(pitch) {
        halves::rows(rounding, &mut frequency[..tiles * channels], channels);
    }
}

/// Adds each frequency's product over the tiles, or pairs of tiles, to `[frequencies][from][width]`.
fn correlate(
    block: &Block,
    kernel: CorrelateFn,
    x: &Buffer,
    gradient: &Buffer,
    from: usize,
    tiles: usize,
    sums: &mut [f32],
) {
    let items: Vec<usize> = (0..from).collect();
    let places: [(usize, usize); BLOCK_TILES] = std::array::from_fn(|tile| (tile * from, tile * block.width));
    let inputs = x.values().chunks_exact(pitch(from));
    let gradients = gradient.values().chunks_exact(pitch(block.width));
    let sums = sums.chunks_exact_mut(from * block.width);
    for ((input, gradient), sums) in inputs.zip(gradients).zip(sums) {
        let tile = block.outer_items;
        for (items, sums) in items.chunks(tile).zip(sums.chunks_mut(tile * block.width)) {
            let with = Correlation {
                input,
                gradient,
                items,
            };
            // SAFETY: the kernel is of this processor; the chunks hold BLOCK_TILES tiles of all channels.
            unsafe { kernel(&with, &places[..tiles], sums) }
        }
    }
}
