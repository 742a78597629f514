//! HaarPSI: similarity of Haar wavelet coefficients at two fine scales, weighted by a third, coarser one.
//!
//! Source: Reisenhofer, Bosse, Kutyniok, Wiegand, *A Haar wavelet-based perceptual similarity index for image
//! quality assessment*, Signal Processing: Image Communication 2018; c = 30, alpha = 4.2, intensities 0 to 255, the
//! slice halved first. Checked against PyPI `piq` (`haarpsi`).

use super::plane::{Plane, similarity};

const C: f64 = 30.0;
const ALPHA: f64 = 4.2;

/// The shortest side of a slice that holds the coarsest wavelet.
const MIN_SIDE: usize = 16;

/// HaarPSI of a slice with intensities 0 to 255, between 0 and 1 (alike); `None` when a side is under 16 pixels.
pub(super) fn haarpsi(reference: &Plane, image: &Plane) -> Option<f64> {
    if reference.width.min(reference.height) < MIN_SIDE {
        return None;
    }
    let (r, x) = (Sums::of(&reference.halved()), Sums::of(&image.halved()));
    let (mut weighted, mut total) = (0.0, 0.0);
    for at in 0..r.width * r.height {
        let (column, row) = (at % r.width, at / r.width);
        let both = |size: usize| (r.haar(column, row, size), x.haar(column, row, size));
        let [fine, middle, coarse] = [2, 4, 8].map(both);
        for direction in 0..2 {
            let alike = |(a, b): ([f64; 2], [f64; 2])| similarity(a[direction].abs(), b[direction].abs(), C);
            let local = (alike(fine) + alike(middle)) / 2.0;
            let weight = coarse.0[direction].abs().max(coarse.1[direction].abs());
            weighted += weight / (1.0 + (-ALPHA * local).exp());
            total += weight;
        }
    }
    let score = (weighted + f64::EPSILON) / (total + f64::EPSILON);
    Some(((score / (1.0 - score)).ln() / ALPHA).powi(2))
}

/// Sums over all rectangles that start in the first corner: a Haar coefficient of any size is six of them.
struct Sums {
    width: usize,
    height: usize,
    data: Vec<f64>,
}

impl Sums {
    fn of(plane: &Plane) -> Self {
        let stride = plane.width + 1;
        let mut data = vec![0.0; stride * (plane.height + 1)];
        for y in 0..plane.height {
            let mut row = 0.0;
            for x in 0..plane.width {
                row += plane.data[y * plane.width + x];
                data[(y + 1) * stride + x + 1] = data[y * stride + x + 1] + row;
            }
        }
        Self {
            width: plane.width,
            height: plane.height,
            data,
        }
    }

    /// The sum over columns and rows from the first to below the second; nothing lies outside the plane.
    fn over(&self, x: [isize; 2], y: [isize; 2]) -> f64 {
        let [x0, x1] = x.map(|v| v.clamp(0, self.width as isize) as usize);
        let [y0, y1] = y.map(|v| v.clamp(0, self.height as isize) as usize);
        let at = |x: usize, y: usize| self.data[y * (self.width + 1) + x];
        at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)
    }

    /// The coefficients of one size, lower half from upper and right half from left.
    fn haar(&self, x: usize, y: usize, size: usize) -> [f64; 2] {
        let half = size as isize / 2;
        let (left, top) = (x as isize + 1 - half, y as isize + 1 - half);
        let (right, bottom) = (left + 2 * half, top + 2 * half);
        let all = self.over([left, right], [top, bottom]);
        let upper = self.over([left, right], [top, top + half]);
        let first = self.over([left, left + half], [top, bottom]);
        [2.0 * upper - all, 2.0 * first - all].map(|sum| sum / size as f64)
    }
}
