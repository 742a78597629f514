//! Weight gradient: correlations of transformed tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::gathered;
use super::tiles::Tiles;
use super::{BLOCK_TILES, FREQUENCIES, pitch, weights};
use crate::buffer::Buffer;
use crate::contracts::{Correlation, Spread};
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
/// `x` and `gradient` with any margin; result `[Cout,Cin,3,3,3]`.
pub(crate) fn weight_gradient(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    gradient: &Padded,
) -> Vec<f32> {
    // The kernels below read what these sizes promise.
    assert!(
        x.extent == problem.input_extent() && gradient.extent == problem.output_extent(),
        "winograd: {:?} and {:?} of {problem:?}",
        x.extent,
        gradient.extent
    );
    let tiles = Tiles::new(problem.batch, problem.input);
    let blocks = tiles.total().div_ceil(BLOCK_TILES);
    let parts = PARTS.min(blocks);
    let columns = kernels.columns(problem.channels_out);
    let widths: usize = columns.iter().map(|(block, ..)| block.width).sum();
    let mut partial = Buffer::zeros(parts * FREQUENCIES * problem.channels_in * widths);
    let size = FREQUENCIES * problem.channels_in * widths;
    let sums = &mut partial.values_mut()[..parts * size];
    sums.par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(part, sums)| {
            for block in part * blocks / parts..(part + 1) * blocks / parts {
                let first = block * BLOCK_TILES;
                let end = (first + BLOCK_TILES).min(tiles.total());
                let gathered = gathered(kernels, &tiles, first..end, x);
                let mut rest = &mut *sums;
                for &(block, at, channels) in &columns {
                    let (sums, after) = rest.split_at_mut(FREQUENCIES * problem.channels_in * block.width);
                    rest = after;
                    let spread = spread(block, &tiles, first..end, gradient, at, channels);
                    correlate(block, &gathered, &spread, problem.channels_in, end - first, sums);
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
        let (sums, after) = rest.split_at(FREQUENCIES * problem.channels_in * block.width);
        rest = after;
        for to in first..first + channels {
            for from in 0..problem.channels_in {
                let at = |frequency: usize| {
                    sums[(frequency * problem.channels_in + from) * block.width + to - first]
                };
                let taps = weights::taps_gradient(&std::array::from_fn(at));
                result[(to * problem.channels_in + from) * 27..][..27].copy_from_slice(&taps);
            }
        }
    }
    result
}

/// `[frequencies][tiles][width]` of some tiles' gradients, [`pitch`] from one frequency to the next.
fn spread(
    block: &Block,
    tiles: &Tiles,
    range: Range<usize>,
    gradient: &Padded,
    first: usize,
    channels: usize,
) -> Buffer {
    let pitch = pitch(block.width);
    let mut buffer = Buffer::any(FREQUENCIES * pitch);
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
            unsafe { (block.spread)(&with, to.as_mut_ptr()) }
        }
    }
    buffer
}

/// Adds each frequency's product over the tiles to `[frequencies][from][width]`.
fn correlate(block: &Block, x: &Buffer, gradient: &Buffer, from: usize, tiles: usize, sums: &mut [f32]) {
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
            unsafe { (block.outer)(&with, &places[..tiles], sums) }
        }
    }
}
