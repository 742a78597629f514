//! Two spectra, divided into shells of equal frequency: the sums behind the spectral scores.

use rayon::prelude::*;

use crate::kspace::{Complex, SpectrumPair, signed_frequency};

/// A frequency this close to a boundary, in units of it, is on it.
const ROUNDING: f64 = 1e-9;

/// The same for the boundary of what was measured: files keep voxel sizes in single precision.
pub(super) const STORED: f64 = 1e-6;

/// A shell with less than this share of an image's energy holds rounding noise.
const NEGLIGIBLE: f64 = 1e-12;

/// `|k| / k_LR` of a frequency in cycles per voxel.
pub(super) fn beyond(cycles_per_voxel: f64, spacing: f64, measured: f64) -> f64 {
    2.0 * cycles_per_voxel.abs() * measured / spacing
}

/// What two spectra hold together on one shell.
#[derive(Clone, Copy, Debug, Default)]
struct Shell {
    reference: f64,
    image: f64,
    cross: f64,
    count: usize,
}

impl Shell {
    fn add(&mut self, r: Complex<f64>, x: Complex<f64>) {
        self.reference += r.norm_sqr();
        self.image += x.norm_sqr();
        self.cross += r.re * x.re + r.im * x.im;
        self.count += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.reference += other.reference;
        self.image += other.image;
        self.cross += other.cross;
        self.count += other.count;
    }

    fn correlation(&self, total: &Shell) -> f64 {
        if self.reference <= NEGLIGIBLE * total.reference || self.image <= NEGLIGIBLE * total.image {
            return 0.0;
        }
        self.cross / (self.reference * self.image).sqrt()
    }
}

/// Two spectra, shell by shell.
pub(super) struct Shells {
    /// Cycles per mm from one shell to the next.
    width: f64,
    /// Shells from 0 cycles per mm on, up to the corners.
    all: Vec<Shell>,
    /// Of each shell the part beyond the measured frequencies and below the HR Nyquist frequency.
    outside: Vec<Shell>,
    /// Everything together.
    total: Shell,
    /// The last shell of the curve.
    last: usize,
}

impl Shells {
    /// `spacing` and `measured` are the voxel sizes (mm) of the volumes and of the LR image along the pair's axes.
    pub fn of(spectra: &SpectrumPair, spacing: [f64; 3], measured: Option<[f64; 3]>) -> Self {
        let extent = spectra.extent();
        let [nx, ny, nz] = extent;
        let axes = || (0..3).filter(|&a| extent[a] > 1);
        let width = axes()
            .map(|a| 1.0 / (extent[a] as f64 * spacing[a]))
            .fold(0.0, f64::max);
        let nyquist = axes().map(|a| 0.5 / spacing[a]).fold(f64::INFINITY, f64::min);
        let corner = axes().map(|a| (0.5 / spacing[a]).powi(2)).sum::<f64>().sqrt();
        let count = (corner / width).round() as usize + 1;
        let cycles: [Vec<f64>; 3] =
            extent.map(|n| (0..n).map(|i| signed_frequency(n, i) as f64 / n as f64).collect());
        let planes: Vec<[Vec<Shell>; 2]> = (0..nz)
            .into_par_iter()
            .map(|z| {
                let mut shells = [vec![Shell::default(); count], vec![Shell::default(); count]];
                for y in 0..ny {
                    for x in 0..nx {
                        let f = [cycles[0][x], cycles[1][y], cycles[2][z]];
                        let radius = (0..3).map(|a| (f[a] / spacing[a]).powi(2)).sum::<f64>().sqrt();
                        let shell = (radius / width).round() as usize;
                        let [r, v] = spectra.bins([x, y, z]);
                        shells[0][shell].add(r, v);
                        let unmeasured = |m: [f64; 3]| {
                            (0..3).any(|a| beyond(f[a], spacing[a], m[a]) > 1.0 + STORED)
                                && f.iter().map(|f| 4.0 * f * f).sum::<f64>() < 1.0 - ROUNDING
                        };
                        if measured.is_some_and(unmeasured) {
                            shells[1][shell].add(r, v);
                        }
                    }
                }
                shells
            })
            .collect();
        let merged = |kind: usize| {
            let mut sum = vec![Shell::default(); count];
            for plane in &planes {
                sum.iter_mut()
                    .zip(&plane[kind])
                    .for_each(|(sum, shell)| sum.merge(shell));
            }
            sum
        };
        let (all, outside) = (merged(0), merged(1));
        let mut total = Shell::default();
        all.iter().for_each(|shell| total.merge(shell));
        // The shells whose whole thickness lies below the Nyquist frequency.
        let last = (((nyquist / width) + ROUNDING - 0.5).floor().max(1.0) as usize).min(count - 1);
        Self {
            width,
            all,
            outside,
            total,
            last,
        }
    }

    /// The curve's shells: radii in cycles per mm, and the correlation on each. Zero frequency is left out.
    pub fn curve(&self) -> (Vec<f64>, Vec<f64>) {
        let radii = (1..=self.last).map(|shell| shell as f64 * self.width);
        let correlations = self.all[1..=self.last]
            .iter()
            .map(|shell| shell.correlation(&self.total));
        (radii.collect(), correlations.collect())
    }

    /// The mean FSC over the frequencies outside the measured ones; 0 when there are none.
    pub fn mean_correlation(&self) -> f64 {
        let sum: f64 = self
            .outside
            .iter()
            .map(|s| s.count as f64 * s.correlation(&self.total))
            .sum();
        sum / self.frequencies_outside().max(1) as f64
    }

    /// Outside the measured frequencies: the reference's energy, the image's, and what of it the reference does not
    /// explain.
    pub fn energies(&self) -> (f64, f64, f64) {
        let unexplained = |s: &Shell| s.image * (1.0 - s.correlation(&self.total).powi(2));
        self.outside.iter().fold((0.0, 0.0, 0.0), |(r, x, u), s| {
            (r + s.reference, x + s.image, u + unexplained(s))
        })
    }

    /// How many frequencies lie outside the measured ones.
    pub fn frequencies_outside(&self) -> usize {
        self.outside.iter().map(|shell| shell.count).sum()
    }
}
