//! A blur and a sampling along each axis, their adjoint, and the coefficients in which one after the other is diagonal.
//!
//! With `h` the transfer function along an axis of `n` fine and `m` coarse voxels over one field of view, the coarse
//! line's spectrum is
//!
//! ```text
//! Y(k) = m/n sum over the aliases k' = k + j m of h(k') exp(i pi k' (n - m) / (n m)) X(k')
//! ```
//!
//! Each fine frequency reaches one coarse frequency, so that with the adjoint `A* = (n/m) A^T` the operator `A A*` only
//! multiplies: by `g(k) = sum over the aliases of |h(k')|^2`. This holds for every `n >= m`, whole-number ratio or not.
//!
//! Lines go on beyond their ends as [`Boundary`] says. Mirrored lines have a cosine transform in place of the Fourier
//! transform; as the transform of a symmetric line twice as long it has the same law.

use std::sync::Arc;

use rustfft::{Fft, FftPlanner, num_complex::Complex};

use super::along_axes;
use super::line::Line;
use super::spectrum::{bin_at, signed_frequency};
use crate::separable::along_slowest;
use crate::volume::Volume;

/// How a line goes on beyond its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Boundary {
    /// From the beginning again, as for a scanner that acquires frequencies.
    Periodic,
    /// Mirrored at its outer edges, as for an average over what is there.
    Mirrored,
}

/// What happens along one axis.
pub struct AxisSampling<'a> {
    /// How lines go on beyond their ends.
    pub boundary: Boundary,
    /// The transfer function, over cycles per fine voxel from 0 to 1/2. An axis that keeps its extent is left as it is.
    pub response: &'a dyn Fn(f64) -> f64,
}

/// A blur and a sampling along each axis, from one grid to a coarser one over the same field of view.
pub struct Sampling {
    coarse: [usize; 3],
    boundaries: [Boundary; 3],
    down: [Line; 3],
    up: [Line; 3],
    gain: [Vec<f64>; 3],
}

impl Sampling {
    /// From `fine` to `coarse` voxels.
    ///
    /// # Panics
    /// Unless `1 <= coarse <= fine` along each axis.
    pub fn new(fine: [usize; 3], coarse: [usize; 3], axes: [AxisSampling<'_>; 3]) -> Self {
        assert!(
            (0..3).all(|a| 1 <= coarse[a] && coarse[a] <= fine[a]),
            "no sampling brings {fine:?} voxels to {coarse:?}"
        );
        let mirrored = |a: usize| axes[a].boundary == Boundary::Mirrored;
        let line = |a: usize, adjoint: bool| {
            if fine[a] == coarse[a] {
                Line::resize(fine[a], fine[a])
            } else {
                Line::sampled(fine[a], coarse[a], mirrored(a), adjoint, axes[a].response)
            }
        };
        Self {
            coarse,
            // Nothing happens along an axis that keeps its extent, and the Fourier transform is the cheaper one.
            boundaries: [0, 1, 2].map(|a| {
                if fine[a] == coarse[a] {
                    Boundary::Periodic
                } else {
                    axes[a].boundary
                }
            }),
            down: [0, 1, 2].map(|a| line(a, false)),
            up: [0, 1, 2].map(|a| line(a, true)),
            gain: [0, 1, 2].map(|a| {
                if fine[a] == coarse[a] {
                    vec![1.0; coarse[a]]
                } else {
                    gain(fine[a], coarse[a], mirrored(a), axes[a].response)
                }
            }),
        }
    }

    /// `A x`: what of a fine volume is measured.
    pub fn measured(&self, fine: &Volume) -> Volume {
        along_axes(fine, &self.down)
    }

    /// `A* y`.
    pub fn spread(&self, coarse: &Volume) -> Volume {
        along_axes(coarse, &self.up)
    }

    /// `g` of a coefficient: by how much `A A*` multiplies it.
    pub fn gain(&self, bin: [usize; 3]) -> f64 {
        (0..3).map(|a| self.gain[a][bin[a]]).product()
    }

    /// A coarse volume in the coefficients that `A A*` multiplies.
    ///
    /// # Panics
    /// When the volume has another extent.
    pub fn coefficients(&self, coarse: &Volume) -> Coefficients {
        assert_eq!(self.coarse, coarse.extent(), "coefficients of another grid");
        let values = coarse
            .data()
            .iter()
            .map(|v| Complex::from(f64::from(*v)))
            .collect();
        Coefficients {
            data: self.transformed(values, false),
        }
    }

    /// The volume of such coefficients.
    pub fn volume(&self, coefficients: Coefficients, like: &Volume) -> Volume {
        let data = self.transformed(coefficients.data, true);
        Volume::new(
            data.into_iter().map(|v| v.re as f32).collect(),
            like.geometry().clone(),
        )
    }

    /// The frequencies of the coefficients along x, y, z.
    ///
    /// # Units
    /// Cycles per coarse voxel.
    pub fn frequencies(&self) -> [Vec<f64>; 3] {
        [0, 1, 2].map(|a| {
            let n = self.coarse[a];
            let at = |k: usize| match self.boundaries[a] {
                Boundary::Periodic => signed_frequency(n, k) as f64 / n as f64,
                Boundary::Mirrored => k as f64 / (2 * n) as f64,
            };
            (0..n).map(at).collect()
        })
    }

    fn transformed(&self, mut data: Vec<Complex<f64>>, inverse: bool) -> Vec<Complex<f64>> {
        let mut turned = self.coarse;
        for axis in [2, 1, 0] {
            let n = self.coarse[axis];
            let plan = Plan::new(n, self.boundaries[axis], inverse);
            data = along_slowest(
                &data,
                turned,
                n,
                || plan.scratch(),
                |scratch, lines, out| plan.apply(scratch, lines, out),
            );
            turned = [n, turned[0], turned[1]];
        }
        data
    }
}

/// A volume in the coefficients of [`Sampling::coefficients`], unnormalised: white noise of variance v over n voxels
/// has the expected power `n v` in each.
#[derive(Clone, Debug)]
pub struct Coefficients {
    data: Vec<Complex<f64>>,
}

impl Coefficients {
    /// The coefficients, x fastest.
    pub fn data(&self) -> &[Complex<f64>] {
        &self.data
    }

