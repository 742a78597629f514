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
//! edge like an invented one. A mask that follows a skull-stripped head closely cuts the ringing around it, which
//! lifts zero-fill itself beyond Nyquist (to 0.6 on a head, where Otsu's mask gives 0.05 and the whole volume 0.003):
//! the gain is less that, and steadiest over the whole volume.

use serde::{Deserialize, Serialize};

use super::number;
use super::protocol::{Pair, Regions};
use super::shells::Shells;
use super::taper::Taper;
use crate::error::{Result, VolumeError};
use crate::kspace::{Spectrum, SpectrumPair, bin_at, filter, is_measured, truncate};
use crate::volume::Volume;

/// Below this correlation a shell no longer counts as resolved.
const RESOLVED: f64 = 0.5;

/// The Fourier shell correlation of a region, as `fsc` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShellCorrelation {
    /// The shells' radii, up to the lowest Nyquist frequency of the axes.
    #[serde(deserialize_with = "number::read_list")]
    pub cycles_per_mm: Vec<f64>,
    /// The correlation on each shell.
    #[serde(deserialize_with = "number::read_list")]
    pub correlation: Vec<f64>,
    /// Where it first falls below 0.5, interpolated between shells; the last shell where it never does.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub cutoff_cycles_per_mm: f64,
    /// Effective resolution, `1 / (2 cutoff)`: the voxel size that would just hold these frequencies.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub resolution_mm: f64,
    /// What lies outside the measured frequencies; `null` unless the LR image's spacing is known.
    pub beyond_nyquist: Option<BeyondNyquist>,
}

impl ShellCorrelation {
    fn of_curve((cycles_per_mm, correlation): (Vec<f64>, Vec<f64>)) -> Self {
        let cutoff = match correlation.iter().position(|&c| c < RESOLVED) {
            None => cycles_per_mm.last().copied().unwrap_or(0.0),
            Some(0) => cycles_per_mm[0],
            Some(i) => {
                let (above, below) = (correlation[i - 1], correlation[i]);
                let part = (above - RESOLVED) / (above - below);
                cycles_per_mm[i - 1] + part * (cycles_per_mm[i] - cycles_per_mm[i - 1])
            }
        };
        Self {
            cycles_per_mm,
            correlation,
            cutoff_cycles_per_mm: cutoff,
            resolution_mm: 0.5 / cutoff,
            beyond_nyquist: None,
        }
    }
}

/// Agreement over the frequencies that the LR image does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BeyondNyquist {
    /// The mean FSC less that of zero-fill.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub gain: f64,
    /// The mean FSC.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub correlation: f64,
    /// The mean FSC of the zero-filled reference.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub zero_fill_correlation: f64,
    /// The image's energy that the reference does not explain, in units of the reference's.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub hallucination_index: f64,
    /// The image's energy in units of the reference's.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
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
    shell_correlation_of(pair, measured_spacing_mm, true)
}

/// As [`shell_correlation`]; that over the whole volume only where it is wanted.
pub(super) fn shell_correlation_of(
    pair: &Pair,
    measured_spacing_mm: Option<[f64; 3]>,
    whole: bool,
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
        let reference = taper.applied_to(pair.reference());
        let of = |image: &Volume| {
            Shells::of(
                &SpectrumPair::of(&reference, &taper.applied_to(image)),
                spacing,
                measured,
            )
        };
        let image = of(pair.image());
        let mut out = ShellCorrelation::of_curve(image.curve());
        if let Some(zero_filled) = &zero_filled {
            let baseline = of(zero_filled).mean_correlation();
            let correlation = image.mean_correlation();
            let (reference, energy, unexplained) = image.energies();
            out.beyond_nyquist = Some(BeyondNyquist {
                gain: correlation - baseline,
                correlation,
                zero_fill_correlation: baseline,
                hallucination_index: unexplained / reference,
                energy: energy / reference,
                frequencies: image.frequencies_outside(),
            });
        }
        out
    };
    let extent = pair.extent();
    Ok(Regions {
        whole: if whole {
            region(&Taper::of_faces(extent))
        } else {
            ShellCorrelation::default()
        },
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
    check_field_of_view(image, lr)?;
    let (fine, coarse) = (image.extent(), lr.extent());
    let again = Spectrum::of(&truncate(image, coarse));
    let measured = Spectrum::of(lr);
    let unpaired = |axis: usize, i: usize| {
        coarse[axis] < fine[axis] && coarse[axis].is_multiple_of(2) && i == coarse[axis] / 2
    };
    let (mut error, mut total) = (0.0, 0.0);
    for (i, (d, y)) in again.data().iter().zip(measured.data()).enumerate() {
        let bin = bin_at(coarse, i);
        if !(0..3).any(|a| unpaired(a, bin[a])) {
            error += (d - y).norm_sqr();
            total += y.norm_sqr();
        }
    }
    Ok((error / total).sqrt())
}

/// Refuses an image that does not cover the LR volume's field of view, or is coarser.
///
/// # Errors
/// [`VolumeError::GridMismatch`].
pub fn check_field_of_view(image: &Volume, lr: &Volume) -> Result<()> {
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
    Ok(())
}

/// The reference without the frequencies beyond the measured box.
fn zero_filled(reference: &Volume, measured: [f64; 3]) -> Volume {
    let spacing = reference.geometry().spacing_mm();
    filter(reference, |axis, f| {
        if is_measured(f, spacing[axis], measured[axis]) {
            1.0
        } else {
            0.0
        }
    })
}
