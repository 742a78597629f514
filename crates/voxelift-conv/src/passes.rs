//! Layer 8 · The passes of a convolution: Winograd's where the transforms are paid for, else direct.

use crate::contracts::Rounding;
use crate::direct;
use crate::kernels::Kernels;
use crate::layout::{Margin, Padded};
use crate::problem::Problem;
use crate::product_format::ProductFormat;
use crate::sweep::{Target, Weights};
use crate::weight_gradient as correlation;
use crate::winograd::{self, Map};

/// Zeros that a forward pass and the weight gradient need around their input.
pub(crate) fn margin(problem: &Problem) -> Margin {
    if winograd::pays(problem) {
        Margin::default()
    } else {
        problem.margin()
    }
}

/// Zeros that an input gradient needs around the output's gradient.
pub(crate) fn gradient_margin(problem: &Problem) -> Margin {
    if winograd::pays(problem) {
        Margin::default()
    } else {
        direct::gradient_margin(problem)
    }
}

/// How factors are rounded, where the products of this convolution are to be of bf16 and the processor has them.
pub(crate) fn rounding(kernels: &Kernels, problem: &Problem) -> Option<Rounding> {
    kernels
        .rounding
        .filter(|_| problem.products == ProductFormat::Bf16)
}

/// As [`direct::forward`].
pub(crate) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    (weight, bias): (&[f32], &[f32]),
    scale: [usize; 3],
    target: Target,
) {
    if !winograd::pays(problem) {
        return direct::forward(
            kernels,
            problem,
            x,
            (weight, bias),
            scale,
            target,
            rounding(kernels, problem),
        );
    }
    let groups = scale.iter().product();
    let map = Map {
        weights: Weights {
            values: weight,
            bias: Some(bias),
            kernel: problem.kernel,
            from: problem.channels_in,
            to: problem.channels_out / groups,
            transposed: false,
            groups,
        },
        places: (0..groups)
            .map(|group| target.places.every(scale, direct::sub_voxel(group, scale)))
            .collect(),
    };
    winograd::run(kernels, &map, x, target, rounding(kernels, problem));
}

/// As [`direct::input_gradient`].
pub(crate) fn input_gradient(
    kernels: &Kernels,
    problem: &Problem,
    gradient: &Padded,
    weight: &[f32],
    target: Target,
) {
    if !winograd::pays(problem) {
        return direct::input_gradient(
            kernels,
            problem,
            gradient,
            weight,
            target,
            rounding(kernels, problem),
        );
    }
    let map = Map {
        weights: Weights {
            values: weight,
            bias: None,
            kernel: problem.kernel,
            from: problem.channels_out,
            to: problem.channels_in,
            transposed: true,
            groups: 1,
        },
        places: vec![target.places.clone()],
    };
    winograd::run(kernels, &map, gradient, target, rounding(kernels, problem));
}

/// As [`correlation::weight_gradient`].
pub(crate) fn weight_gradient(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    gradient: &Padded,
) -> Vec<f32> {
    if winograd::pays(problem) {
        winograd::weight_gradient(kernels, problem, x, gradient, rounding(kernels, problem))
    } else {
        correlation::weight_gradient(kernels, problem, x, gradient, rounding(kernels, problem))
    }
}
