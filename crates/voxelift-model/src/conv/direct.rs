//! Forward pass and input gradient: sweeps of a kernel over a padded, channels-last input.

use rayon::prelude::*;

use super::buffer::{Buffer, SLACK};
use super::grid::{Grid, Places};
use super::kernels::{Finish, Kernels, Sweep, SweepFn};
use super::layout::{Extent, Margin, Padded};
use super::problem::Problem;

/// Voxels of one task, a multiple of every tile.
const TASK_VOXELS: usize = 7 * 24;

/// Up to this many output channels the lanes run along the input.
const DOT_CHANNELS: usize = 2;

/// One sweep: some voxels of the output, the rows of taps they sum over, and where each tap's weight is.
struct Pass {
    grid: Grid,
    rows: Vec<usize>,
    /// Kernel index `[z, y]` of each row, then the kernel indices along x of its taps.
    taps: Vec<[usize; 2]>,
    taps_x: Vec<usize>,
}

/// One axis of an input gradient: the inputs `i = stride j + class` receive gradients `j + offset` through
/// the kernel indices given, for consecutive offsets.
struct AxisClass {
    count: usize,
    first_offset: isize,
    taps: Vec<usize>,
}

/// Where a pass writes: memory, the place of each voxel in it, and what is done to each value before.
pub(super) struct Target<'a> {
    pub values: &'a mut [f32],
    pub places: Places,
    pub finish: Finish<'a>,
}

impl<'a> Target<'a> {
    /// Memory of these values and nothing else.
    pub fn dense(values: &'a mut [f32], extent: Extent, finish: Finish<'a>) -> Self {
        Self {
            values,
            places: Places::dense(extent.size, extent.channels),
            finish,
        }
    }
}

/// `y[o] = finish(b + sum_k w[k] x[stride o + k - padding])`, channels-last.
///
/// # Shapes
/// `x` with [`Problem::margin`]; `weight` `[Cout,Cin,kz,ky,kx]`; target `[N,Z,Y,X,Cout]`.
pub(super) fn forward(
    kernels: &Kernels,
    problem: &Problem,
    x: &Padded,
    weight: &[f32],
    bias: Option<&[f32]>,
    target: Target,
) {
    let steps = x.steps();
    let output = problem.output();
    let [kz, ky, kx] = problem.kernel;
    let taps: Vec<[usize; 2]> = (0..kz).flat_map(|z| (0..ky).map(move |y| [z, y])).collect();
    let pass = Pass {
        grid: Grid {
            size: [problem.batch, output[0], output[1], output[2]],
            input: Places {
                base: 0,
                step: [
                    steps[0],
                    steps[1] * problem.stride[0],
                    steps[2] * problem.stride[1],
                    steps[3] * problem.stride[2],
                ],
            },
            output: target.places.clone(),
        },
        rows: taps.iter().map(|[z, y]| z * steps[1] + y * steps[2]).collect(),
        taps,
        taps_x: (0..kx).collect(),
    };
    let weights = Weights {
        values: weight,
        kernel: problem.kernel,
        from: problem.channels_in,
        to: problem.channels_out,
        transposed: false,
    };
    run(kernels, &[pass], x, &weights, bias, target);
}

/// `dx[i] = sum_k w[k]^T g[(i + padding - k) / stride]` over the k where the division is exact: one sweep for
/// each remainder of `i` by the stride.
///
/// # Shapes
/// `gradient` with [`gradient_margin`]; target `[N,Z,Y,X,Cin]`.
pub(super) fn input_gradient(
    kernels: &Kernels,
    problem: &Problem,
    gradient: &Padded,
    weight: &[f32],
    target: Target,
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
                let stride = problem.stride;
                passes.push(Pass {
                    grid: Grid {
                        size: [problem.batch, z.count, y.count, x.count],
                        input: Places {
                            base: first(0, z) + first(1, y) + first(2, x),
                            step: steps,
                        },
                        output: Places {
                            base: places.base
                                + class_z * places.step[1]
                                + class_y * places.step[2]
                                + class_x * places.step[3],
                            step: [
                                places.step[0],
                                places.step[1] * stride[0],
                                places.step[2] * stride[1],
                                places.step[3] * stride[2],
                            ],
                        },
                    },
                    rows: rows.iter().map(|(offset, _)| *offset).collect(),
                    taps: rows.iter().map(|(_, taps)| *taps).collect(),
                    taps_x: x.taps.clone(),
                });
            }
        }
    }
    let weights = Weights {
        values: weight,
        kernel: problem.kernel,
        from: problem.channels_out,
        to: problem.channels_in,
        transposed: true,
    };
    run(kernels, &passes, gradient, &weights, None, target);
}

/// Zeros that [`input_gradient`] needs around the output's gradient.
pub(super) fn gradient_margin(problem: &Problem) -> Margin {
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

/// A weight tensor `[Cout,Cin,kz,ky,kx]` read as a map from one set of channels to another.
struct Weights<'a> {
    values: &'a [f32],
    kernel: [usize; 3],
    from: usize,
    to: usize,
    /// The map runs from `Cout` to `Cin`.
    transposed: bool,
}

