//! The passes of a convolution: Winograd's where the transforms are paid for, else direct.

use super::direct;
use super::kernels::Kernels;
use super::layout::{Margin, Padded};
use super::problem::Problem;
use super::sweep::{Target, Weights};
use super::weight_gradient as correlation;
use super::winograd::{self, Map};

/// Zeros that a forward pass and the weight gradient need around their input.
pub(super) fn margin(problem: &Problem) -> Margin {
    if winograd::pays(problem) {
        Margin::default()
    } else {
        problem.margin()
    }
}

/// Zeros that an input gradient needs around the output's gradient.
pub(super) fn gradient_margin(problem: &Problem) -> Margin {
    if winograd::pays(problem) {
        Margin::default()
    } else {
        direct::gradient_margin(problem)
    }
}

/// As [`direct::forward`].
pub(super) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    (weight, bias): (&[f32], &[f32]),
    scale: [usize; 3],
    target: Target,
) {
    if !winograd::pays(problem) {
        return direct::forward(kernels, problem, x, (weight, bias), scale, target);
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
    winograd::run(kernels, &map, x, target);
}

/// As [`direct::input_gradient`].
pub(super) fn input_gradient(
    kernels: &Kernels,
    problem: &Problem,
    gradient: &Padded,
    weight: &[f32],
    target: Target,
) {
    if !winograd::pays(problem) {
        return direct::input_gradient(kernels, problem, gradient, weight, target);
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
    winograd::run(kernels, &map, gradient, target);
}

/// As [`correlation::weight_gradient`].
pub(super) fn weight_gradient(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    gradient: &Padded,
) -> Vec<f32> {
    if winograd::pays(problem) {
        winograd::weight_gradient(kernels, problem, x, gradient)
    } else {
        correlation::weight_gradient(kernels, problem, x, gradient)
    }
}
