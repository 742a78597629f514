//! `G_SR`, the SR decoder: features to an HR image.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::generator::PLACED_STEP;
use super::{GeneratorConfig, ResidualGroup};
use crate::layers::{Conv, ConvConfig, Init};
use voxelift_conv::{Activation, conv3d_upsample};

/// RCAN on the encoder's features: a `body` at LR size (the paper's "SR encoder") and an upsampling `tail`
/// (its "SR decoder").
///
/// # Differs from the paper
///
/// RCAN's own head (image to features) is replaced by the features of `E`, which both domains share.
#[derive(Module, Debug)]
pub struct SrDecoder {
    /// Body: F -> F.
    pub head: Conv,
    /// Body: residual groups, one after the other.
    pub groups: Vec<ResidualGroup>,
    /// Body: F -> F, before the long skip.
    pub close: Conv,
    /// Tail: F -> F sz sy sx.
    pub expand: Conv,
    /// Tail: F -> 1 after the voxel shuffle, starts at zero; a placed network has none, its `expand` makes the eight voxels
    /// of a block and starts at zero.
    pub last: Option<Conv>,
    #[module(skip)]
    scale: [usize; 3],
}

impl SrDecoder {
    /// Draws the weights from the streams of `sr_decoder`.
    pub fn new(config: &GeneratorConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, "sr_decoder");
        let GeneratorConfig {
            n_feats,
            n_resgroups,
            n_resblocks,
            mut scale,
            kernel,
            placed,
            ..
        } = *config;
        if placed {
            scale = [PLACED_STEP; 3];
        }
        let flat = ConvConfig::new(n_feats, n_feats, kernel);
        let sub_voxels: usize = scale.iter().product();
        Self {
            head: Conv::new(flat, &mut init, device),
            groups: (0..n_resgroups)
                .map(|_| ResidualGroup::new(config, n_resblocks, &mut init, device))
                .collect(),
            close: Conv::new(flat, &mut init, device),
            expand: Conv::new(
                if placed {
                    ConvConfig::new(n_feats, sub_voxels, kernel).gain(0.0)
                } else {
                    ConvConfig::new(n_feats, n_feats * sub_voxels, kernel)
                },
                &mut init,
                device,
            ),
            last: (!placed)
                .then(|| Conv::new(ConvConfig::new(n_feats, 1, kernel).gain(0.0), &mut init, device)),
            scale,
        }
    }

    /// Deep features at LR size: head, groups, closing conv, long skip.
    pub fn body(&self, features: Tensor<5>) -> Tensor<5> {
        let shallow = self.head.forward(features, Activation::None);
        let deep = self
            .groups
            .iter()
            .fold(shallow.clone(), |x, group| group.forward(x));
        self.close.forward_add(deep, shallow)
    }

    /// From deep features to the HR image.
    pub fn tail(&self, deep: Tensor<5>) -> Tensor<5> {
        let Some(last) = &self.last else {
            return self.expand.forward_shuffle(deep, self.scale);
        };
        if !deep.is_autodiff() {
            return conv3d_upsample(deep, self.expand.affine(), last.affine(), self.scale);
        }
        let expanded = self.expand.forward_shuffle(deep, self.scale);
        last.forward(expanded, Activation::None)
    }

    /// Body, then tail.
    ///
    /// # Shapes
    ///
    /// `[N, F, Z, Y, X]` -> `[N, 1, sz Z, sy Y, sx X]`.
    pub fn forward(&self, features: Tensor<5>) -> Tensor<5> {
        self.tail(self.body(features))
    }
}
