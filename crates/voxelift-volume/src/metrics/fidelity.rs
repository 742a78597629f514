//! Fidelity: how far the voxels are from the reference's, as PSNR and NRMSE.
//!
//! `PSNR = 10 log10(L^2 / mean (x - r)^2)` in decibels and `NRMSE = ||x - r|| / ||r||` over a region, which are
//! scikit-image's `peak_signal_noise_ratio` and `normalized_root_mse(normalization="euclidean")`.
//!
//! Limits: both reward the blur of an average over all plausible images, and both depend on the region: the empty
//! background of a skull-stripped head alone lifts the whole-volume PSNR by several decibels. PSNR with the full
//! range and with the 99.5th percentile differ by up to 6 dB: never compare across.

use rayon::prelude::*;

use super::protocol::{Pair, Regions};

/// PSNR and NRMSE of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// With the data range L; infinite for identical images.
    pub psnr_db: f64,
    /// With the 99.5th percentile of the reference's foreground as L; `None` where there is none.
    pub psnr_p995_db: Option<f64>,
    /// Infinite when the reference is zero throughout.
    pub nrmse: f64,
}

/// What counts as the full scale of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataRange {
    /// L: the reference's maximum minus its minimum unless the user gave another.
    pub full: f64,
    /// The 99.5th percentile of the reference's foreground, which bright vessels and fat do not stretch; `None` for
    /// a reference without one, as after z-scoring.
    pub p995: Option<f64>,
}

/// An affine map of intensities: `slope * x + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntensityMatch {
    /// Factor.
    pub slope: f64,
    /// What is added after the factor.
    pub intercept: f64,
}

impl IntensityMatch {
    /// Changes nothing.
    pub const IDENTITY: Self = Self {
        slope: 1.0,
        intercept: 0.0,
    };
}

/// PSNR and NRMSE over the whole volume and over the mask, after `matches` has been applied to the image.
pub fn fidelity(pair: &Pair, range: DataRange, matches: &Regions<IntensityMatch>) -> Regions<Fidelity> {
    let planes: Vec<Regions<Residual>> = planes(pair, |sums: &mut Regions<Residual>, r, x, inside| {
        sums.whole
            .add(r, matches.whole.slope * x + matches.whole.intercept);
        if inside {
            sums.masked
                .add(r, matches.masked.slope * x + matches.masked.intercept);
        }
    });
    Regions {
        whole: Residual::total(planes.iter().map(|p| &p.whole)).fidelity(range),
        masked: Residual::total(planes.iter().map(|p| &p.masked)).fidelity(range),
    }
}

/// For each region the match with the least squared error, `min ||slope x + intercept - r||`: what separates an
/// error of scaling from one of structure. A constant image is matched to the reference's mean.
pub fn least_squares_match(pair: &Pair) -> Regions<IntensityMatch> {
    let planes: Vec<Regions<Mean>> = planes(pair, |sums: &mut Regions<Mean>, r, x, inside| {
        sums.whole.add(r, x);
        if inside {
            sums.masked.add(r, x);
        }
    });
    let whole = Mean::total(planes.iter().map(|p| &p.whole));
    let masked = Mean::total(planes.iter().map(|p| &p.masked));
    // The second moments about the means, in a pass of their own: no digits are lost to large offsets.
    let planes: Vec<Regions<Spread>> = self::planes(pair, |sums: &mut Regions<Spread>, r, x, inside| {
        sums.whole.add(r - whole.r, x - whole.x);
        if inside {
            sums.masked.add(r - masked.r, x - masked.x);
        }
    });
    Regions {
        whole: Spread::total(planes.iter().map(|p| &p.whole)).regression(&whole),
        masked: Spread::total(planes.iter().map(|p| &p.masked)).regression(&masked),
    }
}

/// Adds up every voxel of each plane, the planes in parallel and returned in order.
fn planes<S: Default + Send>(pair: &Pair, add: impl Fn(&mut S, f64, f64, bool) + Sync) -> Vec<S> {
    let [nx, ny, _] = pair.extent();
    let (reference, image) = (pair.reference().data(), pair.image().data());
    let planes = reference
        .par_chunks(nx * ny)
        .zip(image.par_chunks(nx * ny))
        .zip(pair.mask().data().par_chunks(nx * ny));
    planes
        .map(|((reference, image), mask)| {
            let mut sums = S::default();
            for ((&r, &x), &inside) in reference.iter().zip(image).zip(mask) {
                add(&mut sums, f64::from(r), f64::from(x), inside);
            }
            sums
        })
        .collect()
}

/// Sums of squares of the error and of the reference.
#[derive(Clone, Copy, Default)]
struct Residual {
    error: f64,
    reference: f64,
    voxels: usize,
}

impl Residual {
    fn add(&mut self, r: f64, x: f64) {
        self.error += (x - r) * (x - r);
        self.reference += r * r;
        self.voxels += 1;
    }

    fn total<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::default(), |a, b| Self {
            error: a.error + b.error,
            reference: a.reference + b.reference,
            voxels: a.voxels + b.voxels,
        })
    }

    fn fidelity(&self, range: DataRange) -> Fidelity {
        let mse = self.error / self.voxels as f64;
        let psnr = |l: f64| 10.0 * (l * l / mse).log10();
        Fidelity {
            psnr_db: psnr(range.full),
            psnr_p995_db: range.p995.map(psnr),
            nrmse: (self.error / self.reference).sqrt(),
        }
    }
}

/// Sums on the way to the means, or the means.
#[derive(Clone, Copy, Default)]
struct Mean {
    r: f64,
    x: f64,
    voxels: usize,
}

impl Mean {
    fn add(&mut self, r: f64, x: f64) {
        self.r += r;
        self.x += x;
        self.voxels += 1;
    }

    fn total<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let voxels: usize = parts.clone().map(|p| p.voxels).sum();
        let n = voxels as f64;
        Self {
            r: parts.clone().map(|p| p.r).sum::<f64>() / n,
            x: parts.map(|p| p.x).sum::<f64>() / n,
            voxels,
        }
    }
}

/// Second moments about the means.
#[derive(Clone, Copy, Default)]
struct Spread {
    xx: f64,
    rx: f64,
}

impl Spread {
    fn add(&mut self, r: f64, x: f64) {
        self.xx += x * x;
        self.rx += r * x;
    }

    fn total<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::default(), |a, b| Self {
            xx: a.xx + b.xx,
            rx: a.rx + b.rx,
        })
    }

    fn regression(&self, mean: &Mean) -> IntensityMatch {
        let slope = if self.xx > 0.0 { self.rx / self.xx } else { 0.0 };
        IntensityMatch {
            slope,
            intercept: mean.r - slope * mean.x,
        }
    }
}
