//! Floor 4 · The convolution op.

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;

/// What follows a convolution, fused into it where the device can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else the slope times `x`.
    LeakyRelu(f32),
}

/// Cross-correlation with "same" zero padding `k/2`, then a bias and an activation.
///
/// # Shapes
///
/// `x [N, I, Z, Y, X]`, `weight [O, I, kz, ky, kx]`, `bias [O]` -> `[N, O, ceil(Z/sz), ceil(Y/sy), ceil(X/sx)]`.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
    activation: Activation,
) -> Tensor<5> {
    let [_, _, kz, ky, kx] = weight.dims();
    let y = module::conv3d(
        x,
        weight,
        bias,
        ConvOptions::new(stride, [kz / 2, ky / 2, kx / 2], [1; 3], 1),
    );
    match activation {
        Activation::None => y,
        Activation::Relu => relu(y),
        Activation::LeakyRelu(slope) => leaky_relu(y, slope.into()),
    }
}
