//! Distance of an image from its reference.

use burn::tensor::Tensor;

use super::ssim_loss;
use crate::layers::ordered_mean;

/// `mean |image - reference|`; of features it is the parent's identity term.
///
/// # Shapes
///
/// Equal shapes -> `[1]`.
pub fn l1<const D: usize>(image: Tensor<D>, reference: Tensor<D>) -> Tensor<1> {
    assert!(
        image.dims() == reference.dims(),
        "L1 of {:?} and {:?}",
        image.dims(),
        reference.dims()
    );
    ordered_mean((image - reference).abs())
}

/// `L1 + ssim_weight (1 - SSIM)` (Li et al.); the SSIM is not computed at weight 0.
///
/// `foreground` is 1 in the foreground and 0 elsewhere, see [`ssim_loss`].
///
/// # Shapes
///
/// All `[N, 1, Z, Y, X]` -> `[1]`.
pub fn reconstruction(
    image: Tensor<5>,
    reference: Tensor<5>,
    foreground: &Tensor<5>,
    ssim_weight: f64,
) -> Tensor<1> {
    let distance = l1(image.clone(), reference.clone());
    if ssim_weight == 0.0 {
        return distance;
    }
    distance + ssim_loss(image, reference, foreground) * ssim_weight
}
