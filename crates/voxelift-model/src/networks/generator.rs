//! What makes the output: the encoder and the SR decoder, and the sizes of both and of `G_t`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use burn::tensor::activation::sigmoid;

use super::{Encoder, SrDecoder};
use crate::error::InvalidSetting;
use crate::layers::{Init, Linear, global_mean, low_pass, upsample};

/// What the network may change of what the scan has measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NullSpace {
    /// Everything.
    #[default]
    Off,
    /// Nothing: `Y = U(X) + r - U(D(r))` with r the SR decoder's output, `x = A+ y + (1 - A+ A) f(y)` on patches.
    Layer,
    /// As much as the scan's noise calls for: `Y = U(X) + r - g U(D(r))`, where g between 0 and 1 comes from the mean of
    /// the features of the tile, as channel attention does.
    Gated,
}

impl NullSpace {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// Sizes and switches of `E`, `G_SR` and `G_t`; the names of RCAN where it has them. The default is `small`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorConfig {
    /// Channels of the features, `F`.
    pub n_feats: usize,
    /// Residual groups of `G_SR`.
    pub n_resgroups: usize,
    /// RCABs a group.
    pub n_resblocks: usize,
    /// Channel attention narrows to `max(4, n_feats / reduction)`.
    pub reduction: usize,
    /// RCABs of `G_t`.
    pub n_lr_blocks: usize,
    /// Upsampling factors along Z, Y, X (tensor order, the reverse of a file's x, y, z). Configurations and cards
    /// write the scale once, in file order, elsewhere.
    #[serde(skip)]
    pub scale: [usize; 3],
    /// Kernel along Z, Y, X; `[1, 3, 3]` for slices.
    pub kernel: [usize; 3],
    /// Add the Lanczos upsampled input to the output of `G_SR`.
    pub sr_residual: bool,
    /// Add the input image to the output of `G_t`.
    pub lr_residual: bool,
    /// What of the scan the network may change: `"off"` (everything, the default), `"layer"` (nothing) or `"gated"` (as much as its
    /// noise calls for).
    #[serde(skip_serializing_if = "NullSpace::is_off")]
    pub null_space: NullSpace,
    /// One network for every spacing: the scan comes placed on the finer grid, with what was acquired of it along each
    /// axis, and the features live at half of that resolution. The scale is then 1.
    #[serde(skip_serializing_if = "is_false")]
    pub placed: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Image channels of a placed scan: its voxels, and for z, y, x a constant, the share of the grid's frequencies along that
/// axis that were not acquired.
pub const PLACED_CHANNELS: usize = 4;

/// The step of a placed network's features, in voxels of its grid along each axis.
pub const PLACED_STEP: usize = 2;

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self::small()
    }
}

impl GeneratorConfig {
    /// For tests: seconds on a CPU.
    pub fn tiny() -> Self {
        Self {
            n_feats: 8,
            n_resgroups: 1,
            n_resblocks: 1,
            n_lr_blocks: 1,
            ..Self::small()
        }
    }

    /// For a CPU.
    pub fn small() -> Self {
        Self {
            n_feats: 16,
            n_resgroups: 2,
            n_resblocks: 3,
            reduction: 4,
            n_lr_blocks: 4,
            scale: [2; 3],
            kernel: [3; 3],
            sr_residual: true,
            lr_residual: true,
            null_space: NullSpace::Off,
            placed: false,
        }
    }

    /// Between.
    pub fn base() -> Self {
        Self {
            n_feats: 32,
            n_resgroups: 4,
            n_resblocks: 4,
            ..Self::small()
        }
    }

