//! A fully connected layer.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Init, LEAKY_SLOPE};

/// `y = x W^T + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[output, input]`, as PyTorch stores it (burn's own layer stores the transpose).
    pub weight: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Draws the weights as [`super::Conv::new`] does.
    pub fn new(input: usize, output: usize, init: &mut Init, device: &Device) -> Self {
        let slope = f64::from(LEAKY_SLOPE);
        let standard_deviation = (2.0 / (1.0 + slope * slope)).sqrt() / (input as f64).sqrt();
        Self {
            weight: init.normal([output, input], standard_deviation, device),
            bias: init.constant([output], 0.0, device),
        }
    }

    /// Applies the layer to each row, in the number format of the weights.
    ///
    /// # Shapes
    ///
    /// `[N, input]` -> `[N, output]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        assert!(
            x.dims()[1] == weight.dims()[1],
            "input {:?} does not fit the linear weight {:?}",
            x.dims(),
            weight.dims()
        );
        x.cast(weight.dtype()).matmul(weight.transpose()) + self.bias.val().unsqueeze()
    }
}
