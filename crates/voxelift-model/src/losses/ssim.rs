//! Differentiable structural similarity in three dimensions.

use burn::tensor::Tensor;

use crate::layers::{along_axis, gaussian_window, ordered_mean};

/// Largest window along an axis, in voxels.
const WINDOW: usize = 11;
/// Width of the window, in voxels.
const SIGMA: f64 = 1.5;
/// `(K_1 L)^2` and `(K_2 L)^2` with K 0.01 and 0.03 and the data range `L = 1`.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// 1 where `reference` is above `threshold`, else 0: the mask that [`ssim_loss`] takes.
///
/// # Units
///
/// Normalised intensity, 1 at the LR scan's 99.5th percentile.
pub fn foreground(reference: &Tensor<5>, threshold: f64) -> Tensor<5> {
    reference.clone().greater_scalar(threshold).float()
}

/// `1 - SSIM`, averaged over the windows that hold foreground only.
///
/// `SSIM = (2 mu_a mu_b + C1)(2 s_ab + C2) / ((mu_a^2 + mu_b^2 + C1)(s_a^2 + s_b^2 + C2))` with Gaussian
/// means (Wang et al., IEEE TIP 2004, equation 13), population covariance, windows wholly inside the patch: 11
/// voxels along an axis, or the largest odd number that fits. 0 where no window qualifies.
///
/// # Shapes
///
/// All `[N, 1, Z, Y, X]` -> `[1]`. `foreground` is 0 or 1.
///
/// # Differs from the paper
///
/// The paper averages over everything. A skull-stripped background is Gibbs ringing at near-zero intensity,
/// where SSIM is most sensitive; weighed in, it costs what the term was to gain.
pub fn ssim_loss(image: Tensor<5>, reference: Tensor<5>, foreground: &Tensor<5>) -> Tensor<1> {
    let shape @ [n, ..] = image.dims();
    assert!(
        shape == reference.dims() && shape == foreground.dims(),
        "SSIM of {shape:?} and {:?} over {:?}",
        reference.dims(),
        foreground.dims()
    );
    let moments = vec![
        image.clone(),
        reference.clone(),
        image.clone().square(),
        reference.clone().square(),
        image * reference,
    ];
    let means = windowed(Tensor::cat(moments, 0), |mean| mean);
    let mean = |i: usize| means.clone().narrow(0, i * n, n);
    let (mu_a, mu_b) = (mean(0), mean(1));
    let (mu_aa, mu_bb, mu_ab) = (mu_a.clone().square(), mu_b.clone().square(), mu_a * mu_b);
    let variances = mean(2) + mean(3) - mu_aa.clone() - mu_bb.clone();
    let covariance = mean(4) - mu_ab.clone();
    let similarity = (mu_ab * 2.0 + C1) * (covariance * 2.0 + C2);
    let similarity = similarity / ((mu_aa + mu_bb + C1) * (variances + C2));

    // Axis by axis a window's weights sum to 1 and none is below 0.001: less means a voxel outside.
    let inside = windowed(foreground.clone().detach(), |share| {
        share.greater_scalar(0.9995).float()
    });
    let share_inside = ordered_mean(inside.clone()).clamp_min(1e-12);
    ordered_mean((similarity.neg() + 1.0) * inside) / share_inside
}

/// Gaussian means along each axis in turn, `then` applied after each.
fn windowed(x: Tensor<5>, then: impl Fn(Tensor<5>) -> Tensor<5>) -> Tensor<5> {
    let device = x.device();
    (0..3).fold(x, |x, axis| {
        let window = gaussian_window(x.dims()[2 + axis], WINDOW, SIGMA, &device);
        then(along_axis(x, window, axis))
    })
}
