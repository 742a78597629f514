//! What learning from one scan starts with: weights that were learned from many scans of any contrast.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use voxelift_conv::Activation;

use super::network::{KERNEL, NetworkConfig, ResidualBlock, SliceNetwork, features};
use crate::cache::hexadecimal;
use crate::error::{ModelError, Result};
use crate::layers::{Conv, ConvConfig, Init, upsample};
use crate::parameters::{replaced, values};
use crate::tensor_file::{self, Format};

/// Fine rows a row that there is a tail for; other numbers start with the body alone.
pub const SCALES: std::ops::RangeInclusive<usize> = 2..=8;

/// What is different for each number of fine rows.
#[derive(Module, Debug)]
pub struct Tail {
    /// F -> `n_tail_feats * scale`.
    pub expand: Conv,
    /// `n_tail_feats` -> 1.
    pub last: Conv,
}

/// One body for every scan, and a tail for each of [`SCALES`].
#[derive(Module, Debug)]
pub struct StartNetwork {
    /// As in [`SliceNetwork`].
    pub head: Conv,
    /// As in [`SliceNetwork`].
    pub blocks: Vec<ResidualBlock>,
    /// As in [`SliceNetwork`].
    pub close: Conv,
    /// One for each of [`SCALES`], in order.
    pub tails: Vec<Tail>,
}

impl StartNetwork {
    /// Draws the weights from the streams of `start`; the scale of `config` does not matter.
    pub fn new(config: &NetworkConfig, seed: u64, device: &Device) -> Self {
        let SliceNetwork {
            head, blocks, close, ..
        } = SliceNetwork::new(config, seed, device);
        let mut init = Init::new(seed, "start");
        let NetworkConfig {
            n_feats,
            n_tail_feats,
            ..
        } = *config;
        let mut conv =
            |from, to, gain| Conv::new(ConvConfig::new(from, to, KERNEL).gain(gain), &mut init, device);
        let tails = SCALES
            .map(|scale| Tail {
                expand: conv(n_feats, n_tail_feats * scale, 1.0),
                last: conv(n_tail_feats, 1, 0.0),
            })
            .collect();
        Self {
            head,
            blocks,
            close,
            tails,
        }
    }

    /// The finer images, `scale` rows for each row.
    ///
    /// # Shapes
    /// `[N, 1, 1, rows, columns]` -> `[N, 1, 1, scale rows, columns]`.
    ///
    /// # Panics
    /// For a scale without a tail.
    pub fn forward(&self, image: Tensor<5>, scale: usize) -> Tensor<5> {
        assert!(SCALES.contains(&scale), "no tail for {scale}");
        let tail = &self.tails[scale - SCALES.start()];
        let deep = features(&self.head, &self.blocks, &self.close, image.clone());
        let fine = tail.expand.forward_shuffle(deep, [1, scale, 1]);
        tail.last.forward(fine, Activation::None) + upsample(image, [1, scale, 1])
    }
}

/// Says what kind of model a file holds.
const KIND: &str = "slice start";

/// What a start was learned from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartCard {
    /// `slice start`: what tells these files from others.
    kind: String,
    /// Sizes of the network; its scale does not matter.
    network: NetworkConfig,
    /// Steps of training.
    steps: u64,
    /// Keys the random streams.
    seed: u64,
    /// Names of the scans and label maps.
    of: Vec<String>,
}

/// Weights to start with.
#[derive(Clone, Debug)]
pub struct Start {
    weights: BTreeMap<String, TensorData>,
    card: StartCard,
    content: String,
}

/// Weights learned by `examples/slice_start.rs` of scans and label maps that anyone may use (`docs/slices-start.md`).
const BUILT_IN: &[u8] = include_bytes!("../../models/slices-start.safetensors");

impl Start {
    /// The built-in weights, read once.
    ///
    /// # Panics
    /// When they are damaged, which a test looks at.
    pub fn built_in() -> &'static Self {
        static START: LazyLock<Start> = LazyLock::new(|| {
            Start::decode(BUILT_IN, Path::new("built-in start")).expect("the built-in start is whole")
        });
        &START
    }

    fn decode(bytes: &[u8], origin: &Path) -> Result<Self> {
        let (weights, card): (_, StartCard) = tensor_file::decode(bytes, origin)?;
        if card.kind != KIND {
            let what = format!("it holds a {:?}", card.kind);
            return Err(ModelError::model_file(
                origin,
                what,
                "weights that self-learning starts with",
            ));
        }
        let content = hexadecimal(&Sha256::digest(bytes));
        Ok(Self {
            weights,
            card,
            content,
        })
    }

    /// SHA-256 of the file, in hexadecimal digits.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// The network of this start; nothing where it has other sizes.
    ///
    /// For a scale without a tail the tail is drawn, as it is for a network that starts from nothing.
    pub(super) fn network(&self, sizes: &NetworkConfig, seed: u64, device: &Device) -> Option<SliceNetwork> {
        let NetworkConfig { scale, .. } = *sizes;
        if (NetworkConfig {
            scale,
            ..self.card.network
        }) != *sizes
        {
            return None;
        }
        let network = SliceNetwork::new(sizes, seed, device);
        let tail = SCALES
            .contains(&scale)
            .then(|| format!("tails.{}.", scale - SCALES.start()));
        let mut all = values(&network);
        for (name, drawn) in &mut all {
            let of_tail = || {
                tail.as_ref()
                    .and_then(|tail| self.weights.get(&format!("{tail}{name}")))
            };
            if let Some(learned) = self.weights.get(name).or_else(of_tail) {
                *drawn = learned.clone();
            }
        }
        Some(replaced(network, &all).expect("tensors of the sizes that the card names"))
    }
}

impl StartNetwork {
    /// Writes the weights, atomically, as [`Start`] reads them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(
        &self,
        path: &Path,
        network: NetworkConfig,
        steps: u64,
        seed: u64,
        of: Vec<String>,
    ) -> Result<()> {
        let card = StartCard {
            kind: KIND.to_owned(),
            network,
            steps,
            seed,
            of,
        };
        tensor_file::write(path, &values(self), Format::F16, &card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_starts_gives_the_output_of_the_start() {
        let (device, start) = (Device::flex(), Start::built_in());
        let all = StartNetwork::new(&start.card.network, 5, &device);
        let whole = replaced(all, &start.weights).expect("the tensors of the card");
        let image = Tensor::<5>::from_data(
            TensorData::new((0..60).map(|i| (i % 7) as f32).collect(), [1, 1, 1, 6, 10]),
            &device,
        );
        for scale in [2, 5, 8] {
            let sizes = NetworkConfig {
                scale,
                ..start.card.network
            };
            let one = start
                .network(&sizes, 9, &device)
                .expect("these sizes")
                .forward(image.clone());
            let data = |t: Tensor<5>| t.into_data().try_into_vec::<f32>().expect("f32");
            assert_eq!(data(one), data(whole.forward(image.clone(), scale)), "{scale}");
        }
        let other = NetworkConfig {
            n_feats: 16,
            ..start.card.network
        };
        assert!(start.network(&other, 9, &device).is_none());
        let beyond = NetworkConfig {
            scale: 11,
            ..start.card.network
        };
        let drawn = SliceNetwork::new(&beyond, 9, &device);
        let begun = values(&start.network(&beyond, 9, &device).expect("these sizes"));
        assert_eq!(begun["expand.weight"], values(&drawn)["expand.weight"]);
        assert_ne!(begun["head.weight"], values(&drawn)["head.weight"]);
    }
}
