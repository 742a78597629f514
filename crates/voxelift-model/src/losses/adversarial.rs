//! Least-squares adversarial losses (Mao et al., ICCV 2017) on raw scores.

use burn::tensor::Tensor;

use crate::layers::ordered_mean;

/// Target of a score for a real image.
pub const REAL: f64 = 1.0;
/// Target of a score for a made image.
pub const FAKE: f64 = 0.0;
/// Target that makes features of two domains indistinguishable: between the two others.
pub const HALFWAY: f64 = 0.5;

/// `mean (score - target)^2`.
///
/// # Shapes
///
/// `[N, 1]` -> `[1]`.
pub fn score_loss(scores: Tensor<2>, target: f64) -> Tensor<1> {
    ordered_mean((scores - target).square())
}

/// `1/2 [mean (fake - 0)^2 + mean (real - 1)^2]`.
///
/// # Shapes
///
/// Both `[N, 1]` -> `[1]`.
pub fn discriminator_loss(fake: Tensor<2>, real: Tensor<2>) -> Tensor<1> {
    (score_loss(fake, FAKE) + score_loss(real, REAL)) * 0.5
}
