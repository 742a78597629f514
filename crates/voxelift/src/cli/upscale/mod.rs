//! `voxelift upscale`: scans on a finer grid.

mod audit;
mod consistency;
mod labels;
mod memory;
mod method;
pub mod sidecar;
mod target;

use std::path::PathBuf;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use voxelift_model::device::DeviceChoice;
use voxelift_model::infer::{Expected, UpscaleOptions};
use voxelift_volume::baseline::Baseline;
use voxelift_volume::nifti::{OutputType, ReadOptions, WriteOptions};
use voxelift_volume::scan;
use voxelift_volume::{Geometry, Scale, Volume, VolumeError};

use super::files::{self, Job};
use super::options::{ReadArguments, Spacing, WriteArguments};
use super::{batch, words};
use crate::failure::{Outcome, usage};
use crate::terminal::Terminal;
use audit::{Audit, AuditFiles, Place};
use consistency::Consistency;
use memory::{Budget, Bytes, Extras, Work, voxels};
use method::{Method, Model};
use target::Target;

#[derive(Debug, Args)]
pub struct UpscaleArguments {
    /// Scans: NIfTI, MGH or MGZ files, folders of such, or folders of one DICOM series each
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// For one input a file or an existing folder; for several a folder, files named <stem>_sr.nii.gz; of several, what is there
    /// and was made alike is left as it is
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// A trained model [default: the built-in one, for T1-weighted brains of about 2 mm; see info --model]
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
    /// The most that the program may take, as 4G or 512M: smaller tiles where need be, and fewer scans side by side [default:
    /// the tile asked for, and half of what the machine has left for scans side by side]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
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
    /// Apply the model to voxel sizes, contrasts, sizes or noise that it was not trained on
    #[arg(long)]
    allow_out_of_range: bool,
    /// Where to compute: auto or cpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    write: WriteArguments,
}

/// What `--method` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MethodArgument {
    Model,
    Baseline(Baseline),
}

impl MethodArgument {
    const ALL: [Self; Baseline::ALL.len() + 1] = {
        let mut all = [Self::Model; Baseline::ALL.len() + 1];
        let mut i = 0;
        while i < Baseline::ALL.len() {
            all[i + 1] = Self::Baseline(Baseline::ALL[i]);
            i += 1;
        }
        all
    };
}

impl ValueEnum for MethodArgument {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Model => ("model", "The network of --model, or the built-in one"),
            Self::Baseline(baseline) => (baseline.name(), baseline.description()),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// Everything about a run that does not depend on the input: the arguments, resolved.
#[derive(Debug)]
struct Plan {
    method: Method,
    target: Target,
    consistency: Consistency,
    audit: bool,
    labels: Option<PathBuf>,
    budget: Budget,
    read: ReadOptions,
    write: WriteOptions,
}

/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(arguments: &UpscaleArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (inputs, batch) = files::scans(&arguments.inputs, &arguments.output)?;
    // What is there already of a batch is looked at when it is its turn.
    let force = arguments.write.force || batch;
    let jobs = files::jobs(&inputs, batch, &arguments.output, "_sr", force)?;
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
    let plan = Plan::new(arguments, &inputs, method, terminal)?;
    if !batch {
        for job in &jobs {
            arguments.refuse_existing(&plan.method, job, &inputs)?;
        }
    }
    let side_by_side = rayon::current_num_threads();
    let outcome = batch::run(&jobs, "upscale", side_by_side, terminal, |job| {
        plan.carry_out(job, batch, arguments, terminal)
    })?;
    if let Method::Model(model) = &plan.method
        && !model.notes().is_empty()
    {
        terminal.say(format!("about the model: {}", model.notes()));
    }
    Ok(outcome)
}

impl UpscaleArguments {
    /// Refuses to write over what is beside an output.
    fn refuse_existing(&self, method: &Method, job: &Job, inputs: &[PathBuf]) -> anyhow::Result<()> {
        let force = self.write.force;
        if matches!(method, Method::Model(_)) || self.consistency != Consistency::Off {
            files::refuse_existing(&sidecar::beside(&job.output), force)?;
        }
        if self.audit {
            let beside = AuditFiles::beside(&job.output);
            beside
                .maps()
                .into_iter()
                .try_for_each(|map| files::check_output(map, inputs, force))?;
            files::refuse_existing(&beside.json, force)?;
        }
        Ok(())
    }

