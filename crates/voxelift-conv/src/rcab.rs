//! Layer 9 · RCAN's residual channel attention block, forward and backward, without leaving channels-last memory.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::attention::{Attention, AttentionGradients, AttentionWeights};
use crate::buffer::{to_write, written};
use crate::contracts::Finish;
use crate::grid::Places;
use crate::kernels::Kernels;
use crate::layout::{Extent, Padded};
use crate::passes::{forward as convolve, gradient_margin, input_gradient, margin, weight_gradient};
use crate::problem::Problem;
use crate::sweep::Target;
use crate::weight_gradient::bias_gradient;

/// Weight and bias of each of the four layers.
pub(crate) struct RcabWeights<'a> {
    pub conv1: (&'a [f32], &'a [f32]),
    pub conv2: (&'a [f32], &'a [f32]),
    pub attention: AttentionWeights<'a>,
}

/// What the backward step reads.
pub(crate) struct RcabTrace {
    x: Padded,
    /// `relu(conv1(x))`.
    hidden: Padded,
    attention: Attention,
}

/// Gradients of the weights, as far as they were asked for, and of `x`, `[N,Z,Y,X,F]`.
pub(crate) struct RcabGradients {
    pub x: Vec<f32>,
    pub conv1: Option<(Vec<f32>, Vec<f32>)>,
    pub conv2: Option<(Vec<f32>, Vec<f32>)>,
    pub attention: AttentionGradients,
}

/// `y = x + a r`, `[N,Z,Y,X,F]`, from an `x` with the margin of its pass.
pub(crate) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: Padded,
    weights: &RcabWeights,
) -> (Vec<f32>, RcabTrace) {
    let extent = problem.input_extent();
    let hidden = hidden(kernels, problem, &x, weights);
    let mut y = branch(kernels, problem, &hidden, weights);
    let attention = attention(extent, &y, weights);
    close(extent, &x, &attention, &mut y);
    let trace = RcabTrace { x, hidden, attention };
    (y, trace)
}

/// As [`forward`], with nothing kept for a backward step.
pub(crate) fn apply(kernels: &Kernels, problem: &Problem, x: &Padded, weights: &RcabWeights) -> Vec<f32> {
    let extent = problem.input_extent();
    let hidden = hidden(kernels, problem, x, weights);
    let mut y = branch(kernels, problem, &hidden, weights);
    drop(hidden);
    let attention = attention(extent, &y, weights);
    close(extent, x, &attention, &mut y);
    y
}

/// `relu(conv1(x))`.
fn hidden(kernels: &Kernels, problem: &Problem, x: &Padded, weights: &RcabWeights) -> Padded {
    let mut hidden = Padded::unfilled(problem.input_extent(), margin(problem));
    let relu = Finish {
        slope: 0.0,
        ..Finish::NONE
    };
    let target = Target {
        places: hidden.places(),
        values: to_write(hidden.values_mut()),
        finish: relu,
    };
    convolve(kernels, problem, x, weights.conv1, [1; 3], target);
    hidden
}

/// `r = conv2(hidden)`.
fn branch(kernels: &Kernels, problem: &Problem, hidden: &Padded, weights: &RcabWeights) -> Vec<f32> {
    let extent = problem.input_extent();
    let convolution = |branch: &mut [MaybeUninit<f32>]| {
        let target = Target::dense(branch, extent, Finish::NONE);
        convolve(kernels, problem, hidden, weights.conv2, [1; 3], target);
    };
    // SAFETY: a forward pass gives every voxel of its output.
    unsafe { written(extent.values(), convolution) }
}

fn attention(extent: Extent, branch: &[f32], weights: &RcabWeights) -> Attention {
    let mut mean = channel_sums(extent, branch);
    mean.iter_mut().for_each(|sum| *sum /= extent.voxels() as f32);
    Attention::forward(&weights.attention, mean)
}

/// `r` becomes `x + a r`.
fn close(extent: Extent, x: &Padded, attention: &Attention, branch: &mut [f32]) {
    let feats = extent.channels;
    let row = extent.size[2] * feats;
    branch
        .par_chunks_exact_mut(row)
        .enumerate()
        .with_min_len(16)
        .for_each(|(line, branch)| {
            let x = x_line(extent, x, line);
            let factor = &attention.factor[line / lines(extent) * feats..][..feats];
            for (voxel, x) in branch.chunks_exact_mut(feats).zip(x.chunks_exact(feats)) {
                for ((value, x), a) in voxel.iter_mut().zip(x).zip(factor) {
                    *value = x + *value * a;
                }
            }
        });
}

