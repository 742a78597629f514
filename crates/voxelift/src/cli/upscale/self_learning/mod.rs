//! `--method self`: a network learned from the slices of the scan itself.

mod arguments;
mod built_in;
mod scan;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use voxelift_model::cache;
use voxelift_model::device::Precision;
use voxelift_model::self_learning::{Length, SelfModel, Start};
use voxelift_model::upscale::{SliceUpscaler, SliceWishes};
use voxelift_volume::nifti::{ReadOptions, WriteOptions};
use voxelift_volume::target::Target;

use super::super::batch;
use super::super::files::{self, Inputs, Job};
use super::super::stop;
use super::UpscaleArguments;
use super::refusal::in_options;
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
pub use arguments::SelfArguments;
use arguments::Time;
pub use built_in::BuiltInForSlices;

/// What does not depend on the scan.
struct Plan {
    upscaler: SliceUpscaler,
    /// Whether nobody asked for this method: then the built-in network is applied as it is.
    chosen: bool,
    /// Learned before, in place of learning now.
    model: Option<SelfModel>,
    /// Scans that are learned from too.
    with: Vec<PathBuf>,
    /// Where to keep what is learned now.
    keep_model: Option<PathBuf>,
    /// Whether to go on from the state of an interrupted call.
    resume: bool,
    /// Whether to write a map of how far the two orientations agree.
    orientations: bool,
    labels: Option<PathBuf>,
    like: Option<PathBuf>,
    anonymise: bool,
    /// What every output depends on beside its scan and those files, as its sidecar says it.
    asked: Value,
    read: ReadOptions,
    write: WriteOptions,
    stop: Arc<AtomicBool>,
}

/// Carries out `upscale --method self`.
///
/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(
    arguments: &UpscaleArguments,
    protected: &Inputs,
    jobs: &[Job],
    in_batch: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let own = &arguments.learning;
    if own.keep_model.is_some() && (in_batch || arguments.model.is_some()) {
        return Err(usage(
            "--keep-model FILE keeps what was learned from one IN; leave --model out, and bring several scans one by one",
        ));
    }
    if !own.with().is_empty() && (in_batch || arguments.model.is_some()) {
        return Err(usage(
            "--with FILE names what is learned from beside one IN; leave --model out, and bring several scans one by one",
        ));
    }
    if let Some(path) = &own.keep_model {
        files::refuse_existing(path, arguments.write.force)?;
    }
    let wish = stop::on_request_or_warning()?;
    let plan = Plan {
        stop: Arc::clone(&wish),
        ..plan(arguments, false, terminal)?
    };
    if !in_batch {
        jobs.iter()
            .try_for_each(|job| plan.refuse_existing(job, protected))?;
    }
    let interrupted = AtomicBool::new(false);
    // Learning takes all threads, so scans go one after the other.
    let outcome = batch::run(jobs, "upscale", 1, terminal, |job, waits| {
        let made = match plan.stop.load(Ordering::Relaxed) {
            true => Made::Interrupted,
            false => plan.carry_out(job, in_batch, waits, terminal)?,
        };
        Ok(match made {
            Made::Written(what) => Some(what),
            Made::Elsewhere | Made::GainsNothing => None,
            Made::Interrupted => {
                interrupted.store(true, Ordering::Relaxed);
                Some("interrupted; the same command with --resume goes on".to_owned())
            }
        })
    })?;
    Ok(if interrupted.load(Ordering::Relaxed) {
        Outcome::Interrupted
    } else {
        outcome
    })
}

/// What is asked for, resolved; where the method was `chosen`, nothing is learned.
///
/// # Errors
/// When the device or a file is not there.
fn plan(arguments: &UpscaleArguments, chosen: bool, terminal: &Terminal) -> anyhow::Result<Plan> {
    let computing = arguments.computing();
    terminal.detail(format!("networks for slices on {}", computing.open()?.1));
    let mut learning = arguments.learning.config()?;
    learning.precision = arguments.precision;
    if chosen {
        learning.length = Length::Steps(0);
    }
    let read = arguments.read.options();
    let wishes = SliceWishes {
        target: arguments.target()?,
        acquired: arguments.acquired,
        keeps_bands: arguments.keep_bands,
        learning,
        may_gain_nothing: arguments.learning.allow_no_gain,
        orientations: arguments.audit,
        memory: arguments.memory.map(|bytes| bytes.0),
        max_voxels: read.max_voxels,
    };
    let upscaler = SliceUpscaler::new(computing, wishes).map_err(in_options)?;
    let model = arguments
        .model
        .as_deref()
        .map(|path| SelfModel::read(path, upscaler.device()))
        .transpose()?;
    Ok(Plan {
        asked: asked(arguments, &upscaler, chosen)?,
        upscaler,
        chosen,
        model,
        with: arguments.learning.with().to_vec(),
        keep_model: arguments.learning.keep_model.clone(),
        resume: arguments.learning.resume,
        orientations: arguments.audit,
        labels: arguments.labels.clone(),
        like: arguments.like.clone(),
        anonymise: arguments.write.anonymise,
        read,
        write: arguments.write.options(&[]),
        stop: Arc::new(AtomicBool::new(false)),
    })
}

/// What every output depends on beside its scan, as its sidecar says it.
///
/// # Errors
/// When the model's file cannot be read.
fn asked(arguments: &UpscaleArguments, upscaler: &SliceUpscaler, chosen: bool) -> anyhow::Result<Value> {
    let own = &arguments.learning;
    let model = arguments.model.as_deref();
    let start = (model.is_none() && upscaler.learning().starts()).then(Start::built_in);
    let mut asked = json!({
        "method": "self",
        "target": upscaler.target().map_or("isotropic".to_owned(), Target::to_string),
        "acquired": arguments.acquired.to_string(),
        "model": model,
        "model_sha256": model.map(cache::content).transpose()?,
        "asked_for": {
            "steps": if chosen { Some(0) } else { own.steps },
            "budget_s": own.budget.map(|Time(budget)| budget.as_secs_f64()),
            "seed": own.seed,
            "start_sha256": start.map(Start::content),
            "allow_no_gain": own.allow_no_gain,
        },
    });
    if !own.set.is_empty() {
        asked["asked_for"]["set"] = json!(own.set);
    }
    if !own.with().is_empty() {
        let with = own
            .with()
            .iter()
            .map(|path| Ok(json!({"scan": path, "sha256": cache::content(path)?})));
        asked["asked_for"]["with"] = with.collect::<anyhow::Result<Vec<Value>>>()?.into();
    }
    if arguments.precision != Precision::F32 {
        asked["precision"] = json!(arguments.precision.name());
    }
    if arguments.keep_bands {
        asked["keep_bands"] = json!(true);
    }
    if arguments.write.anonymise {
        asked["anonymise"] = json!(true);
    }
    Ok(asked)
}

/// What became of a scan.
pub(super) enum Made {
    /// An output, now or before, in words.
    Written(String),
    /// Nothing: another process is at it.
    Elsewhere,
    /// Nothing: the built-in network gains nothing on the slices of a scan that other methods take as well.
    GainsNothing,
    /// The state from which learning goes on.
    Interrupted,
}
