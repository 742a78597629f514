//! Layer 6 · Forward pass and input gradient: sweeps of a kernel over a padded, channels-last input.

use crate::contracts::Rounding;
use crate::grid::{Grid, Places};
use crate::kernels::Kernels;
use crate::layout::{Margin, Padded};
use crate::problem::Problem;
use crate::sweep::{Pass, Target, Weights, run};

/// One axis of an input gradient: the inputs `i = stride j + class` receive gradients `j + offset` through
/// the kernel indices given, for consecutive offsets.
struct AxisClass {
    count: usize,
    first_offset: isize,
    taps: Vec<usize>,
}

/// `y[o] = finish(b + sum_k w[k] x[stride o + k - padding])`, channels-last.
///
/// With `scale` above one, output channel `c sz sy sx + (dz sy + dy) sx + dx` is written to sub-voxel
/// `(dz, dy, dx)` of channel `c`, in one pass a sub-voxel: the voxel shuffle costs nothing.
///
/// # Shapes
/// `x` with [`Problem::margin`]; `weight` `[Cout,Cin,kz,ky,kx]`; target `[N,sz Z,sy Y,sx X,Cout/(sz sy sx)]`.
pub(crate) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    (weight, bias): (&[f32], &[f32]),
    scale: [usize; 3],
    target: Target,
    rounding: Option<Rounding>,
) {
    let (steps, output) = (x.steps(), problem.output());
    let [kz, ky, kx] = problem.kernel;
    let taps: Vec<[usize; 2]> = (0..kz).flat_map(|z| (0..ky).map(move |y| [z, y])).collect();
    let groups: usize = scale.iter().product();
    let pass = |group: usize| Pass {
        grid: Grid {
            size: [problem.batch, output[0], output[1], output[2]],
            input: Places { base: 0, step: steps }.every(problem.stride, [0; 3]),
            output: target.places.every(scale, sub_voxel(group, scale)),
        },
        rows: taps.iter().map(|[z, y]| z * steps[1] + y * steps[2]).collect(),
        taps: taps.clone(),
        taps_x: (0..kx).collect(),
        group,
    };
    let weights = Weights {
        values: weight,
        bias: Some(bias),
        kernel: problem.kernel,
        from: problem.channels_in,
        to: problem.channels_out / groups,
        transposed: false,
        groups,
    };
    let passes: Vec<Pass> = (0..groups).map(pass).collect();
    run(kernels, &passes, x, &weights, target, rounding);
}

/// `(dz, dy, dx)` of this rank.
pub(crate) fn sub_voxel(rank: usize, [_, sy, sx]: [usize; 3]) -> [usize; 3] {
    [rank / (sy * sx), rank / sx % sy, rank % sx]
}

/// `dx[i] = sum_k w[k]^T g[(i + padding - k) / stride]` over the k where the division is exact: one sweep for
/// each remainder of `i` by the stride. Every value of the target is written: where no tap reads, the sum of none is 0.
///
/// # Shapes
/// `gradient` with [`gradient_margin`]; target `[N,Z,Y,X,Cin]`.
pub(crate) fn input_gradient(
    kernels: &Kernels,
    problem: &Problem,
    gradient: &Padded,
    weight: &[f32],
    target: Target,
    rounding: Option<Rounding>,
) {
    let steps = gradient.steps();
    let low = gradient.margin.low;
    let places = &target.places;
    let classes: [Vec<AxisClass>; 3] = std::array::from_fn(|axis| {
        (0..problem.stride[axis])
            .map(|class| axis_class(problem, axis, class))
            .collect()
    });
    let mut passes = Vec::new();
    for (class_z, z) in classes[0].iter().enumerate() {
        for (class_y, y) in classes[1].iter().enumerate() {
            for (class_x, x) in classes[2].iter().enumerate() {
                let first = |axis: usize, class: &AxisClass| {
                    (low[axis] as isize + class.first_offset) as usize * steps[axis + 1]
                };
                let rows: Vec<(usize, [usize; 2])> = (0..z.taps.len())
                    .flat_map(|i| (0..y.taps.len()).map(move |j| (i, j)))
                    .map(|(i, j)| (i * steps[1] + j * steps[2], [z.taps[i], y.taps[j]]))
                    .collect();
                passes.push(Pass {
                    grid: Grid {
                        size: [problem.batch, z.count, y.count, x.count],
                        input: Places {
                            base: first(0, z) + first(1, y) + first(2, x),
                            step: steps,
                        },
                        output: places.every(problem.stride, [class_z, class_y, class_x]),
                    },
                    rows: rows.iter().map(|(offset, _)| *offset).collect(),
                    taps: rows.iter().map(|(_, taps)| *taps).collect(),
                    taps_x: x.taps.clone(),
                    group: 0,
                });
            }
        }
    }
    let weights = Weights {
        values: weight,
        bias: None,
        kernel: problem.kernel,
        from: problem.channels_out,
        to: problem.channels_in,
        transposed: true,
        groups: 1,
    };
    run(kernels, &passes, gradient, &weights, target, rounding);
}

/// Zeros that [`input_gradient`] needs around the output's gradient.
pub(crate) fn gradient_margin(problem: &Problem) -> Margin {
    let output = problem.output();
    let mut margin = Margin::default();
    for (axis, &length) in output.iter().enumerate() {
        for class in (0..problem.stride[axis]).map(|class| axis_class(problem, axis, class)) {
            let last = class.first_offset + (class.taps.len() + class.count) as isize - 1;
            let low = &mut margin.low[axis];
            *low = (*low).max((-class.first_offset).max(0) as usize);
            let high = &mut margin.high[axis];
            *high = (*high).max((last - length as isize).max(0) as usize);
        }
    }
    margin
}

fn axis_class(problem: &Problem, axis: usize, class: usize) -> AxisClass {
    let (kernel, stride) = (problem.kernel[axis], problem.stride[axis]);
    let reach = class + kernel / 2;
    // Offsets grow as the kernel index falls.
    let taps: Vec<usize> = (0..kernel)
        .rev()
        .filter(|k| k % stride == reach % stride)
        .collect();
    let first_offset = taps
        .first()
        .map_or(0, |&k| (reach as isize - k as isize).div_euclid(stride as isize));
    AxisClass {
        count: (problem.input[axis] + stride - 1 - class) / stride,
        first_offset,
        taps,
    }
}