    /// The same, to be multiplied by factors that do not tell a frequency from its negative.
    pub fn data_mut(&mut self) -> &mut [Complex<f64>] {
        &mut self.data
    }

    /// Along x, y, z, the place of the `rank`-th one of a grid.
    pub fn bin(extent: [usize; 3], rank: usize) -> [usize; 3] {
        bin_at(extent, rank)
    }
}

/// `sum over the aliases of h^2`, for each coefficient of a coarse line.
fn gain(fine: usize, coarse: usize, mirrored: bool, response: impl Fn(f64) -> f64) -> Vec<f64> {
    let times = if mirrored { 2 } else { 1 };
    let (n, m) = ((times * fine) as i64, (times * coarse) as i64);
    let mut gain = vec![0.0; m as usize];
    let highest = (n - 1) / 2;
    for k in -highest..=highest {
        gain[k.rem_euclid(m) as usize] += response(k.abs() as f64 / n as f64).powi(2);
    }
    gain.truncate(coarse);
    gain
}

/// The transform of lines of one length, there or back.
struct Plan {
    fft: Arc<dyn Fft<f64>>,
    boundary: Boundary,
    inverse: bool,
    length: usize,
    /// `exp(i pi k / 2n)`, between the spectrum of a symmetric line and its cosine coefficients.
    turns: Vec<Complex<f64>>,
}

type PlanScratch = (Vec<Complex<f64>>, Vec<Complex<f64>>);

impl Plan {
    fn new(length: usize, boundary: Boundary, inverse: bool) -> Self {
        let times = if boundary == Boundary::Mirrored { 2 } else { 1 };
        let mut planner = FftPlanner::new();
        let fft = if inverse {
            planner.plan_fft_inverse(times * length)
        } else {
            planner.plan_fft_forward(times * length)
        };
        let turn = |k: usize| Complex::from_polar(1.0, 0.5 * std::f64::consts::PI * k as f64 / length as f64);
        Self {
            fft,
            boundary,
            inverse,
            length,
            turns: (0..length).map(turn).collect(),
        }
    }

    fn scratch(&self) -> PlanScratch {
        let line = vec![Complex::default(); self.fft.len()];
        (line, vec![Complex::default(); self.fft.get_inplace_scratch_len()])
    }

    fn apply(&self, (line, fft): &mut PlanScratch, lines: &[Complex<f64>], out: &mut [Complex<f64>]) {
        let n = self.length;
        for (given, out) in lines.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            match (self.boundary, self.inverse) {
                (Boundary::Periodic, inverse) => {
                    out.copy_from_slice(given);
                    self.fft.process_with_scratch(out, fft);
                    if inverse {
                        out.iter_mut().for_each(|v| *v /= n as f64);
                    }
                }
                (Boundary::Mirrored, false) => {
                    for (i, value) in given.iter().enumerate() {
                        line[i] = *value;
                        line[2 * n - 1 - i] = *value;
                    }
                    self.fft.process_with_scratch(line, fft);
                    for (k, (out, value)) in out.iter_mut().zip(&line[..n]).enumerate() {
                        *out = value * self.turns[k].conj() * share(k);
                    }
                }
                (Boundary::Mirrored, true) => {
                    line.fill(Complex::default());
                    for (k, value) in given.iter().enumerate() {
                        let value = value / share(k);
                        line[k] = value * self.turns[k];
                        if k > 0 {
                            line[2 * n - k] = value * self.turns[k].conj();
                        }
                    }
                    self.fft.process_with_scratch(line, fft);
                    for (out, value) in out.iter_mut().zip(&line[..n]) {
                        *out = value / (2 * n) as f64;
                    }
                }
            }
        }
    }
}

/// What makes the power of white noise the same in every cosine coefficient, and that of the Fourier transform.
fn share(k: usize) -> f64 {
    if k == 0 {
        0.5
    } else {
        std::f64::consts::FRAC_1_SQRT_2
    }
}
