//! Layer 11 · The training loop: data in, records out, a model at the end.
//!
//! ```
//! use std::path::Path;
//! use voxelift_model::config::Config;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::train::{prepare, timed_steps};
//!
//! let text = r#"
//! mode = "supervised"
//! data = { hr = ["phantom:1"], source_operator = "kspace", phantom = { extent = [32, 36, 32], spacing_mm = 4.8 } }
//! patch = { size = 8, batch = 2 }
//! network = { n_feats = 4, n_resgroups = 1, n_resblocks = 1 }
//! "#;
//! let config = Config::from_text(text, "example", Path::new("."), &[])?.config;
//! let prepared = prepare(&config, &mut |note| println!("{note}"))?;
//! // How long steps take, before `train` takes as many as `steps` says, into a run folder.
//! assert_eq!(timed_steps(&config, &prepared, &DeviceChoice::Cpu.open()?.0, 2)?.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod data;
mod degradations;
mod domain;
mod draft;
mod embeddings;
mod findings;
mod globs;
mod inventory;
mod ledger;
mod objective;
mod placed;
mod preparation;
mod reading;
mod scans;
mod self_test;
mod sources;
mod state;
mod step;
mod suspects;
mod training;
mod validate;
mod views;
mod watch;

pub use data::Prepared;
pub use domain::DomainCheck;
pub use draft::{Draft, DraftOptions, draft};
pub use findings::{Finding, Findings};
pub use inventory::{Entry, Inventory};
pub use preparation::{inventory, inventory_of_run, prepare, prepare_until, validation_scans};
pub use sources::{Source, cohort, in_one_orientation, sources};
pub use state::{GeneratorSide, TrainState};
pub use step::{generator_gradients, step};
pub use suspects::unknown_people;
pub use validate::{Validation, ValidationScan};
pub use watch::Watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use voxelift_volume::Volume;
use voxelift_volume::files::write_atomically;

use crate::cache;
use crate::config::Config;
use crate::dataset::Dataset;
use crate::error::{ModelError, Result};
use crate::model_file;
use crate::run::{Record, RunDir};

use checkpoint::Beside;
use ledger::Ledger;
use training::Training;

/// Steps in a row without a finite gradient after which a run stops.
const MOST_SKIPPED: u64 = 3;

/// Events while a training runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A line for the log.
    Note(String),
    /// A warning that the user should look into.
    Warning(String),
    /// A record, after it was written.
    Record(&'a Record),
    /// A validation scan as the averaged model sees it now: LR, zero-filled, super-resolved, and its reference.
    Preview {
        /// Steps done.
        step: u64,
        /// What the model got.
        lr: &'a Volume,
        /// The baseline: the scan, zero-filled.
        zero_fill: &'a Volume,
        /// The output.
        sr: &'a Volume,
        /// The reference.
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
/// `stop` is looked at after every step. While the disk is full or the folder cannot be written training goes on and
/// says so: records wait in memory, and each checkpoint that fails is tried again at the next. Only the last one, and
/// the one of an interruption, must succeed.
///
/// # Errors
/// When the folder belongs to another configuration or process, or when the training diverges.
pub fn train(
    config: &Config,
    run: &RunDir,
    prepared: &Prepared,
    device: &Device,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<Outcome> {
    let _lock = run.lock()?;
    claim(config, run, sink)?;
    let (state, beside) = resume(config, run, device, &prepared.inventory, sink)?;
    let damaged = run.rewind_log(state.step)?;
    if damaged > 0 {
        sink(Event::Warning(format!(
            "{}: {damaged} damaged line(s) are left out",
            run.log().display()
        )))?;
    }
    let dataset = &prepared.dataset;
    let (first, steps) = (state.step, config.steps);
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(DRAWN_AHEAD);
        scope.spawn(move || dataset.keep_ahead(first, steps));
        scope.spawn(move || {
            let _closed = Closing(dataset);
            for step in first..steps {
                // Nobody receives any more: the run has ended.
                if send.send(dataset.draw(step)).is_err() {
                    break;
                }
            }
        });
        let mut training = Training {
            config,
            run,
            prepared,
            device,
            state,
            beside,
            ledger: Ledger::new(run)?,
        };
        let mut skipped_in_a_row = 0;
        while training.state.step < steps {
            let begin = Instant::now();
            let patches = receive
                .recv()
                .expect("a drawing thread that lives as long as its steps")?;
            let waiting = begin.elapsed();
            let skipped = training.step(&patches.into_batch(device), begin, waiting, sink)?;
            skipped_in_a_row = if skipped { skipped_in_a_row + 1 } else { 0 };
            if skipped_in_a_row == MOST_SKIPPED {
                return Err(training.diverged());
            }
            let interrupted = stop.load(Ordering::Relaxed);
            training.keep(interrupted, sink)?;
            if interrupted && training.state.step < steps {
                return Ok(Outcome::Interrupted);
            }
        }
        training.export(stop, sink)
    })
}

/// Ends the making of data when nothing is drawn any more, whatever the reason.
struct Closing<'a>(&'a Dataset);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Batches drawn before they are asked for.
const DRAWN_AHEAD: usize = 2;

