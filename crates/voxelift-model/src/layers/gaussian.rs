//! Gaussian windows that fit.

use burn::tensor::{Device, Tensor};

use super::matrix;

/// Matrix that takes the Gaussian mean of every window lying wholly inside an axis of length `n`.
///
/// The window is the largest odd one up to `largest`; its weights sum to one.
///
/// # Shapes
///
/// `[n - window + 1, n]`.
pub fn gaussian_window(n: usize, largest: usize, sigma: f64, device: &Device) -> Tensor<2> {
    let fits = largest.min(n);
    let window = fits - (fits + 1) % 2;
    let centre = (window / 2) as f64;
    let weights: Vec<f64> = (0..window)
        .map(|i| (-0.5 * ((i as f64 - centre) / sigma).powi(2)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let mut rows = vec![0.0; (n - window + 1) * n];
    for (start, row) in rows.chunks_exact_mut(n).enumerate() {
        for (voxel, weight) in row[start..].iter_mut().zip(&weights) {
            *voxel = (weight / sum) as f32;
        }
    }
    matrix(rows, n, device)
}
