//! `voxelift upscale`: scans on a finer grid.

mod audit;
mod consistency;
mod labels;
mod method;
mod planned;
pub mod sidecar;
mod target;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::Value;
use voxelift_model::device::DeviceChoice;
use voxelift_model::infer::UpscaleOptions;
use voxelift_volume::nifti::{OutputType, ReadOptions, WriteOptions};
use voxelift_volume::resample::Interpolation;
use voxelift_volume::scan;
use voxelift_volume::{Geometry, Scale, Volume, VolumeError};

use super::files::{self, Job};
use super::options::{ReadArguments, Spacing, WriteArguments};
use super::{batch, words};
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
use audit::{Audit, AuditFiles, Place};
use consistency::Consistency;
use method::{Method, Model};
use planned::PlannedArguments;
use target::Target;

#[derive(Debug, Args)]
pub struct UpscaleArguments {
    /// Scans: NIfTI, MGH or MGZ files, or folders of one DICOM series each
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// For one input a file or an existing folder; for several a folder, files named <stem>_sr.nii.gz
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// A trained model
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How the finer voxels are made [default: model]
    #[arg(long, value_enum)]
    method: Option<MethodArgument>,
    /// SR voxels per voxel: one number, or x,y,z in file order [default: the model's, or 2]
    #[arg(long, value_parser = Scale::parse, conflicts_with_all = ["spacing", "like"])]
    scale: Option<Scale>,
    /// The SR voxel size in mm: one number, or x,y,z in file order
    #[arg(
        long,
        value_name = "MM",
        conflicts_with = "like",
        allow_negative_numbers = true
    )]
    spacing: Option<Spacing>,
    /// Write on this file's grid
    #[arg(long, value_name = "REF")]
    like: Option<PathBuf>,
    /// A mask or label map of the one scan: carried onto the same grid, nearest in the world, into <stem>_labels.nii.gz
    /// beside the output
    #[arg(long, value_name = "L")]
    labels: Option<PathBuf>,
    /// Voxels along a tile; it belongs to the answer, since attention averages over it [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..))]
    tile: Option<u16>,
    /// Average the model's answers over the eight mirrorings of the scan: eight times the time
    #[arg(long)]
    ensemble: bool,
    /// Put the scan's own k-space back into the answer; needs k-space truncation as the known operator
    #[arg(long, value_enum, default_value_t = Consistency::Off)]
    consistency: Consistency,
    /// Also write what the model added to the scan and how sure it is of that: <stem>_audit.json, and as maps
    /// <stem>_null-space.nii.gz and <stem>_null-space-spread.nii.gz beside the output; eight times the time
    #[arg(long)]
    audit: bool,
    /// Apply the model to voxel sizes that it was not trained on
    #[arg(long)]
    allow_out_of_range: bool,
    /// Where to compute: auto or cpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    write: WriteArguments,
    #[command(flatten)]
    planned: PlannedArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodArgument {
    /// The network of --model
    Model,
    /// Zeros around the measured k-space: the sinc, and the floor to beat on truncated input
    ZeroFill,
    /// A sinc windowed to four lobes
    Lanczos,
    /// Straight lines between voxels
    Trilinear,
    /// Cubic B-spline
    Cubic,
}

/// Everything about a run that does not depend on the input: the arguments, resolved.
#[derive(Debug)]
struct Plan {
    method: Method,
    target: Target,
    consistency: Consistency,
    audit: bool,
    labels: Option<PathBuf>,
    read: ReadOptions,
    write: WriteOptions,
}

