//! Layer 0 · What stands beside a convolution: its activation, and a layer's weight with its bias.

use burn::Tensor;

/// A layer's weight and bias.
pub type Affine = (Tensor<5>, Tensor<1>);

/// What is applied to a convolution's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` above zero, the given slope times `x` below; the slope is above zero.
    LeakyRelu(f32),
}

impl Activation {
    /// Factor of values below zero.
    pub(crate) fn slope(self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu(slope) => slope,
        }
    }
}
