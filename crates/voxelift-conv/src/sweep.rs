//! Layer 5 · Runs the passes of a convolution: packs their weights, cuts them into tasks, spreads these over threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::buffer::{Buffer, SLACK};
use crate::contracts::{Finish, Rounding, Sweep, SweepFn};
use crate::grid::{Grid, Places};
use crate::halves;
use crate::kernels::Kernels;
use crate::layout::{Extent, Padded};

/// Voxels of one task.
const TASK_VOXELS: usize = 168;

/// Up to this many output channels the lanes run along the input.
const DOT_CHANNELS: usize = 2;

/// One sweep: some voxels of the output, the rows of taps they sum over, and where each tap's weight is.
pub(crate) struct Pass {
    pub grid: Grid,
    /// Offset of each row of taps in the input, from a voxel's place.
    pub rows: Vec<usize>,
    /// Kernel index `[z, y]` of each row, then the kernel indices along x of its taps.
    pub taps: Vec<[usize; 2]>,
    pub taps_x: Vec<usize>,
    /// Which of the [`Weights::groups`].
    pub group: usize,
}

/// Where a pass writes: memory, the place of each voxel in it, and what is done to each value before.
pub(crate) struct Target<'a> {
    pub values: &'a mut [MaybeUninit<f32>],
    pub places: Places,
    pub finish: Finish<'a>,
}

impl<'a> Target<'a> {
    /// Memory of these values and nothing else.
    pub fn dense(values: &'a mut [MaybeUninit<f32>], extent: Extent, finish: Finish<'a>) -> Self {
        Self {
            values,
            places: Places::dense(extent.size, extent.channels),
            finish,
        }
    }

    /// Values that may be written, and read beside them.
    pub fn reach(&self) -> usize {
        let sides = [self.finish.gate, self.finish.add];
        sides
            .into_iter()
            .flatten()
            .fold(self.values.len(), |len, side| len.min(side.len()))
    }
}

/// A weight tensor `[Cout,Cin,kz,ky,kx]` read as a map from one set of channels to another.
pub(crate) struct Weights<'a> {
    pub values: &'a [f32],
    /// One for each of `Cout`.
    pub bias: Option<&'a [f32]>,
    pub kernel: [usize; 3],
    pub from: usize,
    pub to: usize,
    /// The map runs from `Cout` to `Cin`.
    pub transposed: bool,
    /// Passes that share the output channels: channel `to` of a pass is channel `to * groups + group` of `Cout`.
    pub groups: usize,
}

impl Weights<'_> {
    pub fn at(&self, from: usize, to: usize, group: usize, [z, y, x]: [usize; 3]) -> f32 {
        let channels = if self.transposed {
            from * self.to + to
        } else {
            (to * self.groups + group) * self.from + from
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
                        *lane = self.at(from, to, pass.group, [z, y, x]);
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
                *weight = self.at(from, to, pass.group, [z, y, x]);
            }
        }
        buffer
    }
}

impl Weights<'_> {
    /// Of the channels `first..first + channels` of a group, zeros up to `width`.
    pub fn biases(&self, group: usize, first: usize, channels: usize, width: usize) -> Vec<f32> {
        let bias = |to: usize| self.bias.map_or(0.0, |bias| bias[to * self.groups + group]);
        (0..width)
            .map(|lane| if lane < channels { bias(first + lane) } else { 0.0 })
            .collect()
    }
}

/// A pointer that tasks write disjoint voxels through.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: whoever makes one gives each voxel and block of channels to exactly one task.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(values: &mut [MaybeUninit<f32>]) -> Self {
        Self(values.as_mut_ptr().cast())
    }

    pub fn pointer(&self) -> *mut f32 {
        self.0
    }
}

