//! The whole state of a run in one file, and the way back.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::state::TrainState;
use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::optimizer::Adam;
use crate::parameters::{replaced, values};
use crate::tensor_file::{self, Format};

/// What a checkpoint holds beside tensors. Random streams are addressed by seed and step, so none is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Metadata {
    version: String,
    step: u64,
    skipped: u64,
    #[serde(default)]
    start: Option<String>,
    /// Best masked validation PSNR so far.
    best_psnr_db: Option<f64>,
    generator_times: BTreeMap<String, u64>,
    discriminator_times: BTreeMap<String, u64>,
}

const NETWORKS: &str = "networks.";
const DISCRIMINATORS: &str = "discriminators.";
const AVERAGE: &str = "average.";
const GENERATOR_MOMENTS: &str = "generator_optimizer.";
const DISCRIMINATOR_MOMENTS: &str = "discriminator_optimizer.";

/// Writes the state, atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, state: &TrainState, best_psnr_db: Option<f64>) -> Result<()> {
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
    let metadata = Metadata {
        version: env!("CARGO_PKG_VERSION").into(),
        step: state.step,
        skipped: state.skipped,
        start: state.start.clone(),
        best_psnr_db,
        generator_times,
        discriminator_times,
    };
    tensor_file::write(path, &tensors, Format::F32, &metadata)
}

/// Reads a state that [`write`] wrote for the same configuration, and the best validation PSNR so far.
///
/// # Errors
/// When the file is damaged or belongs to other networks.
pub fn read(path: &Path, config: &Config, device: &Device) -> Result<(TrainState, Option<f64>)> {
    let (mut tensors, metadata): (_, Metadata) = tensor_file::read(path)?;
    let wrong = |what: String| {
        ModelError::model_file(
            path,
            what,
            "a checkpoint of this configuration; train into another --run folder",
        )
    };
    let fresh = TrainState::new(config, device);
    let mut part = |prefix: &str| take(&mut tensors, prefix);
    let restore = |moments, times| Adam::restored(moments, times, device);
    let state = TrainState {
        step: metadata.step,
        skipped: metadata.skipped,
        start: metadata.start,
        networks: replaced(fresh.networks, &part(NETWORKS)).map_err(wrong)?,
        discriminators: restored_option(fresh.discriminators, &part(DISCRIMINATORS)).map_err(wrong)?,
        average: replaced(fresh.average, &part(AVERAGE)).map_err(wrong)?,
        generator_optimizer: restore(part(GENERATOR_MOMENTS), metadata.generator_times).map_err(wrong)?,
        discriminator_optimizer: restore(part(DISCRIMINATOR_MOMENTS), metadata.discriminator_times)
            .map_err(wrong)?,
    };
    Ok((state, metadata.best_psnr_db))
}

fn restored_option<M: Module>(
    module: Option<M>,
    values: &BTreeMap<String, TensorData>,
) -> std::result::Result<Option<M>, String> {
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
