//! SSIM of one window, and its means over the windows of a region: what the scores of structure share.

use super::fidelity::IntensityMatch;
use super::protocol::Regions;
use super::window::{self, Moments, RADIUS};

const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// The two constants that keep SSIM's quotients from 0 / 0.
pub(super) struct Constants {
    c1: f64,
    c2: f64,
}

impl Constants {
    pub fn of(data_range: f64) -> Self {
        Self {
            c1: (K1 * data_range).powi(2),
            c2: (K2 * data_range).powi(2),
        }
    }

    pub fn contrast(&self, m: &Moments) -> f64 {
        (2.0 * m.covariance + self.c2) / (m.var_r + m.var_x + self.c2)
    }

    pub fn ssim(&self, m: &Moments) -> f64 {
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
pub(super) struct Sum {
    total: f64,
    count: usize,
}

impl Sum {
    pub fn add(&mut self, value: f64) {
        self.total += value;
        self.count += 1;
    }

    pub fn total(parts: &[Sum]) -> Sum {
        let total = parts.iter().map(|s| s.total).sum();
        Sum {
            total,
            count: parts.iter().map(|s| s.count).sum(),
        }
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.total / self.count as f64)
    }
}

/// Means over the windows of a region.
#[derive(Clone, Copy, Default)]
pub(super) struct Means {
    pub ssim: f64,
    pub matched_ssim: f64,
    pub contrast: f64,
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

/// The means over the windows of both regions; `None` where a region has none.
pub(super) fn means(
    reference: &[f32],
    image: &[f32],
    mask: &[bool],
    extent: [usize; 3],
    constants: &Constants,
    matches: &Regions<IntensityMatch>,
) -> Regions<Option<Means>> {
    let planes = window::scan(
        reference,
        image,
        extent,
        [RADIUS; 3],
        |sums: &mut Regions<Means>, row| {
            for i in 0..row.len() {
                let m = row.moments(i);
                let (ssim, contrast) = (constants.ssim(&m), constants.contrast(&m));
                sums.whole
                    .add(ssim, constants.ssim(&matched(&m, &matches.whole)), contrast);
                if mask[row.first + i] {
                    sums.masked
                        .add(ssim, constants.ssim(&matched(&m, &matches.masked)), contrast);
                }
            }
        },
    );
    Regions {
        whole: Means::over(&planes, |p| &p.whole),
        masked: Means::over(&planes, |p| &p.masked),
    }
}
