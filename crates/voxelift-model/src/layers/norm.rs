//! Normalisation for the discriminators.

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use super::Init;

/// Over which axes a normalisation takes its mean and variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    kind: NormKind,
}

impl Norm {
    /// The layer, or `None` for [`NormKind::None`].
    pub fn new(kind: NormKind, channels: usize, init: &mut Init, device: &Device) -> Option<Self> {
        (kind != NormKind::None).then(|| Self {
            weight: init.constant([channels], 1.0, device),
            bias: init.constant([channels], 0.0, device),
            kind,
        })
    }

    /// Normalises; the shape stays. Always in f32: a mean over many voxels has no use for less.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let shape @ [n, c, z, y, x_size] = x.dims();
        let x = x.cast(FloatDType::F32);
        // One row for each mean.
        let rows: Tensor<3> = match self.kind {
            NormKind::Group => x.reshape([n, 1, c * z * y * x_size]),
            NormKind::Batch => {
                x.reshape([n, c, z * y * x_size])
                    .swap_dims(0, 1)
                    .reshape([c, 1, n * z * y * x_size])
            }
            NormKind::Instance => x.reshape([n, c, z * y * x_size]),
            NormKind::None => return x,
        };
        let centred = rows.clone() - rows.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let normal = centred / (variance + 1e-5).sqrt();
        let normal = match self.kind {
            NormKind::Batch => normal
                .reshape([c, n, z * y * x_size])
                .swap_dims(0, 1)
                .reshape(shape),
            _ => normal.reshape(shape),
        };
        let each = |param: &Param<Tensor<1>>| param.val().cast(FloatDType::F32).reshape([1, c, 1, 1, 1]);
        normal * each(&self.weight) + each(&self.bias)
    }
}
