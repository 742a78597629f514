//! `--method self`: a network learned from the slices of the scan itself.

mod arguments;
mod built_in;
mod scan;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use voxelift_model::self_learning::{Length, SelfModel};
use voxelift_model::upscale::{SliceUpscaler, SliceWishes};
use voxelift_volume::nifti::{ReadOptions, WriteOptions};

use super::super::batch;
use super::super::files::{self, Inputs, Job};
use super::UpscaleArguments;
use super::refusal::in_options;
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
pub use arguments::SelfArguments;
pub use built_in::BuiltInForSlices;

/// What does not depend on the scan.
struct Plan<'a> {
    arguments: &'a UpscaleArguments,
    upscaler: SliceUpscaler,
    /// Whether nobody asked for this method: then the built-in network is applied as it is.
    chosen: bool,
    /// Learned before, in place of learning now.
    model: Option<SelfModel>,
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
    if let Some(path) = &own.keep_model {
        files::refuse_existing(path, arguments.write.force)?;
    }
    let plan = plan(arguments, false, terminal)?;
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signal_hook::flag::register(signal, Arc::clone(&plan.stop))?;
    }
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
            Made::Elsewhere => None,
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
fn plan<'a>(arguments: &'a UpscaleArguments, chosen: bool, terminal: &Terminal) -> anyhow::Result<Plan<'a>> {
    let computing = arguments.computing();
    terminal.detail(format!("networks for slices on {}", computing.open()?.1));
    let mut learning = arguments.learning.config();
    learning.precision = arguments.precision;
    if chosen {
        learning.length = Length::Steps(0);
    }
    let read = arguments.read.options();
    let wishes = SliceWishes {
        target: arguments.target()?,
        acquired: arguments.acquired,
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
        arguments,
        upscaler,
        chosen,
        model,
        read,
        write: arguments.write.options(&[]),
        stop: Arc::new(AtomicBool::new(false)),
    })
}

/// What became of a scan.
enum Made {
    /// An output, now or before, in words.
    Written(String),
    /// Nothing: another process is at it.
    Elsewhere,
    /// The state from which learning goes on.
    Interrupted,
}
