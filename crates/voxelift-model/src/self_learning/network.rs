//! The network: a through-plane image in, the same image with `scale` times the rows out.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use voxelift_conv::Activation;

use crate::batch::{patches_to_tensor, tensor_to_voxels};
use crate::error::{InvalidSetting, Result};
use crate::layers::{Conv, ConvConfig, Init, upsample};

/// Voxels of an image at most in one pass: what lies above goes in pieces.
const VOXELS_AT_ONCE: usize = 1 << 16;

/// Factor on the first weights of a convolution that closes a residual branch.
const RESIDUAL_GAIN: f64 = 0.1;

/// Sizes of a [`SliceNetwork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels of the features.
    pub n_feats: usize,
    /// Residual blocks.
    pub n_resblocks: usize,
    /// Channels after the rows have been multiplied.
    pub n_tail_feats: usize,
    /// Fine rows per row.
    pub scale: usize,
}

impl NetworkConfig {
    /// The default sizes.
    pub fn new(scale: usize) -> Self {
        Self {
            n_feats: 32,
            n_resblocks: 6,
            n_tail_feats: 16,
            scale,
        }
    }

    /// Refuses sizes that no such network has.
    ///
    /// # Errors
    /// One line naming the size and what is allowed.
    pub fn check(&self) -> std::result::Result<(), InvalidSetting> {
        let sizes = [
            ("n_feats", self.n_feats, 256),
            ("n_resblocks", self.n_resblocks, 64),
            ("n_tail_feats", self.n_tail_feats, 256),
            ("scale", self.scale, 16),
        ];
        match sizes.iter().find(|(_, size, most)| *size == 0 || size > most) {
            Some((name, size, most)) => Err(InvalidSetting::new(*name, size, format!("must be 1 to {most}"))),
            None => Ok(()),
        }
    }
}

/// Two convolutions and the input: `x + conv2(relu(conv1(x)))`, the block of EDSR (Lim et al., CVPR workshops 2017).
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// F -> F.
    pub conv1: Conv,
    /// F -> F, starts at a tenth.
    pub conv2: Conv,
}

impl ResidualBlock {
    fn new(n_feats: usize, init: &mut Init, device: &Device) -> Self {
        let conv = ConvConfig::new(n_feats, n_feats, KERNEL);
        Self {
            conv1: Conv::new(conv, init, device),
            conv2: Conv::new(conv.gain(RESIDUAL_GAIN), init, device),
        }
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let hidden = self.conv1.forward(x.clone(), Activation::Relu);
        self.conv2.forward_add(hidden, x)
    }
}

/// Every convolution sees one image at a time.
pub(super) const KERNEL: [usize; 3] = [1, 3, 3];

/// `close(blocks(f)) + f` with `f = head(image)`.
pub(super) fn features(head: &Conv, blocks: &[ResidualBlock], close: &Conv, image: Tensor<5>) -> Tensor<5> {
    let shallow = head.forward(image, Activation::None);
    let deep = blocks.iter().fold(shallow.clone(), |x, block| block.forward(x));
    close.forward_add(deep, shallow)
}

/// `U(x) + last(shuffle(expand(close(blocks(f)) + f)))` with `f = head(x)`; U the Lanczos upsampler along the rows.
///
/// No attention and no normalisation: the output does not depend on how much of the image is shown at once.
#[derive(Module, Debug)]
pub struct SliceNetwork {
    /// 1 -> F.
    pub head: Conv,
    /// One after the other.
    pub blocks: Vec<ResidualBlock>,
    /// F -> F, starts at a tenth; closes the long skip.
    pub close: Conv,
    /// F -> `n_tail_feats * scale`, before the rows are multiplied.
    pub expand: Conv,
    /// `n_tail_feats` -> 1, starts at zero.
    pub last: Conv,
    #[module(skip)]
    scale: usize,
}

impl SliceNetwork {
    /// Draws the weights from the streams of `slices`.
    pub fn new(config: &NetworkConfig, seed: u64, device: &Device) -> Self {
        let mut init = Init::new(seed, "slices");
        let NetworkConfig {
            n_feats,
            n_resblocks,
            n_tail_feats,
            scale,
        } = *config;
        let conv = |from, to| ConvConfig::new(from, to, KERNEL);
        Self {
            head: Conv::new(conv(1, n_feats), &mut init, device),
            blocks: (0..n_resblocks)
                .map(|_| ResidualBlock::new(n_feats, &mut init, device))
                .collect(),
            close: Conv::new(conv(n_feats, n_feats).gain(RESIDUAL_GAIN), &mut init, device),
            expand: Conv::new(conv(n_feats, n_tail_feats * scale), &mut init, device),
            last: Conv::new(conv(n_tail_feats, 1).gain(0.0), &mut init, device),
            scale,
        }
    }

    /// Fine rows per row.
    pub fn scale(&self) -> usize {
        self.scale
    }

    /// Features of images, at their own size.
    ///
    /// # Shapes
    /// `[N, 1, 1, rows, columns]` -> `[N, F, 1, rows, columns]`.
    pub fn features(&self, image: Tensor<5>) -> Tensor<5> {
        features(&self.head, &self.blocks, &self.close, image)
    }

    /// The finer images for the features of `image`.
    ///
    /// # Shapes
    /// `[N, F, 1, rows, columns]`, `[N, 1, 1, rows, columns]` -> `[N, 1, 1, scale rows, columns]`.
    pub fn decode(&self, features: Tensor<5>, image: Tensor<5>) -> Tensor<5> {
        let scale = [1, self.scale, 1];
        let fine = self.expand.forward_shuffle(features, scale);
        self.last.forward(fine, Activation::None) + upsample(image, scale)
    }

    /// `decode(features(image), image)`.
    ///
    /// # Shapes
    /// `[N, 1, 1, rows, columns]` -> `[N, 1, 1, scale rows, columns]`.
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        self.decode(self.features(image.clone()), image)
    }

    /// The finer versions of `count` images that lie one after the other, columns fastest.
    ///
    /// # Errors
    /// Those of `progress`, which is told how many images are done.
    ///
    /// # Panics
    /// When the voxels are not those of the images.
    pub fn refine(
        &self,
        images: &[f32],
        [count, rows, columns]: [usize; 3],
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let voxels = rows * columns;
        assert_eq!(
            images.len(),
            count * voxels,
            "{count} images of {rows} x {columns}"
        );
        let together = (VOXELS_AT_ONCE / voxels.max(1)).max(1);
        let mut fine = Vec::with_capacity(images.len() * self.scale);
        for (i, some) in images.chunks(together * voxels).enumerate() {
            let n = some.len() / voxels;
            let tensor = patches_to_tensor(some.to_vec(), n, [columns, rows, 1], device);
            fine.extend(tensor_to_voxels(self.forward(tensor)));
            progress(i * together + n)?;
        }
        Ok(fine)
    }
}