/// Computes all passes; every output value is one task's own sum, so threads do not change it.
///
/// With `rounding` the products are of bf16, where the input channels come in pairs and the lanes run along the output's.
pub(crate) fn run(
    kernels: &Kernels,
    passes: &[Pass],
    input: &Padded,
    weights: &Weights,
    target: Target,
    rounding: Option<Rounding>,
) {
    struct Work<'a> {
        pass: &'a Pass,
        packed: Buffer,
        bias: Vec<f32>,
        first: usize,
        channels: usize,
        kernel: SweepFn,
    }
    let reach = target.reach();
    let Target { values, finish, .. } = target;
    let even = weights.from.is_multiple_of(2) && weights.to > DOT_CHANNELS;
    let rounding = rounding.filter(|_| even);
    let paired = rounding.map(|rounding| halves::neighbours(rounding, rounded_down(input.values())));
    let halved: Vec<Pass> = match paired {
        Some(_) => passes.iter().map(Pass::halved).collect(),
        None => Vec::new(),
    };
    let mut work = Vec::new();
    for (index, pass) in passes.iter().enumerate() {
        if pass.grid.voxels() == 0 {
            continue;
        }
        assert!(pass.reads_inside(input) && pass.writes_inside(reach, weights.to));
        if weights.to <= DOT_CHANNELS {
            work.push(Work {
                pass,
                packed: weights.packed_rows(pass, kernels.lanes),
                bias: weights.biases(pass.group, 0, weights.to, weights.to),
                first: 0,
                channels: weights.to,
                kernel: kernels.dot,
            });
            continue;
        }
        for (block, first, channels) in kernels.columns(weights.to) {
            let mut packed = weights.packed(pass, first, block.width);
            let (pass, kernel) = match (rounding, block.half) {
                (Some(rounding), Some(half)) => {
                    let values = pass.taps.len() * pass.taps_x.len() * weights.from * block.width;
                    halves::rows(rounding, &mut packed.values_mut()[..values], block.width);
                    (&halved[index], half.sweep)
                }
                _ => (pass, block.sweep),
            };
            work.push(Work {
                pass,
                packed,
                bias: weights.biases(pass.group, first, channels, block.width),
                first,
                channels,
                kernel,
            });
        }
    }
    let (words, from) = match &paired {
        Some(words) => (words.values(), weights.from / 2),
        None => (input.values(), weights.from),
    };
    let tasks: Vec<(usize, usize)> = work
        .iter()
        .enumerate()
        .flat_map(|(index, work)| {
            (0..work.pass.grid.voxels())
                .step_by(TASK_VOXELS)
                .map(move |at| (at, index))
        })
        .collect();
    let output = Shared::new(values);
    tasks.par_iter().for_each(|&(start, index)| {
        let work = &work[index];
        let sweep = Sweep {
            input: words,
            rows: &work.pass.rows,
            run: work.pass.taps_x.len() * from,
            weights: work.packed.values(),
            bias: &work.bias,
            channels: work.channels,
            finish: finish.beginning_at(work.first),
        };
        let range = start..(start + TASK_VOXELS).min(work.pass.grid.voxels());
        // SAFETY: the kernels are of this processor (`Kernels::available`); reads and writes were checked
        // above against the extent of the grid; voxels and channels of two tasks do not overlap.
        unsafe { (work.kernel)(&sweep, &work.pass.grid, range, output.pointer().add(work.first)) }
    });
}

/// As many values as make whole registers of pairs.
fn rounded_down(values: &[f32]) -> &[f32] {
    &values[..values.len() / 16 * 16]
}

impl Pass {
    /// Over an input that holds two channels in a word.
    fn halved(&self) -> Self {
        let Places { base, step } = self.grid.input.clone();
        Self {
            grid: Grid {
                input: Places {
                    base: base / 2,
                    step: step.map(|step| step / 2),
                },
                ..self.grid.clone()
            },
            rows: self.rows.iter().map(|row| row / 2).collect(),
            taps: self.taps.clone(),
            taps_x: self.taps_x.clone(),
            group: self.group,
        }
    }

    fn reads_inside(&self, input: &Padded) -> bool {
        let row = self
            .rows
            .iter()
            .max()
            .map_or(0, |row| row + self.taps_x.len() * input.extent.channels);
        self.grid.input.last(self.grid.size) + row <= input.values().len() - SLACK
    }

    fn writes_inside(&self, len: usize, channels: usize) -> bool {
        self.grid.output.last(self.grid.size) + channels <= len
    }
}
