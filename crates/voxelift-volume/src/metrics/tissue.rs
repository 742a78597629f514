//! Tissue scores: whether the image still divides into the same classes as its reference.
//!
//! Without labels, each of the two volumes is divided by itself into three classes, a mixture of three Gaussians
//! fitted to the intensities inside the mask by expectation maximisation. In a T1-weighted head the classes are
//! cerebrospinal fluid, grey and white matter, from dark to bright. Two classes A, B agree by
//! `Dice = 2 |A and B| / (|A| + |B|)`. The fit starts from the quantiles 1/6, 1/2 and 5/6, equal weights and a ninth of
//! the variance, so the same volume always gives the same classes. Checked against scikit-learn
//! (`GaussianMixture(3)` with that start).
//!
//! Limits: intensities alone know nothing of place, a strong bias field mixes the classes, and a wide class can win the
//! far tails of a narrow one. It says how a segmentation would change, not which tissue a voxel is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number;
use super::protocol::Pair;
use crate::error::{Result, VolumeError};
use crate::intensity::Mask;
use crate::volume::Volume;

/// Bins of the intensity histogram that the mixture is fitted to.
const BINS: usize = 8192;

const CLASSES: usize = 3;

/// The fit ends when the mean log-likelihood rises by less.
const CONVERGED: f64 = 1e-7;
const MAX_ITERATIONS: usize = 1000;

/// Keeps a class from collapsing onto one intensity: the least variance, as a share of all voxels' variance.
const VARIANCE_FLOOR: f64 = 1e-6;

/// How one class of the image agrees with the reference's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassAgreement {
    /// "dark", "middle" or "bright" for fitted classes, else the label's number.
    pub class: String,
    /// Overlap: 1 for the same voxels, 0 for none.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub dice: f64,
    /// The image's volume less the reference's, over the reference's.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub volume_difference: f64,
    /// Voxels of the class in the reference.
    pub voxels: usize,
}

/// Three Gaussians, from dark to bright.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// The share of each class; they sum to one.
    pub weights: [f64; CLASSES],
    /// The mean intensities, ascending.
    pub means: [f64; CLASSES],
    /// The variances.
    pub variances: [f64; CLASSES],
}

/// Dice and volume difference of the three tissue classes inside the mask, each volume divided by its own mixture.
/// `None` where one of the two has fewer than three intensities there.
pub fn tissue_agreement(pair: &Pair) -> Option<Vec<ClassAgreement>> {
    let reference = classes(
        pair.reference(),
        pair.mask(),
        &Mixture::fitted(pair.reference(), pair.mask())?,
    );
    let image = classes(
        pair.image(),
        pair.mask(),
        &Mixture::fitted(pair.image(), pair.mask())?,
    );
    let agreement = ["dark", "middle", "bright"]
        .into_iter()
        .enumerate()
        .map(|(class, name)| {
            let mut count = Overlap::default();
            reference
                .iter()
                .zip(&image)
                .for_each(|(r, x)| count.add(*r == Some(class), *x == Some(class)));
            count.agreement(name.to_owned())
        });
    Some(agreement.collect())
}

/// Dice and volume difference of every label of two label volumes on one grid, in ascending order; 0 is background.
///
/// # Errors
/// [`VolumeError::GridMismatch`] for different extents; [`VolumeError::Content`] for a label that is no whole number.
pub fn label_agreement(reference: &Volume, image: &Volume) -> Result<Vec<ClassAgreement>> {
    if reference.extent() != image.extent() {
        return Err(VolumeError::GridMismatch {
            field: "extent",
            left: format!("{:?}", reference.extent()),
            right: format!("{:?}", image.extent()),
            advice: "both label volumes belong on the same grid".to_owned(),
        });
    }
    let mut counts: BTreeMap<i64, Overlap> = BTreeMap::new();
    for (&r, &x) in reference.data().iter().zip(image.data()) {
        if let Some(wrong) = [r, x].into_iter().find(|v| v.fract() != 0.0 || !v.is_finite()) {
            return Err(VolumeError::content(
                "a label",
                wrong,
                "whole numbers; resample labels with nearest",
            ));
        }
        let (r, x) = (r as i64, x as i64);
        if r != 0 {
            counts.entry(r).or_default().add(true, x == r);
        }
        if x != 0 && x != r {
            counts.entry(x).or_default().add(false, true);
        }
    }
    Ok(counts
        .into_iter()
        .map(|(label, count)| count.agreement(label.to_string()))
        .collect())
}

/// Voxels of a class in either volume and in both.
#[derive(Clone, Copy, Debug, Default)]
struct Overlap {
    reference: usize,
    image: usize,
    both: usize,
}

impl Overlap {
    fn add(&mut self, in_reference: bool, in_image: bool) {
        self.reference += usize::from(in_reference);
        self.image += usize::from(in_image);
        self.both += usize::from(in_reference && in_image);
    }

    fn agreement(self, class: String) -> ClassAgreement {
        let (reference, image) = (self.reference as f64, self.image as f64);
        ClassAgreement {
            class,
            dice: 2.0 * self.both as f64 / (reference + image),
            volume_difference: (image - reference) / reference,
            voxels: self.reference,
        }
    }
}

