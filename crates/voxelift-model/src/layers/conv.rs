//! A convolution with its weights.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::Init;
use voxelift_conv::{Activation, Affine, conv3d, conv3d_add, conv3d_shuffle};

/// Negative slope of every LeakyReLU of the method, and of the initialisation that goes with it.
pub const LEAKY_SLOPE: f32 = 0.2;

/// The shape of a [`Conv`] and the size of its first weights.
#[derive(Clone, Copy, Debug)]
pub struct ConvConfig {
    /// Channels in.
    pub input: usize,
    /// Channels out.
    pub output: usize,
    /// Odd sizes along Z, Y, X.
    pub kernel: [usize; 3],
    /// Steps along Z, Y, X.
    pub stride: [usize; 3],
    /// Factor on the Kaiming standard deviation; 0 starts the layer at zero.
    pub gain: f64,
}

impl ConvConfig {
    /// A convolution of stride 1 and gain 1.
    pub fn new(input: usize, output: usize, kernel: [usize; 3]) -> Self {
        Self {
            input,
            output,
            kernel,
            stride: [1; 3],
            gain: 1.0,
        }
    }

    /// Scales the first weights.
    pub fn gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// Sets the steps along Z, Y, X.
    pub fn stride(self, stride: [usize; 3]) -> Self {
        Self { stride, ..self }
    }
}

/// A convolution with "same" zero padding, followed by an optional activation.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[output, input, kz, ky, kx]`, as in PyTorch.
    pub weight: Param<Tensor<5>>,
    /// `[output]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: [usize; 3],
}

impl Conv {
    /// Draws the weights, Kaiming normal over the fan in for a leaky slope of 0.2, bias 0.
    ///
    /// `sd = gain sqrt(2 / (1 + 0.2^2)) / sqrt(input kz ky kx)` (He et al., ICCV 2015, equation 15).
    ///
    /// # Panics
    ///
    /// If a kernel size is even or a stride is zero.
    pub fn new(config: ConvConfig, init: &mut Init, device: &Device) -> Self {
        let ConvConfig {
            input,
            output,
            kernel: [kz, ky, kx],
            stride,
            gain,
        } = config;
        assert!(
            kz * ky * kx % 2 == 1 && !stride.contains(&0),
            "kernel or stride out of range: {config:?}"
        );
        let fan_in = (input * kz * ky * kx) as f64;
        let slope = f64::from(LEAKY_SLOPE);
        let standard_deviation = gain * (2.0 / (1.0 + slope * slope)).sqrt() / fan_in.sqrt();
        let shape = [output, input, kz, ky, kx];
        let weight = if gain == 0.0 {
            init.constant(shape, 0.0, device)
        } else {
            init.normal(shape, standard_deviation, device)
        };
        Self {
            weight,
            bias: init.constant([output], 0.0, device),
            stride,
        }
    }

    /// Applies the convolution and `activation`, in the number format of the weights.
    ///
    /// # Shapes
    ///
    /// `[N, input, Z, Y, X]` -> `[N, output, ceil(Z/sz), ceil(Y/sy), ceil(X/sx)]`.
    ///
    /// # Panics
    ///
    /// If `x` does not have the layer's input channels.
    pub fn forward(&self, x: Tensor<5>, activation: Activation) -> Tensor<5> {
        let weight = self.weight.val();
        assert!(
            x.dims()[1] == weight.dims()[1],
            "input {:?} does not fit the convolution's weight {:?}",
            x.dims(),
            weight.dims()
        );
        let x = x.cast(weight.dtype());
        conv3d(x, weight, Some(self.bias.val()), self.stride, activation)
    }

    /// The convolution as the end of a residual branch: `skip + conv(x)`, stride 1.
    ///
    /// # Shapes
    ///
    /// `x [N, input, Z, Y, X]`, `skip [N, output, Z, Y, X]` -> like `skip`.
    pub fn forward_add(&self, x: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
        conv3d_add(x, self.weight.val(), Some(self.bias.val()), skip)
    }

    /// The convolution and the voxel shuffle of its result, stride 1.
    ///
    /// # Shapes
    ///
    /// `[N, input, Z, Y, X]` -> `[N, output / (sz sy sx), sz Z, sy Y, sx X]`.
    pub fn forward_shuffle(&self, x: Tensor<5>, scale: [usize; 3]) -> Tensor<5> {
        conv3d_shuffle(x, self.weight.val(), Some(self.bias.val()), scale)
    }

    /// Weight and bias, for an op that fuses several layers.
    pub fn affine(&self) -> Affine {
        (self.weight.val(), self.bias.val())
    }
}
