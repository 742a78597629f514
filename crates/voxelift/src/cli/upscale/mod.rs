//! `voxelift upscale`: scans on a finer grid.

mod planned;
mod target;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Scale, Volume, kspace};

use super::files::{self, Job};
use super::options::{ReadArguments, Spacing, WriteArguments};
use super::{batch, words};
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
use planned::PlannedArguments;
use target::Target;

#[derive(Debug, Args)]
pub struct UpscaleArguments {
    /// NIfTI files
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
    #[arg(long, value_name = "MM", conflicts_with = "like")]
    spacing: Option<Spacing>,
    /// Write on this file's grid
    #[arg(long, value_name = "REF")]
    like: Option<PathBuf>,
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
    read: ReadOptions,
    write: WriteOptions,
}

/// How the finer voxels are made.
#[derive(Debug)]
enum Method {
    ZeroFill,
    Interpolated(Interpolation),
}

/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(arguments: &UpscaleArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    arguments.planned.refuse()?;
    let jobs = files::jobs(&arguments.inputs, &arguments.output, "_sr", arguments.write.force)?;
    let plan = Plan::new(arguments)?;
    batch::run(&jobs, "upscale", terminal, |job| plan.carry_out(job, terminal))
}

impl Plan {
    fn new(arguments: &UpscaleArguments) -> anyhow::Result<Self> {
        let with_model = arguments.model.is_some();
        let method = match arguments.method.unwrap_or(MethodArgument::Model) {
            MethodArgument::Model if with_model => {
                return Err(usage("--model: trained models are not built yet; choose another --method"));
            }
            MethodArgument::Model => {
                let advice = "without a model choose --method zero-fill, lanczos, trilinear or cubic";
                return Err(usage(format!("--model FILE is missing; {advice}")));
            }
            method if with_model => {
                let name = method.to_possible_value().expect("no method is hidden");
                let name = name.get_name();
                return Err(usage(format!("--method {name} uses no model; leave --model out, or choose --method model")));
            }
            MethodArgument::ZeroFill => Method::ZeroFill,
            MethodArgument::Lanczos => Method::Interpolated(Interpolation::Lanczos4),
            MethodArgument::Trilinear => Method::Interpolated(Interpolation::Trilinear),
            MethodArgument::Cubic => Method::Interpolated(Interpolation::CubicBSpline),
        };
        let target = match (arguments.scale, arguments.spacing, &arguments.like) {
            (_, _, Some(reference)) => Target::Like(Box::new(nifti::read_header(reference)?.0)),
            (_, Some(spacing), None) => Target::Spacing(spacing.0),
            (scale, None, None) => Target::Scale(scale.unwrap_or(Scale::isotropic(2))),
        };
        Ok(Self { method, target, read: arguments.read.options(), write: arguments.write.options(&arguments.inputs) })
    }

    /// Reads, makes finer, writes. Returns what was written, in words.
    fn carry_out(&self, job: &Job, terminal: &Terminal) -> anyhow::Result<String> {
        let image = files::read(&job.input, &self.read, terminal)?;
        let extent = self.target.extent(&image.header.geometry())?;
        let mut frames = Vec::with_capacity(image.frames.len());
        for (i, frame) in image.frames.iter().enumerate() {
            let (placed, how) = self.target.placed(self.method.apply(frame, extent));
            if let (Some(how), 0) = (how, i) {
                terminal.say(format!("{}: {how}", job.output.display()));
            }
            frames.push(placed);
        }
        let header = self.target.header(&image.header, extent);
        let fine = NiftiImage { header, frames, warnings: Vec::new() };
        files::write(&job.output, &fine, &self.write, terminal)?;
        Ok(words::grid(fine.frames[0].geometry()))
    }
}

impl Method {
    /// The volume with `extent` voxels over the same field of view, at least as many as it has.
    fn apply(&self, volume: &Volume, extent: [usize; 3]) -> Volume {
        match self {
            Self::ZeroFill => kspace::zero_fill(volume, extent),
            Self::Interpolated(method) => resize(volume, extent, *method),
        }
    }
}
