//! RCAN's residual channel attention block, forward and backward, without leaving channels-last memory.

use rayon::prelude::*;

use super::attention::{Attention, AttentionGradients, AttentionWeights};
use super::direct::{Target, forward as convolve, gradient_padding, input_gradient};
use super::grid::Places;
use super::kernels::{Finish, Kernels};
use super::layout::Padded;
use super::problem::Problem;
use super::weight_gradient::{bias_gradient, weight_gradient};

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

/// `y = x + a r`, `[N,Z,Y,X,F]`, from an `x` padded by [`Problem::padding`].
pub(super) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: Padded,
    weights: &RcabWeights,
) -> (Vec<f32>, RcabTrace) {
    let (padding, feats, size) = (problem.padding(), problem.channels_in, problem.input);
    let mut hidden = Padded::zeros(problem.batch, feats, size, padding, padding);
    let places = hidden.places(padding);
    let target = Target {
        values: hidden.buffer.values_mut(),
        places,
        finish: Finish {
            slope: 0.0,
            ..Finish::NONE
        },
    };
    convolve(
        kernels,
        problem,
        &x,
        weights.conv1.0,
        Some(weights.conv1.1),
        target,
    );

    let mut branch = vec![0.0; problem.batch * problem.input_voxels() * feats];
    let target = Target {
        values: &mut branch,
        places: Places::dense(size, feats),
        finish: Finish::NONE,
    };
    convolve(
        kernels,
        problem,
        &hidden,
        weights.conv2.0,
        Some(weights.conv2.1),
        target,
    );

    let voxels = problem.input_voxels() as f32;
    let mut mean = channel_sums(problem, &branch, None);
    mean.iter_mut().for_each(|sum| *sum /= voxels);
    let attention = Attention::forward(&weights.attention, mean);

    let mut y = vec![0.0; branch.len()];
    let row = size[2] * feats;
    let (steps, base) = (x.steps(), x.places(padding).base);
    y.par_chunks_exact_mut(row * size[1])
        .enumerate()
        .for_each(|(plane, to)| {
            let (n, z) = (plane / size[0], plane % size[0]);
            let factor = &attention.factor[n * feats..][..feats];
            let branch = &branch[plane * row * size[1]..];
            for (line, to) in to.chunks_exact_mut(row).enumerate() {
                let x = &x.buffer.values()[base + n * steps[0] + z * steps[1] + line * steps[2]..];
                let voxels = to.chunks_exact_mut(feats).zip(x.chunks_exact(feats));
                for ((to, x), r) in voxels.zip(branch[line * row..].chunks_exact(feats)) {
                    for (((to, x), r), a) in to.iter_mut().zip(x).zip(r).zip(factor) {
                        *to = x + r * a;
                    }
                }
            }
        });
    (
        y,
        RcabTrace {
            x,
            hidden,
            branch,
            attention,
        },
    )
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
    let (padding, feats, size) = (problem.padding(), problem.channels_in, problem.input);
    debug_assert_eq!(gradient_padding(problem), (padding, padding), "stride 1");
    let of_factor = channel_sums(problem, gradient, Some(&trace.branch));
    let attention = trace.attention.backward(&weights.attention, of_factor);

    // dr = a g + dm / voxels, where conv2's gradients need it: with zeros around.
    let mut of_branch = Padded::zeros(problem.batch, feats, size, padding, padding);
    let (steps, base) = (of_branch.steps(), of_branch.places(padding).base);
    let row = size[2] * feats;
    let voxels = problem.input_voxels() as f32;
    let inside = &mut of_branch.buffer.values_mut()[..problem.batch * steps[0]];
    inside
        .par_chunks_exact_mut(steps[1])
        .enumerate()
        .for_each(|(plane, to)| {
            let (n, z) = (
                plane * steps[1] / steps[0],
                plane * steps[1] % steps[0] / steps[1],
            );
            if z < padding[0] || z >= padding[0] + size[0] {
                return;
            }
            let factor = &trace.attention.factor[n * feats..][..feats];
            let mean = &attention.mean[n * feats..][..feats];
            let first = base % steps[1];
            for line in 0..size[1] {
                let gradient = &gradient[((n * size[0] + z - padding[0]) * size[1] + line) * row..][..row];
                let to = &mut to[first + line * steps[2]..][..row];
                for (to, g) in to.chunks_exact_mut(feats).zip(gradient.chunks_exact(feats)) {
                    for (((to, g), a), m) in to.iter_mut().zip(g).zip(factor).zip(mean) {
                        *to = g * a + m / voxels;
                    }
                }
            }
        });
    let conv2 = weights_too.then(|| {
        (
            weight_gradient(kernels, problem, &trace.hidden, &of_branch, padding),
            bias_gradient(problem, &of_branch, padding),
        )
    });

    let mut of_hidden = Padded::zeros(problem.batch, feats, size, padding, padding);
    let places = of_hidden.places(padding);
    let gate = Some(trace.hidden.buffer.values());
    let target = Target {
        values: of_hidden.buffer.values_mut(),
        places,
        finish: Finish { gate, ..Finish::NONE },
    };
    input_gradient(kernels, problem, &of_branch, weights.conv2.0, target);
    let conv1 = weights_too.then(|| {
        (
            weight_gradient(kernels, problem, &trace.x, &of_hidden, padding),
            bias_gradient(problem, &of_hidden, padding),
        )
    });

    let mut x = vec![0.0; gradient.len()];
    let finish = Finish {
        add: Some(gradient),
        ..Finish::NONE
    };
    let target = Target {
        values: &mut x,
        places: Places::dense(size, feats),
        finish,
    };
    input_gradient(kernels, problem, &of_hidden, weights.conv1.0, target);
    RcabGradients {
        x,
        conv1,
        conv2,
        attention,
    }
}

/// Sums over the voxels of each sample and channel, of `values` or of `values * other`; plane by plane, in order.
fn channel_sums(problem: &Problem, values: &[f32], other: Option<&[f32]>) -> Vec<f32> {
    let (feats, [depth, height, width]) = (problem.channels_in, problem.input);
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