/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(arguments: &UpscaleArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    arguments.planned.refuse()?;
    let jobs = files::jobs(&arguments.inputs, &arguments.output, "_sr", arguments.write.force)?;
    if let Some(labels) = &arguments.labels {
        let [job] = jobs.as_slice() else {
            return Err(usage(
                "--labels L goes with one IN; bring the maps of several scans one by one",
            ));
        };
        let force = arguments.write.force;
        let inputs = [labels.clone(), job.input.clone()];
        for output in [&job.output, &labels::output(&job.output)] {
            files::check_output(output, &inputs, force)?;
        }
    }
    let method = arguments.method()?;
    for job in &jobs {
        let force = arguments.write.force;
        if method == MethodArgument::Model || arguments.consistency != Consistency::Off {
            files::refuse_existing(&sidecar::beside(&job.output), force)?;
        }
        if arguments.audit {
            let beside = AuditFiles::beside(&job.output);
            let inputs = &arguments.inputs;
            beside
                .maps()
                .into_iter()
                .try_for_each(|map| files::check_output(map, inputs, force))?;
            files::refuse_existing(&beside.json, force)?;
        }
    }
    let plan = Plan::new(arguments, method, terminal)?;
    let outcome = batch::run(&jobs, "upscale", terminal, |job| plan.carry_out(job, terminal))?;
    if let Method::Model(model) = &plan.method
        && !model.notes().is_empty()
    {
        terminal.say(format!("about the model: {}", model.notes()));
    }
    Ok(outcome)
}

impl UpscaleArguments {
    /// The method, when the other arguments go with it.
    fn method(&self) -> anyhow::Result<MethodArgument> {
        let method = self.method.unwrap_or(MethodArgument::Model);
        if method == MethodArgument::Model {
            if self.model.is_none() {
                let advice = "without a model choose --method zero-fill, lanczos, trilinear or cubic";
                return Err(usage(format!("--model FILE is missing; {advice}")));
            }
            return Ok(method);
        }
        let only_for_models = [
            ("--model", self.model.is_some()),
            ("--tile", self.tile.is_some()),
            ("--ensemble", self.ensemble),
            ("--audit", self.audit),
            ("--allow-out-of-range", self.allow_out_of_range),
        ];
        if let Some((argument, _)) = only_for_models.iter().find(|(_, given)| *given) {
            let name = method.to_possible_value().expect("no method is hidden");
            let name = name.get_name();
            return Err(usage(format!(
                "{argument} goes with --method model only; --method {name} uses no model"
            )));
        }
        Ok(method)
    }
}

impl Plan {
    fn new(
        arguments: &UpscaleArguments,
        method: MethodArgument,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let method = match (method, &arguments.model) {
            (MethodArgument::Model, Some(path)) => {
                let tile = arguments.tile.map(usize::from);
                let options = UpscaleOptions {
                    tile,
                    ensemble: arguments.ensemble,
                };
                let allow = arguments.allow_out_of_range;
                Method::Model(Box::new(Model::load(
                    path,
                    arguments.device,
                    options,
                    allow,
                    terminal,
                )?))
            }
            (MethodArgument::Lanczos, _) => Method::Interpolated(Interpolation::Lanczos4),
            (MethodArgument::Trilinear, _) => Method::Interpolated(Interpolation::Trilinear),
            (MethodArgument::Cubic, _) => Method::Interpolated(Interpolation::CubicBSpline),
            (MethodArgument::ZeroFill | MethodArgument::Model, _) => Method::ZeroFill,
        };
        let default_scale = match &method {
            Method::Model(model) => model.scale(),
            Method::ZeroFill | Method::Interpolated(_) => Scale::isotropic(2),
        };
        let target = match (arguments.scale, arguments.spacing, &arguments.like) {
            (_, _, Some(reference)) => Target::Like(Box::new(scan::read_header(reference)?.0)),
            (_, Some(spacing), None) => Target::Spacing(spacing.0),
            (Some(scale), None, None) if matches!(method, Method::Model(_)) && scale != default_scale => {
                return Err(usage(format!(
                    "--scale {scale}: the model's scale is {default_scale}; leave --scale out, or choose --spacing"
                )));
            }
            (scale, None, None) => Target::Scale(scale.unwrap_or(default_scale)),
        };
        arguments.consistency.check(&method)?;
        Ok(Self {
            method,
            target,
            consistency: arguments.consistency,
            audit: arguments.audit,
            labels: arguments.labels.clone(),
            read: arguments.read.options(),
            write: arguments.write.options(&arguments.inputs),
        })
    }

