//! Floor 10 · The training loop: data in, records out, a model at the end.

mod checkpoint;
mod data;
mod embeddings;
mod objective;
mod state;
mod step;
mod validate;
mod views;

pub use data::{Prepared, prepare};
pub use state::{GeneratorSide, TrainState};
pub use step::{generator_gradients, step};
pub use validate::{Validation, ValidationHead};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use voxelift_volume::Volume;
use voxelift_volume::files::write_atomically;

use crate::config::Config;
use crate::error::{ModelError, Result};
use crate::infer::SuperResolver;
use crate::model_file::{self, FORMAT, GRID, ModelCard, NORMALIZATION};
use crate::run::{Record, RunDir};

/// Steps in a row without a finite gradient after which a run stops.
const MOST_SKIPPED: u64 = 3;

/// What training says while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something for the log.
    Note(String),
    /// Something that the user should look into.
    Warning(String),
    /// A record, after it was written.
    Record(&'a Record),
    /// A head as the averaged model sees it now: LR, zero-filled, super-resolved, true.
    Preview {
        /// Steps done.
        step: u64,
        /// What the model got.
        lr: &'a Volume,
        /// The floor.
        zero_fill: &'a Volume,
        /// The answer.
        sr: &'a Volume,
        /// The truth.
        hr: &'a Volume,
    },
}

/// How a call of [`train`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and the model is written.
    Done,
    /// Asked to stop; the state is kept and the same command goes on.
    Interrupted,
}

/// Trains until `config.steps` are done, from where the run folder stands; writes `model.safetensors` at the end.
///
/// `stop` is looked at after every step.
///
/// # Errors
/// When the folder belongs to another configuration or cannot be written, or when the training diverges.
pub fn train(
    config: &Config,
    run: &RunDir,
    prepared: &Prepared,
    device: &Device,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<Outcome> {
    claim(config, run, sink)?;
    let (mut state, mut best) = resume(config, run, device, sink)?;
    run.rewind_log(state.step)?;
    let mut scores = BTreeMap::new();
    let mut skipped_in_a_row = 0;
    while state.step < config.steps {
        let begin = Instant::now();
        let learning_rate = config.optimizer.rate(state.step, config.steps);
        let batch = prepared.dataset.batch(state.step, device);
        let skipped = state.skipped;
        let terms = step(&mut state, &batch, config);
        skipped_in_a_row = if state.skipped > skipped {
            skipped_in_a_row + 1
        } else {
            0
        };
        let record = Record::Step {
            step: state.step,
            seconds: begin.elapsed().as_secs_f64(),
            learning_rate,
            terms: terms
                .iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        };
        run.append(&record)?;
        sink(Event::Record(&record))?;
        if skipped_in_a_row > 0 {
            sink(Event::Warning(format!(
                "step {}: the gradient is not finite; the step is left out",
                state.step
            )))?;
        }
        if skipped_in_a_row == MOST_SKIPPED {
            let what = format!(
                "{MOST_SKIPPED} steps in a row without a finite gradient; lower optimizer.learning_rate and start again \
                 from the checkpoints in {}",
                run.checkpoints().display()
            );
            return Err(ModelError::Diverged {
                step: state.step,
                what,
            });
        }
        let last = state.step == config.steps;
        let due = |every: u64| last || (every > 0 && state.step.is_multiple_of(every));
        if due(config.validation.every) && !prepared.validation.is_empty() {
            let resolver = resolver(config, &state, device);
            let validation = validate::validate(&resolver, &prepared.validation)?;
            let record = Record::Validation {
                step: state.step,
                scores: validation.scores.clone(),
            };
            run.append(&record)?;
            sink(Event::Record(&record))?;
            let head = &prepared.validation[0];
            sink(Event::Preview {
                step: state.step,
                lr: &head.lr,
                zero_fill: head.zero_fill(),
                sr: &validation.first,
                hr: &head.hr,
            })?;
            scores = validation.scores;
            let psnr_db = scores["sr"].masked_psnr_db;
            if best.is_none_or(|best| psnr_db > best) {
                best = Some(psnr_db);
                checkpoint::write(&run.best_checkpoint(), &state, best)?;
            }
        }
        let interrupted = stop.load(Ordering::Relaxed);
        if interrupted || due(config.checkpoint.every) {
            checkpoint::write(&run.checkpoint(state.step), &state, best)?;
            run.prune_checkpoints(config.checkpoint.keep)?;
        }
        if interrupted && !last {
            return Ok(Outcome::Interrupted);
        }
    }
    if scores.is_empty() {
        scores = last_scores(run)?;
    }
    model_file::write(&run.model(), &state.average, &card(config, prepared, scores))?;
    Ok(Outcome::Done)
}

/// The averaged generator, ready to be applied.
fn resolver(config: &Config, state: &TrainState, device: &Device) -> SuperResolver {
    SuperResolver::new(
        state.average.clone(),
        config.scale.scale(),
        config.tile(),
        device.clone(),
    )
}

/// Makes the folder ours: writes the resolved configuration, or checks that it is the one already there.
fn claim(config: &Config, run: &RunDir, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    let path = run.config();
    if path.is_file() {
        let text =
            std::fs::read_to_string(&path).map_err(|e| voxelift_volume::VolumeError::io(&path, "read", e))?;
        let there = Config::from_resolved(&text, &path)?;
        let differing = there.differing_keys(config);
        let (may, must_not): (Vec<&String>, Vec<&String>) =
            differing.iter().partition(|key| Config::may_change(key));
        if !must_not.is_empty() {
            let keys = must_not.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ");
            let what = format!(
                "holds a run with another {keys}; give another --run folder, or the same configuration"
            );
            return Err(ModelError::Run {
                path: run.root().to_owned(),
                what,
            });
        }
        for key in may {
            sink(Event::Note(format!(
                "{key} differs from the earlier part of this run; going on with the new value"
            )))?;
        }
    }
    let text = config.to_toml();
    write_atomically(&path, true, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(())
}

/// The newest whole checkpoint, or a fresh state.
fn resume(
    config: &Config,
    run: &RunDir,
    device: &Device,
    sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<(TrainState, Option<f64>)> {
    for (step, path) in run.list_checkpoints()? {
        match checkpoint::read(&path, config, device) {
            Ok((state, best)) => {
                sink(Event::Note(format!("going on after step {step}")))?;
                return Ok((state, best));
            }
            Err(error) => sink(Event::Warning(format!("{error}; trying the one before it")))?,
        }
    }
    Ok((TrainState::new(config, device), None))
}

fn last_scores(run: &RunDir) -> Result<BTreeMap<String, crate::run::ValidationScores>> {
    let last = run.records()?.into_iter().rev().find_map(|record| match record {
        Record::Validation { scores, .. } => Some(scores),
        Record::Step { .. } => None,
    });
    Ok(last.unwrap_or_default())
}

fn card(
    config: &Config,
    prepared: &Prepared,
    validation: BTreeMap<String, crate::run::ValidationScores>,
) -> ModelCard {
    ModelCard {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        method: config.mode.name().into(),
        scale: config.scale.scale().0,
        network: config.generator(),
        patch: config.patch.size,
        tile: config.tile(),
        steps: config.steps,
        seed: config.seed,
        grid: GRID.into(),
        normalization: NORMALIZATION.into(),
        source_operators: prepared.source_operators.clone(),
        calibration_misfit: prepared.calibration_misfit,
        hr_scans: prepared.hr_scans.clone(),
        lr_scans: prepared.lr_scans.clone(),
        lr_spacing_mm: prepared.lr_spacing_mm,
        validation,
        notes: config.data.notes.clone(),
    }
}
