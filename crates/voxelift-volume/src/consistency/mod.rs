//! Layer 4 · Data consistency: what a scan measured, put back into the image made from it.
//!
//! A brings an image to the scan's grid as the scan was made: per axis a blur of transfer function h
//! ([`Transfer`]) and a sampling at the scan's voxels, both on the field-of-view grid. Truncation of k-space is the h
//! that is 1 up to the Nyquist frequency of the scan and 0 from there on. In the Fourier domain of the scan `A A*`
//! multiplies by `g(k) = sum over the aliases k + j m of |h|^2` ([`Sampling`], where `A*` is the adjoint times the ratio of
//! the voxels), so that with y the scan and x the image
//!
//! ```text
//! hard    x + A* g^-1 (y - A x)          the least change after which A x = y
//! soft    x + A* g^-1 W (y - A x)        W = g E / (g E + N)
//! ```
//!
//! *Hard* is the orthogonal projection onto all images that would have been measured as y. Frequencies that the
//! scan hardly holds (`g` below [`SEEN`]) are left to the image, since y says little about them but noise. *Soft* is what
//! remains of hard where the scan is noisy: with `y = A z + n` and `x = z + e`, independent errors of power N in
//! each frequency of the scan and E in each of the image, it is the best linear estimate, `(A A* + N/E)^-1`. N is the
//! scan's noise ([`NoiseLevel`]); E is measured, since `y - A x = n - A e` has the power `N + g E`: per shell
//! `E = max(0, sum (|y - A x|^2 - N) / sum g)`. Without noise soft is hard, and where the image differs from the scan by
//! no more than the noise does, the image stays as it is. For truncation, where g is 1, W is `max(0, 1 - N / D)` with D
//! the mean of `|y - A x|^2` over the shell.
//!
//! Ends of lines: frequencies that a scanner acquires see a field of view that begins again behind its end
//! ([`Boundary::Periodic`]: `kspace`, `window`), averages see nothing from the other side and are mirrored at the
//! outer edges (all others). The operators of [`degrade`](crate::degrade) that average over voxels repeat or drop what lies
//! beyond the ends instead; they differ from these within the reach of the average from the ends, and nowhere else.
//! Where fine voxels are no whole number of times the coarse ones, the averages of `degrade` are not the same
//! at each coarse voxel, and A is their mean ([`Transfer::is_exact`]).
//!
//! Source: replacing sampled frequencies by a weighted mean is Schlemper et al., *A Deep Cascade of Convolutional
//! Neural Networks for Dynamic MR Image Reconstruction*, IEEE TMI 2018, eq. 6, whose `lambda = N / E` is learned or
//! given; that blur and decimation are diagonal in the Fourier domain but for the aliases is Zhao et al., *Fast
//! Single Image Super-Resolution Using a New Analytical Solution for l2-l2 Problems*, IEEE TIP 2016. Estimating E from
//! the data, with the positive part, is the shrinkage of James and Stein (Efron, Morris, JASA 1973), which signal
//! processing knows as the empirical Wiener filter.
//!
//! Limits: all of it means something only where the scan was made by A. Hard puts the scan's noise and artefacts back
//! with its signal. Soft takes the errors of scan and image for independent; an image that a network made from the
//! scan shares some of its noise, so that E is too small and the image keeps more than its share.
//!
//! ```
//! use voxelift_volume::consistency::{hard, residual};
//! use voxelift_volume::degrade::{Operator, Operators};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::resample::{Interpolation, resize};
//!
//! let reference = head(&PhantomConfig { seed: 1, extent: [24; 3], spacing_mm: [7.0; 3] })?;
//! let kspace = Operators::isotropic(Operator::KSpace);
//! let scan = kspace.apply(&reference, [12; 3]);
//! // An image that would not have been measured as the scan, and the nearest one that would.
//! let image = resize(&scan, [24; 3], Interpolation::Trilinear);
//! let consistent = hard(&image, &scan, &kspace)?;
//! assert!(residual(&image, &scan, &kspace)? > 0.01);
//! assert!(residual(&consistent, &scan, &kspace)? < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acquired;
mod disagreement;
mod finest;
mod mode;
mod noise;

pub use acquired::{Acquired, Acquisition, Dimensions, Protocol};
pub use disagreement::Disagreement;
pub use mode::{Agreement, Mode};
pub use noise::{NoiseLevel, NoiseSource};

