//! How noisy a scan is, from the scan alone.

use serde::Serialize;

use crate::intensity::{Mask, percentile, texture};
use crate::volume::Volume;

/// Voxels around the foreground that belong to neither side: ringing and partial volume.
const MARGIN: usize = 3;

/// The share of background voxels that must be something else than 0 for the background to say anything.
const ALIVE: f64 = 0.5;

/// More negative background than this, and the scan is no magnitude image.
const NEGATIVE: f64 = 0.05;

/// The median of `|n|` for Gaussian n, and of a Rayleigh variable, in units of sigma.
const GAUSSIAN_MEDIAN: f64 = 0.674_489_750_196_082;
const RAYLEIGH_MEDIAN: f64 = 1.177_410_022_515_475;

/// The variance of a Rayleigh variable in units of sigma squared, `2 - pi/2`.
const RAYLEIGH_VARIANCE: f64 = 0.429_203_673_205_103;

/// The noise of a scan.
///
/// From the background where there is one: far from the head a magnitude image holds the magnitude of complex
/// Gaussian noise (Rayleigh, median 1.1774 sigma; Gudbjartsson, Patz, MRM 1995), an image with signs the noise itself
/// (median of the magnitude 0.6745 sigma). In a scan whose background was set to 0 only the foreground is left: the
/// median difference of a voxel from the mean of its six neighbours, which takes the finest texture for noise and is an
/// upper bound.
///
/// Limits: the sum over several coils is not Rayleigh, and parallel imaging makes noise that varies over the image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseLevel {
    /// Standard deviation of the noise before the magnitude was taken.
    pub sigma: f64,
    /// The expected power of noise in one bin of the scan's unnormalised spectrum, the same in every bin: the sum of its
    /// variance over all voxels, which for noise that does not depend on its neighbours is Parseval's.
    pub power: f64,
    /// Whether the background said so, or only the foreground.
    pub from: NoiseSource,
}

/// Where a noise level comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseSource {
    /// The air around the head.
    Background,
    /// The head itself: an upper bound.
    Foreground,
}

impl NoiseLevel {
    /// Measures a scan's noise.
    pub fn of(scan: &Volume) -> Self {
        let foreground = Mask::foreground(scan);
        let near = foreground.dilated(MARGIN);
        let far: Vec<f32> = outside(scan, &near);
        let mut alive: Vec<f32> = far.iter().copied().filter(|v| *v != 0.0).collect();
        let inside = foreground.count() as f64;
        let air = outside(scan, &foreground).iter().filter(|v| **v != 0.0).count() as f64;
        if (alive.len() as f64) < ALIVE * far.len() as f64 || alive.is_empty() {
            let sigma = texture(scan, &foreground);
            return Self {
                sigma,
                power: sigma * sigma * inside,
                from: NoiseSource::Foreground,
            };
        }
        let negative = alive.iter().filter(|v| **v < 0.0).count() as f64;
        let signed = negative > NEGATIVE * alive.len() as f64;
        alive.iter_mut().for_each(|v| *v = v.abs());
        let median = percentile(&mut alive, 50.0).unwrap_or(0.0);
        let (sigma, variance_in_air) = if signed {
            (median / GAUSSIAN_MEDIAN, 1.0)
        } else {
            (median / RAYLEIGH_MEDIAN, RAYLEIGH_VARIANCE)
        };
        Self {
            sigma,
            power: sigma * sigma * (inside + variance_in_air * air),
            from: NoiseSource::Background,
        }
    }
}

fn outside(scan: &Volume, mask: &Mask) -> Vec<f32> {
    let voxels = scan.data().iter().zip(mask.data());
    voxels.filter(|(_, inside)| !**inside).map(|(v, _)| *v).collect()
}
