//! Floor 4 · The convolution op: our own kernels on the CPU, burn's on every other backend.
//!
//! A direct convolution on channels-last data with zeros around it: some voxels by some output channels stay
//! in registers while all taps pass (`kernels`). The same kernels give the input gradient (`direct`), a
//! second kind the weight gradient (`weight_gradient`). Results do not depend on the number of threads:
//! every output value is one task's own sum, and weight gradients are summed over fixed parts in order.
//! All `unsafe` code of the project is in this room.

mod backend;
mod direct;
mod grid;
mod kernels;
mod lanes;
mod layout;
mod problem;
mod weight_gradient;

#[cfg(test)]
mod tests;

use burn::Tensor;
use burn::backend::Dispatch;

use backend::{Bias, ConvBackend};
use problem::Problem;

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
    fn slope(self) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Relu => 0.0,
            Self::LeakyRelu(slope) => slope,
        }
    }
}

/// Convolution with zero padding `kernel / 2` and an activation, differentiable in all three tensors.
///
/// `y[o] = activation(b + sum_k w[k] x[stride o + k - kernel/2])`
///
/// # Shapes
/// `x` `[N,Cin,Z,Y,X]`, `weight` `[Cout,Cin,kz,ky,kx]` with 1 or 3 taps on each axis, `bias` `[Cout]`, `stride`
/// 1 or 2 on each axis; result `[N,Cout,ceil(Z/sz),ceil(Y/sy),ceil(X/sx)]`.
///
/// # Panics
/// Where shapes do not belong together, or a kernel, stride or slope is none of the above.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
    activation: Activation,
) -> Tensor<5> {
    let problem = Problem::new(&x.dims(), &weight.dims(), stride);
    if let Some(bias) = &bias {
        assert!(
            bias.dims() == [problem.channels_out],
            "conv3d: bias {:?}, weight {:?}",
            bias.dims(),
            weight.dims()
        );
    }
    if let Activation::LeakyRelu(slope) = activation {
        // The gradient is taken from the sign of the output, which a slope of zero or less would hide.
        assert!(
            slope > 0.0,
            "conv3d: slope {slope} of LeakyRelu, must be above zero"
        );
    }
    Tensor::from_dispatch(Dispatch::conv3d(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.map_or(Bias::Absent, |bias| Bias::Given(bias.into_dispatch())),
        stride,
        activation,
    ))
}
