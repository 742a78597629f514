//! What was learned from a scan, kept in a file for other scans of the same protocol.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::network::{NetworkConfig, SliceNetwork};
use super::protocol::SliceProtocol;
use super::self_test::SelfTest;
use crate::error::{ModelError, Result};
use crate::parameters::{replaced, values};
use crate::tensor_file::{self, Format};

/// The layout of the card; a file of another number is refused.
const FORMAT: u32 = 1;

/// Says what kind of model the file holds.
const KIND: &str = "self-learned";

/// What a self-learned model is, what it was learned from, and what it may be expected to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfCard {
    /// `self-learned`: what tells these files from others.
    pub kind: String,
    /// The layout of this card.
    pub format: u32,
    /// The version of voxelift that wrote it.
    pub version: String,
    /// Sizes of the network.
    pub network: NetworkConfig,
    /// The protocol of the scan: another is refused.
    pub protocol: SliceProtocol,
    /// The scan, by the name of its file.
    pub scan: String,
    /// Steps done.
    pub steps: u64,
    /// Keys the random streams.
    pub seed: u64,
    /// Seconds that they took.
    pub seconds: f64,
    /// SHA-256 of the weights that learning started with; none where they were drawn.
    #[serde(default)]
    pub start: Option<String>,
    /// The test on the slices of the scan that were kept out.
    pub self_test: Option<SelfTest>,
}

impl SelfCard {
    /// Of a network learned from the scan of `protocol`, whose name the caller adds.
    pub(super) fn new(network: NetworkConfig, protocol: SliceProtocol) -> Self {
        Self {
            kind: KIND.to_owned(),
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network,
            protocol,
            scan: String::new(),
            steps: 0,
            seed: 0,
            seconds: 0.0,
            start: None,
            self_test: None,
        }
    }
}

/// A network with its card.
#[derive(Clone, Debug)]
pub struct SelfModel {
    /// Without gradients.
    pub network: SliceNetwork,
    /// What it is.
    pub card: SelfCard,
}

impl SelfModel {
    /// Writes both, atomically.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        tensor_file::write(path, &values(&self.network), Format::F32, &self.card)
    }

    /// Reads what [`SelfModel::write`] wrote.
    ///
    /// # Errors
    /// When the file is damaged, or of another kind.
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        let (tensors, card): (BTreeMap<String, TensorData>, serde_json::Value) = tensor_file::read(path)?;
        let wrong = |what: String| {
            ModelError::model_file(path, what, "a model that was learned from a scan's own slices")
        };
        if card["kind"] != KIND {
            return Err(wrong("it is not a self-learned model".to_owned()));
        }
        if card["format"] != FORMAT {
            return Err(wrong(format!("its card is of format {}", card["format"])));
        }
        let card: SelfCard = serde_json::from_value(card)
            .map_err(|error| wrong(format!("its card cannot be read ({error})")))?;
        card.network
            .check()
            .map_err(|setting| wrong(setting.to_string()))?;
        if card.network.scale != card.protocol.scale {
            return Err(wrong(format!(
                "its network is for {} fine slices a slice, its protocol for {}",
                card.network.scale, card.protocol.scale
            )));
        }
        let network = SliceNetwork::new(&card.network, card.seed, device);
        let network = replaced(network, &tensors).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { network, card })
    }

    /// Whether a file says that it holds such a model; a file that cannot be read does not.
    pub fn is_one(path: &Path) -> bool {
        tensor_file::read::<serde_json::Value>(path).is_ok_and(|(_, card)| card["kind"] == KIND)
    }
}
