//! One step after the other: the state between steps, the step, and the way to a file and back.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};
use voxelift_volume::random::Stream;

use super::config::LearningConfig;
use super::network::{NetworkConfig, SliceNetwork};
use super::source::Sources;
use super::start::Start;
use super::unpaired::{Batch, Companions, Judges, Learner, Opponents};
use crate::batch::patches_to_tensor;
use crate::error::{ModelError, Result, TensorError};
use crate::optimizer::{Adam, clipped, global_norm};
use crate::parameters::{NamedTensors, average, replaced, take_gradients, values};
use crate::tensor_file::{self, Format};

/// What changes from step to step.
#[derive(Clone, Debug)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Steps to be done in all: the rate depends on them.
    pub steps: u64,
    learner: Learner,
    /// The exponential moving average of the network: what is applied.
    pub average: SliceNetwork,
    optimizer: Adam,
    opponents: Opponents,
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
    judge_times: BTreeMap<String, u64>,
}

/// Says that a file holds the state of this kind of learning.
const KIND: &str = "self-learning";

const LEARNER: &str = "learner.";
const AVERAGE: &str = "average.";
const MOMENTS: &str = "optimizer.";
const JUDGES: &str = "judges.";
const JUDGE_MOMENTS: &str = "judge-optimizer.";

/// Numbers of the random streams that draw patches across the slices, and the positions that contrastive losses compare; those of the
/// slices' patches are below them.
const ACROSS_STREAMS: u64 = 1 << 61;
const POSITION_STREAMS: u64 = 1 << 62;

impl State {
    /// Before the first of `steps`, for coarse patches of `[rows, columns]`; `device` is plain, without autodiff.
    ///
    /// The weights are those of `start`, where there is one of these sizes.
    pub fn new(
        sizes: &NetworkConfig,
        config: &LearningConfig,
        patch: [usize; 2],
        steps: u64,
        start: Option<&Start>,
        device: &Device,
    ) -> Self {
        let (seed, live) = (config.seed, device.clone().autodiff());
        let first = |device: &Device| {
            let started = start.and_then(|start| start.network(sizes, seed, device));
            started.unwrap_or_else(|| SliceNetwork::new(sizes, seed, device))
        };
        Self {
            step: 0,
            steps,
            learner: Learner {
                network: first(&live),
                companions: Companions::new(&config.unpaired, sizes, patch, seed, &live),
            },
            average: first(device),
            optimizer: Adam::default(),
            opponents: Opponents {
                judges: Judges::new(&config.unpaired, sizes, patch, seed, &live),
                optimizer: Adam::default(),
            },
        }
    }

    /// One step of L1 between the network's output for coarse patches and the fine ones, with the terms of the unpaired method that have
    /// a weight; returns that error.
    ///
    /// # Errors
    /// When the gradient is not finite.
    pub fn advance(&mut self, sources: &Sources, config: &LearningConfig, device: &Device) -> Result<f64> {
        let batch = self.batch(sources, config, device);
        let network = &self.learner.network;
        let features = network.features(batch.coarse.clone());
        let made = network.decode(features.clone(), batch.coarse.clone());
        let mut loss = (made.clone() - batch.fine.clone()).abs().mean();
        let error: Vec<f32> = loss
            .clone()
            .inner()
            .into_data()
            .try_into_vec()
            .expect("an f32 loss");
        let strength = config.unpaired.strength(self.step, self.steps);
        if config.unpaired.active() && strength > 0.0 {
            let stream = Stream::new(config.seed, POSITION_STREAMS + self.step);
            let views = [&features, &made];
            let terms =
                self.opponents
                    .terms(&self.learner, &batch, views, &config.unpaired, strength, stream);
            loss = terms.into_iter().fold(loss, |sum, term| sum + term);
        }
        let mut gradients = loss.backward();
        let gradients = take_gradients(&self.learner, &mut gradients);
        let optimizer = config.optimizer();
        // Each by its own norm: what goes with the network is not to slow it.
        let (network, companions): (NamedTensors, NamedTensors) = gradients
            .into_iter()
            .partition(|(name, _)| name.starts_with("network."));
        let norms = [&network, &companions].map(global_norm);
        if !norms.iter().all(|norm| norm.is_finite()) {
            return Err(ModelError::Diverged {
                step: self.step + 1,
                what: format!(
                    "the gradient is not finite; the scan may hold values far beyond all others (its 99.5th percentile is \
                     1 in training): look at it with `voxelift doctor`; the learning rate was {}",
                    config.learning_rate
                ),
            });
        }
        let mut gradients = clipped(network, norms[0], optimizer.clip_norm);
        gradients.extend(clipped(companions, norms[1], optimizer.clip_norm));
        let rate = config.rate(self.step, self.steps);
        self.learner = self
            .optimizer
            .step(self.learner.clone(), gradients, rate, &optimizer);
        self.step += 1;
        let done = self.step as f64;
        let decay = ((1.0 + done) / (10.0 + done)).min(MOST_DECAY);
        self.average = average(self.average.clone(), &self.learner.network, decay);
        Ok(f64::from(error[0]))
    }

