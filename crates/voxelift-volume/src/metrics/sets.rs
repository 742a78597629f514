//! Set-level scores, unpaired: whether the images of a method look like the references as a set, head by head or not.
//!
//! **Sliced Wasserstein distance** on patches of a Laplacian pyramid. Each volume is divided by the 99.5th percentile of its
//! foreground; the pyramid's kernel is (1, 4, 6, 4, 1)/16 along each axis, its weights renormalised at the faces; level `l`
//! is `g_l - expand(g_{l+1})`, the last of the three is the remaining low-pass volume. From each level 512 patches of 7x7x7
//! are taken, spread evenly over the voxels above Otsu's threshold in file order. Per level all patches are divided by the
//! standard deviation of the references' patches; the distance is the mean over 128 random directions of the
//! one-dimensional Wasserstein distance (p = 1) between the projections of the two sets, and the score is the mean over
//! levels. Not FID, and not to be called so: there is no network in it.
//! Source: Rabin et al., SSVM 2011; Karras et al., arXiv 1710.10196, which takes the patches of each set to unit variance
//! by themselves and so cannot see that one set has less detail; here both share the references' unit.
//!
//! **Log power spectrum L1**: the mean over 32 bands of `|k|`, from 0 to the lowest Nyquist frequency of the axes, of the
//! absolute difference between the two sets' mean log power; faces are tapered, and power counts as no less than 1e-12 of
//! the volume's mean. 0.1 means about 10 % more or less power.
//!
//! Limits: a set of a few heads is a small sample, so compare methods on the same heads and do not read the value alone;
//! both sets should have one voxel size; neither score notices detail at the wrong place. Two random halves of one
//! set are not at zero. Checked against NumPy.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::number;
use super::taper::Taper;
use crate::intensity::{Mask, Normalization};
use crate::kspace::{Spectrum, bin_at};
use crate::random::Stream;
use crate::separable::along_slowest;
use crate::volume::Volume;

const LEVELS: usize = 3;
const KERNEL: [f64; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];

/// Voxels along a patch, and their number.
const SIDE: usize = 7;
const PATCH: usize = SIDE * SIDE * SIDE;

/// Patches of a volume and level.
const PATCHES: usize = 512;
const DIRECTIONS: u64 = 128;
const DIRECTION_SEED: u64 = 0;

const BANDS: usize = 32;
const LEAST_POWER: f64 = 1e-12;

/// What the set-level scores keep of one volume.
#[derive(Clone, Debug)]
pub struct SetMember {
    /// Patches, one after the other, of each level.
    levels: [Vec<f32>; LEVELS],
    /// Mean log power of each band; none for a band without a frequency.
    log_power: [Option<f64>; BANDS],
}

/// Two sets compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetScores {
    /// Mean over the levels.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub sliced_wasserstein: f64,
    /// From the finest to the coarsest level.
    #[serde(deserialize_with = "number::read_array")]
    pub sliced_wasserstein_levels: [f64; LEVELS],
    /// Mean over the bands.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub log_power_l1: f64,
    /// How many images.
    pub images: usize,
    /// How many references.
    pub references: usize,
}

impl SetMember {
    /// Looks at one volume; `None` where it is too small for a patch of the coarsest level, or has no foreground.
    pub fn of(volume: &Volume) -> Option<Self> {
        let scaled = Normalization::of(volume).ok()?.apply(volume.clone());
        let mask = Mask::otsu(&scaled);
        let mut fine = scaled.data().iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let mut extent = scaled.extent();
        let mut levels = std::array::from_fn(|_| Vec::new());
        for (level, patches) in levels.iter_mut().enumerate() {
            let last = level + 1 == LEVELS;
            let coarse_extent = extent.map(|n| n.div_ceil(2));
            let coarse = resampled(&fine, extent, coarse_extent, half);
            if !last {
                let expanded = resampled(&coarse, coarse_extent, extent, twice);
                fine.iter_mut().zip(&expanded).for_each(|(f, e)| *f -= e);
            }
            *patches = self::patches(&fine, extent, &mask, level)?;
            (fine, extent) = (coarse, coarse_extent);
        }
        Some(Self {
            levels,
            log_power: log_power(&scaled),
        })
    }
}

