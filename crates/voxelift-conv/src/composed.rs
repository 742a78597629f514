//! Layer 8 · A convolution, the voxel shuffle of its result and a closing convolution, as one convolution to the sub-voxels.
//!
//! There is nothing between the two but the shuffle, so together they are linear in what enters: per axis, tap `t` of
//! the closing convolution at sub-voxel `d` reads sub-voxel `q mod s` of voxel `i + floor(q / s)`, `q = d + t - 1`,
//! and that one is three taps of the first. With three taps each, five voxels an axis reach every sub-voxel, for a
//! seventh of the products of the two at 32 channels. The closing convolution takes zero for sub-voxels outside the volume,
//! not what the first would give there: voxels on a face lack some of its taps and have weights of their own.

use rayon::prelude::*;

use crate::buffer::to_write;
use crate::contracts::Finish;
use crate::direct::sub_voxel;
use crate::grid::{Grid, Places};
use crate::kernels::Kernels;
use crate::layout::{Extent, Margin, Padded, Source};
use crate::sweep::{Pass, Target, Weights, run};

/// Sizes of both convolutions, `[z, y, x]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Composed {
    /// What enters the first.
    pub input: Extent,
    /// Taps of the first and of the closing convolution.
    pub kernels: [[usize; 3]; 2],
    pub scale: [usize; 3],
    /// Channels between the two, and at the end.
    pub middle: usize,
    pub output: usize,
}

/// Voxels of one axis whose weights are the same.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    count: usize,
    /// Whether the closing convolution's sub-voxels below and above the axis' ends are outside.
    outside: [bool; 2],
}

/// What one tap of the closing convolution adds to one sub-voxel, through all channels between.
struct Part {
    /// Rank of the sub-voxel written.
    to: usize,
    /// The voxel read, from the one written: -1, 0 or 1.
    offset: [isize; 3],
    /// `[output][Cin][taps of the first]`.
    weights: Vec<f64>,
    /// `[output]`.
    bias: Vec<f64>,
}

/// `[N,Z,Y,X,output sz sy sx]`: channel `c sz sy sx + (dz sy + dy) sx + dx` is sub-voxel `(dz, dy, dx)` of channel `c`.
///
/// # Shapes
/// `expand` `[middle sz sy sx,Cin,kz,ky,kx]` and `last` `[output,middle,kz,ky,kx]`, each with its bias.
pub(crate) fn run_composed(
    kernels: &Kernels,
    composed: &Composed,
    source: Source,
    expand: (&[f32], &[f32]),
    last: (&[f32], &[f32]),
) -> Vec<f32> {
    let Composed { input, .. } = *composed;
    let kernel = composed.kernel();
    let margin = kernel.map(|k| k / 2);
    let x = Padded::copy(
        source,
        input,
        Margin {
            low: margin,
            high: margin,
        },
        None,
    );
    let steps = x.steps();
    let taps: Vec<[usize; 2]> = (0..kernel[0])
        .flat_map(|z| (0..kernel[1]).map(move |y| [z, y]))
        .collect();
    let extent = composed.output_extent();
    let mut values = vec![0.0; extent.values()];
    let parts = composed.parts(expand, last);
    let [along_z, along_y, along_x] = [0, 1, 2].map(|axis| composed.stretches(axis));
    for z in &along_z {
        for y in &along_y {
            for x_axis in &along_x {
                let stretches = [*z, *y, *x_axis];
                let (weights, bias) = composed.weights(&parts, stretches, last.1);
                let start = stretches.map(|stretch| stretch.start);
                let pass = Pass {
                    grid: Grid {
                        size: [input.batch, z.count, y.count, x_axis.count],
                        input: Places { base: 0, step: steps }.every([1; 3], start),
                        output: Places::dense(input.size, extent.channels).every([1; 3], start),
                    },
                    rows: taps.iter().map(|[z, y]| z * steps[1] + y * steps[2]).collect(),
                    taps: taps.clone(),
                    taps_x: (0..kernel[2]).collect(),
                    group: 0,
                };
                let weights = Weights {
                    values: &weights,
                    bias: Some(&bias),
                    kernel,
                    from: input.channels,
                    to: extent.channels,
                    transposed: false,
                    groups: 1,
                };
                let target = Target::dense(to_write(&mut values), extent, Finish::NONE);
                run(kernels, &[pass], &x, &weights, target, None);
            }
        }
    }
    values
}

impl Composed {
    /// What leaves, before its voxel shuffle.
    pub fn output_extent(&self) -> Extent {
        Extent {
            channels: self.output * self.sub_voxels(),
            ..self.input
        }
    }