    /// What this step learns from.
    fn batch(&self, sources: &Sources, config: &LearningConfig, device: &Device) -> Batch {
        let (size, live) = (config.patch(), device.clone().autodiff());
        let [rows, columns] = sources.patch_shape(size);
        let patches = sources.draw(size, config.least_foreground, config.seed, self.step);
        let fine_rows = rows * self.learner.network.scale();
        let across = sources.across.as_ref().map(|across| {
            let [rows, columns] = across.patch_shape(size);
            let stream = Stream::new(config.seed, ACROSS_STREAMS + self.step);
            let patches = across.draw(size, config.least_foreground, stream);
            patches_to_tensor(patches, size.batch, [columns, rows, 1], &live)
        });
        Batch {
            coarse: patches_to_tensor(patches.coarse, size.batch, [columns, rows, 1], &live),
            fine: patches_to_tensor(patches.fine, size.batch, [columns, fine_rows, 1], &live),
            across,
        }
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
        let (judge_moments, judge_times) = self.opponents.optimizer.state();
        let parts = [
            (LEARNER, values(&self.learner)),
            (AVERAGE, values(&self.average)),
            (MOMENTS, moments),
            (JUDGES, values(&self.opponents.judges)),
            (JUDGE_MOMENTS, judge_moments),
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
            judge_times,
        };
        tensor_file::write(path, &tensors, Format::F32, &metadata)
    }

    /// Reads what [`State::write`] wrote for the same `key` and coarse patches of `[rows, columns]`.
    ///
    /// # Errors
    /// When the file is damaged, or belongs to something else.
    pub fn read(
        path: &Path,
        sizes: &NetworkConfig,
        config: &LearningConfig,
        patch: [usize; 2],
        key: &str,
        device: &Device,
    ) -> Result<Self> {
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
        let fresh = Self::new(sizes, config, patch, metadata.steps, None, device);
        Ok(Self {
            step: metadata.step,
            steps: metadata.steps,
            learner: replaced(fresh.learner, &part(LEARNER)).map_err(other)?,
            average: replaced(fresh.average, &part(AVERAGE)).map_err(other)?,
            optimizer: Adam::restored(part(MOMENTS), metadata.times, device).map_err(other)?,
            opponents: Opponents {
                judges: replaced(fresh.opponents.judges, &part(JUDGES)).map_err(other)?,
                optimizer: Adam::restored(part(JUDGE_MOMENTS), metadata.judge_times, device)
                    .map_err(other)?,
            },
        })
    }
}

/// The moving average looks back over about this many steps: `1 / (1 - MOST_DECAY)`.
const MOST_DECAY: f64 = 0.99;
