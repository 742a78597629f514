//! Layer 8 · The exported model: safetensors + card.
//!
//! ```
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::model_file::ModelFile;
//!
//! // `ModelFile::open` reads a file of yours; this one is in the program. Its card says what it is.
//! let file = ModelFile::built_in();
//! let card = file.card()?;
//! println!("{}", card.notes);
//! assert_eq!(card.scale, [2; 3]);
//! assert!(!card.hr_scans.is_empty() && !card.self_test.is_empty());
//! let (generator, _) = file.generator(&DeviceChoice::Cpu.open()?.0)?;
//! assert_eq!(generator.scale(), [2; 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use voxelift_volume::appearance::AppearanceRange;
use voxelift_volume::degrade::{Degradation, Operators};
use voxelift_volume::metrics::Summary;
use voxelift_volume::words::number;
use voxelift_volume::{Scale, VolumeError};

use crate::cache::hexadecimal;
use crate::error::{ModelError, Result};
use crate::networks::{Generator, GeneratorConfig, NullSpace};
use crate::parameters;
use crate::run::ValidationScores;
use crate::tensor_file::{self, Format};

/// The layout of the card; a file of another number is refused.
pub const FORMAT: u32 = 1;

/// The layout of the card of a placed network, which programs that do not know such networks refuse.
pub const PLACED_FORMAT: u32 = 2;

/// The layout that the card of such a network has.
pub fn format_of(network: &GeneratorConfig) -> u32 {
    if network.placed { PLACED_FORMAT } else { FORMAT }
}

/// What a model is, what it was trained on, and what it can be expected to do. Kept in the file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// [`FORMAT`], or [`PLACED_FORMAT`].
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
    /// LR voxels along an inference tile by default: attention averages over the tile, so the output depends on it.
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
    /// What those scans look like, noise that training adds among it.
    #[serde(default)]
    pub appearance: Option<AppearanceRange>,
    /// Mean scores on the validation scans: `sr`, `sr-consistent` and each baseline.
    pub validation: BTreeMap<String, ValidationScores>,
    /// What may be expected on scans like those of training, one entry an acquisition.
    #[serde(default)]
    pub self_test: Vec<SelfTest>,
    /// The number format of the weights in the file.
    #[serde(default)]
    pub weights: Format,
    /// The model that training started from, where it did from one: its file's name and SHA-256.
    #[serde(default)]
    pub start: Option<String>,
    /// What the owner of the data wants to be known: licences, contrast.
    pub notes: String,
    /// What it is known to do badly.
    #[serde(default)]
    pub limits: Vec<String>,
}

/// Scores on scans that training has not seen, degraded in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// What made LR scans of them.
    pub degradation: String,
    /// The scans, by the names of their files.
    pub scans: Vec<String>,
    /// Where the scores were taken; the dilated mask in cards of earlier versions, which do not say.
    #[serde(default = "in_the_mask")]
    pub region: String,
    /// Over subjects, by method (`sr`, `sr-consistent` and each baseline) and score.
    pub scores: BTreeMap<String, BTreeMap<String, Summary>>,
    /// Over subjects, by score: the model alone less the zero-filled scan.
    pub gain: BTreeMap<String, Summary>,
    /// The least of these gains of one subject.
    pub least_gain: BTreeMap<String, f64>,
    /// As `gain`, of the model with what the scan measured put back, as `upscale` does by default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub consistent_gain: BTreeMap<String, Summary>,
    /// The least of these gains of one subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub least_consistent_gain: BTreeMap<String, f64>,
}

fn in_the_mask() -> String {
    "in the mask".to_owned()
}

/// What every card says of its grid.
pub const GRID: &str = "field of view kept: HR index k = scale * (j + 1/2) - 1/2";

/// What every card says of its intensities.
pub const NORMALIZATION: &str = "divided by the 99.5th percentile of the LR foreground, never clipped";

/// Voxel sizes within this factor of those of training are taken for the same.
const SPACING_TOLERANCE: f64 = 1.1;

impl ModelCard {
    /// In which respects LR voxels of this size (mm along x, y, z) are none that the model was trained on.
    pub fn strange_voxels(&self, spacing_mm: [f64; 3]) -> Vec<String> {
        let ranges = self.lr_spacing_mm.into_iter().enumerate();
        let strange = ranges.filter_map(|(axis, [least, largest])| {
            let fits = (least / SPACING_TOLERANCE..=largest * SPACING_TOLERANCE).contains(&spacing_mm[axis]);
            (!fits).then(|| {
                format!(
                    "voxels of {} mm along {}, {} to {} mm in training",
                    number(spacing_mm[axis]),
                    ["x", "y", "z"][axis],
                    number(least),
                    number(largest),
                )
            })
        });
        strange.collect()
    }

    /// HR voxels per LR voxel.
    pub fn scale(&self) -> Scale {
        Scale(self.scale)
    }

