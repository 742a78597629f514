//! `E`, the LR encoder: image to features.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::GeneratorConfig;
use crate::layers::{Conv, ConvConfig, Init, LEAKY_SLOPE};
use voxelift_conv::Activation;

/// Number of convolutions (Li et al., arXiv 2310.15767).
const N_CONVS: usize = 6;
/// Of a placed network, whose body does the work.
const N_PLACED_CONVS: usize = 2;

/// Six convolutions, two in a placed network; LeakyReLU 0.2 after each but the last; no normalisation.
#[derive(Module, Debug)]
pub struct Encoder {
    /// Widths 1 (11 in a placed network) -> F -> ... -> F.
    pub convs: Vec<Conv>,
}

impl Encoder {
    /// Draws the weights from the streams of `encoder`.
    pub fn new(config: &GeneratorConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, "encoder");
        let input = |i| {
            if i == 0 {
                config.input_channels()
            } else {
                config.n_feats
            }
        };
        let conv = |i| {
            Conv::new(
                ConvConfig::new(input(i), config.n_feats, config.kernel),
                &mut init,
                device,
            )
        };
        let count = if config.placed { N_PLACED_CONVS } else { N_CONVS };
        Self {
            convs: (0..count).map(conv).collect(),
        }
    }

    /// Features at the image's own size.
    ///
    /// # Shapes
    ///
    /// `[N, 1, Z, Y, X]` -> `[N, F, Z, Y, X]`, 11 channels in a placed network.
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        self.convs.iter().enumerate().fold(image, |x, (i, conv)| {
            let activation = if i + 1 < self.convs.len() {
                Activation::LeakyRelu(LEAKY_SLOPE)
            } else {
                Activation::None
            };
            conv.forward(x, activation)
        })
    }
}