    /// RCAN's own size.
    pub fn paper() -> Self {
        Self {
            n_feats: 64,
            n_resgroups: 10,
            n_resblocks: 20,
            reduction: 16,
            ..Self::small()
        }
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    ///
    /// One line naming the key, its value and what is allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let counts = [
            ("n_feats", self.n_feats),
            ("n_resgroups", self.n_resgroups),
            ("n_resblocks", self.n_resblocks),
            ("reduction", self.reduction),
            ("n_lr_blocks", self.n_lr_blocks),
        ];
        if let Some((key, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(InvalidSetting::new(key, 0, "must be at least 1"));
        }
        if self.scale.iter().any(|&s| !(1..=8).contains(&s)) {
            return Err(InvalidSetting::new(
                "scale",
                format!("{:?}", self.scale),
                "each factor must be a whole number from 1 to 8",
            ));
        }
        if self.null_space != NullSpace::Off && !self.sr_residual {
            return Err(InvalidSetting::new(
                "null_space",
                serde_json::to_string(&self.null_space).expect("plain data"),
                "needs sr_residual = true, since the network draws nothing of what was measured then",
            ));
        }
        if self.kernel.iter().any(|k| ![1, 3].contains(k)) {
            return Err(InvalidSetting::new(
                "kernel",
                format!("{:?}", self.kernel),
                "each size must be 1 or 3",
            ));
        }
        if self.placed && (self.scale != [1; 3] || self.kernel != [3; 3] || !self.sr_residual) {
            return Err(InvalidSetting::new(
                "placed",
                format!(
                    "true with a scale of {:?}, kernel {:?}, sr_residual {}",
                    self.scale, self.kernel, self.sr_residual
                ),
                "must go with scale 1, kernel [3, 3, 3] and sr_residual = true",
            ));
        }
        Ok(())
    }

    /// Channels that `E` takes.
    pub(super) fn input_channels(&self) -> usize {
        if self.placed {
            PLACED_STEP.pow(3) + PLACED_CHANNELS - 1
        } else {
            1
        }
    }

    /// Image channels that the generator takes.
    pub fn image_channels(&self) -> usize {
        if self.placed { PLACED_CHANNELS } else { 1 }
    }

    /// Fewer tensors and fewer weights than `E` and `G_SR` have, but not many fewer; in f64, which holds any product of
    /// sizes that a file claims.
    pub fn least(&self) -> (f64, f64) {
        let [features, groups, blocks] = [self.n_feats, self.n_resgroups, self.n_resblocks].map(|n| n as f64);
        let product = |sizes: [usize; 3]| sizes.map(|n| n as f64).iter().product::<f64>();
        // As many times features to features: in E, at both ends of G_SR, in its groups, and before the voxel shuffle.
        let ends = if self.placed {
            3.0
        } else {
            7.0 + product(self.scale)
        };
        let convolutions = ends + groups * (2.0 * blocks + 1.0);
        // Weights and biases of two convolutions and of the two of the attention.
        let tensors = groups * blocks * 8.0;
        (tensors, convolutions * features * features * product(self.kernel))
    }

    /// Draws the weights of `E` and `G_SR`.
    pub fn init(&self, seed: u64, device: &Device) -> Generator {
        Generator {
            encoder: Encoder::new(self, seed, device),
            sr_decoder: SrDecoder::new(self, seed, device),
            gate: (self.null_space == NullSpace::Gated)
                .then(|| Linear::new(self.n_feats, 1, &mut Init::new(seed, "gate"), device)),
            scale: self.scale,
            sr_residual: self.sr_residual,
            null_space: self.null_space,
            placed: self.placed,
        }
    }
}

/// `E` and `G_SR`: LR image in, HR image out. What the exported model holds.
#[derive(Module, Debug)]
pub struct Generator {
    /// `E`.
    pub encoder: Encoder,
    /// `G_SR`.
    pub sr_decoder: SrDecoder,
    /// From the mean of the features to the share of the measured band that is kept; with [`NullSpace::Gated`].
    pub gate: Option<Linear>,
    #[module(skip)]
    scale: [usize; 3],
    sr_residual: bool,
    #[module(skip)]
    null_space: NullSpace,
    placed: bool,
}

impl Generator {
    /// Whether it takes scans that were placed on their finer grid.
    pub fn is_placed(&self) -> bool {
        self.placed
    }

    /// `E(image)`.
    pub fn encode(&self, image: Tensor<5>) -> Tensor<5> {
        self.encoder.forward(image)
    }

