//! Spectral scores: how far up in frequency an image agrees with its reference.
//!
//! The Fourier shell correlation (FSC) of two volumes F, G over a shell of frequencies is
//!
//! ```text
//! FSC = Re sum F conj(G) / sqrt(sum |F|^2  sum |G|^2)
//! ```
//!
//! 1 where they agree, about 0 where they share nothing, and blind to any gain that is the same over a shell. It
//! counts as 0 where either energy is under 1e-12 of its image's total: rounding noise agrees with nothing. Both
//! volumes are tapered first, lest their edges leak over all frequencies: over the whole volume by half a cosine at
//! each face, over the mask by half a cosine around it. Shells are as wide as the coarsest frequency step of the axes.
//! Source: Harauz, van Heel, *Optik* 1986. Checked against NumPy.
//!
//! *Beyond Nyquist* looks at the frequencies that were never measured: outside the box of the LR image's Nyquist
//! frequencies, `max_i |k_i| / k_i,LR > 1`, and below the HR's, `sum_i (k_i / k_i,HR)^2 < 1`. There, shell by shell,
//!
//! - **gain** is the mean FSC over these frequencies, less that of the reference's own zero-filled picture, which holds
//!   nothing there but what the taper spills: the honest number of super-resolution, since no sharpening lifts it;
//! - **hallucination index** is `sum E_x (1 - FSC^2) / sum E_r`, the energy of the image that its reference does not
//!   explain in units of the reference's. Noise of a share q of the reference's energy raises it by q; what is missing
//!   does not.
//!
//! Limits: a shell averages over directions, so a blur along one axis shows only in part. The index charges a misplaced
//! edge like an invented one.

use rayon::prelude::*;
use serde::Serialize;

use super::protocol::{Pair, Regions};
use super::taper::Taper;
use crate::error::{Result, VolumeError};
use crate::kspace::{Complex, Spectrum, truncate};
use crate::volume::Volume;

/// Below this correlation a shell no longer counts as resolved.
const RESOLVED: f64 = 0.5;

/// A shell with less than this share of an image's energy holds rounding noise.
const NEGLIGIBLE: f64 = 1e-12;

/// The Fourier shell correlation of a region, as `fsc` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ShellCorrelation {
    /// The shells' radii, up to the lowest Nyquist frequency of the axes.
    pub cycles_per_mm: Vec<f64>,
    /// The correlation on each shell.
    pub correlation: Vec<f64>,
    /// Where it first falls below 0.5, interpolated between shells; the last shell where it never does.
    pub cutoff_cycles_per_mm: f64,
    /// Effective resolution, `1 / (2 cutoff)`: the voxel size that would just hold these frequencies.
    pub resolution_mm: f64,
    /// What lies outside the measured frequencies; `null` unless the LR image's spacing is known.
    pub beyond_nyquist: Option<BeyondNyquist>,
}

/// Agreement over the frequencies that the LR image does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BeyondNyquist {
    /// The mean FSC less that of zero-fill.
    pub gain: f64,
    /// The mean FSC.
    pub correlation: f64,
    /// The mean FSC of the zero-filled reference.
    pub zero_fill_correlation: f64,
    /// The image's energy that the reference does not explain, in units of the reference's.
    pub hallucination_index: f64,
    /// The image's energy in units of the reference's.
    pub energy: f64,
    /// How many frequencies these are.
    pub frequencies: usize,
}

