//! Structural similarity: SSIM in three dimensions and slice by slice, and over several scales.
//!
//! With local means, population variances and covariance under a Gaussian window (sigma 1.5, 11 voxels an axis)
//! and `c1 = (0.01 L)^2`, `c2 = (0.03 L)^2`,
//!
//! ```text
//! SSIM = luminance * contrast = (2 m_r m_x + c1) / (m_r^2 + m_x^2 + c1) * (2 s_rx + c2) / (s_r^2 + s_x^2 + c2)
//! ```
//!
//! Source: Wang, Bovik, Sheikh, Simoncelli, *Image quality assessment: from error visibility to structural
//! similarity*, IEEE TIP 2004; Wang, Simoncelli, Bovik, *Multi-scale structural similarity*, Asilomar 2003.
//! Checked against scikit-image (`structural_similarity(gaussian_weights=True, sigma=1.5,
//! use_sample_covariance=False, data_range=L)`) and PyPI `pytorch-msssim`.
//!
//! Limits: where both images are nearly constant against `c2`, any image scores 1, so a large empty background
//! lifts the whole-volume mean; read the masked one. SSIM says little about which of two sharp images is right.

use rayon::prelude::*;

use super::fidelity::IntensityMatch;
use super::protocol::{Pair, Regions};
use super::window::{self, Moments, RADIUS};
use crate::volume::{Geometry, Volume};

const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Exponents of the scales of MS-SSIM, finest first (Wang et al. 2003).
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// A slice counts for the slice scores when at least this share of it is foreground.
pub(super) const MIN_SLICE_FOREGROUND: f64 = 0.05;

/// The scores of this family. `None`: no window fits into the volume, or none has its centre in the mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// Mean of the three-dimensional map over the windows inside the volume.
    pub ssim: Regions<Option<f64>>,
    /// The same after each region's least-squares intensity match.
    pub matched_ssim: Regions<Option<f64>>,
    /// Multi-scale SSIM.
    pub ms_ssim: Regions<Option<f64>>,
    /// How many scales entered it: 5, or fewer where a side is too short.
    pub scales: usize,
}

/// SSIM before and after the intensity match, and MS-SSIM, which shares the first pass over the windows.
///
/// MS-SSIM is `prod_j contrast_j^w_j * SSIM_n^w_n` over n scales, each the average of 2x2x2 voxels of the one
/// before, negative means taken as 0; odd sides are padded with a plane of zeros at both ends as `pytorch-msssim`
/// does. The n used are the most, up to 5, for which every side is longer than `10 * 2^(n-1)` voxels; the weights
/// of fewer than 5 are divided by their sum. For its masked mean a coarse voxel is in the mask when at least half
/// of it is.
pub fn structure(pair: &Pair, data_range: f64, matches: &Regions<IntensityMatch>) -> Structure {
    let constants = Constants::of(data_range);
    let extent = pair.extent();
    let (reference, image) = (pair.reference().data(), pair.image().data());
    let first = means(reference, image, pair.mask(), extent, &constants, matches);
    let scales = scales(extent);
    Structure {
        ssim: first.each(|m| m.map(|m| m.ssim)),
        matched_ssim: first.each(|m| m.map(|m| m.matched_ssim)),
        ms_ssim: ms_ssim(Level::finest(pair), first, scales, &constants),
        scales,
    }
}

/// The mean SSIM of a volume over the windows that lie inside it; `None` when a side is shorter than 11 voxels.
///
/// # Panics
/// When the extents differ.
pub fn ssim(reference: &Volume, image: &Volume, data_range: f64) -> Option<f64> {
    assert_eq!(reference.extent(), image.extent(), "SSIM of volumes of different size");
    let constants = Constants::of(data_range);
    let planes = window::scan(reference.data(), image.data(), reference.extent(), [RADIUS; 3], |sum: &mut Sum, row| {
        for i in 0..row.len() {
            sum.add(constants.ssim(&row.moments(i)));
        }
    });
    Sum::total(&planes).mean()
}

/// SSIM at every voxel, on the reference's grid; beyond the edges the images are mirrored (half-sample, as SciPy's
/// `reflect`), so the outer 5 voxels stand on invented data and no mean uses them.
///
/// # Panics
/// When the extents differ.
pub fn ssim_map(reference: &Volume, image: &Volume, data_range: f64) -> Volume {
    assert_eq!(reference.extent(), image.extent(), "an SSIM map of volumes of different size");
    let constants = Constants::of(data_range);
    let (mirrored_r, mirrored_x) = (mirrored(reference), mirrored(image));
    let planes = window::scan(
        mirrored_r.data(),
        mirrored_x.data(),
        mirrored_r.extent(),
        [RADIUS; 3],
        |map: &mut Vec<f32>, row| map.extend((0..row.len()).map(|i| constants.ssim(&row.moments(i)) as f32)),
    );
    Volume::new(planes.concat(), reference.geometry().clone())
}

