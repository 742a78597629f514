//! GMSD: how unevenly the strength of edges agrees over a slice.
//!
//! Source: Xue, Zhang, Mou, Bovik, *Gradient magnitude similarity deviation*, IEEE TIP 2014; Prewitt gradients of
//! the halved slice, T = 170 for intensities 0 to 255. Checked against PyPI `piq` (`gmsd`).
//!
//! Limits: a deviation, so an error that is the same everywhere scores 0.

use super::plane::{Plane, similarity};

const T: f64 = 170.0;

/// GMSD of a slice with intensities 0 to 255: 0 for equal edges, larger is worse.
pub(super) fn gmsd(reference: &Plane, image: &Plane) -> f64 {
    let edges = |plane: &Plane| plane.halved().gradient_magnitude(1.0 / 3.0, 1.0 / 3.0);
    let similarity = edges(reference)
        .zip(&edges(image), |r, x| similarity(r, x, T))
        .data;
    let n = similarity.len() as f64;
    let mean = similarity.iter().sum::<f64>() / n;
    (similarity.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt()
}
