//! Layer 5 · Weight and bias gradients: correlations of the padded input with the output's gradient.

use rayon::prelude::*;

use crate::contracts::{CorrelateFn, Correlation, Rounding};
use crate::grid::{Grid, Places};
use crate::halves;
use crate::kernels::Kernels;
use crate::layout::{Extent, Margin, Padded};
use crate::problem::Problem;

/// Parts of the voxels with a partial sum of their own. Fixed, so that the order of additions does not
/// depend on the number of threads.
const PARTS: usize = 8;

/// Voxels read again by every tile of items while they are in the first-level cache.
const STRIP_VOXELS: usize = 128;

/// Tiles of items in one task.
const TASK_TILES: usize = 8;

/// `dw[k] = sum_o g[o] x[stride o + k - padding]`.
///
/// # Shapes
/// `x` with [`Problem::margin`], `gradient` with any; result `[Cout,Cin,kz,ky,kx]`.
pub(crate) fn weight_gradient(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    gradient: &Padded,
    rounding: Option<Rounding>,
) -> Vec<f32> {
    let mut grid = grid(problem, x, gradient);
    let taps = taps(problem, x);
    let few = problem.channels_out <= 2;
    let pairs = rounding.filter(|_| !few).map(|rounding| {
        let step = grid.input.step[3];
        grid = two_by_two(&grid, problem);
        (
            halves::ahead(rounding, x.values(), step),
            next_in_row(rounding, gradient),
        )
    });
    let (x_values, gradient_values) = match &pairs {
        Some((x, gradient)) => (x.values(), gradient.values()),
        None => (x.values(), gradient.values()),
    };
    let mut result = vec![0.0; problem.weights()];
    let mut first = 0;
    while first < problem.channels_out {
        let items: Vec<(usize, usize, usize)>;
        let (kernel, width, tile, channels): (CorrelateFn, _, _, _) = if few {
            // Lanes hold input channels: an item is a vector of them under one tap.
            items = vectors(&taps, problem.channels_in, kernels.lanes);
            (kernels.axpy, kernels.lanes, kernels.axpy_items, 1)
        } else {
            // Lanes hold output channels: an item is one input channel under one tap.
            items = vectors(&taps, problem.channels_in, 1);
            let block = kernels.block(problem.channels_out - first);
            let half = block.half.filter(|_| pairs.is_some());
            (
                half.map_or(block.correlate, |half| half.correlate),
                block.width,
                block.items,
                block.width.min(problem.channels_out - first),
            )
        };
        let offsets: Vec<usize> = items.iter().map(|item| item.0).collect();
        let sums = sum(
            kernel,
            width,
            tile,
            &grid,
            first,
            &offsets,
            x_values,
            gradient_values,
        );
        for (&(_, tap, from), lanes) in items.iter().zip(sums.chunks_exact(width)) {
            let mut put = |to: usize, from: usize, value: f32| {
                result[(to * problem.channels_in + from) * problem.taps() + tap] = value;
            };
            if few {
                let values = lanes.iter().zip(from..problem.channels_in);
                values.for_each(|(&value, from)| put(first, from, value));
            } else {
                let values = lanes[..channels].iter().zip(first..);
                values.for_each(|(&value, to)| put(to, from, value));
            }
        }
        first += channels;
    }
    result
}