/// Gradients from `y` and its gradient, `[N,Z,Y,X,F]`. With `weights_too` false only `x` and the attention's.
///
/// `r` is not kept: all that the attention needs of it is `sum g a r = sum g (y - x)`.
pub(crate) fn backward(
    kernels: &Kernels,
    problem: &Problem,
    trace: &RcabTrace,
    weights: &RcabWeights,
    (y, gradient): (&[f32], &[f32]),
    weights_too: bool,
) -> RcabGradients {
    let (extent, feats, margin) = (
        problem.input_extent(),
        problem.channels_in,
        gradient_margin(problem),
    );
    let added = added_sums(extent, gradient, y, &trace.x);
    let attention = trace.attention.backward(&weights.attention, added);
    let of_convolution = |x: &Padded, gradient: &Padded| {
        (
            weight_gradient(kernels, problem, x, gradient),
            bias_gradient(gradient),
        )
    };

    // dr = a g + dm / voxels, where conv2's gradients need it: with zeros around.
    let voxels = extent.voxels();
    let of_branch = Padded::rows(extent, margin, |first, row| {
        let sample = first / voxels * feats;
        let (factor, mean) = (&trace.attention.factor[sample..], &attention.mean[sample..]);
        let gradient = gradient[first * feats..].chunks_exact(feats);
        for (to, g) in row.chunks_exact_mut(feats).zip(gradient) {
            for (((to, g), a), m) in to.iter_mut().zip(g).zip(factor).zip(mean) {
                *to = g * a + m / voxels as f32;
            }
        }
    });
    let conv2 = weights_too.then(|| of_convolution(&trace.hidden, &of_branch));

    let mut of_hidden = Padded::unfilled(extent, margin);
    // The gate is read at the places of the target.
    assert!(
        trace.hidden.margin == margin,
        "rcab: margins {:?} and {margin:?}",
        trace.hidden.margin
    );
    let finish = Finish {
        gate: Some(trace.hidden.values()),
        ..Finish::NONE
    };
    let target = Target {
        places: of_hidden.places(),
        values: to_write(of_hidden.values_mut()),
        finish,
    };
    input_gradient(kernels, problem, &of_branch, weights.conv2.0, target);
    let conv1 = weights_too.then(|| of_convolution(&trace.x, &of_hidden));

    let of_input = |x: &mut [MaybeUninit<f32>]| {
        let finish = Finish {
            add: Some(gradient),
            ..Finish::NONE
        };
        let target = Target::dense(x, extent, finish);
        input_gradient(kernels, problem, &of_hidden, weights.conv1.0, target);
    };
    // SAFETY: an input gradient writes every value.
    let x = unsafe { written(extent.values(), of_input) };
    RcabGradients {
        x,
        conv1,
        conv2,
        attention,
    }
}

/// Rows of voxels in one sample.
fn lines(extent: Extent) -> usize {
    extent.size[0] * extent.size[1]
}

/// Sums over the voxels of each sample and channel.
fn channel_sums(extent: Extent, values: &[f32]) -> Vec<f32> {
    let feats = extent.channels;
    let row = extent.size[2] * feats;
    plane_sums(extent, |line, sums| {
        for voxel in values[line * row..][..row].chunks_exact(feats) {
            sums.iter_mut().zip(voxel).for_each(|(sum, value)| *sum += value);
        }
    })
}

/// The same of `gradient (y - x)`.
fn added_sums(extent: Extent, gradient: &[f32], y: &[f32], x: &Padded) -> Vec<f32> {
    let feats = extent.channels;
    let row = extent.size[2] * feats;
    plane_sums(extent, |line, sums| {
        let y = y[line * row..][..row].chunks_exact(feats);
        let gradient = gradient[line * row..][..row].chunks_exact(feats);
        let x = x_line(extent, x, line).chunks_exact(feats);
        for ((y, g), x) in y.zip(gradient).zip(x) {
            for (((sum, y), g), x) in sums.iter_mut().zip(y).zip(g).zip(x) {
                *sum += g * (y - x);
            }
        }
    })
}

/// One row of voxels of the block's input, by its rank.
fn x_line(extent: Extent, x: &Padded, line: usize) -> &[f32] {
    let [_, height, width] = extent.size;
    let (n, z, y) = (line / lines(extent), line % lines(extent) / height, line % height);
    let Places { base, step } = x.places();
    &x.values()[base + n * step[0] + z * step[1] + y * step[2]..][..width * extent.channels]
}

/// Sums of each sample and channel, `add(line, sums)` for each row of voxels; plane by plane, in order.
fn plane_sums(extent: Extent, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let Extent {
        batch,
        channels,
        size: [depth, height, _],
    } = extent;
    let sum = |plane: usize| {
        let mut sums = vec![0.0; channels];
        (plane * height..(plane + 1) * height).for_each(|line| add(line, &mut sums));
        sums
    };
    let planes: Vec<Vec<f32>> = (0..batch * depth).into_par_iter().map(sum).collect();
    planes
        .chunks_exact(depth)
        .flat_map(|planes| {
            let mut total = vec![0.0; channels];
            for sums in planes {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            total
        })
        .collect()
}
