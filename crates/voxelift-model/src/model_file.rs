//! Floor 8 · The exported model: safetensors + card.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use voxelift_volume::Scale;
use voxelift_volume::degrade::{Degradation, Operators};

use crate::error::{ModelError, Result};
use crate::networks::{Generator, GeneratorConfig};
use crate::parameters;
use crate::run::ValidationScores;
use crate::tensor_file;

/// The layout of the card; a file of another number is refused.
pub const FORMAT: u32 = 1;

/// What a model is, what it was trained on, and what it can be expected to do. Kept in the file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of voxelift that wrote it.
    pub version: String,
    /// `supervised` or `unpaired`.
    pub method: String,
    /// HR voxels per LR voxel, x, y, z.
    pub scale: [usize; 3],
    /// Sizes and switches of the networks.
    pub network: GeneratorConfig,
    /// LR voxels along a training patch.
    pub patch: usize,
    /// LR voxels along an inference tile by default: attention averages over the tile, so it belongs to the answer.
    pub tile: usize,
    /// Optimisation steps.
    pub steps: u64,
    /// Keys the random streams.
    pub seed: u64,
    /// Where voxels lie after upscaling.
    pub grid: String,
    /// What intensities are divided by.
    pub normalization: String,
    /// The known degradations that the HR scans were trained through.
    pub source_operators: Vec<String>,
    /// Misfit of the calibrated operator, where `source_operator = "auto"` chose it.
    pub calibration_misfit: Option<f64>,
    /// HR scans, by the names of their files.
    pub hr_scans: Vec<String>,
    /// LR scans, by the names of their files.
    pub lr_scans: Vec<String>,
    /// Millimetres between the voxels of the LR scans of training: smallest and largest per axis x, y, z.
    pub lr_spacing_mm: [[f64; 2]; 3],
    /// Mean scores on the validation heads: `sr` and each floor.
    pub validation: BTreeMap<String, ValidationScores>,
    /// What the owner of the data wants to be known: licences, contrast, limits.
    pub notes: String,
}

/// What every card says of its grid.
pub const GRID: &str = "field of view kept: HR index k = scale * (j + 1/2) - 1/2";

/// What every card says of its intensities.
pub const NORMALIZATION: &str = "divided by the 99.5th percentile of the LR foreground, never clipped";

impl ModelCard {
    /// HR voxels per LR voxel.
    pub fn scale(&self) -> Scale {
        Scale(self.scale)
    }

    /// The operators of [`ModelCard::source_operators`].
    ///
    /// # Errors
    /// When the card's words are of another kind.
    pub fn operators(&self) -> Result<Vec<Operators>> {
        let operators = self.source_operators.iter();
        Ok(operators
            .map(|words| Degradation::operator_in(words))
            .collect::<voxelift_volume::Result<_>>()?)
    }
}

/// Writes a generator and its card, atomically; the same content gives the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, generator: &Generator, card: &ModelCard) -> Result<()> {
    tensor_file::write(path, &parameters::values(generator), card)
}

/// Reads a model.
///
/// # Errors
/// When the file is missing, damaged, of another format, or does not hold the tensors that its card promises.
pub fn read(path: &Path, device: &Device) -> Result<(Generator, ModelCard)> {
    let (values, card): (_, ModelCard) = tensor_file::read(path)?;
    if card.format != FORMAT {
        let expected = format!(
            "format {FORMAT}; use the version of voxelift that wrote it ({})",
            card.version
        );
        return Err(ModelError::model_file(
            path,
            format!("model format {}", card.format),
            expected,
        ));
    }
    let mut network = card.network.clone();
    let [x, y, z] = card.scale;
    network.scale = [z, y, x];
    network
        .check()
        .map_err(|e| ModelError::model_file(path, format!("its card says {e}"), "sizes of a real network"))?;
    // The network is made before its weights are put into it: not one that is larger than the file.
    let stored: usize = values.values().map(|tensor| tensor.shape().num_elements()).sum();
    let (tensors, weights) = network.least();
    if tensors > values.len() as f64 || weights > stored as f64 {
        let what = format!(
            "its card promises a larger network than its {stored} weights in {} tensors make",
            values.len()
        );
        return Err(ModelError::model_file(
            path,
            what,
            "the tensors that its card promises",
        ));
    }
    let generator = parameters::replaced(network.init(0, device), &values)
        .map_err(|what| ModelError::model_file(path, what, "the tensors that its card promises"))?;
    Ok((generator, card))
}

/// Reads a card alone.
///
/// # Errors
/// As [`read`].
pub fn read_card(path: &Path) -> Result<ModelCard> {
    tensor_file::read(path).map(|(_, card)| card)
}