/// `db = sum_o g[o]`.
pub(crate) fn bias_gradient(gradient: &Padded) -> Vec<f32> {
    let Places {
        base,
        step: [n, z, y, _],
    } = gradient.places();
    let Extent {
        batch,
        channels,
        size,
    } = gradient.extent;
    let planes: Vec<Vec<f32>> = (0..batch * size[0])
        .into_par_iter()
        .map(|plane| {
            let base = base + plane / size[0] * n + plane % size[0] * z;
            let mut sums = vec![0.0; channels];
            for row in 0..size[1] {
                let voxels = &gradient.values()[base + row * y..][..size[2] * channels];
                for voxel in voxels.chunks_exact(channels) {
                    sums.iter_mut().zip(voxel).for_each(|(sum, value)| *sum += value);
                }
            }
            sums
        })
        .collect();
    let mut total = vec![0.0; channels];
    for plane in planes {
        total.iter_mut().zip(plane).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// Every output voxel's place in `x` and in `gradient`.
fn grid(problem: &Problem, x: &Padded, gradient: &Padded) -> Grid {
    let output = problem.output();
    Grid {
        size: [problem.batch, output[0], output[1], output[2]],
        input: Places {
            base: 0,
            step: x.steps(),
        }
        .every(problem.stride, [0; 3]),
        output: gradient.places(),
    }
}

/// Every second voxel of each row, for kernels that read each with its neighbour.
fn two_by_two(grid: &Grid, problem: &Problem) -> Grid {
    let output = Places::dense(problem.output(), problem.channels_out);
    let mut half = Grid {
        output,
        ..grid.clone()
    };
    half.size[3] = grid.size[3].div_ceil(2);
    half.input.step[3] *= 2;
    half.output.step[3] *= 2;
    half
}

/// Dense voxels, each with the next of its row, the last with zeros, as pairs of bf16.
fn next_in_row(rounding: Rounding, gradient: &Padded) -> Padded {
    let Extent { channels, size, .. } = gradient.extent;
    let Places { base, step } = gradient.places();
    Padded::rows(gradient.extent, Margin::default(), |first, row| {
        let line = first / size[2];
        let (plane, y) = (line / size[1], line % size[1]);
        let at = base + plane / size[0] * step[0] + plane % size[0] * step[1] + y * step[2];
        let from = &gradient.values()[at..at + row.len()];
        let (pairs, last) = row.split_at_mut(row.len() - channels);
        // SAFETY: the function is of this processor; each slice holds as many values as are read or written.
        unsafe {
            (rounding.pair)(
                from.as_ptr(),
                Some(from[channels..].as_ptr()),
                pairs.len(),
                pairs.as_mut_ptr(),
            );
            (rounding.pair)(from[pairs.len()..].as_ptr(), None, channels, last.as_mut_ptr());
        }
    })
}

/// Offset of every tap, in the order of the weights.
fn taps(problem: &Problem, x: &Padded) -> Vec<usize> {
    let [kz, ky, kx] = problem.kernel;
    let [_, z, y, step] = x.steps();
    let indices = (0..kz).flat_map(move |i| (0..ky).flat_map(move |j| (0..kx).map(move |k| (i, j, k))));
    indices.map(|(i, j, k)| i * z + j * y + k * step).collect()
}

/// (offset, tap, first channel) of groups of `lanes` input channels under each tap.
fn vectors(taps: &[usize], channels: usize, lanes: usize) -> Vec<(usize, usize, usize)> {
    let groups = |(tap, &offset): (usize, &usize)| {
        (0..channels)
            .step_by(lanes)
            .map(move |channel| (offset + channel, tap, channel))
            .collect::<Vec<_>>()
    };
    taps.iter().enumerate().flat_map(groups).collect()
}

/// `[items][width]` sums over all voxels: partial sums of fixed parts, added in order.
#[expect(
    clippy::too_many_arguments,
    reason = "one call site; a struct would only rename them"
)]
fn sum(
    kernel: CorrelateFn,
    width: usize,
    tile: usize,
    grid: &Grid,
    first_channel: usize,
    items: &[usize],
    x: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let (voxels, parts) = (grid.voxels(), PARTS.min(grid.voxels()));
    let group = TASK_TILES * tile;
    let mut partial = vec![0.0; parts * items.len() * width];
    let mut tasks: Vec<(usize, &[usize], &mut [f32])> = Vec::new();
    for (part, sums) in partial.chunks_exact_mut(items.len() * width).enumerate() {
        for (items, sums) in items.chunks(group).zip(sums.chunks_mut(group * width)) {
            tasks.push((part, items, sums));
        }
    }
    tasks.into_par_iter().for_each(|(part, items, sums)| {
        let (mut at, end) = (part * voxels / parts, (part + 1) * voxels / parts);
        let mut walk = grid.walk(at);
        let mut places = [(0, 0); STRIP_VOXELS];
        while at < end {
            let strip = &mut places[..STRIP_VOXELS.min(end - at)];
            for place in strip.iter_mut() {
                let (origin, voxel) = walk.advance();
                *place = (origin, voxel + first_channel);
            }
            at += strip.len();
            for (items, sums) in items.chunks(tile).zip(sums.chunks_mut(tile * width)) {
                let with = Correlation {
                    input: x,
                    gradient,
                    items,
                };
                // SAFETY: the kernel is of this processor (`Kernels::available`); every voxel of the grid
                // plus every tap lies inside the padded input, and both buffers end with slack for the
                // lanes past the last channel.
                unsafe { kernel(&with, strip, sums) }
            }
        }
    });
    let (total, rest) = partial.split_at_mut(items.len() * width);
    for part in rest.chunks_exact(items.len() * width) {
        total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
    }
    total.to_vec()
}
