//! Two spectra, divided into shells of equal frequency: the sums behind the spectral scores.

use rayon::prelude::*;

use crate::kspace::{Complex, ShellGrid, SpectrumPair};

/// A shell with less than this share of an image's energy holds rounding noise.
const NEGLIGIBLE: f64 = 1e-12;

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
    /// Where each bin lies.
    grid: ShellGrid,
    /// Shells from 0 cycles per mm on, up to the corners.
    all: Vec<Shell>,
    /// Of each shell the part beyond the measured frequencies and below the HR Nyquist frequency.
    outside: Vec<Shell>,
    /// Everything together.
    total: Shell,
}

impl Shells {
    /// `spacing` and `measured` are the voxel sizes (mm) of the volumes and of the LR image along the pair's axes.
    pub fn of(spectra: &SpectrumPair, spacing: [f64; 3], measured: Option<[f64; 3]>) -> Self {
        let extent = spectra.extent();
        let [nx, ny, nz] = extent;
        let grid = ShellGrid::new(extent, spacing);
        let count = grid.count();
        let planes: Vec<[Vec<Shell>; 2]> = (0..nz)
            .into_par_iter()
            .map(|z| {
                let mut shells = [vec![Shell::default(); count], vec![Shell::default(); count]];
                for y in 0..ny {
                    for x in 0..nx {
                        let bin = [x, y, z];
                        let shell = grid.shell(bin);
                        let [r, v] = spectra.bins(bin);
                        shells[0][shell].add(r, v);
                        if measured.is_some_and(|measured| grid.is_beyond(bin, measured)) {
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
        Self {
            grid,
            all,
            outside,
            total,
        }
    }

    /// The curve's shells: radii in cycles per mm, and the correlation on each. Zero frequency is left out.
    pub fn curve(&self) -> (Vec<f64>, Vec<f64>) {
        let last = self.grid.last();
        let radii = (1..=last).map(|shell| self.grid.radius(shell));
        let correlations = self.all[1..=last]
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