    /// `G_SR(features) + U(image)` for the features of `image`; without `sr_residual` the first term alone, and with a
    /// [`NullSpace`] less what the scan itself says.
    ///
    /// # Shapes
    ///
    /// `features [N, F, Z, Y, X]`, `image [N, 1, Z, Y, X]` -> `[N, 1, sz Z, sy Y, sx X]`.
    pub fn decode(&self, features: Tensor<5>, image: Tensor<5>) -> Tensor<5> {
        let gate = self.gate.as_ref().map(|gate| {
            let mean = global_mean(features.clone()).flatten::<2>(1, 4);
            sigmoid(gate.forward(mean)).cast(image.dtype())
        });
        let detail = self.sr_decoder.forward(features).cast(image.dtype());
        let detail = match (self.null_space, gate) {
            (NullSpace::Off, _) => detail,
            (_, None) => detail.clone() - low_pass(detail, self.scale),
            (_, Some(gate)) => {
                let [n, ..] = gate.dims();
                detail.clone() - low_pass(detail, self.scale) * gate.reshape([n, 1, 1, 1, 1])
            }
        };
        if self.sr_residual {
            detail + upsample(image, self.scale)
        } else {
            detail
        }
    }

    /// The output: `decode(encode(image), image)`.
    ///
    /// # Shapes
    ///
    /// `[N, 1, Z, Y, X]` -> `[N, 1, sz Z, sy Y, sx X]`; a placed network takes [`PLACED_CHANNELS`] channels of even sides.
    ///
    /// # Panics
    /// When the image has other channels, or an odd side in a placed network.
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        if !self.placed {
            return self.decode(self.encode(image.clone()), image);
        }
        assert_eq!(image.dims()[1], PLACED_CHANNELS, "channels of a placed scan");
        let scan = image.clone().narrow(1, 0, 1);
        let features = self.encode(by_depth(scan.clone(), image));
        scan.clone() + self.sr_decoder.forward(features).cast(scan.dtype())
    }

    /// Upsampling factors along Z, Y, X.
    pub fn scale(&self) -> [usize; 3] {
        self.scale
    }
}

/// The eight voxels of each block of two by two by two as channels, then the constant channels of `image`.
///
/// # Shapes
///
/// `scan [N, 1, Z, Y, X]`, `image [N, 4, Z, Y, X]` -> `[N, 11, Z/2, Y/2, X/2]`; channel `(dz 2 + dy) 2 + dx` holds the voxels
/// `(2z + dz, 2y + dy, 2x + dx)`, the inverse of the voxel shuffle.
fn by_depth(scan: Tensor<5>, image: Tensor<5>) -> Tensor<5> {
    let [n, channels, z, y, x] = image.dims();
    assert!(
        [z, y, x].iter().all(|side| side % PLACED_STEP == 0),
        "sides of {z}, {y}, {x} voxels, must be even"
    );
    let [z, y, x] = [z, y, x].map(|side| side / PLACED_STEP);
    let blocks: Tensor<7> = scan.reshape([n, z, PLACED_STEP, y, PLACED_STEP, x, PLACED_STEP]);
    let voxels = blocks
        .permute([0, 2, 4, 6, 1, 3, 5])
        .reshape([n, PLACED_STEP.pow(3), z, y, x]);
    let constants = image
        .narrow(1, 1, channels - 1)
        .slice([0..n, 0..channels - 1, 0..1, 0..1, 0..1])
        .expand([n, channels - 1, z, y, x]);
    Tensor::cat(vec![voxels, constants], 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use voxelift_conv::voxel_shuffle;

    #[test]
    fn the_voxel_shuffle_undoes_the_blocks_and_constants_follow() {
        let device = Device::default();
        let voxels: Vec<f32> = (0..2 * 4 * 6 * 4 * 8).map(|i| i as f32).collect();
        let image = Tensor::<5>::from_data(TensorData::new(voxels, [2, 4, 6, 4, 8]), &device);
        let scan = image.clone().narrow(1, 0, 1);
        let deep = by_depth(scan.clone(), image.clone());
        assert_eq!(deep.dims(), [2, 11, 3, 2, 4]);
        let back = voxel_shuffle(deep.clone().narrow(1, 0, 8), [2; 3]);
        assert_eq!(back.into_data(), scan.into_data());
        let constant = |n: usize, c: usize| -> Vec<f32> {
            let one = deep.clone().narrow(0, n, 1).narrow(1, 8 + c, 1);
            one.into_data().try_into_vec().expect("f32")
        };
        // The first voxel of channel c of image n.
        let first = |n: usize, c: usize| ((n * 4 + c + 1) * 6 * 4 * 8) as f32;
        for (n, c) in [(0, 0), (0, 2), (1, 1)] {
            assert!(constant(n, c).iter().all(|v| *v == first(n, c)));
        }
    }
}