    /// Reads, makes finer, writes. Returns what was written, in words.
    fn carry_out(&self, job: &Job, terminal: &Terminal) -> anyhow::Result<String> {
        let input = job.input.display();
        let scan = files::open(&job.input, &self.read, terminal)?;
        let grid = self
            .grid(&scan.header.geometry(), scan.header.frames())
            .with_context(|| input.to_string())?;
        let header = self.target.header(&scan.header, &grid);
        // Labels that cannot be carried are told before the work begins.
        let labels = self
            .labels
            .as_ref()
            .map(|path| labels::on_grid(path, &header, &self.read, terminal));
        let labels = labels.transpose()?;
        if self.audit && scan.header.frames() > 1 {
            anyhow::bail!(
                "{input}: holds {} volumes; --audit looks at one",
                scan.header.frames()
            );
        }
        let mut found = Found::default();
        let fine = scan.frames.map(|frame| {
            self.finer(&frame?, &grid, job, &mut found, terminal)
                .with_context(|| input.to_string())
        });
        files::write(&job.output, &header, fine, &self.write, terminal)?;
        if let Some(labels) = labels {
            let (output, options) = (labels::output(&job.output), labels::write_options(&self.write));
            let frames = labels.frames.into_iter().map(Ok);
            files::write(&output, &labels.header, frames, &options, terminal)?;
            terminal.say(format!("{}: labels", output.display()));
        }
        let mut said = vec![words::grid(&grid)];
        said.extend(found.consistency.iter().map(consistency::told));
        if let Some(audit) = found.audit {
            said.extend(audit.lines());
            let place = Place {
                target: &self.target,
                grid: &grid,
                header,
                write: WriteOptions {
                    dtype: OutputType::Float32,
                    ..self.write.clone()
                },
            };
            audit.write(&AuditFiles::beside(&job.output), &place, &job.input, terminal)?;
        }
        sidecar::write(&self.method, job, &found.consistency, self.write.force)?;
        Ok(said.join("\n"))
    }

    /// The finer grid, when the method may be applied and there are not too many voxels in it.
    fn grid(&self, input: &Geometry, frames: usize) -> anyhow::Result<Geometry> {
        self.method.check(input)?;
        let grid = self.target.grid(input)?;
        let counts = grid.extent.iter().map(|n| *n as u64);
        let voxels = counts.fold(frames as u64, u64::saturating_mul);
        if voxels > self.read.max_voxels {
            let value = format!("{:?} in {frames} volume(s)", grid.extent);
            let expected = format!("more than {} voxels; see --max-voxels", self.read.max_voxels);
            return Err(VolumeError::argument("the finer grid", value, expected).into());
        }
        Ok(grid)
    }

    /// One volume on the finer grid, and what is told about it.
    fn finer(
        &self,
        frame: &Volume,
        grid: &Geometry,
        job: &Job,
        found: &mut Found,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let name = job.input.file_name().unwrap_or_default().to_string_lossy();
        let (answer, gathered) = match &self.method {
            Method::Model(model) if self.audit => {
                let (answer, agreement) = audit::gather(model, frame, &name, terminal)?;
                (answer, Some((model, agreement)))
            }
            method => (method.apply(frame, &self.target, &name, terminal)?, None),
        };
        let (fine, done) = self.consistency.apply(answer, frame)?;
        found.consistency.extend(done);
        if let Some((model, agreement)) = gathered {
            found.audit = Some(Audit::of(model, agreement, &fine, frame)?);
        }
        let (placed, how) = self.target.placed(fine, grid);
        if let Some(how) = how.filter(|_| !std::mem::replace(&mut found.placed, true)) {
            terminal.say(format!("{}: {how}", job.output.display()));
        }
        Ok(placed)
    }
}

/// What is told about a scan beside its voxels.
#[derive(Default)]
struct Found {
    /// Whether it was said how the first volume came onto the grid.
    placed: bool,
    /// Of each volume, where it was asked for.
    consistency: Vec<Value>,
    audit: Option<Audit>,
}
