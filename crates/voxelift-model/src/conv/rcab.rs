//! RCAN's residual channel attention block, forward and backward, without leaving channels-last memory.

use rayon::prelude::*;

use super::attention::{Attention, AttentionGradients, AttentionWeights};
use super::grid::Places;
use super::kernels::{Finish, Kernels};
use super::layout::{Extent, Padded};
use super::passes::{forward as convolve, gradient_margin, input_gradient, margin, weight_gradient};
use super::problem::Problem;
use super::sweep::Target;
use super::weight_gradient::bias_gradient;

/// Weight and bias of each of the four layers.
pub(super) struct RcabWeights<'a> {
    pub conv1: (&'a [f32], &'a [f32]),
    pub conv2: (&'a [f32], &'a [f32]),
    pub attention: AttentionWeights<'a>,
}

/// What the backward step reads.
pub(super) struct RcabTrace {
    x: Padded,
    /// `relu(conv1(x))`.
    hidden: Padded,
    /// `r = conv2(hidden)`, `[N,Z,Y,X,F]`.
    branch: Vec<f32>,
    attention: Attention,
}

/// Gradients of the weights, as far as they were asked for, and of `x`, `[N,Z,Y,X,F]`.
pub(super) struct RcabGradients {
    pub x: Vec<f32>,
    pub conv1: Option<(Vec<f32>, Vec<f32>)>,
    pub conv2: Option<(Vec<f32>, Vec<f32>)>,
    pub attention: AttentionGradients,
}

/// `y = x + a r`, `[N,Z,Y,X,F]`, from an `x` with the margin of its pass.
pub(super) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: Padded,
    weights: &RcabWeights,
) -> (Vec<f32>, RcabTrace) {
    let extent = problem.input_extent();
    let hidden = hidden(kernels, problem, &x, weights);
    let branch = branch(kernels, problem, &hidden, weights);
    let attention = attention(extent, &branch, weights);
    let mut y = branch.clone();
    close(extent, &x, &attention, &mut y);
    let trace = RcabTrace {
        x,
        hidden,
        branch,
        attention,
    };
    (y, trace)
}

/// As [`forward`], with nothing kept for a backward step.
pub(super) fn apply(kernels: &Kernels, problem: &Problem, x: &Padded, weights: &RcabWeights) -> Vec<f32> {
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
        values: hidden.values_mut(),
        finish: relu,
    };
    convolve(kernels, problem, x, weights.conv1, [1; 3], target);
    hidden
}

/// `r = conv2(hidden)`.
fn branch(kernels: &Kernels, problem: &Problem, hidden: &Padded, weights: &RcabWeights) -> Vec<f32> {
    let extent = problem.input_extent();
    let mut branch = vec![0.0; extent.values()];
    let target = Target::dense(&mut branch, extent, Finish::NONE);
    convolve(kernels, problem, hidden, weights.conv2, [1; 3], target);
    branch
}

fn attention(extent: Extent, branch: &[f32], weights: &RcabWeights) -> Attention {
    let mut mean = channel_sums(extent, branch, None);
    mean.iter_mut().for_each(|sum| *sum /= extent.voxels() as f32);
    Attention::forward(&weights.attention, mean)
}

/// `r` becomes `x + a r`.
fn close(extent: Extent, x: &Padded, attention: &Attention, branch: &mut [f32]) {
    let feats = extent.channels;
    let row = extent.size[2] * feats;
    let Places { base, step } = x.places();
    branch
        .par_chunks_exact_mut(row)
        .enumerate()
        .with_min_len(16)
        .for_each(|(line, branch)| {
            let (n, z, y) = (
                line / lines(extent),
                line % lines(extent) / extent.size[1],
                line % extent.size[1],
            );
            let x = &x.values()[base + n * step[0] + z * step[1] + y * step[2]..][..row];
            let factor = &attention.factor[n * feats..][..feats];
            for (voxel, x) in branch.chunks_exact_mut(feats).zip(x.chunks_exact(feats)) {
                for ((value, x), a) in voxel.iter_mut().zip(x).zip(factor) {
                    *value = x + *value * a;
                }
            }
        });
}

/// Gradients from that of `y`, `[N,Z,Y,X,F]`. With `weights_too` false only `x` and the attention's.
pub(super) fn backward(
    kernels: &Kernels,
    problem: &Problem,
    trace: &RcabTrace,
    weights: &RcabWeights,
    gradient: &[f32],
    weights_too: bool,
) -> RcabGradients {
    let (extent, feats, margin) = (
        problem.input_extent(),
        problem.channels_in,
        gradient_margin(problem),
    );
    let of_factor = channel_sums(extent, gradient, Some(&trace.branch));
    let attention = trace.attention.backward(&weights.attention, of_factor);
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
        values: of_hidden.values_mut(),
        finish,
    };
    input_gradient(kernels, problem, &of_branch, weights.conv2.0, target);
    let conv1 = weights_too.then(|| of_convolution(&trace.x, &of_hidden));

    let mut x = vec![0.0; extent.values()];
    let target = Target::dense(
        &mut x,
        extent,
        Finish {
            add: Some(gradient),
            ..Finish::NONE
        },
    );
    input_gradient(kernels, problem, &of_hidden, weights.conv1.0, target);
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

/// Sums over the voxels of each sample and channel, of `values` or of `values * other`; plane by plane, in order.
fn channel_sums(extent: Extent, values: &[f32], other: Option<&[f32]>) -> Vec<f32> {
    let Extent {
        channels: feats,
        size: [depth, height, width],
        ..
    } = extent;
    let plane = height * width * feats;
    let sum = |(index, values): (usize, &[f32])| {
        let mut sums = vec![0.0; feats];
        match other {
            None => values.chunks_exact(feats).for_each(|voxel| {
                sums.iter_mut().zip(voxel).for_each(|(sum, value)| *sum += value);
            }),
            Some(other) => {
                let other = other[index * plane..].chunks_exact(feats);
                values.chunks_exact(feats).zip(other).for_each(|(voxel, other)| {
                    sums.iter_mut()
                        .zip(voxel.iter().zip(other))
                        .for_each(|(sum, (a, b))| *sum += a * b);
                });
            }
        }
        sums
    };
    let planes: Vec<Vec<f32>> = values.par_chunks_exact(plane).enumerate().map(sum).collect();
    planes
        .chunks_exact(depth)
        .flat_map(|planes| {
            let mut total = vec![0.0; feats];
            for sums in planes {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            total
        })
        .collect()
}
