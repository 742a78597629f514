//! The slice profile, where nothing states it: the Gaussian after which the voxels in plane look like those across slices.

use voxelift_volume::Volume;
use voxelift_volume::degrade::{Operator, Profile};
use voxelift_volume::kspace::mean_power;
use voxelift_volume::resample::Interpolation;

use super::protocol::SliceProtocol;
use super::source::at_fine_size;
use crate::error::Result;

/// Bands from 0 to the Nyquist frequency of the slices.
const BANDS: usize = 12;

/// Fewer slices hold no spectrum.
const FEWEST_SLICES: usize = 12;

/// Thicknesses tried, over the distance of the slices.
const THINNEST: f64 = 0.5;
const STEP: f64 = 0.1;
const TRIED: usize = 12;

/// Band powers below this share of the strongest are noise or nothing.
const FAINT: f64 = 1e-7;

/// A calibrated profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// A Gaussian slice.
    pub operator: Operator,
    /// Root mean square difference of the log power over the bands.
    pub misfit: f64,
    /// The same of a slice as thick as the slices are apart.
    pub misfit_of_one: f64,
}

/// The Gaussian thickness after which the mean power spectrum along the two axes in plane comes nearest to that across the
/// slices; nothing where there are too few slices.
///
/// `misfit(f) = rms over bands of [ln P_z(band) - 1/2 (ln P_x + ln P_y)(band; f)] - its mean`, P the mean power along an
/// axis of the scan, or of the scan degraded along that axis. Anatomy differs between the axes, so this is a coarse measure:
/// a thickness that is stated is better.
///
/// # Errors
/// When the scan cannot be degraded.
pub fn calibrate(scan: &Volume, protocol: &SliceProtocol) -> Result<Option<Calibrated>> {
    if scan.extent()[protocol.axis] < FEWEST_SLICES {
        return Ok(None);
    }
    let across = banded(&mean_power(scan, protocol.axis));
    let candidates: Vec<(f64, f64)> = (0..TRIED)
        .map(|i| {
            let thickness = ((THINNEST + STEP * i as f64) * 10.0).round() / 10.0;
            (thickness, misfit(scan, protocol, thickness, &across))
        })
        .collect();
    let finite = candidates.iter().filter(|(_, misfit)| misfit.is_finite());
    let Some((thickness, misfit)) = finite.min_by(|a, b| a.1.total_cmp(&b.1)).copied() else {
        return Ok(None);
    };
    let one = candidates
        .iter()
        .find(|(t, _)| (*t - 1.0).abs() < 1e-6)
        .expect("1 is tried");
    Ok(Some(Calibrated {
        operator: gaussian(thickness),
        misfit,
        misfit_of_one: one.1,
    }))
}

/// A Gaussian slice of this full width at half maximum, in slice distances.
pub fn gaussian(thickness: f64) -> Operator {
    Operator::Slice {
        profile: Profile::Gaussian,
        thickness,
    }
}

fn misfit(scan: &Volume, protocol: &SliceProtocol, thickness: f64, across: &[f64; BANDS]) -> f64 {
    let protocol = SliceProtocol {
        operator: gaussian(thickness),
        ..protocol.clone()
    };
    let mut logs = [0.0; BANDS];
    for axis in protocol.in_plane() {
        let fine = at_fine_size(scan, &protocol, axis, Interpolation::CubicBSpline);
        let mut extent = fine.extent();
        extent[axis] = extent[axis] / protocol.scale * protocol.scale;
        let whole = fine.crop([0; 3], extent);
        extent[axis] /= protocol.scale;
        let coarse = protocol.operators_along(axis).apply(&whole, extent);
        let bands = banded(&mean_power(&coarse, axis));
        logs.iter_mut()
            .zip(bands)
            .for_each(|(sum, power)| *sum += 0.5 * power.ln());
    }
    let strongest = across.iter().copied().fold(0.0, f64::max);
    let differences: Vec<f64> = across
        .iter()
        .zip(logs)
        .skip(1)
        .filter(|(power, log)| **power > FAINT * strongest && log.is_finite())
        .map(|(power, log)| power.ln() - log)
        .collect();
    let n = differences.len() as f64;
    if differences.len() < BANDS / 2 {
        return f64::INFINITY;
    }
    let mean = differences.iter().sum::<f64>() / n;
    (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The mean over each band.
fn banded(power: &[f64]) -> [f64; BANDS] {
    let last = power.len() - 1;
    std::array::from_fn(|band| {
        let edge = |b: usize| (b as f64 / BANDS as f64 * last as f64).round() as usize;
        let (low, high) = (edge(band), edge(band + 1).max(edge(band) + 1).min(last + 1));
        let some = &power[low..high.max(low + 1)];
        some.iter().sum::<f64>() / some.len() as f64
    })
}
