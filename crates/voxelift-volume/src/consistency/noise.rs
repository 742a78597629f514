//! How noisy a scan is, from the scan alone.

use std::borrow::Cow;

use serde::Serialize;

use super::finest::finest;
use crate::intensity::{Mask, Normalization, percentile, texture};
use crate::resolution::{AxisResolution, resolution};
use crate::volume::Volume;

/// Voxels around the foreground that belong to neither side: ringing and partial volume.
const MARGIN: usize = 3;

/// The least share of background voxels that are not 0 for the noise to be measured there.
const ALIVE: f64 = 0.5;

/// A background so many times as loud as the finest of the foreground is none: tissue fills the field of view.
const LOUD: f64 = 1.5;

/// More negative background than this, and the scan is no magnitude image.
const NEGATIVE: f64 = 0.05;

/// The median of `|n|` for Gaussian n, and of a Rayleigh variable, in units of sigma.
const GAUSSIAN_MEDIAN: f64 = 0.674_489_750_196_082;
const RAYLEIGH_MEDIAN: f64 = 1.177_410_022_515_475;

/// Voxels along a block of background.
const BLOCK: usize = 4;

/// Fewer blocks of background than this are too few to take the quiet ones among them.
const FEWEST_BLOCKS: usize = 50;

/// The share of blocks that are quieter than what counts, in percent.
const QUIET: f64 = 10.0;

/// The mean of 64 squares of Gaussian and of Rayleigh variables, in units of its expectation, that one in ten stays
/// below: a tenth of chi-squared of 64 and of 128 degrees of freedom, over these.
const GAUSSIAN_QUIET: f64 = 0.7812;
const RAYLEIGH_QUIET: f64 = 0.8437;

/// The variance of a Rayleigh variable in units of sigma squared, `2 - pi/2`.
const RAYLEIGH_VARIANCE: f64 = 0.429_203_673_205_103;

/// The noise of a scan.
///
/// From the background where there is one: far from the head a magnitude image holds the magnitude of complex
/// Gaussian noise (Rayleigh, median 1.1774 sigma, mean square 2 sigma^2; Gudbjartsson, Patz, MRM 1995), an image with
/// signs the noise itself (median of the magnitude 0.6745 sigma). Noise is everywhere in the background, ringing and
/// ghosts of the head are not. So the noise is estimated twice, from the median over all voxels of the background and from the
/// tenth percentile of the mean squares of its blocks of 4 x 4 x 4 voxels, and the smaller estimate is taken. In a
/// scan whose background was set to 0, or whose field of view is full of tissue, so that what lies outside the foreground is darker tissue
/// and louder than noise can be, only the foreground is left: the median of its differences of fourth order along
/// all axes at once, where anatomy has least power (Donoho, Johnstone, *Biometrika* 1994, with a longer filter); a foreground
/// too small for them is judged by the median difference of a voxel from the mean of its six neighbours, an upper bound. The finest
/// texture counts in both. Where an image was made of the scan, it is known what of this the image has kept, and only what it lacks
/// counts ([`soft`](super::soft)).
///
/// Limits: the sum over several coils is not Rayleigh, and parallel imaging makes noise that varies over the image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoiseLevel {
    /// Standard deviation of the noise before the magnitude was taken.
    pub sigma: f64,
    /// The expected power of noise in one bin of the scan's unnormalised spectrum, the same in every bin: the sum of its
    /// variance over all voxels, which for noise that does not depend on its neighbours is Parseval's.
    pub power: f64,
    /// Whether it was measured in the background, or only in the foreground.
    pub from: NoiseSource,
}

/// Where a noise level comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseSource {
    /// The air around the head.
    Background,
    /// The highest frequencies of the head itself, its finest texture among them.
    Foreground,
}

