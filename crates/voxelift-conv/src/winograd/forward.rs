//! Forward pass and input gradient: one map of channels over a padded, channels-last input.

use std::ops::Range;

use rayon::prelude::*;

use super::tiles::Tiles;
use super::{BLOCK_TILES, FREQUENCIES, pitch, weights};
use crate::buffer::Buffer;
use crate::contracts::{Finish, Gather, Products, Scatter};
use crate::grid::Places;
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
pub(crate) fn run(kernels: &Kernels, map: &Map, input: &Padded, target: Target) {
    let from = map.weights.from;
    assert!(
        from == input.extent.channels,
        "winograd: {from} channels from {:?}",
        input.extent
    );
    let reach = target.reach();
    let Target { values, finish, .. } = target;
    let columns = columns(kernels, map);
    let tiles = Tiles::new(input.extent.batch, input.extent.size);
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
            let gathered = gathered(kernels, &tiles, first..end, input);
            let mut products = Buffer::any(FREQUENCIES * pitch(width.unwrap_or(0)));
            for column in &columns {
                multiply(column, &gathered, from, end - first, &mut products);
                for row in tiles.rows(first, end) {
                    let outputs = tiles.outputs(&row, column.places);
                    for tile in 0..row.tiles {
                        scatter(
                            column,
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

fn columns<'a>(kernels: &Kernels, map: &'a Map) -> Vec<Column<'a>> {
    let groups = map.places.iter().enumerate();
    let column = |(group, places), (block, first, channels): (&'static Block, _, _)| Column {
        block,
        places,
        packed: weights::packed(&map.weights, group, first, channels, block.width),
        bias: map.weights.biases(group, first, channels, block.width),
        first,
        channels,
    };
    let blocks = kernels.columns(map.weights.to);
    groups
        .flat_map(|group| blocks.iter().map(move |&block| column(group, block)))
        .collect()
}

/// `[frequencies][tiles][channels]` of some tiles, [`pitch`] from one frequency to the next.
pub(super) fn gathered(kernels: &Kernels, tiles: &Tiles, range: Range<usize>, x: &Padded) -> Buffer {
    let channels = x.extent.channels;
    let pitch = pitch(channels);
    let mut buffer = Buffer::any(FREQUENCIES * pitch);
    let kernel = kernels.gather(channels);
    let places = x.places();
    for row in tiles.rows(range.start, range.end) {
        let with = Gather {
            input: x.values(),
            lines: tiles.inputs(&row, &places),
            inside: tiles.columns(&row),
            channels,
            tiles: row.tiles,
            pitch,
        };
        let to = &mut buffer.values_mut()[row.at * channels..];
        // SAFETY: the kernel is of this processor (`Kernels::available`) and its lanes divide the channels; lines
        // and columns outside the volume are not read; the last frequency's tiles end inside the buffer.
        unsafe { kernel(&with, to.as_mut_ptr()) }
    }
    buffer
}

/// All frequencies of one column, `[frequencies][tiles][width]`, [`pitch`] apart.
fn multiply(column: &Column, gathered: &Buffer, from: usize, tiles: usize, to: &mut Buffer) {
    let width = column.block.width;
    let to = &mut to.values_mut()[..FREQUENCIES * pitch(width)];
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
        unsafe { (column.block.products)(&with, to.as_mut_ptr()) }
    }
}

fn scatter(
    column: &Column,
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
    unsafe { (column.block.scatter)(&with, output.pointer().add(column.first)) }
}
