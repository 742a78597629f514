//! `E`, the LR encoder: image to features.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::GeneratorConfig;
use crate::layers::{Conv, ConvConfig, Init, LEAKY_SLOPE};
use voxelift_conv::Activation;

/// Number of convolutions (Li et al., arXiv 2310.15767).
const N_CONVS: usize = 6;

/// Six convolutions, LeakyReLU 0.2 after the first five, none after the sixth; no normalisation.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Widths 1 -> F -> ... -> F.
    pub convs: Vec<Conv>,
}

impl Encoder {
    /// Draws the weights from the streams of `encoder`.
    pub fn new(config: &GeneratorConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, "encoder");
        let input = |i| if i == 0 { 1 } else { config.n_feats };
        let conv = |i| {
            Conv::new(
                ConvConfig::new(input(i), config.n_feats, config.kernel),
                &mut init,
                device,
            )
        };
        Self {
            convs: (0..N_CONVS).map(conv).collect(),
        }
    }

    /// Features at the image's own size.
    ///
    /// # Shapes
    ///
    /// `[N, 1, Z, Y, X]` -> `[N, F, Z, Y, X]`.
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        self.convs.iter().enumerate().fold(image, |x, (i, conv)| {
            let activation = if i + 1 < N_CONVS {
                Activation::LeakyRelu(LEAKY_SLOPE)
            } else {
                Activation::None
            };
            conv.forward(x, activation)
        })
    }
}
