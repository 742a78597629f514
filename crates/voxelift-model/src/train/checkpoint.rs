//! The whole state of a run in one file, and the way back.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inventory::Inventory;
use super::state::TrainState;
use crate::cache::hexadecimal;
use crate::config::Config;
use crate::error::{ModelError, Result, TensorError};
use crate::optimizer::Adam;
use crate::parameters::{replaced, values};
use crate::run::ValidationScores;
use crate::tensor_file::{self, Format};

/// What a checkpoint holds beside tensors. Random streams are addressed by seed and step, so none is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Metadata {
    version: String,
    step: u64,
    skipped: u64,
    #[serde(default)]
    start: Option<String>,
    /// Best masked validation PSNR so far, as a decimal number for readers.
    best_psnr_db: Option<f64>,
    /// The same, bit by bit: a number that went through decimals may come back with another last digit.
    #[serde(default)]
    best_bits: Option<u64>,
    /// The newest validation scores by method, bit by bit; they end in the model's card.
    #[serde(default)]
    scores_bits: BTreeMap<String, Vec<u64>>,
    /// The scans that the run has used.
    #[serde(default)]
    data: Inventory,
    /// SHA-256 of everything else in the file; none in files of earlier versions.
    #[serde(default)]
    content: Option<String>,
    generator_times: BTreeMap<String, u64>,
    discriminator_times: BTreeMap<String, u64>,
}

const NETWORKS: &str = "networks.";
const DISCRIMINATORS: &str = "discriminators.";
const AVERAGE: &str = "average.";
const GENERATOR_MOMENTS: &str = "generator_optimizer.";
const DISCRIMINATOR_MOMENTS: &str = "discriminator_optimizer.";

/// What a run keeps beside the state of its networks.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Best validation PSNR so far.
    pub best: Option<f64>,
    /// The newest validation's scores.
    pub scores: BTreeMap<String, ValidationScores>,
    /// The scans that the run has used.
    pub data: Inventory,
}

/// Writes the state, atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, state: &TrainState, beside: &Beside) -> Result<()> {
    let mut tensors = BTreeMap::new();
    put(&mut tensors, NETWORKS, values(&state.networks));
    if let Some(discriminators) = &state.discriminators {
        put(&mut tensors, DISCRIMINATORS, values(discriminators));
    }
    put(&mut tensors, AVERAGE, values(&state.average));
    let (moments, generator_times) = state.generator_optimizer.state();
    put(&mut tensors, GENERATOR_MOMENTS, moments);
    let (moments, discriminator_times) = state.discriminator_optimizer.state();
    put(&mut tensors, DISCRIMINATOR_MOMENTS, moments);
    let scores = beside.scores.iter();
    let mut metadata = Metadata {
        version: env!("CARGO_PKG_VERSION").into(),
        step: state.step,
        skipped: state.skipped,
        start: state.start.clone(),
        best_psnr_db: beside.best,
        best_bits: beside.best.map(f64::to_bits),
        scores_bits: scores.map(|(name, s)| (name.clone(), bits(s))).collect(),
        data: beside.data.clone(),
        content: None,
        generator_times,
        discriminator_times,
    };
    metadata.content = Some(content(&tensors, &metadata));
    tensor_file::write(path, &tensors, Format::F32, &metadata)
}

