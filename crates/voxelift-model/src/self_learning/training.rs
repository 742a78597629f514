//! One step after the other: the state between steps, the step, and the way to a file and back.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::config::LearningConfig;
use super::network::{NetworkConfig, SliceNetwork};
use super::source::Sources;
use super::start::Start;
use crate::batch::patches_to_tensor;
use crate::error::{ModelError, Result, TensorError};
use crate::optimizer::{Adam, clipped, global_norm};
use crate::parameters::{average, replaced, take_gradients, values};
use crate::tensor_file::{self, Format};

/// What changes from step to step.
#[derive(Clone, Debug)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Steps to be done in all: the rate depends on them.
    pub steps: u64,
    network: SliceNetwork,
    /// The exponential moving average of the network: what is applied.
    pub average: SliceNetwork,
    optimizer: Adam,
}

/// What a state's file holds beside tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StateMetadata {
    state_of: String,
    step: u64,
    steps: u64,
    /// What the state belongs to: another scan or configuration cannot go on with it.
    key: String,
    times: BTreeMap<String, u64>,
}

/// Says that a file holds the state of this kind of learning.
const KIND: &str = "self-learning";

const NETWORK: &str = "network.";
const AVERAGE: &str = "average.";
const MOMENTS: &str = "optimizer.";

impl State {
    /// Before the first of `steps`; `device` is plain, without autodiff.
    ///
    /// The weights are those of `start`, where there is one of these sizes.
    pub fn new(
        network: &NetworkConfig,
        seed: u64,
        steps: u64,
        start: Option<&Start>,
        device: &Device,
    ) -> Self {
        let first = |device: &Device| {
            let started = start.and_then(|start| start.network(network, seed, device));
            started.unwrap_or_else(|| SliceNetwork::new(network, seed, device))
        };
        Self {
            step: 0,
            steps,
            network: first(&device.clone().autodiff()),
            average: first(device),
            optimizer: Adam::default(),
        }
    }

    /// One step of L1 between the network's output for coarse patches and the fine ones; returns that error.
    ///
    /// # Errors
    /// When the gradient is not finite.
    pub fn advance(&mut self, sources: &Sources, config: &LearningConfig, device: &Device) -> Result<f64> {
        let size = config.patch();
        let [rows, columns] = sources.patch_shape(size);
        let patches = sources.draw(size, config.least_foreground, config.seed, self.step);
        let live = device.clone().autodiff();
        let fine_rows = rows * self.network.scale();
        let coarse = patches_to_tensor(patches.coarse, size.batch, [columns, rows, 1], &live);
        let fine = patches_to_tensor(patches.fine, size.batch, [columns, fine_rows, 1], &live);
        let loss = (self.network.forward(coarse) - fine).abs().mean();
        let error: Vec<f32> = loss
            .clone()
            .inner()
            .into_data()
            .try_into_vec()
            .expect("an f32 loss");
        let mut gradients = loss.backward();
        let gradients = take_gradients(&self.network, &mut gradients);
        let norm = global_norm(&gradients);
        if !norm.is_finite() {
            return Err(ModelError::Diverged {
                step: self.step + 1,
                what: format!(
                    "the gradient is not finite; the scan may hold values far beyond all others (its 99.5th percentile is \
                     1 in training): look at it with `voxelift doctor`; the learning rate was {}",
                    config.learning_rate
                ),
            });
        }
        let optimizer = config.optimizer();
        let gradients = clipped(gradients, norm, optimizer.clip_norm);
        let rate = config.rate(self.step, self.steps);
        self.network = self
            .optimizer
            .step(self.network.clone(), gradients, rate, &optimizer);
        self.step += 1;
        let done = self.step as f64;
        let decay = ((1.0 + done) / (10.0 + done)).min(MOST_DECAY);
        self.average = average(self.average.clone(), &self.network, decay);
        Ok(f64::from(error[0]))
    }

    /// What is applied: the average, without gradients.
    pub fn applied(&self) -> SliceNetwork {
        self.average.clone().valid()
    }

    /// Writes the state, atomically; `key` names what it belongs to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, key: &str) -> Result<()> {
        let (moments, times) = self.optimizer.state();
        let parts = [
            (NETWORK, values(&self.network)),
            (AVERAGE, values(&self.average)),
            (MOMENTS, moments),
        ];
        let tensors = parts
            .into_iter()
            .flat_map(|(prefix, part)| {
                part.into_iter()
                    .map(move |(name, data)| (format!("{prefix}{name}"), data))
            })
            .collect();
        let metadata = StateMetadata {
            state_of: KIND.to_owned(),
            step: self.step,
            steps: self.steps,
            key: key.to_owned(),
            times,
        };
        tensor_file::write(path, &tensors, Format::F32, &metadata)
    }

    /// Reads what [`State::write`] wrote for the same `key`.
    ///
    /// # Errors
    /// When the file is damaged, or belongs to something else.
    pub fn read(path: &Path, network: &NetworkConfig, key: &str, device: &Device) -> Result<Self> {
        let (mut tensors, metadata): (BTreeMap<String, TensorData>, StateMetadata) = tensor_file::read(path)?;
        let wrong = |what: String| {
            ModelError::model_file(
                path,
                what,
                "a state of this scan with the same options; learn anew without it",
            )
        };
        if metadata.state_of != KIND || metadata.key != key {
            return Err(wrong(
                "it belongs to another scan, or to other options".to_owned(),
            ));
        }
        let mut part = |prefix: &str| -> BTreeMap<String, TensorData> {
            let names: Vec<String> = tensors
                .keys()
                .filter(|name| name.starts_with(prefix))
                .cloned()
                .collect();
            let taken = names.into_iter().filter_map(|name| tensors.remove_entry(&name));
            taken
                .map(|(name, data)| (name[prefix.len()..].to_owned(), data))
                .collect()
        };
        let other = |error: TensorError| wrong(error.to_string());
        let fresh = Self::new(network, 0, metadata.steps, None, device);
        Ok(Self {
            step: metadata.step,
            steps: metadata.steps,
            network: replaced(fresh.network, &part(NETWORK)).map_err(other)?,
            average: replaced(fresh.average, &part(AVERAGE)).map_err(other)?,
            optimizer: Adam::restored(part(MOMENTS), metadata.times, device).map_err(other)?,
        })
    }
}

/// The moving average looks back over about this many steps: `1 / (1 - MOST_DECAY)`.
const MOST_DECAY: f64 = 0.99;
