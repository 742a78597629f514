//! Distance of an image from its reference.

use burn::tensor::Tensor;

use super::ssim_loss;
use crate::layers::{Measurement, high_pass, ordered_mean};

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

/// `mean |H(image - reference)|`: the distance of what no scan of this scale holds, see [`high_pass`]; blind to the rest.
///
/// # Shapes
///
/// `[N, 1, sz Z, sy Y, sx X]` each -> `[1]`.
///
/// # Differs from the paper
///
/// The paper has no such term. With data consistency after the network, what the scan measured needs no learning (Schwab,
/// Antholzer, Haltmeier, *Deep null space learning for inverse problems*, Inverse Problems 2019).
pub fn null_space(image: Tensor<5>, reference: Tensor<5>, scale: [usize; 3]) -> Tensor<1> {
    ordered_mean(high_pass(image - reference, scale).abs())
}

/// `mean |A(image) - scan|` over the voxels that lie at least [`Measurement::margin`] from the patch's faces; `as_measured` is `A(image)`.
///
/// # Shapes
///
/// Both `[N, 1, Z, Y, X]` -> `[1]`.
///
/// # Differs from the paper
///
/// None of the paper's terms compares the output `Y_t` with its own scan.
pub fn measurement(as_measured: Tensor<5>, scan: Tensor<5>) -> Tensor<1> {
    let inner = |x: Tensor<5>| {
        (2..5).fold(x, |x, axis| {
            let n = x.dims()[axis];
            let margin = Measurement::margin(n);
            x.narrow(axis, margin, n - 2 * margin)
        })
    };
    l1(inner(as_measured), inner(scan))
}