/// The class of each voxel, none outside the mask.
fn classes(volume: &Volume, mask: &Mask, mixture: &Mixture) -> Vec<Option<usize>> {
    let class = |(&v, &inside): (&f32, &bool)| inside.then(|| mixture.class_of(f64::from(v)));
    volume.data().iter().zip(mask.data()).map(class).collect()
}

impl Mixture {
    /// The mixture of a volume's intensities inside a mask; `None` for fewer than three of them.
    pub fn fitted(volume: &Volume, mask: &Mask) -> Option<Self> {
        let histogram = Histogram::of(volume, mask)?;
        let mut mixture = Self::start(&histogram);
        let mut before = f64::NEG_INFINITY;
        for _ in 0..MAX_ITERATIONS {
            let (next, likelihood) = mixture.step(&histogram);
            if likelihood - before < CONVERGED {
                break;
            }
            (mixture, before) = (next, likelihood);
        }
        Some(mixture.ascending())
    }

    /// The class with the highest posterior probability at an intensity.
    pub fn class_of(&self, intensity: f64) -> usize {
        let posterior = |class: usize| self.log_joint(class, intensity);
        (1..CLASSES).fold(0, |best, class| {
            if posterior(class) > posterior(best) {
                class
            } else {
                best
            }
        })
    }

    fn start(histogram: &Histogram) -> Self {
        let variance = histogram.variance();
        Self {
            weights: [1.0 / CLASSES as f64; CLASSES],
            means: [1.0 / 6.0, 0.5, 5.0 / 6.0].map(|share| histogram.quantile(share)),
            variances: [variance / 9.0; CLASSES],
        }
    }

    /// One round of expectation and maximisation, and the mean log-likelihood before it.
    fn step(&self, histogram: &Histogram) -> (Self, f64) {
        let (mut mass, mut sum, mut squares) = ([0.0; CLASSES], [0.0; CLASSES], [0.0; CLASSES]);
        let mut likelihood = 0.0;
        for (value, count) in histogram.filled() {
            let joint: [f64; CLASSES] = std::array::from_fn(|class| self.log_joint(class, value));
            let highest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = joint.iter().map(|j| (j - highest).exp()).sum();
            likelihood += count * (highest + total.ln());
            for class in 0..CLASSES {
                let share = count * (joint[class] - highest).exp() / total;
                // About the old mean, so that no digits are lost.
                let distance = value - self.means[class];
                mass[class] += share;
                sum[class] += share * distance;
                squares[class] += share * distance * distance;
            }
        }
        let floor = VARIANCE_FLOOR * histogram.variance();
        let next = Self {
            weights: mass.map(|m| m / histogram.total),
            means: std::array::from_fn(|c| self.means[c] + sum[c] / mass[c].max(f64::MIN_POSITIVE)),
            variances: std::array::from_fn(|c| {
                let mass = mass[c].max(f64::MIN_POSITIVE);
                (squares[c] / mass - (sum[c] / mass).powi(2)).max(floor)
            }),
        };
        (next, likelihood / histogram.total)
    }

    /// `ln (weight * density)`, up to the constant that all classes share.
    fn log_joint(&self, class: usize, value: f64) -> f64 {
        let (mean, variance) = (self.means[class], self.variances[class]);
        self.weights[class].ln() - 0.5 * (variance.ln() + (value - mean).powi(2) / variance)
    }

    fn ascending(&self) -> Self {
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| self.means[a].total_cmp(&self.means[b]));
        let sorted = |of: &[f64; CLASSES]| order.map(|class| of[class]);
        Self {
            weights: sorted(&self.weights),
            means: sorted(&self.means),
            variances: sorted(&self.variances),
        }
    }
}

/// How often each intensity occurs.
struct Histogram {
    low: f64,
    width: f64,
    counts: Vec<f64>,
    total: f64,
}

impl Histogram {
    fn of(volume: &Volume, mask: &Mask) -> Option<Self> {
        let inside = || {
            volume
                .data()
                .iter()
                .zip(mask.data())
                .filter(|(_, m)| **m)
                .map(|(&v, _)| f64::from(v))
        };
        let (low, high) = inside().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        let width = (high - low) / BINS as f64;
        if width.is_nan() || width <= 0.0 {
            return None;
        }
        let mut counts = vec![0.0; BINS];
        inside().for_each(|v| counts[(((v - low) / width) as usize).min(BINS - 1)] += 1.0);
        let total = counts.iter().sum();
        let histogram = Self {
            low,
            width,
            counts,
            total,
        };
        (histogram.filled().count() >= CLASSES).then_some(histogram)
    }

    /// The centres of the bins that hold something, and how much.
    fn filled(&self) -> impl Iterator<Item = (f64, f64)> {
        let value = |bin: usize| self.low + (bin as f64 + 0.5) * self.width;
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, c)| **c > 0.0)
            .map(move |(bin, &count)| (value(bin), count))
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut below = 0.0;
        let at = self.filled().find(|(_, count)| {
            below += count;
            below >= share * self.total
        });
        at.map_or(self.low, |(value, _)| value)
    }

    fn variance(&self) -> f64 {
        let mean = self.filled().map(|(v, n)| v * n).sum::<f64>() / self.total;
        self.filled().map(|(v, n)| (v - mean).powi(2) * n).sum::<f64>() / self.total
    }
}
