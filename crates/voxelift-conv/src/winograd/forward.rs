//! Forward pass and input gradient: one map of channels over a padded, channels-last input.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::Tiles;
use super::{BLOCK_TILES, Tiling, pitch, weights};
use crate::buffer::Buffer;
use crate::contracts::{Finish, Gather, Products, ProductsFn, Rounding, Scatter};
use crate::grid::Places;
use crate::halves;
use crate::kernels::{Block, Kernels};
use crate::layout::Padded;
use crate::sweep::{Shared, Target, Weights};

/// Where each group of the weights' channels goes.
pub(crate) struct Map<'a> {
    pub weights: Weights<'a>,
    /// One a group.
    pub places: Vec<Places>,
}

/// Output channels that one matrix kernel computes.
struct Column<'a> {
    block: &'static Block,
    products: ProductsFn,
    places: &'a Places,
    packed: Buffer,
    bias: Vec<f32>,
    first: usize,
    channels: usize,
}

/// `y[o] = finish(b + sum_k w[k] x[o + k - 1])`, or with transposed weights `sum_k w[k]^T x[o + 1 - k]`.
///
/// Every output value is one task's own, so threads do not change it.
///
/// # Shapes
/// `input` with any margin; its channels a multiple of 8.
pub(crate) fn run(kernels: &Kernels, map: &Map, input: &Padded, target: Target, rounding: Option<Rounding>) {
    let from = map.weights.from;
    assert!(
        from == input.extent.channels,
        "winograd: {from} channels from {:?}",
        input.extent
    );
    let reach = target.reach();
    let Target { values, finish, .. } = target;
    let tiling = Tiling::of(map.weights.kernel).expect("a kernel that Winograd's way takes");
    let columns = columns(kernels, tiling, map, rounding);
    // A word of the transformed input holds one channel, or two as bf16.
    let words = if rounding.is_some() { from / 2 } else { from };
    let tiles = Tiles::new(tiling, input.extent.batch, input.extent.size);
    let [z, y, x] = input.extent.size;
    for column in &columns {
        let last = column.places.last([input.extent.batch, z, y, x]);
        assert!(last + column.first + column.channels <= reach);
    }
    let width = columns.iter().map(|column| column.block.width).max();
    let output = Shared::new(values);
    (0..tiles.total().div_ceil(BLOCK_TILES))
        .into_par_iter()
        .for_each(|block| {
            let first = block * BLOCK_TILES;
            let end = (first + BLOCK_TILES).min(tiles.total());
            let gathered = gathered(kernels, tiling, &tiles, first..end, input, rounding.is_some());
            let mut products = Buffer::any(tiling.frequencies() * pitch(width.unwrap_or(0)));
            for column in &columns {
                multiply(column, tiling, &gathered, words, end - first, &mut products);
                for row in tiles.rows(first, end) {
                    let outputs = tiles.outputs(&row, column.places);
                    for tile in 0..row.tiles {
                        scatter(
                            column,
                            tiling,
                            row.at + tile,
                            outputs.voxels(tile),
                            &products,
                            finish,
                            output,
                        );
                    }
                }
            }
        });
}

fn columns<'a>(
    kernels: &Kernels,
    tiling: Tiling,
    map: &'a Map,
    rounding: Option<Rounding>,
) -> Vec<Column<'a>> {
    let groups = map.places.iter().enumerate();
    let column = |(group, places), (block, first, channels): (&'static Block, _, _)| {
        let mut packed = weights::packed(&map.weights, group, first, channels, block.width);
        let values = tiling.frequencies() * map.weights.from * block.width;
        let products = match (rounding, block.half) {
            (Some(rounding), Some(half)) => {
                halves::rows(rounding, &mut packed.values_mut()[..values], block.width);
                half.products
            }
            _ => block.products,
        };
        Column {
            block,
            products,
            places,
            packed,
            bias: map.weights.biases(group, first, channels, block.width),
            first,
            channels,
        }
    };
    let blocks = kernels.columns(map.weights.to);
    groups
        .flat_map(|group| blocks.iter().map(move |&block| column(group, block)))
        .collect()
}

/// `[frequencies][tiles][channels]` of some tiles, [`pitch`] from one frequency to the next; with `half` neighbouring channels as
/// pairs of bf16.
pub(super) fn gathered(
    kernels: &Kernels,
    tiling: Tiling,
    tiles: &Tiles,
    range: Range<usize>,
    x: &Padded,
    half: bool,
) -> Buffer {
    let channels = x.extent.channels;
    let block = kernels.gather(channels);
    let (kernel, in_word) = match block.half {
        Some(of_pairs) if half => (tiling.half_gather(of_pairs), 2),
        _ => (tiling.transforms(block).gather, 1),
    };
    let pitch = pitch(channels / in_word);
    let mut buffer = Buffer::any(tiling.frequencies() * pitch);
    let places = x.places();
    for row in tiles.rows(range.start, range.end) {
        let with = Gather {
            input: x.values(),
            lines: tiles.inputs(&row, &places),
            inside: tiles.columns(&row),
            channels,
            tiles: row.tiles,
            pitch: pitch * in_word,
        };
        let to = &mut buffer.values_mut()[row.at * channels / in_word..];
        // SAFETY: the kernel is of this processor (`Kernels::available`) and its lanes divide the channels; lines
        // and columns outside the volume are not read; the last frequency's tiles end inside the buffer.
        unsafe { kernel(&with, to.as_mut_ptr()) }
    }
    buffer
}

/// All frequencies of one column, `[frequencies][tiles][width]`, [`pitch`] apart.
fn multiply(column: &Column, tiling: Tiling, gathered: &Buffer, from: usize, tiles: usize, to: &mut Buffer) {
    let width = column.block.width;
    let to = &mut to.values_mut()[..tiling.frequencies() * pitch(width)];
    let inputs = gathered.values().chunks_exact(pitch(from));
    let weights = column.packed.values().chunks_exact(from * width);
    for ((input, weights), to) in inputs.zip(weights).zip(to.chunks_exact_mut(pitch(width))) {
        let with = Products {
            input,
            weights,
            from,
            tiles,
        };
        // SAFETY: the kernel is of this processor; the chunks hold BLOCK_TILES tiles or more.
        unsafe { (column.products)(&with, to.as_mut_ptr()) }
    }
}

fn scatter(
    column: &Column,
    tiling: Tiling,
    at: usize,
    voxels: [Option<usize>; 8],
    products: &Buffer,
    finish: Finish,
    output: Shared,
) {
    let width = column.block.width;
    let with = Scatter {
        input: &products.values()[at * width..],
        pitch: pitch(width),
        bias: &column.bias,
        channels: column.channels,
        finish: finish.beginning_at(column.first),
        voxels,
    };
    // SAFETY: the kernel is of this processor; `run` checked the last voxel of every column against the output, the
    // gate and what is added; voxels and channels of two tasks do not overlap.
    unsafe { (tiling.transforms(column.block).scatter)(&with, output.pointer().add(column.first)) }
}
