//! The slice profile, where nothing states it: the Gaussian after which one axis in plane looks like that across the slices.

use voxelift_volume::Volume;
use voxelift_volume::degrade::{Operator, Profile};
use voxelift_volume::intensity::Mask;
use voxelift_volume::kspace::mean_power;
use voxelift_volume::resample::Interpolation;

use super::protocol::SliceProtocol;
use super::source::at_fine_size;

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

/// The right profiles for brains have misfits of 0.08 to 0.33 (`docs/method.md`); above this one, anatomy differs between the
/// axes by more than the profile does.
const MOST_MISFIT: f64 = 0.4;

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

impl Calibrated {
    /// Whether the axes look alike enough after it for the profile to be used.
    pub fn is_believed(&self) -> bool {
        self.misfit <= MOST_MISFIT
    }
}

/// The Gaussian thickness after which the power spectra across the slices and along an axis in plane come nearest; nothing
/// where there are too few slices.
///
/// A scan that is degraded along an axis in plane as its slices were made has the same profile along two axes, so that
/// anatomy without a preferred direction has the same mean power along both:
/// `misfit(f) = rms over bands of (D - its mean)`, `D = mean over both axes in plane of ln P_z - ln P_axis`, P the mean power
/// along an axis of the scan degraded along that axis by a Gaussian of thickness f. (To compare the scan as it is across
/// the slices with the degraded one in plane finds profiles 0.2 to 0.3 too thin: lines in plane were averaged over the
/// slices' thickness, lines across were not.)
pub fn calibrate(scan: &Volume, protocol: &SliceProtocol) -> Option<Calibrated> {
    let cropped = boxed(scan);
    if cropped.extent()[protocol.axis] < FEWEST_SLICES {
        return None;
    }
    let fine = protocol.in_plane().map(|axis| {
        let fine = at_fine_size(&cropped, protocol, axis, Interpolation::CubicBSpline);
        let mut extent = fine.extent();
        extent[axis] = extent[axis] / protocol.scale * protocol.scale;
        (axis, fine.crop([0; 3], extent))
    });
    if fine
        .iter()
        .any(|(axis, volume)| volume.extent()[*axis] < FEWEST_SLICES * protocol.scale)
    {
        return None;
    }
    let candidates: Vec<(f64, f64)> = (0..TRIED)
        .map(|i| {
            let thickness = ((THINNEST + STEP * i as f64) * 10.0).round() / 10.0;
            (thickness, misfit(&fine, protocol, thickness))
        })
        .collect();
    let finite = candidates.iter().filter(|(_, misfit)| misfit.is_finite());
    let (thickness, misfit) = finite.min_by(|a, b| a.1.total_cmp(&b.1)).copied()?;
    let one = candidates
        .iter()
        .find(|(t, _)| (*t - 1.0).abs() < 1e-6)
        .expect("1 is tried");
    Some(Calibrated {
        operator: gaussian(thickness),
        misfit,
        misfit_of_one: one.1,
    })
}

/// A Gaussian slice of this full width at half maximum, in slice distances.
pub fn gaussian(thickness: f64) -> Operator {
    Operator::Slice {
        profile: Profile::Gaussian,
        thickness,
    }
}

/// The box around the foreground: lines of all axes begin and end at the head.
fn boxed(scan: &Volume) -> Volume {
    let (mut low, mut high) = (scan.extent(), [0; 3]);
    for voxel in Mask::foreground(scan).voxels() {
        for (a, at) in voxel.into_iter().enumerate() {
            low[a] = low[a].min(at);
            high[a] = high[a].max(at + 1);
        }
    }
    if (0..3).any(|a| low[a] >= high[a]) {
        return scan.clone();
    }
    scan.crop(low, std::array::from_fn(|a| high[a] - low[a]))
}

fn misfit(fine: &[(usize, Volume); 2], protocol: &SliceProtocol, thickness: f64) -> f64 {
    let protocol = SliceProtocol {
        operator: gaussian(thickness),
        ..protocol.clone()
    };
    let pairs = fine.each_ref().map(|(axis, volume)| {
        let mut extent = volume.extent();
        extent[*axis] /= protocol.scale;
        let both = protocol.operators_along(*axis).apply(volume, extent);
        [protocol.axis, *axis].map(|a| banded(&mean_power(&both, a)))
    });
    let strongest = pairs.iter().flatten().flatten().copied().fold(0.0, f64::max);
    let differences: Vec<f64> = (1..BANDS)
        .filter(|band| {
            pairs
                .iter()
                .flatten()
                .all(|powers| powers[*band] > FAINT * strongest)
        })
        .map(|band| {
            let of_pair = |[across, within]: &[[f64; BANDS]; 2]| across[band].ln() - within[band].ln();
            0.5 * pairs.iter().map(of_pair).sum::<f64>()
        })
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