impl Weights<'_> {
    fn at(&self, from: usize, to: usize, [z, y, x]: [usize; 3]) -> f32 {
        let channels = if self.transposed {
            from * self.to + to
        } else {
            to * self.from + from
        };
        let [kz, ky, kx] = self.kernel;
        self.values[((channels * kz + z) * ky + y) * kx + x]
    }

    /// `[rows][taps along x][from][width]`, zeros where the block is wider than its channels.
    fn packed(&self, pass: &Pass, first: usize, width: usize) -> Buffer {
        let mut buffer = Buffer::zeros(pass.taps.len() * pass.taps_x.len() * self.from * width);
        let mut chunks = buffer.values_mut().chunks_exact_mut(width);
        for &[z, y] in &pass.taps {
            for &x in &pass.taps_x {
                for from in 0..self.from {
                    let lanes = chunks.next().expect("one chunk for each input value");
                    for (to, lane) in (first..self.to).zip(lanes) {
                        *lane = self.at(from, to, [z, y, x]);
                    }
                }
            }
        }
        buffer
    }

    /// `[to][rows][taps along x, from, rounded up to lanes]`, zeros at the end of each row.
    fn packed_rows(&self, pass: &Pass, lanes: usize) -> Buffer {
        let run = (pass.taps_x.len() * self.from).next_multiple_of(lanes);
        let mut buffer = Buffer::zeros(self.to * pass.taps.len() * run);
        for (index, row) in buffer.values_mut().chunks_exact_mut(run.max(1)).enumerate() {
            let rows = pass.taps.len();
            if rows == 0 || index >= self.to * rows {
                break;
            }
            let (to, [z, y]) = (index / rows, pass.taps[index % rows]);
            let taps = pass
                .taps_x
                .iter()
                .flat_map(|&x| (0..self.from).map(move |from| (x, from)));
            for ((x, from), weight) in taps.zip(row) {
                *weight = self.at(from, to, [z, y, x]);
            }
        }
        buffer
    }
}

/// A pointer that tasks write disjoint voxels through.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: `run` gives each voxel and block of channels to exactly one task.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn pointer(&self) -> *mut f32 {
        self.0
    }
}

/// Computes all passes; every output value is one task's own sum, so threads do not change it.
fn run(
    kernels: &Kernels,
    passes: &[Pass],
    input: &Padded,
    weights: &Weights,
    bias: Option<&[f32]>,
    target: Target,
) {
    struct Work<'a> {
        pass: &'a Pass,
        packed: Buffer,
        bias: Vec<f32>,
        first: usize,
        channels: usize,
        kernel: SweepFn,
    }
    let Target { values, finish, .. } = target;
    let reach = [finish.gate, finish.add]
        .into_iter()
        .flatten()
        .fold(values.len(), |len, side| len.min(side.len()));
    let mut work = Vec::new();
    for pass in passes.iter().filter(|pass| pass.grid.voxels() > 0) {
        assert!(pass.reads_inside(input) && pass.writes_inside(reach, weights.to));
        if weights.to <= DOT_CHANNELS {
            work.push(Work {
                pass,
                packed: weights.packed_rows(pass, kernels.lanes),
                bias: bias.map_or_else(|| vec![0.0; weights.to], <[f32]>::to_vec),
                first: 0,
                channels: weights.to,
                kernel: kernels.dot,
            });
            continue;
        }
        let mut first = 0;
        while first < weights.to {
            let block = kernels.block(weights.to - first);
            let channels = block.width.min(weights.to - first);
            let mut lanes = vec![0.0; block.width];
            if let Some(bias) = bias {
                lanes[..channels].copy_from_slice(&bias[first..first + channels]);
            }
            let packed = weights.packed(pass, first, block.width);
            work.push(Work {
                pass,
                packed,
                bias: lanes,
                first,
                channels,
                kernel: block.sweep,
            });
            first += channels;
        }
    }
    let tasks: Vec<(usize, usize)> = work
        .iter()
        .enumerate()
        .flat_map(|(index, work)| {
            (0..work.pass.grid.voxels())
                .step_by(TASK_VOXELS)
                .map(move |at| (at, index))
        })
        .collect();
    let output = Shared(values.as_mut_ptr());
    tasks.par_iter().for_each(|&(start, index)| {
        let work = &work[index];
        let sweep = Sweep {
            input: input.buffer.values(),
            rows: &work.pass.rows,
            run: work.pass.taps_x.len() * weights.from,
            weights: work.packed.values(),
            bias: &work.bias,
            channels: work.channels,
            finish: Finish {
                gate: finish.gate.map(|gate| &gate[work.first..]),
                add: finish.add.map(|add| &add[work.first..]),
                ..finish
            },
        };
        let range = start..(start + TASK_VOXELS).min(work.pass.grid.voxels());
        // SAFETY: the kernels are of this processor (`Kernels::available`); reads and writes were checked
        // above against the extent of the grid; voxels and channels of two tasks do not overlap.
        unsafe { (work.kernel)(&sweep, &work.pass.grid, range, output.pointer().add(work.first)) }
    });
}

impl Pass {
    fn reads_inside(&self, input: &Padded) -> bool {
        let row = self
            .rows
            .iter()
            .max()
            .map_or(0, |row| row + self.taps_x.len() * input.extent.channels);
        self.last(&self.grid.input) + row <= input.buffer.values().len() - SLACK
    }

    fn writes_inside(&self, len: usize, channels: usize) -> bool {
        self.last(&self.grid.output) + channels <= len
    }

    fn last(&self, places: &Places) -> usize {
        places.base
            + self
                .grid
                .size
                .iter()
                .zip(places.step)
                .map(|(n, step)| (n - 1) * step)
                .sum::<usize>()
    }
}
