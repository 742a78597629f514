//! The three VGG-style discriminators: source (HR images), feature, target (LR images).

use burn::module::Module;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use super::GeneratorConfig;
use crate::error::InvalidSetting;
use crate::layers::{Conv, ConvConfig, Init, LEAKY_SLOPE, Linear, Norm, NormKind, global_mean};
use voxelift_conv::Activation;

/// Widths of the stages in units of `width`, and how many stages there can be.
const WIDTHS: [usize; 5] = [1, 2, 4, 8, 8];

/// Hidden units between the global mean and the score.
const HIDDEN: usize = 100;

/// Size of the discriminators. The default is that of `small`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscriminatorConfig {
    /// Channels of the first stage, `d`.
    pub width: usize,
    /// Normalisation after every convolution but the first.
    pub norm: NormKind,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self {
            width: 8,
            norm: NormKind::Group,
        }
    }
}

impl DiscriminatorConfig {
    /// Refuses a width of zero.
    ///
    /// # Errors
    ///
    /// One line naming the key.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.width == 0 {
            return Err(InvalidSetting::new("width", 0, "must be at least 1"));
        }
        Ok(())
    }
}

/// The discriminators of all three domains, trained by one optimiser.
#[derive(Module, Debug)]
pub struct Discriminators {
    /// `D_s`: real or super-resolved HR image.
    pub source: Discriminator,
    /// `D_f`: features of a source or of a target image.
    pub feature: Discriminator,
    /// `D_t`: real or restyled LR image.
    pub target: Discriminator,
}

impl Discriminators {
    /// Draws the weights; the depth of each follows from the LR `patch` (Z, Y, X) that training uses.
    pub fn new(
        config: &DiscriminatorConfig,
        generator: &GeneratorConfig,
        patch: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Self {
        let hr_patch = std::array::from_fn(|axis| patch[axis] * generator.scale[axis]);
        let discriminator = |name: &str, channels, patch| {
            let mut init = Init::new(seed, &format!("discriminators.{name}"));
            Discriminator::new(config, channels, patch, generator.kernel, &mut init, device)
        };
        Self {
            source: discriminator("source", 1, hr_patch),
            feature: discriminator("feature", generator.n_feats, patch),
            target: discriminator("target", 1, patch),
        }
    }
}

/// Stages that halve the patch, global mean, two linear layers; raw scores.
#[derive(Module, Debug)]
pub struct Discriminator {
    /// Widths d, 2d, 4d, 8d, 8d.
    pub stages: Vec<Stage>,
    /// Last width -> 100.
    pub hidden: Linear,
    /// 100 -> 1.
    pub score: Linear,
}

impl Discriminator {
    /// A discriminator of `channels`-channel patches of size `patch`: it halves while the smallest side is at
    /// least 4, at least once and at most five times. An axis with kernel 1 is left alone.
    pub fn new(
        config: &DiscriminatorConfig,
        channels: usize,
        patch: [usize; 3],
        kernel: [usize; 3],
        init: &mut Init,
        device: &Device,
    ) -> Self {
        let n_stages = n_stages(patch, kernel);
        let width = |stage: usize| WIDTHS[stage] * config.width;
        let stages = (0..n_stages)
            .map(|i| {
                let input = if i == 0 { channels } else { width(i - 1) };
                Stage::new(
                    config.norm,
                    i == 0,
                    ConvConfig::new(input, width(i), kernel),
                    init,
                    device,
                )
            })
            .collect();
        Self {
            stages,
            hidden: Linear::new(width(n_stages - 1), HIDDEN, init, device),
            score: Linear::new(HIDDEN, 1, init, device),
        }
    }

    /// One raw score a sample; the patch may have any size.
    ///
    /// # Shapes
    ///
    /// `[N, channels, Z, Y, X]` -> `[N, 1]`.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<2> {
        let x = self.stages.iter().fold(x, |x, stage| stage.forward(x));
        let means: Tensor<2> = global_mean(x.cast(FloatDType::F32)).flatten(1, 4);
        let hidden = leaky_relu(self.hidden.forward(means), LEAKY_SLOPE.into());
        self.score.forward(hidden).cast(FloatDType::F32)
    }
}

/// A conv of stride 1 and one of stride 2, each with normalisation and LeakyReLU 0.2.
#[derive(Module, Debug)]
pub struct Stage {
    /// Stride 1, changes the width.
    pub conv1: Conv,
    /// Absent in the first stage.
    pub norm1: Option<Norm>,
    /// Stride 2.
    pub conv2: Conv,
    /// Absent with `norm = "none"`.
    pub norm2: Option<Norm>,
}

impl Stage {
    fn new(norm: NormKind, first: bool, config: ConvConfig, init: &mut Init, device: &Device) -> Self {
        let output = config.output;
        let stride = config.kernel.map(|k| if k > 1 { 2 } else { 1 });
        let norm1 = if first { NormKind::None } else { norm };
        Self {
            conv1: Conv::new(config, init, device),
            norm1: Norm::new(norm1, output, init, device),
            conv2: Conv::new(
                ConvConfig {
                    input: output,
                    stride,
                    ..config
                },
                init,
                device,
            ),
            norm2: Norm::new(norm, output, init, device),
        }
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let x = normalised(&self.conv1, &self.norm1, x);
        normalised(&self.conv2, &self.norm2, x)
    }
}

fn normalised(conv: &Conv, norm: &Option<Norm>, x: Tensor<5>) -> Tensor<5> {
    let leaky = Activation::LeakyRelu(LEAKY_SLOPE);
    match norm {
        Some(norm) => norm.forward(conv.forward(x, Activation::None), leaky),
        None => conv.forward(x, leaky),
    }
}

fn n_stages(patch: [usize; 3], kernel: [usize; 3]) -> usize {
    let sides = patch
        .into_iter()
        .zip(kernel)
        .filter(|&(_, k)| k > 1)
        .map(|(side, _)| side);
    let mut smallest = sides.min().unwrap_or(1);
    let mut stages = 0;
    while smallest >= 4 && stages < WIDTHS.len() {
        smallest = smallest.div_ceil(2);
        stages += 1;
    }
    stages.max(1)
}