use crate::degrade::{Operator, Operators, Transfer};
use crate::error::Result;
use crate::kspace::{AxisSampling, Boundary, Coefficients, Sampling, ShellGrid, truncate, zero_fill};
use crate::metrics::check_field_of_view;
use crate::volume::Volume;

/// The least `g` of a frequency that is put back: a tenth of its height in the image is in the scan.
pub const SEEN: f64 = 1e-2;

/// The orthogonal projection of an image onto all those that `operators` bring to `scan`: `x + A* g^-1 (y - A x)`.
///
/// Afterwards [`residual`] is at most 1e-5, of which all is rounding to f32. An axis on which both have as many voxels
/// is left as it is by every operator.
///
/// # Errors
/// As [`check_field_of_view`]: unless both cover the same field of view and the image is at least as fine.
pub fn hard(image: &Volume, scan: &Volume, operators: &Operators) -> Result<Volume> {
    Ok(Comparison::of(image, scan, operators)?.hard())
}

/// An image pulled towards its scan, and by how much.
#[derive(Clone, Debug)]
pub struct Softened {
    /// `x + A* g^-1 W (y - A x)`.
    pub image: Volume,
    /// The scan's noise; where it was measured in the foreground, no more of it than the image lacks.
    pub noise: NoiseLevel,
    /// The mean of W over the frequencies that the scan holds: 1 is hard, 0 leaves the image as it is.
    pub weight: f64,
}

/// As [`hard`], as far as the scan's noise allows.
///
/// # Errors
/// As [`hard`].
pub fn soft(image: &Volume, scan: &Volume, operators: &Operators) -> Result<Softened> {
    soft_with(image, scan, operators, NoiseLevel::of(scan))
}

/// As [`soft`], with the scan's [`NoiseLevel::of`], where several images are made of one scan.
///
/// # Errors
/// As [`hard`].
pub fn soft_with(
    image: &Volume,
    scan: &Volume,
    operators: &Operators,
    noise: NoiseLevel,
) -> Result<Softened> {
    Ok(Comparison::of(image, scan, operators)?.soft(noise))
}

/// How far an image is from the scan that it was made from: `||A x - y|| / ||y||` over the frequencies that the scan
/// holds. For truncation this is [`data_consistency`](crate::metrics::data_consistency).
///
/// # Errors
/// As [`hard`].
pub fn residual(image: &Volume, scan: &Volume, operators: &Operators) -> Result<f64> {
    Ok(Comparison::of(image, scan, operators)?.residual())
}

/// `A x`: the image as `operators` would have measured it on a grid of `extent` voxels, by the transfer functions alone.
///
/// # Panics
/// Unless `1 <= extent <= image.extent()` on each axis.
pub fn measured(image: &Volume, extent: [usize; 3], operators: &Operators) -> Volume {
    sampling(image.extent(), extent, operators).measured(image)
}

/// What an image holds beyond the frequencies of a scan of `measured` voxels over its field of view: `x - A+ A x`,
/// its part in the null space of truncation. The scan holds no evidence for or against it.
///
/// # Panics
/// Unless `1 <= measured <= image.extent()` on each axis.
pub fn unmeasured(image: &Volume, measured: [usize; 3]) -> Volume {
    let held = zero_fill(&truncate(image, measured), image.extent());
    difference_of(image, &held)
}

/// `y - A x`, of which all is made here.
struct Comparison<'a> {
    image: &'a Volume,
    scan: &'a Volume,
    sampling: Sampling,
    difference: Coefficients,
}

impl<'a> Comparison<'a> {
    fn of(image: &'a Volume, scan: &'a Volume, operators: &Operators) -> Result<Self> {
        check_field_of_view(image, scan)?;
        let sampling = sampling(image.extent(), scan.extent(), operators);
        let difference = sampling.coefficients(&difference_of(scan, &sampling.measured(image)));
        Ok(Self {
            image,
            scan,
            sampling,
            difference,
        })
    }

    /// The frequencies that the scan holds: each with its place among the coefficients and `g`.
    fn held(&self) -> impl Iterator<Item = (usize, [usize; 3], f64)> {
        (0..self.difference.data().len()).filter_map(|i| {
            let bin = Coefficients::bin(self.scan.extent(), i);
            let gain = self.sampling.gain(bin);
            (gain >= SEEN).then_some((i, bin, gain))
        })
    }

    /// See [`residual`].
    fn residual(&self) -> f64 {
        let measured = self.sampling.coefficients(self.scan);
        let (mut error, mut total) = (0.0, 0.0);
        for (i, ..) in self.held() {
            error += self.difference.data()[i].norm_sqr();
            total += measured.data()[i].norm_sqr();
        }
        (error / total).sqrt()
    }