    /// [`ModelCard::source_operators`], each once, with how often it was drawn if more than once.
    pub fn operators_in_words(&self) -> String {
        let runs = self.source_operators.chunk_by(|a, b| a == b);
        let operators: Vec<String> = runs
            .map(|run| match run.len() {
                1 => run[0].clone(),
                times => format!("{} ({times} times as often)", run[0]),
            })
            .collect();
        operators.join("; ")
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
    tensor_file::write(path, &parameters::values(generator), card.weights, card)
}

/// A model file's bytes, and where they come from.
#[derive(Clone, Debug)]
pub struct ModelFile {
    origin: PathBuf,
    bytes: Cow<'static, [u8]>,
}

impl ModelFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| VolumeError::io(path, "read", e))?;
        Ok(Self {
            origin: path.to_owned(),
            bytes: bytes.into(),
        })
    }

    /// The built-in model for T1-weighted brains from about 2 mm to 1 mm: made by `configs/default-model.toml`.
    pub fn built_in() -> Self {
        Self {
            origin: "built-in model".into(),
            bytes: include_bytes!("../models/t1w-brain-2mm.safetensors")[..].into(),
        }
    }

    /// The built-in model for heads of any contrast from about 2 mm to 1 mm: made by `configs/any-contrast.toml`.
    pub fn built_in_for_any_contrast() -> Self {
        Self {
            origin: "built-in model for any contrast".into(),
            bytes: include_bytes!("../models/any-contrast-brain-2mm.safetensors")[..].into(),
        }
    }

    /// The built-in model for heads of any contrast whose weights anyone may use commercially: made by `configs/free-brain.toml`.
    pub fn built_in_free() -> Self {
        Self {
            origin: "free built-in model".into(),
            bytes: include_bytes!("../models/free-brain-2mm.safetensors")[..].into(),
        }
    }

    /// The file, or `built-in model`.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// SHA-256 in hexadecimal digits.
    pub fn content(&self) -> String {
        hexadecimal(&Sha256::digest(&self.bytes))
    }

    /// The card alone.
    ///
    /// # Errors
    /// When the file is damaged or has no card that this version reads.
    pub fn card(&self) -> Result<ModelCard> {
        tensor_file::decode(&self.bytes, &self.origin).map(|(_, card)| card)
    }

    /// The network for other programs, which know convolutions, attention and a residual, and no null-space layer.
    ///
    /// # Errors
    /// As [`ModelFile::generator`], and when the network has such a layer.
    pub fn for_others(&self) -> Result<(Generator, ModelCard)> {
        let (generator, card) = self.generator(&Device::flex())?;
        if card.network.null_space != NullSpace::Off {
            return Err(ModelError::model_file(
                &self.origin,
                "its network has a null-space layer, which other programs would leave out",
                "a model trained with network.null_space = \"off\"; `voxelift upscale` applies this one",
            ));
        }
        Ok((generator, card))
    }

    /// The network with its weights, and its card.
    ///
    /// # Errors
    /// When the file is damaged, of another format, or does not hold the tensors that its card names.
    pub fn generator(&self, device: &Device) -> Result<(Generator, ModelCard)> {
        let (values, card): (_, ModelCard) = tensor_file::decode(&self.bytes, &self.origin)?;
        if card.format != format_of(&card.network) {
            let expected = format!(
                "format {FORMAT}, or {PLACED_FORMAT} of a placed network; use the version of voxelift that wrote it ({})",
                card.version
            );
            return Err(ModelError::model_file(
                &self.origin,
                format!("model format {}", card.format),
                expected,
            ));
        }
        let mut network = card.network.clone();
        let [x, y, z] = card.scale;
        network.scale = [z, y, x];
        network.check().map_err(|e| {
            ModelError::model_file(
                &self.origin,
                format!("its card says {e}"),
                "sizes of a real network",
            )
        })?;
        // The network is made before its weights are put into it: not one that is larger than the file.
        let stored: usize = values.values().map(|tensor| tensor.shape().num_elements()).sum();
        let (tensors, weights) = network.least();
        if tensors > values.len() as f64 || weights > stored as f64 {
            let what = format!(
                "its card names a larger network than its {stored} weights in {} tensors make",
                values.len()
            );
            return Err(ModelError::model_file(
                &self.origin,
                what,
                "the tensors that its card names",
            ));
        }
        let generator = parameters::replaced(network.init(0, device), &values).map_err(|error| {
            ModelError::model_file(&self.origin, error.to_string(), "the tensors that its card names")
        })?;
        Ok((generator, card))
    }
}

/// Reads a model.
///
/// # Errors
/// As [`ModelFile::open`] and [`ModelFile::generator`].
pub fn read(path: &Path, device: &Device) -> Result<(Generator, ModelCard)> {
    ModelFile::open(path)?.generator(device)
}

/// Reads a card alone.
///
/// # Errors
/// As [`ModelFile::open`] and [`ModelFile::card`].
pub fn read_card(path: &Path) -> Result<ModelCard> {
    ModelFile::open(path)?.card()
}
