//! MS-SSIM: structural similarity over several scales.
//!
//! `prod_j contrast_j^w_j * SSIM_n^w_n` over n scales, each the average of 2x2x2 voxels of the one before, negative
//! means taken as 0; an odd side is padded with a plane of zeros at both ends, as PyPI `pytorch-msssim` does, which
//! it is checked against. The n used are the most, up to 5, for which every side is longer than `10 * 2^(n-1)`
//! voxels; the weights of fewer than 5 are divided by their sum, which makes it another score: never compare across.
//! For the masked mean a coarse voxel is in the mask when at least half of it is.
//!
//! Source: Wang, Simoncelli, Bovik, *Multi-scale structural similarity for image quality assessment*, Asilomar 2003.

use std::borrow::Cow;

use rayon::prelude::*;

use super::fidelity::IntensityMatch;
use super::protocol::{Pair, Regions};
use super::similarity::{Constants, Means, means};
use super::window::RADIUS;

/// Exponents of the scales of MS-SSIM, finest first (Wang et al. 2003).
const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// How many scales fit: at the coarsest, every side must still be longer than the window less one.
fn scales(extent: [usize; 3]) -> usize {
    let shortest = extent.into_iter().min().unwrap_or(0);
    (0..SCALE_WEIGHTS.len())
        .take_while(|scale| shortest > (2 * RADIUS) << scale)
        .count()
}

/// The score of both regions, and how many scales entered it. `finest` are the means over the windows of the pair
/// itself.
pub(super) fn ms_ssim(
    pair: &Pair,
    finest: Regions<Option<Means>>,
    constants: &Constants,
) -> (Regions<Option<f64>>, usize) {
    let scales = scales(pair.extent());
    // The five published weights are taken as they are, although they add up to 1.0001.
    let total = if scales == SCALE_WEIGHTS.len() {
        1.0
    } else {
        SCALE_WEIGHTS[..scales].iter().sum()
    };
    let mut product = Regions {
        whole: Some(1.0),
        masked: Some(1.0),
    };
    let (mut level, mut means_here) = (Level::finest(pair), finest);
    for (scale, weight) in SCALE_WEIGHTS[..scales].iter().map(|w| w / total).enumerate() {
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
    if scales == 0 {
        (Regions::default(), 0)
    } else {
        (product, scales)
    }
}

/// A pair at one scale of MS-SSIM.
struct Level<'a> {
    reference: Cow<'a, [f32]>,
    image: Cow<'a, [f32]>,
    mask: Cow<'a, [bool]>,
    extent: [usize; 3],
}

impl<'a> Level<'a> {
    fn finest(pair: &'a Pair) -> Self {
        Self {
            reference: Cow::Borrowed(pair.reference().data()),
            image: Cow::Borrowed(pair.image().data()),
            mask: Cow::Borrowed(pair.mask().data()),
            extent: pair.extent(),
        }
    }

    fn means(&self, constants: &Constants) -> Regions<Option<Means>> {
        let unmatched = Regions {
            whole: IntensityMatch::IDENTITY,
            masked: IntensityMatch::IDENTITY,
        };
        means(
            &self.reference,
            &self.image,
            &self.mask,
            self.extent,
            constants,
            &unmatched,
        )
    }

    fn coarser(&self) -> Self {
        let inside: Vec<f32> = self.mask.iter().map(|&m| f32::from(u8::from(m))).collect();
        Self {
            reference: Cow::Owned(halved(&self.reference, self.extent)),
            image: Cow::Owned(halved(&self.image, self.extent)),
            mask: halved(&inside, self.extent)
                .iter()
                .map(|&share| share >= 0.5)
                .collect(),
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
        [0, 1]
            .map(|half| (2 * coarse + half).wrapping_sub(n % 2))
            .into_iter()
            .filter(move |&i| i < n)
    };
    let mut coarse = vec![0.0_f32; cx * cy * cz];
    coarse.par_chunks_mut(cx * cy).enumerate().for_each(|(z, plane)| {
        for (i, mean) in plane.iter_mut().enumerate() {
            let mut sum = 0.0;
            for fz in under(z, nz) {
                for fy in under(i / cx, ny) {
                    sum += under(i % cx, nx)
                        .map(|fx| f64::from(fine[(fz * ny + fy) * nx + fx]))
                        .sum::<f64>();
                }
            }
            *mean = (sum / 8.0) as f32;
        }
    });
    coarse
}
