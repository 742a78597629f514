//! VIFp: how much of the information that the eye takes from the reference it still takes from the image.
//!
//! Source: Sheikh, Bovik, *Image information and visual quality*, IEEE TIP 2006, in the authors' version in the
//! pixel domain; four scales with Gaussian windows of 17, 9, 5 and 3 pixels (sigma a fifth of that), visual noise of
//! variance 2, intensities 0 to 255. Checked against PyPI `piq` (`vif_p(image, reference)`).
//!
//! Limits: not symmetric, and above 1 for an image of more contrast than its reference.

use super::plane::Plane;

const VISUAL_NOISE: f64 = 2.0;
const EPSILON: f64 = 1e-8;

/// The shortest side of a slice that the four scales fit into.
const MIN_SIDE: usize = 41;

/// VIFp of a slice with intensities 0 to 255, 1 for an identical image; `None` when a side is under 41 pixels.
pub(super) fn vif(reference: &Plane, image: &Plane) -> Option<f64> {
    if reference.width.min(reference.height) < MIN_SIDE {
        return None;
    }
    let (mut r, mut x) = (reference.clone(), image.clone());
    let (mut seen, mut there) = (0.0, 0.0);
    for scale in 0..4 {
        let window = gaussian((1 << (4 - scale)) + 1);
        if scale > 0 {
            (r, x) = (r.filtered(&window, 2), x.filtered(&window, 2));
        }
        let mean = |plane: &Plane| plane.filtered(&window, 1).data;
        let (mean_r, mean_x) = (mean(&r), mean(&x));
        let (square_r, square_x) = (mean(&r.map(|v| v * v)), mean(&x.map(|v| v * v)));
        let product = mean(&r.zip(&x, |a, b| a * b));
        for i in 0..mean_r.len() {
            let var_r = (square_r[i] - mean_r[i] * mean_r[i]).max(0.0);
            let var_x = (square_x[i] - mean_x[i] * mean_x[i]).max(0.0);
            let covariance = product[i] - mean_r[i] * mean_x[i];
            let var_r_kept = if var_r < EPSILON { 0.0 } else { var_r };
            let (gain, noise) = channel(var_r, var_x, covariance);
            seen += (1.0 + gain * gain * var_r_kept / (noise + VISUAL_NOISE)).log10();
            there += (1.0 + var_r_kept / VISUAL_NOISE).log10();
        }
    }
    Some((seen + EPSILON) / (there + EPSILON))
}

/// The image as the reference times a gain plus noise of some variance.
fn channel(var_r: f64, var_x: f64, covariance: f64) -> (f64, f64) {
    let gain = covariance / (var_r + EPSILON);
    let (gain, noise) = if var_x < EPSILON {
        (0.0, 0.0)
    } else if var_r < EPSILON || gain < 0.0 {
        (0.0, var_x)
    } else {
        (gain, var_x - gain * covariance)
    };
    (gain, noise.max(EPSILON))
}

/// Weights of a Gaussian window, sigma a fifth of its length, summing to one.
fn gaussian(length: usize) -> Vec<f64> {
    let (centre, sigma) = ((length - 1) as f64 / 2.0, length as f64 / 5.0);
    let weight = |i: usize| (-0.5 * ((i as f64 - centre) / sigma).powi(2)).exp();
    let total: f64 = (0..length).map(weight).sum();
    (0..length).map(|i| weight(i) / total).collect()
}