    /// Taps of the one convolution.
    fn kernel(&self) -> [usize; 3] {
        let [expand, last] = self.kernels;
        std::array::from_fn(|axis| expand[axis] + 2 * (last[axis] / 2))
    }

    fn sub_voxels(&self) -> usize {
        self.scale.iter().product()
    }

    fn stretches(&self, axis: usize) -> Vec<Stretch> {
        let count = self.input.size[axis];
        let stretch = |start, end| Stretch {
            start,
            count: end - start,
            outside: [start == 0, end == count],
        };
        if self.kernels[1][axis] == 1 || count == 1 {
            return vec![stretch(0, count)];
        }
        let inner = (count > 2).then(|| stretch(1, count - 1));
        let (first, last) = (stretch(0, 1), stretch(count - 1, count));
        [Some(first), inner, Some(last)].into_iter().flatten().collect()
    }

    /// One for each sub-voxel and tap of the closing convolution.
    fn parts(&self, (expand, expand_bias): (&[f32], &[f32]), last: (&[f32], &[f32])) -> Vec<Part> {
        let [expand_kernel, last_kernel] = self.kernels;
        let row = self.input.channels * expand_kernel.iter().product::<usize>();
        let (taps, sub_voxels): (usize, usize) = (last_kernel.iter().product(), self.sub_voxels());
        let part = |rank: usize| {
            let (to, tap) = (rank / taps, rank % taps);
            let (place, at) = (sub_voxel(to, self.scale), sub_voxel(tap, last_kernel));
            let read: [isize; 3] = std::array::from_fn(|axis| {
                (place[axis] + at[axis]) as isize - (last_kernel[axis] / 2) as isize
            });
            let within: [usize; 3] =
                std::array::from_fn(|axis| read[axis].rem_euclid(self.scale[axis] as isize) as usize);
            let [_, sy, sx] = self.scale;
            let from = (within[0] * sy + within[1]) * sx + within[2];
            let mut weights = vec![0.0; self.output * row];
            let mut bias = vec![0.0; self.output];
            for (output, weights) in weights.chunks_exact_mut(row).enumerate() {
                for middle in 0..self.middle {
                    let factor = f64::from(last.0[(output * self.middle + middle) * taps + tap]);
                    let channel = middle * sub_voxels + from;
                    bias[output] += factor * f64::from(expand_bias[channel]);
                    let expand = &expand[channel * row..][..row];
                    weights
                        .iter_mut()
                        .zip(expand)
                        .for_each(|(sum, weight)| *sum += factor * f64::from(*weight));
                }
            }
            Part {
                to,
                offset: std::array::from_fn(|axis| read[axis].div_euclid(self.scale[axis] as isize)),
                weights,
                bias,
            }
        };
        (0..sub_voxels * taps).into_par_iter().map(part).collect()
    }

    /// The weights `[output sz sy sx,Cin,kernel]` and biases of some voxels.
    fn weights(&self, parts: &[Part], stretches: [Stretch; 3], last_bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let ([kz, ky, kx], [ez, ey, ex]) = (self.kernel(), self.kernels[0]);
        let (feats, taps, first_taps) = (self.input.channels, kz * ky * kx, ez * ey * ex);
        let sub_voxels = self.sub_voxels();
        let mut weights = vec![0.0; self.output * sub_voxels * feats * taps];
        let mut bias: Vec<f64> = last_bias
            .iter()
            .flat_map(|bias| std::iter::repeat_n(f64::from(*bias), sub_voxels))
            .collect();
        let inside = |part: &&Part| {
            part.offset.iter().zip(&stretches).all(|(offset, stretch)| {
                let [below, above] = stretch.outside;
                !(*offset < 0 && below || *offset > 0 && above)
            })
        };
        let margin = self.kernels[1].map(|k| k / 2);
        for part in parts.iter().filter(inside) {
            let first: [usize; 3] =
                std::array::from_fn(|axis| (part.offset[axis] + margin[axis] as isize) as usize);
            for (output, part_weights) in part.weights.chunks_exact(feats * first_taps).enumerate() {
                let channel = output * sub_voxels + part.to;
                bias[channel] += part.bias[output];
                for (feat, from) in part_weights.chunks_exact(first_taps).enumerate() {
                    let to = &mut weights[(channel * feats + feat) * taps..][..taps];
                    for (rank, row) in from.chunks_exact(ex).enumerate() {
                        let (z, y) = (first[0] + rank / ey, first[1] + rank % ey);
                        let to = &mut to[(z * ky + y) * kx + first[2]..][..ex];
                        to.iter_mut().zip(row).for_each(|(to, from)| *to += from);
                    }
                }
            }
        }
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        (narrow(weights), narrow(bias))
    }
}
