//! What is trained to answer: the encoder and the SR decoder, and the sizes of both and of `G_t`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use burn::tensor::activation::sigmoid;

use super::{Encoder, SrDecoder};
use crate::layers::{Init, Linear, global_mean, low_pass, upsample};

/// What the network may change of what the scan has measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
}

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
    pub fn check(&self) -> Result<(), String> {
        let counts = [
            ("n_feats", self.n_feats),
            ("n_resgroups", self.n_resgroups),
            ("n_resblocks", self.n_resblocks),
            ("reduction", self.reduction),
            ("n_lr_blocks", self.n_lr_blocks),
        ];
        if let Some((key, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(format!("{key} = 0: must be at least 1"));
        }
        if self.scale.iter().any(|&s| !(1..=8).contains(&s)) {
            return Err(format!(
                "scale = {:?}: each factor must be a whole number from 1 to 8",
                self.scale
            ));
        }
        if self.null_space != NullSpace::Off && !self.sr_residual {
            return Err(format!(
                "null_space = {}: needs sr_residual = true, since the network draws nothing of what was measured then",
                serde_json::to_string(&self.null_space).expect("plain data")
            ));
        }
        if self.kernel.iter().any(|k| ![1, 3].contains(k)) {
            return Err(format!("kernel = {:?}: each size must be 1 or 3", self.kernel));
        }
        Ok(())
    }

    /// Fewer tensors and fewer weights than `E` and `G_SR` have, but not many fewer; in f64, which holds any product of
    /// sizes that a file claims.
    pub fn least(&self) -> (f64, f64) {
        let [features, groups, blocks] = [self.n_feats, self.n_resgroups, self.n_resblocks].map(|n| n as f64);
        let product = |sizes: [usize; 3]| sizes.map(|n| n as f64).iter().product::<f64>();
        // As many times features to features: in E, at both ends of G_SR, in its groups, and before the voxel shuffle.
        let convolutions = 5.0 + 2.0 + groups * (2.0 * blocks + 1.0) + product(self.scale);
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
}

impl Generator {
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

    /// The answer: `decode(encode(image), image)`.
    ///
    /// # Shapes
    ///
    /// `[N, 1, Z, Y, X]` -> `[N, 1, sz Z, sy Y, sx X]`.
    pub fn forward(&self, image: Tensor<5>) -> Tensor<5> {
        self.decode(self.encode(image.clone()), image)
    }

    /// Upsampling factors along Z, Y, X.
    pub fn scale(&self) -> [usize; 3] {
        self.scale
    }
}