/// The Fourier shell correlation of a pair, over the whole volume and over the mask, and what it is beyond the Nyquist
/// frequency of an LR image of the given voxel size (x, y, z of the reference's file).
///
/// # Units
/// `measured_spacing_mm` in millimetres.
///
/// # Errors
/// [`VolumeError::Argument`] when a measured spacing is not a number or finer than the reference's.
pub fn shell_correlation(
    pair: &Pair,
    measured_spacing_mm: Option<[f64; 3]>,
) -> Result<Regions<ShellCorrelation>> {
    let spacing = pair.reference().geometry().spacing_mm();
    let measured = measured_spacing_mm.map(|m| pair.turned(m));
    if let Some(measured) = measured
        && !(0..3).all(|a| measured[a].is_finite() && measured[a] >= spacing[a] * (1.0 - 1e-3))
    {
        return Err(VolumeError::argument(
            "measured spacing",
            format!("{measured:?} mm"),
            format!("expected no finer than the reference's {spacing:?} mm"),
        ));
    }
    let zero_filled = measured.map(|measured| zero_filled(pair.reference(), measured));
    let region = |taper: &Taper| {
        let reference = Spectrum::of(&taper.applied_to(pair.reference()));
        let of = |image: &Volume| {
            Shells::of(
                &reference,
                &Spectrum::of(&taper.applied_to(image)),
                spacing,
                measured,
            )
        };
        let image = of(pair.image());
        let mut out = image.curve();
        if let Some(zero_filled) = &zero_filled {
            let floor = of(zero_filled).mean_correlation();
            let correlation = image.mean_correlation();
            let (reference, energy, unexplained) = image.energies();
            out.beyond_nyquist = Some(BeyondNyquist {
                gain: correlation - floor,
                correlation,
                zero_fill_correlation: floor,
                hallucination_index: unexplained / reference,
                energy: energy / reference,
                frequencies: image.outside.iter().map(|s| s.count).sum(),
            });
        }
        out
    };
    let extent = pair.extent();
    Ok(Regions {
        whole: region(&Taper::of_faces(extent)),
        masked: region(&Taper::around(pair.mask())),
    })
}

/// How far an image is from the measurement it was made from: `||D(x) - y|| / ||y||` over the frequencies that both
/// hold, D being k-space truncation to the LR grid, the unpaired plane of even sides left out. Needs no reference, and
/// means nothing when the LR image was not made by truncation.
///
/// # Errors
/// [`VolumeError::GridMismatch`] unless both cover the same field of view and the image is at least as fine.
pub fn data_consistency(image: &Volume, lr: &Volume) -> Result<f64> {
    let (fine, coarse) = (image.extent(), lr.extent());
    let mismatch = |field, left, right| VolumeError::GridMismatch {
        field,
        left,
        right,
        advice: "data consistency compares an image with the LR volume over the same field of view"
            .to_owned(),
    };
    if (0..3).any(|a| fine[a] < coarse[a]) {
        return Err(mismatch("extent", format!("{fine:?}"), format!("{coarse:?}")));
    }
    let expected = image.geometry().with_extent(coarse);
    for corner in [[0.0; 3], coarse.map(|n| n as f64 - 1.0)] {
        let (here, there) = (expected.world(corner), lr.geometry().world(corner));
        if (0..3).any(|a| (here[a] - there[a]).abs() > 1e-3) {
            return Err(mismatch(
                "field of view (mm)",
                format!("{here:?}"),
                format!("{there:?}"),
            ));
        }
    }
    let again = Spectrum::of(&truncate(image, coarse));
    let measured = Spectrum::of(lr);
    let unpaired = |axis: usize, i: usize| {
        coarse[axis] < fine[axis] && coarse[axis].is_multiple_of(2) && i == coarse[axis] / 2
    };
    let (mut error, mut total) = (0.0, 0.0);
    for (i, (d, y)) in again.data().iter().zip(measured.data()).enumerate() {
        let bin = [
            i % coarse[0],
            i / coarse[0] % coarse[1],
            i / (coarse[0] * coarse[1]),
        ];
        if !(0..3).any(|a| unpaired(a, bin[a])) {
            error += (d - y).norm_sqr();
            total += y.norm_sqr();
        }
    }
    Ok((error / total).sqrt())
}

/// The reference without the frequencies beyond the measured box.
fn zero_filled(reference: &Volume, measured: [f64; 3]) -> Volume {
    let spacing = reference.geometry().spacing_mm();
    let mut spectrum = Spectrum::of(reference);
    spectrum.scale_by(|f| {
        let kept =
            (0..3).all(|a| beyond(f[a], spacing[a], measured[a]) < 1.0 - 1e-9 || measured[a] <= spacing[a]);
        Complex::from(if kept { 1.0 } else { 0.0 })
    });
    spectrum.into_volume(reference.geometry().clone())
}