/// Reads a state that [`write`] wrote for the same configuration, and what the run kept beside it.
///
/// # Errors
/// When the file is damaged, by a single bit too, or belongs to other networks.
pub fn read(path: &Path, config: &Config, device: &Device) -> Result<(TrainState, Beside)> {
    let (mut tensors, mut metadata): (_, Metadata) = tensor_file::read(path)?;
    let wrong = |what: String| {
        ModelError::model_file(
            path,
            what,
            "a checkpoint of this configuration; choose another run folder",
        )
    };
    if let Some(written) = metadata.content.take()
        && written != content(&tensors, &metadata)
    {
        let what = "its content is not what was written (a damaged disk or copy)";
        return Err(ModelError::model_file(
            path,
            what,
            "a whole checkpoint; remove it",
        ));
    }
    let fresh = TrainState::new(config, device);
    let mut part = |prefix: &str| take(&mut tensors, prefix);
    let other = |error: TensorError| wrong(error.to_string());
    let restore = |moments, times| Adam::restored(moments, times, device);
    let state = TrainState {
        step: metadata.step,
        skipped: metadata.skipped,
        start: metadata.start,
        networks: replaced(fresh.networks, &part(NETWORKS)).map_err(other)?,
        discriminators: restored_option(fresh.discriminators, &part(DISCRIMINATORS)).map_err(other)?,
        average: replaced(fresh.average, &part(AVERAGE)).map_err(other)?,
        generator_optimizer: restore(part(GENERATOR_MOMENTS), metadata.generator_times).map_err(other)?,
        discriminator_optimizer: restore(part(DISCRIMINATOR_MOMENTS), metadata.discriminator_times)
            .map_err(other)?,
    };
    let scores = metadata.scores_bits.into_iter();
    let beside = Beside {
        best: metadata.best_bits.map(f64::from_bits).or(metadata.best_psnr_db),
        scores: scores.map(|(name, bits)| (name, from_bits(&bits))).collect(),
        data: metadata.data,
    };
    Ok((state, beside))
}

/// The scans that the run of a checkpoint had used; none where a version wrote it that did not keep them.
///
/// # Errors
/// When the file is damaged.
pub fn read_inventory(path: &Path) -> Result<Inventory> {
    let (_, metadata): (_, Metadata) = tensor_file::read(path)?;
    Ok(metadata.data)
}

/// SHA-256 over every tensor's name, shape and bytes, and the metadata.
fn content(tensors: &BTreeMap<String, TensorData>, metadata: &Metadata) -> String {
    // What a decimal number loses on the way must not look like damage: its bits are beside it.
    let metadata = Metadata {
        best_psnr_db: None,
        ..metadata.clone()
    };
    let mut hash = Sha256::new();
    hash.update(serde_json::to_string(&metadata).expect("plain data"));
    for (name, data) in tensors {
        hash.update(format!("{name} {:?}", data.shape()));
        hash.update(data.as_bytes());
    }
    hexadecimal(&hash.finalize())
}

fn bits(scores: &ValidationScores) -> Vec<u64> {
    let numbers = [
        scores.psnr_db,
        scores.ssim,
        scores.masked_psnr_db,
        scores.masked_ssim,
        scores.brain_psnr_db,
        scores.brain_ssim,
    ];
    numbers.map(f64::to_bits).to_vec()
}

/// Numbers that an earlier version did not keep are none.
fn from_bits(bits: &[u64]) -> ValidationScores {
    let number = |i: usize| bits.get(i).map_or(f64::NAN, |bits| f64::from_bits(*bits));
    ValidationScores {
        psnr_db: number(0),
        ssim: number(1),
        masked_psnr_db: number(2),
        masked_ssim: number(3),
        brain_psnr_db: number(4),
        brain_ssim: number(5),
    }
}

fn restored_option<M: Module>(
    module: Option<M>,
    values: &BTreeMap<String, TensorData>,
) -> std::result::Result<Option<M>, TensorError> {
    module.map(|module| replaced(module, values)).transpose()
}

fn put(all: &mut BTreeMap<String, TensorData>, prefix: &str, part: BTreeMap<String, TensorData>) {
    all.extend(
        part.into_iter()
            .map(|(name, data)| (format!("{prefix}{name}"), data)),
    );
}

fn take(all: &mut BTreeMap<String, TensorData>, prefix: &str) -> BTreeMap<String, TensorData> {
    let names: Vec<String> = all
        .keys()
        .filter(|name| name.starts_with(prefix))
        .cloned()
        .collect();
    let taken = names.into_iter().filter_map(|name| all.remove_entry(&name));
    taken
        .map(|(name, data)| (name[prefix.len()..].to_owned(), data))
        .collect()
}