    /// See [`hard`].
    fn hard(self) -> Volume {
        self.corrected(|_, _| 1.0)
    }

    /// See [`soft`].
    fn soft(self, noise: NoiseLevel) -> Softened {
        let noise = match noise.from {
            NoiseSource::Background => noise,
            NoiseSource::Foreground => {
                let measured = self.sampling.coefficients(self.scan);
                let [held, lacking] = [measured, self.difference.clone()]
                    .map(|all| held_part(all, &self.sampling, self.scan, |_, _| 1.0));
                noise.lacked(self.scan, &held, &lacking)
            }
        };
        let shells =
            ShellGrid::of_frequencies(self.sampling.frequencies(), self.scan.geometry().spacing_mm());
        let mut sums = vec![Shell::default(); shells.count()];
        for (i, bin, gain) in self.held() {
            sums[shells.shell(bin)].add(self.difference.data()[i].norm_sqr(), gain);
        }
        let errors: Vec<f64> = sums.iter().map(|shell| shell.error(noise.power)).collect();
        let (mut total, mut count) = (0.0, 0.0);
        let image = self.corrected(|bin, gain| {
            let signal = gain * errors[shells.shell(bin)];
            let weight = if signal > 0.0 {
                signal / (signal + noise.power)
            } else {
                0.0
            };
            total += weight;
            count += 1.0;
            weight
        });
        Softened {
            image,
            noise,
            weight: if count > 0.0 { total / count } else { 0.0 },
        }
    }

    /// The image and `weight(bin, g) / g` of what the scan holds and the image does not.
    fn corrected(self, mut weight: impl FnMut([usize; 3], f64) -> f64) -> Volume {
        let Self {
            image,
            scan,
            sampling,
            difference,
        } = self;
        let missing = held_part(difference, &sampling, scan, |bin, gain| weight(bin, gain) / gain);
        let correction = sampling.spread(&missing);
        let mut image = image.clone();
        image
            .data_mut()
            .iter_mut()
            .zip(correction.data())
            .for_each(|(v, more)| *v += more);
        image
    }
}

/// On the scan's grid, `weight(bin, g)` of each frequency of these coefficients that the scan holds, and nothing of the others.
fn held_part(
    mut coefficients: Coefficients,
    sampling: &Sampling,
    scan: &Volume,
    mut weight: impl FnMut([usize; 3], f64) -> f64,
) -> Volume {
    for (i, value) in coefficients.data_mut().iter_mut().enumerate() {
        let bin = Coefficients::bin(scan.extent(), i);
        let gain = sampling.gain(bin);
        *value *= if gain >= SEEN { weight(bin, gain) } else { 0.0 };
    }
    sampling.volume(coefficients, scan)
}

/// What a shell of frequencies shows of `y - A x`.
#[derive(Clone, Copy, Default)]
struct Shell {
    power: f64,
    gain: f64,
    count: f64,
}

impl Shell {
    fn add(&mut self, power: f64, gain: f64) {
        self.power += power;
        self.gain += gain;
        self.count += 1.0;
    }

    /// E, the power of the image's error in one of its frequencies.
    fn error(&self, noise: f64) -> f64 {
        if self.gain > 0.0 {
            ((self.power - self.count * noise) / self.gain).max(0.0)
        } else {
            0.0
        }
    }
}

/// A, for these operators.
fn sampling(fine: [usize; 3], coarse: [usize; 3], Operators(operators): &Operators) -> Sampling {
    let transfers: [Transfer; 3] = std::array::from_fn(|a| Transfer::new(operators[a], fine[a], coarse[a]));
    let responses: [_; 3] = std::array::from_fn(|a| {
        let transfer = &transfers[a];
        move |f: f64| transfer.at(f)
    });
    let axes = std::array::from_fn(|a| AxisSampling {
        boundary: match operators[a] {
            Operator::KSpace | Operator::Window { .. } => Boundary::Periodic,
            Operator::Cubic | Operator::Gaussian { .. } | Operator::Box | Operator::Slice { .. } => {
                Boundary::Mirrored
            }
        },
        response: &responses[a],
    });
    Sampling::new(fine, coarse, axes)
}

fn difference_of(left: &Volume, right: &Volume) -> Volume {
    let values = left.data().iter().zip(right.data()).map(|(a, b)| a - b);
    Volume::new(values.collect(), left.geometry().clone())
}