    /// The method, when the other arguments go with it.
    fn method(&self) -> anyhow::Result<MethodArgument> {
        let method = self.method.unwrap_or(MethodArgument::Model);
        if method == MethodArgument::Model {
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
        inputs: &[PathBuf],
        method: MethodArgument,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let method = match method {
            MethodArgument::Model => {
                let tile = arguments.tile.map(usize::from);
                let options = UpscaleOptions {
                    tile,
                    ensemble: arguments.ensemble,
                };
                let allow = arguments.allow_out_of_range;
                Method::Model(Box::new(Model::load(
                    arguments.model.as_deref(),
                    arguments.device,
                    options,
                    allow,
                    terminal,
                )?))
            }
            MethodArgument::Baseline(baseline) => Method::Baseline(baseline),
        };
        let default_scale = match &method {
            Method::Model(model) if !model.is_placed() => model.scale(),
            Method::Model(_) | Method::Baseline(_) => Scale::isotropic(2),
        };
        let placed = matches!(&method, Method::Model(model) if model.is_placed());
        let target = match (arguments.scale, arguments.spacing, &arguments.like) {
            (_, _, Some(reference)) => Target::Like(Box::new(scan::read_header(reference)?.0)),
            (_, Some(spacing), None) => Target::Spacing(spacing.0),
            (None, None, None) if placed => Target::Finest,
            (Some(scale), None, None)
                if matches!(method, Method::Model(_)) && !placed && scale != default_scale =>
            {
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
            budget: Budget::new(arguments.memory)?,
            read: arguments.read.options(),
            write: arguments.write.options(inputs),
        })
    }

    /// Reads, makes finer, writes. Returns what was written, in words; of a batch a scan that is there already is left.
    fn carry_out(
        &self,
        job: &Job,
        batch: bool,
        arguments: &UpscaleArguments,
        terminal: &Terminal,
    ) -> anyhow::Result<String> {
        let input = job.input.display();
        let name = job.input.file_name().unwrap_or_default().to_string_lossy();
        let scan = files::open(&job.input, &self.read, terminal)?;
        let geometry = scan.header.geometry();
        let (target, halved) = self
            .target
            .settled(|| {
                let mut frames = files::open(&job.input, &self.read, terminal)?.frames;
                Ok(frames.next().context("holds no volume")??)
            })
            .with_context(|| input.to_string())?;
        if halved {
            terminal.warn(format!(
                "{name}: as fine as the model's target already, so its voxels are halved; no reference was ever seen at that \
                 size: --spacing chooses another grid"
            ));
        }
        let grid = self
            .grid(&target, &geometry, scan.header.frames(), &name, terminal)
            .with_context(|| input.to_string())?;
        let work = self.work(&target, &geometry, &grid);
        let tile = self.budget.tile(&work)?;
        let sidecar = sidecar::described(self, &target, job, tile);
        if batch && !self.write.force {
            if sidecar::is_done(job, sidecar.as_ref())? {
                return Ok("there already".to_owned());
            }
            arguments.refuse_existing(&self.method, job, &self.write.inputs)?;
        }
        if let (Some(tile), Some(network)) = (tile, work.network)
            && tile != network.tile
        {
            let asked_for = network.tile;
            terminal.warn(format!(
                "{input}: tiles of {tile} voxels instead of {asked_for}, for --memory; the answer differs slightly"
            ));
        }
        let _share = self.budget.share(&work, tile);
        let header = target.header(&scan.header, &grid);
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
        let way = Way {
            target: &target,
            grid: &grid,
            tile,
        };
        let fine = scan.frames.map(|frame| {
            self.finer(&frame?, &way, job, &mut found, terminal)
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
                target: &target,
                grid: &grid,
                header,
                write: WriteOptions {
                    dtype: OutputType::Float32,
                    ..self.write.clone()
                },
            };
            audit.write(&AuditFiles::beside(&job.output), &place, &job.input, terminal)?;
        }
        if let Some(mut how) = sidecar {
            if let Some(expected) = found.expected {
                how["expected"] = expected;
            }
            sidecar::write(how, job, &found.consistency, self.write.force)?;
        }
        Ok(said.join("\n"))
    }

    /// What a scan takes in memory.
    fn work(&self, target: &Target, input: &Geometry, grid: &Geometry) -> Work {
        let (made, network) = match &self.method {
            Method::Model(model) => (
                model.scale().up(input.extent).iter().product(),
                Some(model.work(input, grid)),
            ),
            Method::Baseline(_) => (voxels(grid), None),
        };
        let extras = Extras {
            consistent: self.consistency != Consistency::Off,
            audited: self.audit,
            placed: !matches!(target, Target::Scale(_)),
        };
        Work {
            input: voxels(input),
            output: made.max(voxels(grid)),
            beside: extras.bytes(network.is_some()),
            network,
        }
    }

    /// The finer grid, when the method may be applied and there are not too many voxels in it.
    fn grid(
        &self,
        target: &Target,
        input: &Geometry,
        frames: usize,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Geometry> {
        self.method.check_voxels(input, name, terminal)?;
        let grid = target.grid(input)?;
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
        &Way { target, grid, tile }: &Way<'_>,
        job: &Job,
        found: &mut Found,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let name = job.input.file_name().unwrap_or_default().to_string_lossy();
        if !std::mem::replace(&mut found.looked_at, true) {
            self.method.check_appearance(frame, &name, terminal)?;
            if let Method::Model(model) = &self.method {
                let expected = model.expected(frame, target, tile)?;
                found.expected = expected
                    .as_ref()
                    .map(|expected| told_gain(expected, &name, terminal));
            }
        }
        let (answer, gathered) = match &self.method {
            Method::Model(model) if self.audit => {
                let (answer, agreement) = audit::gather(model, frame, target, tile, &name, terminal)?;
                (answer, Some((model, agreement)))
            }
            method => (method.apply(frame, target, tile, &name, terminal)?, None),
        };
        let (fine, done) = self.consistency.apply(answer, frame)?;
        found.consistency.extend(done);
        if let Some((model, agreement)) = gathered {
            found.audit = Some(Audit::of(model, agreement, &fine, frame)?);
        }
        let (placed, how) = target.placed(fine, grid);
        if let Some(how) = how.filter(|_| !std::mem::replace(&mut found.placed, true)) {
            terminal.say(format!("{}: {how}", job.output.display()));
        }
        Ok(placed)
    }
}

/// Where a scan is brought to.
struct Way<'a> {
    target: &'a Target,
    grid: &'a Geometry,
    /// Voxels along a tile.
    tile: Option<usize>,
}

/// Says what a model may be expected to do for a scan, warns where a baseline does better, and gives what stands in the sidecar.
fn told_gain(expected: &Expected, name: &str, terminal: &Terminal) -> Value {
    let Expected {
        factors,
        baseline,
        gain_db,
    } = expected;
    let by = factors.map(words::number).join("x");
    if *gain_db < 0.0 {
        terminal.warn(format!(
            "{name}: made coarser once more by {by} and brought back, this scan came out better by {baseline} than by the model \
             ({gain_db:+.2} dB): --method {baseline} makes that instead"
        ));
    } else {
        terminal.say(format!(
            "{name}: expected gain {gain_db:+.2} dB over {baseline}, measured on this scan made coarser once more by {by}"
        ));
    }
    json!({"gain_db": gain_db, "baseline": baseline.name(), "factors": factors})
}

/// What is told about a scan beside its voxels.
#[derive(Default)]
struct Found {
    /// Whether the first volume was compared with what the model was trained on.
    looked_at: bool,
    /// Whether it was said how the first volume came onto the grid.
    placed: bool,
    /// What the model may be expected to gain on the first volume.
    expected: Option<Value>,
    /// Of each volume, where it was asked for.
    consistency: Vec<Value>,
    audit: Option<Audit>,
}