/// `|k| / k_LR` of a frequency in cycles per voxel.
fn beyond(cycles_per_voxel: f64, spacing: f64, measured: f64) -> f64 {
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
struct Shells {
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
    fn of(reference: &Spectrum, image: &Spectrum, spacing: [f64; 3], measured: Option<[f64; 3]>) -> Self {
        let [nx, ny, nz] = reference.extent();
        let extent = [nx, ny, nz];
        let axes = || (0..3).filter(|&a| extent[a] > 1);
        let width = axes()
            .map(|a| 1.0 / (extent[a] as f64 * spacing[a]))
            .fold(0.0, f64::max);
        let nyquist = axes().map(|a| 0.5 / spacing[a]).fold(f64::INFINITY, f64::min);
        let corner = axes().map(|a| (0.5 / spacing[a]).powi(2)).sum::<f64>().sqrt();
        let count = (corner / width).round() as usize + 1;
        let bin = |axis: usize, i: usize| reference.cycles_per_voxel(axis, i);
        let planes: Vec<[Vec<Shell>; 2]> = (0..nz)
            .into_par_iter()
            .map(|z| {
                let mut shells = [vec![Shell::default(); count], vec![Shell::default(); count]];
                for y in 0..ny {
                    for x in 0..nx {
                        let i = (z * ny + y) * nx + x;
                        let f = [bin(0, x), bin(1, y), bin(2, z)];
                        let radius = (0..3).map(|a| (f[a] / spacing[a]).powi(2)).sum::<f64>().sqrt();
                        let shell = (radius / width).round() as usize;
                        let (r, v) = (reference.data()[i], image.data()[i]);
                        shells[0][shell].add(r, v);
                        let unmeasured = measured
                            .is_some_and(|m| (0..3).any(|a| beyond(f[a], spacing[a], m[a]) > 1.0 + 1e-9));
                        if unmeasured && f.iter().map(|f| 4.0 * f * f).sum::<f64>() < 1.0 {
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
        let last = (((nyquist / width) + 1e-9 - 0.5).floor().max(1.0) as usize).min(count - 1);
        Self {
            width,
            all,
            outside,
            total,
            last,
        }
    }

    fn curve(&self) -> ShellCorrelation {
        let radius = |shell: usize| shell as f64 * self.width;
        let correlation: Vec<f64> = self.all[1..=self.last]
            .iter()
            .map(|s| s.correlation(&self.total))
            .collect();
        let cutoff = match correlation.iter().position(|&c| c < RESOLVED) {
            None => radius(self.last),
            Some(0) => radius(1),
            Some(i) => {
                let (above, below) = (correlation[i - 1], correlation[i]);
                radius(i) + self.width * (above - RESOLVED) / (above - below)
            }
        };
        ShellCorrelation {
            cycles_per_mm: (1..=self.last).map(radius).collect(),
            correlation,
            cutoff_cycles_per_mm: cutoff,
            resolution_mm: 0.5 / cutoff,
            beyond_nyquist: None,
        }
    }

    /// The mean FSC over the frequencies outside the measured ones; 0 when there are none.
    fn mean_correlation(&self) -> f64 {
        let sum: f64 = self
            .outside
            .iter()
            .map(|s| s.count as f64 * s.correlation(&self.total))
            .sum();
        sum / self.outside.iter().map(|s| s.count).sum::<usize>().max(1) as f64
    }

    /// Outside the measured frequencies: the reference's energy, the image's, and what of it the reference does not
    /// explain.
    fn energies(&self) -> (f64, f64, f64) {
        let unexplained = |s: &Shell| s.image * (1.0 - s.correlation(&self.total).powi(2));
        self.outside.iter().fold((0.0, 0.0, 0.0), |(r, x, u), s| {
            (r + s.reference, x + s.image, u + unexplained(s))
        })
    }
}
