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

use super::fidelity::IntensityMatch;
use super::multiscale;
use super::protocol::{Pair, Regions};
use super::similarity::{Constants, Sum, means};
use super::window::{self, RADIUS};
use crate::volume::{Geometry, Volume};

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
/// MS-SSIM is defined in `multiscale`.
pub fn structure(pair: &Pair, data_range: f64, matches: &Regions<IntensityMatch>) -> Structure {
    let constants = Constants::of(data_range);
    let extent = pair.extent();
    let (reference, image) = (pair.reference().data(), pair.image().data());
    let first = means(reference, image, pair.mask().data(), extent, &constants, matches);
    let (ms_ssim, scales) = multiscale::ms_ssim(pair, first, &constants);
    Structure {
        ssim: first.each(|m| m.map(|m| m.ssim)),
        matched_ssim: first.each(|m| m.map(|m| m.matched_ssim)),
        ms_ssim,
        scales,
    }
}

/// The mean SSIM of a volume over the windows that lie inside it; `None` when a side is shorter than 11 voxels.
///
/// # Panics
/// When the extents differ.
pub fn ssim(reference: &Volume, image: &Volume, data_range: f64) -> Option<f64> {
    assert_eq!(
        reference.extent(),
        image.extent(),
        "SSIM of volumes of different size"
    );
    let constants = Constants::of(data_range);
    let planes = window::scan(
        reference.data(),
        image.data(),
        reference.extent(),
        [RADIUS; 3],
        |sum: &mut Sum, row| {
            for i in 0..row.len() {
                sum.add(constants.ssim(&row.moments(i)));
            }
        },
    );
    Sum::total(&planes).mean()
}

/// SSIM at every voxel, on the reference's grid; beyond the edges the images are mirrored (half-sample, as SciPy's
/// `reflect`), so the outer 5 voxels stand on invented data and no mean uses them.
///
/// # Panics
/// When the extents differ.
pub fn ssim_map(reference: &Volume, image: &Volume, data_range: f64) -> Volume {
    assert_eq!(
        reference.extent(),
        image.extent(),
        "an SSIM map of volumes of different size"
    );
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
    let mask = pair.mask().data();
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
    for (sums, _) in slices
        .iter()
        .zip(pair.foreground_slices())
        .filter(|(_, foreground)| *foreground)
    {
        sums.whole.mean().into_iter().for_each(|m| mean.whole.add(m));
        sums.masked.mean().into_iter().for_each(|m| mean.masked.add(m));
    }
    mean.each(Sum::mean)
}

/// The volume with its outer voxels mirrored beyond each face, a window's radius wide.
fn mirrored(volume: &Volume) -> Volume {
    let extent = volume.extent();
    let padded = extent.map(|n| n + 2 * RADIUS);
    let inside = |i: usize, n: usize| window::mirrored(i as isize - RADIUS as isize, n);
    let mut data = Vec::with_capacity(padded.iter().product());
    for z in 0..padded[2] {
        for y in 0..padded[1] {
            let (y, z) = (inside(y, extent[1]), inside(z, extent[2]));
            data.extend((0..padded[0]).map(|x| volume.at([inside(x, extent[0]), y, z])));
        }
    }
    Volume::new(data, Geometry::axis_aligned(padded, [1.0; 3]))
}