/// Compares the images of a method with the references; `None` when one of the two sets is empty, or the references are
/// constant.
pub fn set_scores(images: &[SetMember], references: &[SetMember]) -> Option<SetScores> {
    if images.is_empty() || references.is_empty() {
        return None;
    }
    let directions: Vec<Vec<f64>> = (0..DIRECTIONS).map(direction).collect();
    let mut levels = [0.0; LEVELS];
    for (level, distance) in levels.iter_mut().enumerate() {
        let unit = deviation(references.iter().flat_map(|m| &m.levels[level]));
        if unit.is_nan() || unit <= 0.0 {
            return None;
        }
        let projected = |set: &[SetMember], along: &[f64]| {
            let patches = set.iter().flat_map(|m| m.levels[level].chunks_exact(PATCH));
            let mut values: Vec<f64> = patches
                .map(|patch| {
                    patch
                        .iter()
                        .zip(along)
                        .map(|(v, d)| f64::from(*v) * d)
                        .sum::<f64>()
                        / unit
                })
                .collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let distances: Vec<f64> = directions
            .par_iter()
            .map(|along| wasserstein(&projected(images, along), &projected(references, along)))
            .collect();
        *distance = distances.iter().sum::<f64>() / distances.len() as f64;
    }
    Some(SetScores {
        sliced_wasserstein: levels.iter().sum::<f64>() / LEVELS as f64,
        sliced_wasserstein_levels: levels,
        log_power_l1: log_power_l1(images, references)?,
        images: images.len(),
        references: references.len(),
    })
}

/// Which values of a line, with which weights, make a value of the coarser line.
fn half(i: usize, n: usize) -> Vec<(usize, f64)> {
    let taps = (0..KERNEL.len()).filter_map(|t| Some(((2 * i + t).checked_sub(2)?, KERNEL[t])));
    normalised(taps.filter(|(j, _)| *j < n).collect())
}

/// The same for a value of the finer line.
fn twice(i: usize, n: usize) -> Vec<(usize, f64)> {
    let taps = (0..n).filter(|j| (2 * j).abs_diff(i) <= 2);
    normalised(taps.map(|j| (j, KERNEL[2 * j + 2 - i])).collect())
}

fn normalised(mut taps: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
    taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
    taps
}

fn resampled(
    data: &[f64],
    extent: [usize; 3],
    to: [usize; 3],
    taps: fn(usize, usize) -> Vec<(usize, f64)>,
) -> Vec<f64> {
    let (mut data, mut turned) = (data.to_vec(), extent);
    for axis in [2, 1, 0] {
        let (n, length) = (extent[axis], to[axis]);
        let rows: Vec<Vec<(usize, f64)>> = (0..length).map(|i| taps(i, n)).collect();
        data = along_slowest(
            &data,
            turned,
            length,
            || (),
            |(), lines: &[f64], out: &mut [f64]| {
                for (line, out) in lines.chunks_exact(n).zip(out.chunks_exact_mut(length)) {
                    for (value, row) in out.iter_mut().zip(&rows) {
                        *value = row.iter().map(|(j, weight)| weight * line[*j]).sum();
                    }
                }
            },
        );
        turned = [length, turned[0], turned[1]];
    }
    data
}

/// Patches around voxels of the mask, spread evenly over those that have room for one.
fn patches(data: &[f64], extent: [usize; 3], mask: &Mask, level: usize) -> Option<Vec<f32>> {
    let [nx, ny, _] = extent;
    let whole = mask.extent();
    let reach = SIDE / 2;
    let has_room = |i: usize, n: usize| i >= reach && i + reach < n;
    let centres: Vec<[usize; 3]> = (0..data.len())
        .map(|i| [i % nx, i / nx % ny, i / (nx * ny)])
        .filter(|at| (0..3).all(|a| has_room(at[a], extent[a])))
        .filter(|at| {
            let fine: [usize; 3] = std::array::from_fn(|a| (at[a] << level).min(whole[a] - 1));
            mask.data()[fine[0] + whole[0] * (fine[1] + whole[1] * fine[2])]
        })
        .collect();
    if centres.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(PATCHES * PATCH);
    for p in 0..PATCHES {
        let [x, y, z] = centres[(2 * p + 1) * centres.len() / (2 * PATCHES)];
        for dz in 0..SIDE {
            for dy in 0..SIDE {
                let row = x - reach + nx * (y + dy - reach + ny * (z + dz - reach));
                out.extend(data[row..row + SIDE].iter().map(|v| *v as f32));
            }
        }
    }
    Some(out)
}

fn deviation<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().map(|v| f64::from(*v)).sum::<f64>() / count;
    (values.map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// A direction in the space of patches, uniform on its sphere.
fn direction(number: u64) -> Vec<f64> {
    let mut stream = Stream::new(DIRECTION_SEED, number);
    let mut along: Vec<f64> = (0..PATCH.div_ceil(2))
        .flat_map(|_| stream.normal_pair())
        .collect();
    along.truncate(PATCH);
    let norm = along.iter().map(|v| v * v).sum::<f64>().sqrt();
    along.iter().map(|v| v / norm).collect()
}

/// The area between the quantile functions of two samples in ascending order.
fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut at, mut area) = (0, 0, 0.0, 0.0);
    while i < a.len() && j < b.len() {
        let (next_a, next_b) = ((i + 1) as f64 / a.len() as f64, (j + 1) as f64 / b.len() as f64);
        let next = next_a.min(next_b);
        area += (next - at) * (a[i] - b[j]).abs();
        at = next;
        // In whole numbers, so that ends that fall together are seen to.
        let (end_a, end_b) = ((i + 1) * b.len(), (j + 1) * a.len());
        i += usize::from(end_a <= end_b);
        j += usize::from(end_b <= end_a);
    }
    area
}