impl NoiseLevel {
    /// Measures a scan's noise.
    pub fn of(scan: &Volume) -> Self {
        let scan = &*above_zero(scan);
        let foreground = Mask::foreground(scan);
        let near = foreground.dilated(MARGIN);
        let far: Vec<f32> = outside(scan, &near);
        let mut alive: Vec<f32> = far.iter().copied().filter(|v| *v != 0.0).collect();
        let inside = foreground.count() as f64;
        let by_foreground = || {
            let sigma = in_foreground(scan, resolution(scan), &foreground);
            Self {
                sigma,
                power: sigma * sigma * inside,
                from: NoiseSource::Foreground,
            }
        };
        let air = outside(scan, &foreground).iter().filter(|v| **v != 0.0).count() as f64;
        if (alive.len() as f64) < ALIVE * far.len() as f64 || alive.is_empty() {
            return by_foreground();
        }
        let negative = alive.iter().filter(|v| **v < 0.0).count() as f64;
        let signed = negative > NEGATIVE * alive.len() as f64;
        alive.iter_mut().for_each(|v| *v = v.abs());
        let median = percentile(&mut alive, 50.0).unwrap_or(0.0);
        let (by_median, per_square, variance_in_air) = if signed {
            (median / GAUSSIAN_MEDIAN, GAUSSIAN_QUIET, 1.0)
        } else {
            (median / RAYLEIGH_MEDIAN, 2.0 * RAYLEIGH_QUIET, RAYLEIGH_VARIANCE)
        };
        let mut blocks = background_blocks(scan, &near);
        let by_blocks = (blocks.len() >= FEWEST_BLOCKS)
            .then(|| percentile(&mut blocks, QUIET))
            .flatten()
            .map(|square| (square / per_square).sqrt());
        let sigma = by_blocks.map_or(by_median, |quiet| quiet.min(by_median));
        // Noise stands in the foreground as in air, beside the texture there.
        let finest = by_foreground();
        if sigma > LOUD * finest.sigma {
            return finest;
        }
        Self {
            sigma,
            power: sigma * sigma * (inside + variance_in_air * air),
            from: NoiseSource::Background,
        }
    }

    /// The same where an image was made of the scan that lacks `lacking`, `y - A x`, of `held`, the part of the scan whose frequencies
    /// are compared.
    ///
    /// In a background there is only noise. The finest differences of a foreground are those of its texture too, which
    /// an image has kept as far as it is true to the scan. So of a noise that was found in the foreground no more counts than the
    /// image lacks of these differences.
    pub(super) fn lacked(self, scan: &Volume, held: &Volume, lacking: &Volume) -> Self {
        let scan = &*above_zero(scan);
        let foreground = Mask::foreground(scan);
        let present = resolution(scan);
        let all = in_foreground(held, present, &foreground);
        let share = if all > 0.0 {
            (in_foreground(lacking, present, &foreground) / all).min(1.0)
        } else {
            0.0
        };
        Self {
            sigma: self.sigma * share,
            power: self.power * share * share,
            ..self
        }
    }
}

/// The scan with its background at 0: that of a shifted scan is not, and no noise for that.
fn above_zero(scan: &Volume) -> Cow<'_, Volume> {
    match Normalization::of(scan) {
        Ok(scale) if scale.zero != 0.0 => Cow::Owned(scale.without_zero(scan.clone())),
        _ => Cow::Borrowed(scan),
    }
}

/// The standard deviation of what is finest in values on a scan's grid.
fn in_foreground(values: &Volume, present: [AxisResolution; 3], foreground: &Mask) -> f64 {
    finest(values, present, foreground).unwrap_or_else(|| texture(values, foreground))
}

/// The mean squares of the blocks that lie in the background as a whole and are not empty.
fn background_blocks(scan: &Volume, near: &Mask) -> Vec<f32> {
    let extent = scan.extent();
    let [across, rows, slices] = extent.map(|n| n / BLOCK);
    let mut blocks = Vec::new();
    for block in 0..across * rows * slices {
        let start = [block % across, block / across % rows, block / (across * rows)].map(|b| b * BLOCK);
        let voxels = (0..BLOCK.pow(3)).map(|i| {
            let at = [i % BLOCK, i / BLOCK % BLOCK, i / (BLOCK * BLOCK)];
            scan.index(std::array::from_fn(|a| start[a] + at[a]))
        });
        if voxels.clone().any(|i| near.data()[i]) {
            continue;
        }
        let sum: f64 = voxels.map(|i| f64::from(scan.data()[i]).powi(2)).sum();
        if sum > 0.0 {
            blocks.push((sum / BLOCK.pow(3) as f64) as f32);
        }
    }
    blocks
}

fn outside(scan: &Volume, mask: &Mask) -> Vec<f32> {
    let voxels = scan.data().iter().zip(mask.data());
    voxels.filter(|(_, inside)| !**inside).map(|(v, _)| *v).collect()
}
