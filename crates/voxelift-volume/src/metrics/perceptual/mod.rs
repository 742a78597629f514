//! Perceptual scores: HaarPSI, GMSD, VIFp and FSIM of axial slices, averaged.
//!
//! Radiologists' rankings follow these better than PSNR and SSIM (Mason et al., IEEE TMI 2020). They are defined on
//! pictures with intensities 0 to 255: a slice enters as `255 (v - min) / L`, with the reference's minimum and data
//! range for both images, nothing clipped. The mean runs over the axial slices with at least 5 % foreground; for
//! the masked score both images are 0 outside the mask. All constants are the reference implementations'.

mod fsim;
mod gmsd;
mod haarpsi;
mod plane;
mod vif;

use rayon::prelude::*;

use super::protocol::{Pair, Regions};
use fsim::Fsim;
use plane::Plane;

/// Means over the foreground slices. `None`: there is no such slice, or its sides are too short for the score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perceptual {
    /// Haar wavelet similarity, up to 1.
    pub haarpsi: Option<f64>,
    /// Gradient magnitude similarity deviation, 0 is best.
    pub gmsd: Option<f64>,
    /// Visual information fidelity in the pixel domain, 1 for an identical image.
    pub vifp: Option<f64>,
    /// Feature similarity, up to 1.
    pub fsim: Option<f64>,
}

/// The perceptual scores of a pair, over whole slices and over the mask alone.
pub fn perceptual(pair: &Pair, data_range: f64) -> Regions<Perceptual> {
    perceptual_of(pair, data_range, true)
}

/// As [`perceptual`]; those over whole slices only where they are wanted.
pub(super) fn perceptual_of(pair: &Pair, data_range: f64, whole: bool) -> Regions<Perceptual> {
    let [width, height, _] = pair.extent();
    let fsim = Fsim::new(width, height);
    let black = pair
        .reference()
        .data()
        .iter()
        .copied()
        .fold(f32::INFINITY, f32::min);
    let grey = |v: f32| 255.0 * (f64::from(v) - f64::from(black)) / data_range;
    let slice = |data: &[f32], z: usize, inside: &dyn Fn(usize) -> bool| {
        let range = z * width * height..(z + 1) * width * height;
        let values = range.map(|i| if inside(i) { grey(data[i]) } else { 0.0 });
        Plane::new(width, height, values.collect())
    };
    let (reference, image, mask) = (pair.reference().data(), pair.image().data(), pair.mask().data());
    let scored = |z: usize, inside: &dyn Fn(usize) -> bool| {
        let (r, x) = (slice(reference, z, inside), slice(image, z, inside));
        Perceptual {
            haarpsi: haarpsi::haarpsi(&r, &x),
            gmsd: Some(gmsd::gmsd(&r, &x)),
            vifp: vif::vif(&r, &x),
            fsim: Some(fsim.score(&r, &x)),
        }
    };
    let foreground = pair.foreground_slices();
    let slices: Vec<Regions<Perceptual>> = (0..foreground.len())
        .into_par_iter()
        .filter(|&z| foreground[z])
        .map(|z| Regions {
            whole: if whole {
                scored(z, &|_| true)
            } else {
                Perceptual::default()
            },
            masked: scored(z, &|i| mask[i]),
        })
        .collect();
    Regions {
        whole: mean(slices.iter().map(|s| &s.whole)),
        masked: mean(slices.iter().map(|s| &s.masked)),
    }
}

fn mean<'a>(slices: impl Iterator<Item = &'a Perceptual> + Clone) -> Perceptual {
    let of = |score: fn(&Perceptual) -> Option<f64>| {
        let (sum, count) = slices
            .clone()
            .filter_map(score)
            .fold((0.0, 0), |(sum, n), s| (sum + s, n + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    Perceptual {
        haarpsi: of(|s| s.haarpsi),
        gmsd: of(|s| s.gmsd),
        vifp: of(|s| s.vifp),
        fsim: of(|s| s.fsim),
    }
}
