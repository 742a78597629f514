//! Normalisation for the discriminators.

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use super::Init;
use voxelift_conv::{Activation, Statistics, normalised};

/// Over which axes a normalisation takes its mean and variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NormKind {
    /// Channels and space of each sample: GroupNorm with one group, independent of the batch.
    #[default]
    Group,
    /// Batch and space of each channel.
    Batch,
    /// Space of each channel of each sample.
    Instance,
    /// No normalisation.
    None,
}

/// `(x - mean) / sqrt(variance + 1e-5) * weight + bias`, variance biased, weight and bias one a channel.
///
/// # Differs from the paper
///
/// `Batch` always uses the batch at hand and keeps no running statistics: discriminators never run outside
/// training.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[channels]`, starts at 1.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`, starts at 0.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    over: Statistics,
}

impl Norm {
    /// The layer, or `None` for [`NormKind::None`].
    pub fn new(kind: NormKind, channels: usize, init: &mut Init, device: &Device) -> Option<Self> {
        let over = match kind {
            NormKind::Group => Statistics::Sample,
            NormKind::Batch => Statistics::Channel,
            NormKind::Instance => Statistics::Each,
            NormKind::None => return None,
        };
        Some(Self {
            weight: init.constant([channels], 1.0, device),
            bias: init.constant([channels], 0.0, device),
            over,
        })
    }

    /// Normalises and applies `activation`; the shape stays. Always in f32: a mean over many voxels has no use for less.
    pub fn forward(&self, x: Tensor<5>, activation: Activation) -> Tensor<5> {
        let single = |param: &Param<Tensor<1>>| param.val().cast(FloatDType::F32);
        let affine = (single(&self.weight), single(&self.bias));
        normalised(x.cast(FloatDType::F32), affine, self.over, activation)
    }
}
