//! `voxelift upscale`: scans on a finer grid.

mod arguments;
mod audit;
mod bytes;
mod consistency;
mod finer;
mod gain;
mod hearing;
mod labels;
mod refusal;
mod self_learning;
pub mod sidecar;

use std::path::PathBuf;

use serde_json::{Value, json};
use voxelift_model::infer::UpscaleOptions;
use voxelift_model::model_file::ModelFile;
use voxelift_model::upscale::{BuiltIn, Method, Methods, Model, Upscaler, Upscaling, Wishes};
use voxelift_volume::nifti::{ReadOptions, WriteOptions};

use super::batch;
use super::files::{self, Found as FoundScan, Inputs, Job};
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
pub use arguments::{MethodArgument, UpscaleArguments};
pub use audit::AuditFiles;
use refusal::in_options;
use self_learning::{BuiltInForSlices, Made};

/// Everything about a run that does not depend on the input: the arguments, resolved.
#[derive(Debug)]
struct Plan {
    upscaler: Upscaler,
    audit: bool,
    labels: Option<PathBuf>,
    like: Option<PathBuf>,
    anonymise: bool,
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
    let with = arguments.learning.with();
    beside
        .into_iter()
        .flatten()
        .chain(with)
        .for_each(|file| protected.add(file));
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
        arguments.view_outputs(jobs, terminal)?;
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
            Some(network) => match network.carry_out(job, batch, waits, terminal)? {
                Made::Written(what) => Ok(Some(what)),
                Made::Elsewhere | Made::Interrupted | Made::GainsNothing => Ok(None),
            },
            None => plan.carry_out(job, for_slices.as_ref(), batch, waits, terminal),
        },
    )?;
    for notes in plan.upscaler.methods().notes() {
        terminal.say(format!("about the model: {notes}"));
    }
    arguments.view_outputs(jobs, terminal)?;
    Ok(outcome)
}

impl Plan {
    fn new(
        arguments: &UpscaleArguments,
        method: MethodArgument,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let methods = methods(arguments, method, terminal)?;
        let read = arguments.read.options();
        let wishes = Wishes {
            target: arguments.target()?,
            consistency: arguments.consistency.map(|mode| mode.0),
            acquired: arguments.acquired,
            audit: arguments.audit,
            memory: arguments.memory.map(|bytes| bytes.0),
            max_voxels: read.max_voxels,
        };
        Ok(Self {
            upscaler: Upscaler::new(methods, wishes).map_err(in_options)?,
            audit: arguments.audit,
            labels: arguments.labels.clone(),
            like: arguments.like.clone(),
            anonymise: arguments.write.anonymise,
            read,
            write: arguments.write.options(&[]),
        })
    }

    /// Whether outputs have sidecars: in a batch each, so that it can go on; alone those that need more than the command to be made
    /// again: a model's, and what data consistency was asked for.
    fn keeps_sidecars(&self, batch: bool) -> bool {
        batch || self.upscaler.is_consistent() || self.upscaler.methods().are_models()
    }

    /// What an output depends on, as its sidecar tells it.
    ///
    /// # Errors
    /// When a file that it depends on cannot be read.
    fn described(&self, upscaling: &Upscaling<'_>, job: &Job) -> anyhow::Result<Value> {
        let mut how = self.of_files(json!(upscaling.provenance()), job)?;
        if self.anonymise {
            how[sidecar::ANONYMISED] = json!(true);
            sidecar::without_folders(&mut how);
        }
        Ok(how)
    }

    /// The same with the files that it depends on.
    ///
    /// # Errors
    /// When one cannot be read.
    fn of_files(&self, how: Value, job: &Job) -> anyhow::Result<Value> {
        let beside = [&self.labels, &self.like];
        sidecar::of_files(how, job, &self.read, &self.write, self.audit, beside)
    }
}

/// The method that is named, or those in the program.
fn methods(
    arguments: &UpscaleArguments,
    method: MethodArgument,
    terminal: &Terminal,
) -> anyhow::Result<Methods> {
    let options = UpscaleOptions {
        tile: arguments.tile.map(usize::from),
        ensemble: arguments.ensemble,
    };
    let computing = arguments.computing();
    if let MethodArgument::Model | MethodArgument::SelfLearned = method {
        terminal.detail(format!("networks on {}", computing.open()?.1));
    }
    Ok(match method {
        MethodArgument::Model if arguments.leaves_the_choice() => {
            let built_in = if arguments.free_weights {
                BuiltIn::load_free(computing, options)
            } else {
                BuiltIn::load(computing, options)
            };
            Methods::BuiltIn(Box::new(built_in.map_err(in_options)?))
        }
        MethodArgument::Model => {
            let file = match arguments.model.as_deref() {
                Some(path) => ModelFile::open(path)?,
                None if arguments.free_weights => ModelFile::built_in_free(),
                None => ModelFile::built_in(),
            };
            let model = Model::of(&file, computing, options).map_err(in_options)?;
            let model = model.allowing_out_of_range(arguments.allow_out_of_range);
            Methods::Named(Method::Model(Box::new(model)))
        }
        MethodArgument::Baseline(baseline) => Methods::Named(Method::Baseline(baseline)),
        MethodArgument::SelfLearned => unreachable!("it goes its own way"),
    })
}