/// SSIM in two dimensions, the mean over the axial slices with at least 5 % foreground. Never to be mixed with
/// the three-dimensional score: it is another number.
pub fn ssim_slice(pair: &Pair, data_range: f64) -> Regions<Option<f64>> {
    let constants = Constants::of(data_range);
    let mask = pair.mask();
    let slices = window::scan(
        pair.reference().data(),
        pair.image().data(),
        pair.extent(),
        [RADIUS, RADIUS, 0],
        |sums: &mut Regions<Sum>, row| {
            for i in 0..row.len() {
                let ssim = constants.ssim(&row.moments(i));
                sums.whole.add(ssim);
                if mask[row.first + i] {
                    sums.masked.add(ssim);
                }
            }
        },
    );
    let mut mean = Regions::<Sum>::default();
    for (sums, _) in slices.iter().zip(pair.foreground_slices()).filter(|(_, foreground)| *foreground) {
        sums.whole.mean().into_iter().for_each(|m| mean.whole.add(m));
        sums.masked.mean().into_iter().for_each(|m| mean.masked.add(m));
    }
    mean.each(Sum::mean)
}

/// The two constants that keep SSIM's quotients from 0 / 0.
struct Constants {
    c1: f64,
    c2: f64,
}

impl Constants {
    fn of(data_range: f64) -> Self {
        Self { c1: (K1 * data_range).powi(2), c2: (K2 * data_range).powi(2) }
    }

    fn contrast(&self, m: &Moments) -> f64 {
        (2.0 * m.covariance + self.c2) / (m.var_r + m.var_x + self.c2)
    }

    fn ssim(&self, m: &Moments) -> f64 {
        let luminance = 2.0 * m.mean_r * m.mean_x + self.c1;
        let contrast = 2.0 * m.covariance + self.c2;
        let norm = (m.mean_r * m.mean_r + m.mean_x * m.mean_x + self.c1) * (m.var_r + m.var_x + self.c2);
        luminance * contrast / norm
    }
}

/// The moments that the window would have seen had the image been matched first.
fn matched(m: &Moments, by: &IntensityMatch) -> Moments {
    Moments {
        mean_x: by.slope * m.mean_x + by.intercept,
        var_x: by.slope * by.slope * m.var_x,
        covariance: by.slope * m.covariance,
        ..*m
    }
}

/// A running mean.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: f64,
    count: usize,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.total += value;
        self.count += 1;
    }

    fn total(parts: &[Sum]) -> Sum {
        let total = parts.iter().map(|s| s.total).sum();
        Sum { total, count: parts.iter().map(|s| s.count).sum() }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total / self.count as f64)
    }
}

/// Means over the windows of a region.
#[derive(Clone, Copy, Default)]
struct Means {
    ssim: f64,
    matched_ssim: f64,
    contrast: f64,
    windows: usize,
}

impl Means {
    fn add(&mut self, ssim: f64, matched_ssim: f64, contrast: f64) {
        self.ssim += ssim;
        self.matched_ssim += matched_ssim;
        self.contrast += contrast;
        self.windows += 1;
    }

    fn over(planes: &[Regions<Means>], region: impl Fn(&Regions<Means>) -> &Means) -> Option<Means> {
        let mut all = Means::default();
        for plane in planes.iter().map(region) {
            all.ssim += plane.ssim;
            all.matched_ssim += plane.matched_ssim;
            all.contrast += plane.contrast;
            all.windows += plane.windows;
        }
        let n = all.windows as f64;
        (all.windows > 0).then(|| Means {
            ssim: all.ssim / n,
            matched_ssim: all.matched_ssim / n,
            contrast: all.contrast / n,
            ..all
        })
    }
}

fn means(
    reference: &[f32],
    image: &[f32],
    mask: &[bool],
    extent: [usize; 3],
    constants: &Constants,
    matches: &Regions<IntensityMatch>,
) -> Regions<Option<Means>> {
    let planes = window::scan(reference, image, extent, [RADIUS; 3], |sums: &mut Regions<Means>, row| {
        for i in 0..row.len() {
            let m = row.moments(i);
            let (ssim, contrast) = (constants.ssim(&m), constants.contrast(&m));
            sums.whole.add(ssim, constants.ssim(&matched(&m, &matches.whole)), contrast);
            if mask[row.first + i] {
                sums.masked.add(ssim, constants.ssim(&matched(&m, &matches.masked)), contrast);
            }
        }
    });
    Regions { whole: Means::over(&planes, |p| &p.whole), masked: Means::over(&planes, |p| &p.masked) }
}