fn log_power(volume: &Volume) -> [Option<f64>; BANDS] {
    let spectrum = Spectrum::of(&Taper::of_faces(volume.extent()).applied_to(volume));
    let spacing = volume.geometry().spacing_mm();
    let nyquist = spacing.iter().map(|mm| 0.5 / mm).fold(f64::INFINITY, f64::min);
    let (mut sums, mut counts, mut total) = ([0.0; BANDS], [0_u64; BANDS], 0.0);
    for (i, bin) in spectrum.data().iter().enumerate() {
        let at = bin_at(volume.extent(), i);
        let squared: f64 = (0..3)
            .map(|a| (spectrum.cycles_per_voxel(a, at[a]) / spacing[a]).powi(2))
            .sum();
        let power = bin.norm_sqr();
        total += power;
        let band = (squared.sqrt() / nyquist * BANDS as f64 + 1e-9) as usize;
        if i > 0 && band < BANDS {
            sums[band] += power;
            counts[band] += 1;
        }
    }
    let least = LEAST_POWER * total / spectrum.data().len() as f64;
    std::array::from_fn(|band| (counts[band] > 0).then(|| (sums[band] / counts[band] as f64).max(least).ln()))
}

/// Over the bands that every volume has.
fn log_power_l1(images: &[SetMember], references: &[SetMember]) -> Option<f64> {
    let mean = |set: &[SetMember], band: usize| -> Option<f64> {
        let values = set
            .iter()
            .map(|m| m.log_power[band])
            .collect::<Option<Vec<f64>>>()?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    };
    let apart: Vec<f64> = (0..BANDS)
        .filter_map(|band| Some((mean(images, band)? - mean(references, band)?).abs()))
        .collect();
    (!apart.is_empty()).then(|| apart.iter().sum::<f64>() / apart.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_samples_is_the_area_between_their_quantiles() {
        assert_eq!(wasserstein(&[0.0, 1.0], &[3.0, 4.0]), 3.0);
        assert_eq!(wasserstein(&[0.0], &[-1.0, 1.0]), 1.0);
        // A third of the way each: |0-0|, |0-2| for a sixth, |6-2| for a sixth, |6-6|.
        assert!((wasserstein(&[0.0, 6.0], &[0.0, 2.0, 6.0]) - (2.0 + 4.0) / 6.0).abs() < 1e-12);
        assert_eq!(wasserstein(&[1.0, 2.0, 5.0], &[1.0, 2.0, 5.0]), 0.0);
    }

    #[test]
    fn lines_are_halved_and_doubled_without_changing_a_constant() {
        for n in [1, 2, 3, 8, 9] {
            let coarse = resampled(&vec![2.5; n], [n, 1, 1], [n.div_ceil(2), 1, 1], half);
            let fine = resampled(&coarse, [n.div_ceil(2), 1, 1], [n, 1, 1], twice);
            assert!(coarse.iter().chain(&fine).all(|v| (v - 2.5).abs() < 1e-12), "{n}");
        }
        assert_eq!(
            half(2, 9),
            [(2, 0.0625), (3, 0.25), (4, 0.375), (5, 0.25), (6, 0.0625)]
        );
        assert_eq!(twice(3, 9), [(1, 0.5), (2, 0.5)]);
        assert_eq!(twice(4, 9), [(1, 0.125), (2, 0.75), (3, 0.125)]);
    }
}
