//! `G_t`, the LR decoder: features to an LR image in the style of the target domain.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{GeneratorConfig, ResidualGroup};
use crate::layers::{Conv, ConvConfig, Init};
use voxelift_conv::Activation;

/// A conv, one residual group of `n_lr_blocks` RCABs, a conv to one channel; no upsampling.
///
/// # Differs from the paper
///
/// With `lr_residual` the image that the features came from is added, and the last conv starts at zero: the
/// network learns the difference in style and starts at none, instead of drawing the whole image from features
/// while the cycle term already trains `G_SR` on its unfinished pictures.
#[derive(Module, Debug)]
pub struct LrDecoder {
    /// F -> F.
    pub head: Conv,
    /// The residual group.
    pub group: ResidualGroup,
    /// F -> 1.
    pub last: Conv,
    lr_residual: bool,
}

impl LrDecoder {
    /// Draws the weights from the streams of `lr_decoder`.
    pub fn new(config: &GeneratorConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, "lr_decoder");
        let GeneratorConfig {
            n_feats,
            n_lr_blocks,
            kernel,
            lr_residual,
            ..
        } = *config;
        let last_gain = if lr_residual { 0.0 } else { 1.0 };
        Self {
            head: Conv::new(ConvConfig::new(n_feats, n_feats, kernel), &mut init, device),
            group: ResidualGroup::new(config, n_lr_blocks, &mut init, device),
            last: Conv::new(
                ConvConfig::new(n_feats, 1, kernel).gain(last_gain),
                &mut init,
                device,
            ),
            lr_residual,
        }
    }

    /// The LR image for `features`, which were computed from `image`.
    ///
    /// # Shapes
    ///
    /// `features [N, F, Z, Y, X]`, `image [N, 1, Z, Y, X]` -> `[N, 1, Z, Y, X]`.
    pub fn forward(&self, features: Tensor<5>, image: Tensor<5>) -> Tensor<5> {
        let drawn = self.group.forward(self.head.forward(features, Activation::None));
        let drawn = self.last.forward(drawn, Activation::None).cast(image.dtype());
        if self.lr_residual { drawn + image } else { drawn }
    }
}