/// Trains `steps` steps on a state that is thrown away, and says how long each took.
///
/// # Errors
/// When the data cannot be read.
pub fn timed_steps(
    config: &Config,
    prepared: &Prepared,
    device: &Device,
    steps: u64,
) -> Result<Vec<Duration>> {
    let mut state = TrainState::new(config, device);
    // Past the quiet part and the ramp: every term is computed, as in most of the run.
    state.step = ((config.schedule.quiet + config.schedule.ramp) * config.steps as f64).ceil() as u64 + 1;
    (0..steps)
        .map(|i| {
            let begin = Instant::now();
            step(&mut state, &prepared.dataset.batch(i, device)?, config);
            Ok(begin.elapsed())
        })
        .collect()
}

/// Makes the folder ours: writes the resolved configuration, or checks that it is the one already there.
fn claim(config: &Config, run: &RunDir, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    let path = run.config();
    if path.is_file() {
        let text =
            std::fs::read_to_string(&path).map_err(|e| voxelift_volume::VolumeError::io(&path, "read", e))?;
        let there = Config::from_resolved(&text, &path)?;
        let differing = there.differing_keys(config);
        let (may, must_not): (Vec<&String>, Vec<&String>) = differing
            .iter()
            .partition(|key| Config::may_change(key) || moved_start(key, &there, config));
        if !must_not.is_empty() {
            let keys = must_not.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ");
            let what = format!(
                "holds a run with another {keys}; choose another run folder, or the same configuration"
            );
            return Err(ModelError::Run {
                path: run.root().to_owned(),
                what,
            });
        }
        let done = run.list_checkpoints()?.first().map_or(0, |(step, _)| *step);
        if config.steps < done {
            return Err(ModelError::Run {
                path: run.root().to_owned(),
                what: format!(
                    "has {done} steps already, and steps is {} now; give {done} or more, or choose another run folder",
                    config.steps
                ),
            });
        }
        for key in may {
            let schedule = if key == "steps" {
                format!(
                    " ({} instead of {}): the schedule's fractions, the quiet part, the ramp and the halvings of the rate, are now of {} steps",
                    config.steps, there.steps, config.steps
                )
            } else {
                String::new()
            };
            sink(Event::Note(format!(
                "{key} differs from the earlier part of this run{schedule}; going on with the new value"
            )))?;
        }
    }
    let text = config.to_toml();
    write_atomically(&path, true, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(())
}

/// Whether only the folder of the model that the run started from has another name: the run keeps that model's hash.
fn moved_start(key: &str, there: &Config, here: &Config) -> bool {
    let name = |config: &Config| {
        config
            .start
            .as_ref()
            .and_then(|start| start.file_name().map(ToOwned::to_owned))
    };
    key == "start" && name(there).is_some() && name(there) == name(here)
}

/// The newest whole checkpoint, or a fresh state.
fn resume(
    config: &Config,
    run: &RunDir,
    device: &Device,
    inventory: &Inventory,
    sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<(TrainState, Beside)> {
    for (step, path) in run.list_checkpoints()? {
        match checkpoint::read(&path, config, device) {
            Ok((state, beside)) => {
                let then = &beside.data;
                // A checkpoint of an earlier version holds no scans.
                let has_inventory = !then.scans.is_empty();
                let (data, changes) = inventory.clone().after(then, run.root())?;
                for change in changes.into_iter().filter(|_| has_inventory) {
                    sink(Event::Warning(change))?;
                }
                sink(Event::Note(format!("going on after step {step}")))?;
                return Ok((state, Beside { data, ..beside }));
            }
            Err(error) => sink(Event::Warning(format!("{error}; trying the one before it")))?,
        }
    }
    let fresh = TrainState::new(config, device);
    let beside = Beside {
        data: inventory.clone(),
        ..Beside::default()
    };
    let Some(start) = &config.start else {
        return Ok((fresh, beside));
    };
    let (generator, card) = model_file::read(start, device)?;
    sink(Event::Note(format!("starting from {}", start.display())))?;
    let other = |what: String| {
        ModelError::model_file(start, what, "a model of this configuration's network and scale")
    };
    if card.scale() != config.scale.scale() {
        return Err(other(format!("its scale is {}", card.scale())));
    }
    // Now, not at the end: the file may have gone or changed by then.
    let name = start.file_name().unwrap_or_default().to_string_lossy();
    let named = format!("{name}, SHA-256 {}", cache::content(start)?);
    Ok((
        fresh
            .with_generator(&generator, named)
            .map_err(|error| other(error.to_string()))?,
        beside,
    ))
}
