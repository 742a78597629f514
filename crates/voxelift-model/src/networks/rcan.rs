//! The blocks of RCAN (Zhang et al., ECCV 2018, arXiv 1807.02758) in three dimensions.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use super::GeneratorConfig;
use crate::layers::{Conv, ConvConfig, Init, global_mean};
use voxelift_conv::{Activation, rcab};

/// Factor on the first weights of a conv that closes a residual branch, so that a deep stack starts near the
/// identity.
const RESIDUAL_GAIN: f64 = 0.1;

/// `x * sigmoid(up(relu(down(mean(x)))))`, one factor a channel (equation 10 to 12 of RCAN).
#[derive(Module, Debug)]
pub struct ChannelAttention {
    /// 1x1x1, F -> `max(4, F / reduction)`.
    pub down: Conv,
    /// 1x1x1, back to F.
    pub up: Conv,
}

impl ChannelAttention {
    fn new(config: &GeneratorConfig, init: &mut Init, device: &Device) -> Self {
        let (n_feats, narrow) = (config.n_feats, (config.n_feats / config.reduction).max(4));
        Self {
            down: Conv::new(ConvConfig::new(n_feats, narrow, [1; 3]), init, device),
            up: Conv::new(ConvConfig::new(narrow, n_feats, [1; 3]), init, device),
        }
    }

    /// Scales the channels; the shape stays.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let narrow = self.down.forward(global_mean(x.clone()), Activation::Relu);
        x * sigmoid(self.up.forward(narrow, Activation::None))
    }
}

/// Residual channel attention block: `x + attention(conv2(relu(conv1(x))))`.
#[derive(Module, Debug)]
pub struct Rcab {
    /// F -> F.
    pub conv1: Conv,
    /// F -> F, starts at a tenth.
    pub conv2: Conv,
    /// On the branch, before the sum.
    pub attention: ChannelAttention,
}

impl Rcab {
    fn new(config: &GeneratorConfig, init: &mut Init, device: &Device) -> Self {
        let conv = ConvConfig::new(config.n_feats, config.n_feats, config.kernel);
        Self {
            conv1: Conv::new(conv, init, device),
            conv2: Conv::new(conv.gain(RESIDUAL_GAIN), init, device),
            attention: ChannelAttention::new(config, init, device),
        }
    }

    /// `[N, F, Z, Y, X]` to the same.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let ChannelAttention { down, up } = &self.attention;
        rcab(
            x,
            self.conv1.affine(),
            self.conv2.affine(),
            down.affine(),
            up.affine(),
        )
    }
}

/// Residual group: blocks, a closing conv, a short skip.
#[derive(Module, Debug)]
pub struct ResidualGroup {
    /// One after the other.
    pub blocks: Vec<Rcab>,
    /// F -> F, starts at a tenth.
    pub close: Conv,
}

impl ResidualGroup {
    /// `n_blocks` RCABs and the closing conv.
    pub(super) fn new(config: &GeneratorConfig, n_blocks: usize, init: &mut Init, device: &Device) -> Self {
        let close = ConvConfig::new(config.n_feats, config.n_feats, config.kernel).gain(RESIDUAL_GAIN);
        Self {
            blocks: (0..n_blocks).map(|_| Rcab::new(config, init, device)).collect(),
            close: Conv::new(close, init, device),
        }
    }

    /// `[N, F, Z, Y, X]` to the same.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let deep = self.blocks.iter().fold(x.clone(), |x, block| block.forward(x));
        self.close.forward_add(deep, x)
    }
}
