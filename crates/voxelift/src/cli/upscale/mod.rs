//! `voxelift upscale`: scans on a finer grid.

mod acquired;
mod arguments;
mod audit;
mod choice;
mod computing;
mod consistency;
mod finer;
mod gain;
mod guard;
mod labels;
mod memory;
mod method;
mod self_learning;
pub mod sidecar;
mod target;

use std::path::PathBuf;

use voxelift_model::infer::UpscaleOptions;
use voxelift_volume::consistency::Acquired;
use voxelift_volume::nifti::{ReadOptions, WriteOptions};
use voxelift_volume::scan;

use super::batch;
use super::files::{self, Found as FoundScan, Inputs, Job};
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
pub use arguments::{MethodArgument, UpscaleArguments};
pub use audit::AuditFiles;
use choice::{BuiltIn, Methods};
use computing::Computing;
use consistency::Consistency;
use memory::Budget;
use method::{Method, Model};
use self_learning::BuiltInForSlices;
use target::Target;

/// Everything about a run that does not depend on the input: the arguments, resolved.
#[derive(Debug)]
struct Plan {
    methods: Methods,
    target: Target,
    consistency: Consistency,
    acquired: Acquired,
    audit: bool,
    labels: Option<PathBuf>,
    like: Option<PathBuf>,
    anonymise: bool,
    budget: Budget,
    read: ReadOptions,
    write: WriteOptions,
}

/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(arguments: &UpscaleArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (inputs, batch) = files::scans(&arguments.inputs, &arguments.output, terminal)?;
    run_on(arguments, &inputs, batch, terminal)
}

/// As [`run`], on scans that were found already; of a batch what is there already is left.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    arguments: &UpscaleArguments,
    inputs: &[FoundScan],
    batch: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut protected = Inputs::of(inputs.iter().map(|found| found.path.as_path()));
    let beside = [&arguments.labels, &arguments.like, &arguments.model];
    beside.into_iter().flatten().for_each(|file| protected.add(file));
    // What is there already of a batch is looked at when it is its turn.
    let force = arguments.write.force || batch;
    let jobs = files::jobs_within(inputs, &protected, batch, &arguments.output, "_sr", force)?;
    if arguments.labels.is_some() {
        let [job] = jobs.as_slice() else {
            return Err(usage(
                "--labels L goes with one IN; bring the maps of several scans one by one",
            ));
        };
        let force = arguments.write.force;
        for output in [&job.output, &labels::output(&job.output)] {
            files::check_output_beside(output, &protected, force)?;
        }
    }
    let method = arguments.method()?;
    if method == MethodArgument::SelfLearned {
        let outcome = self_learning::run(arguments, &protected, &jobs, batch, terminal)?;
        arguments.shown(jobs, terminal)?;
        return Ok(outcome);
    }
    let plan = Plan::new(arguments, method, terminal)?;
    let for_slices = BuiltInForSlices::where_it_may(arguments, terminal)?;
    let of_slices = |job: &Job| for_slices.as_ref().filter(|network| network.suits(&job.input));
    if !batch {
        for job in &jobs {
            match of_slices(job) {
                Some(network) => network.refuse_existing(job, &protected)?,
                None => arguments.refuse_existing(&plan, job, &protected)?,
            }
        }
    }
    files::sweep(&jobs, |output| {
        let audit = AuditFiles::beside(output);
        let audit = audit.all().map(Clone::clone).into_iter();
        audit
            .chain([sidecar::beside(output), labels::output(output)])
            .collect()
    })?;
    let side_by_side = rayon::current_num_threads();
    let outcome = batch::run(
        &jobs,
        "upscale",
        side_by_side,
        terminal,
        |job, waits| match of_slices(job) {
            Some(network) => network.carry_out(job, batch, waits, terminal),
            None => plan.carry_out(job, batch, waits, terminal),
        },
    )?;
    for notes in plan.methods.notes() {
        terminal.say(format!("about the model: {notes}"));
    }
    arguments.shown(jobs, terminal)?;
    Ok(outcome)
}

impl Plan {
    fn new(
        arguments: &UpscaleArguments,
        method: MethodArgument,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let options = UpscaleOptions {
            tile: arguments.tile.map(usize::from),
            ensemble: arguments.ensemble,
        };
        let computing = Computing {
            device: arguments.device,
            precision: arguments.precision,
        };
        let methods = match method {
            MethodArgument::Model if arguments.leaves_the_choice() => {
                Methods::BuiltIn(Box::new(BuiltIn::load(computing, options, terminal)?))
            }
            MethodArgument::Model => Methods::Named(Method::Model(Box::new(Model::load(
                arguments.model.as_deref(),
                computing,
                options,
                arguments.allow_out_of_range,
                terminal,
            )?))),
            MethodArgument::Baseline(baseline) => Methods::Named(Method::Baseline(baseline)),
            MethodArgument::SelfLearned => unreachable!("it goes its own way"),
        };
        if let (true, Methods::Named(Method::Model(model))) = (arguments.audit, &methods) {
            // What an audit cannot look at is told before the work.
            model.operators()?;
        }
        let target = match (arguments.scale, arguments.spacing, &arguments.like) {
            (_, _, Some(reference)) => Target::Like(Box::new(scan::read_header(reference)?.0)),
            (_, Some(spacing), None) => Target::Spacing(spacing.0),
            (None, None, None) => methods.default_target(),
            (Some(scale), None, None) => match methods.fixed_scale() {
                Some(fixed) if fixed != scale => {
                    return Err(usage(format!(
                        "--scale {scale}: the model's scale is {fixed}; leave --scale out, or choose --spacing"
                    )));
                }
                _ => Target::Scale(scale),
            },
        };
        let by_default = if methods.are_models() {
            Consistency::Soft
        } else {
            Consistency::Off
        };
        let consistency = arguments.consistency.unwrap_or(by_default);
        Ok(Self {
            methods,
            target,
            consistency,
            acquired: arguments.acquired,
            audit: arguments.audit,
            labels: arguments.labels.clone(),
            like: arguments.like.clone(),
            anonymise: arguments.write.anonymise,
            budget: Budget::new(arguments.memory)?,
            read: arguments.read.options(),
            write: arguments.write.options(&[]),
        })
    }
}