/// How many scales fit: at the coarsest, every side must still be longer than the window less one.
fn scales(extent: [usize; 3]) -> usize {
    let shortest = extent.into_iter().min().unwrap_or(0);
    (0..SCALE_WEIGHTS.len()).take_while(|scale| shortest > (2 * RADIUS) << scale).count()
}

fn ms_ssim(
    finest: Level,
    first: Regions<Option<Means>>,
    scales: usize,
    constants: &Constants,
) -> Regions<Option<f64>> {
    let total: f64 = SCALE_WEIGHTS[..scales].iter().sum();
    let mut product = Regions { whole: Some(1.0), masked: Some(1.0) };
    let (mut level, mut means_here) = (finest, first);
    for scale in 0..scales {
        let weight = SCALE_WEIGHTS[scale] / total;
        let factor = |m: Means| {
            let mean = if scale + 1 == scales { m.ssim } else { m.contrast };
            mean.max(0.0).powf(weight)
        };
        product.whole = product.whole.zip(means_here.whole).map(|(p, m)| p * factor(m));
        product.masked = product.masked.zip(means_here.masked).map(|(p, m)| p * factor(m));
        if scale + 1 < scales {
            level = level.coarser();
            means_here = level.means(constants);
        }
    }
    if scales == 0 { Regions { whole: None, masked: None } } else { product }
}

/// A pair at one scale of MS-SSIM.
struct Level {
    reference: Vec<f32>,
    image: Vec<f32>,
    mask: Vec<bool>,
    extent: [usize; 3],
}

impl Level {
    fn finest(pair: &Pair) -> Self {
        Self {
            reference: pair.reference().data().to_vec(),
            image: pair.image().data().to_vec(),
            mask: pair.mask().to_vec(),
            extent: pair.extent(),
        }
    }

    fn means(&self, constants: &Constants) -> Regions<Option<Means>> {
        let unmatched = Regions { whole: IntensityMatch::IDENTITY, masked: IntensityMatch::IDENTITY };
        means(&self.reference, &self.image, &self.mask, self.extent, constants, &unmatched)
    }

    fn coarser(&self) -> Self {
        let inside: Vec<f32> = self.mask.iter().map(|&m| f32::from(u8::from(m))).collect();
        Self {
            reference: halved(&self.reference, self.extent),
            image: halved(&self.image, self.extent),
            mask: halved(&inside, self.extent).iter().map(|&share| share >= 0.5).collect(),
            extent: self.extent.map(|n| n.div_ceil(2)),
        }
    }
}

/// Averages of 2x2x2 voxels; an odd side starts and ends with half a block of zeros.
fn halved(fine: &[f32], extent: [usize; 3]) -> Vec<f32> {
    let [nx, ny, nz] = extent;
    let [cx, cy, cz] = extent.map(|n| n.div_ceil(2));
    // The fine indices under a coarse one; the first of an odd side would be -1 and wraps out of range.
    let under = |coarse: usize, n: usize| {
        [0, 1].map(|half| (2 * coarse + half).wrapping_sub(n % 2)).into_iter().filter(move |&i| i < n)
    };
    let mut coarse = vec![0.0_f32; cx * cy * cz];
    coarse.par_chunks_mut(cx * cy).enumerate().for_each(|(z, plane)| {
        for (i, mean) in plane.iter_mut().enumerate() {
            let mut sum = 0.0;
            for fz in under(z, nz) {
                for fy in under(i / cx, ny) {
                    sum += under(i % cx, nx).map(|fx| f64::from(fine[(fz * ny + fy) * nx + fx])).sum::<f64>();
                }
            }
            *mean = (sum / 8.0) as f32;
        }
    });
    coarse
}

/// The volume with its outer voxels mirrored beyond each face, a window's radius wide.
fn mirrored(volume: &Volume) -> Volume {
    let extent = volume.extent();
    let padded = extent.map(|n| n + 2 * RADIUS);
    let inside = |i: usize, n: usize| {
        let phase = (i as i64 - RADIUS as i64).rem_euclid(2 * n as i64) as usize;
        phase.min(2 * n - 1 - phase)
    };
    let mut data = Vec::with_capacity(padded.iter().product());
    for z in 0..padded[2] {
        for y in 0..padded[1] {
            let (y, z) = (inside(y, extent[1]), inside(z, extent[2]));
            data.extend((0..padded[0]).map(|x| volume.at([inside(x, extent[0]), y, z])));
        }
    }
    Volume::new(data, Geometry::axis_aligned(padded, [1.0; 3]))
}
