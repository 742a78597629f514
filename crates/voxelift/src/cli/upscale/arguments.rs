//! The arguments of `voxelift upscale`, and which of them go together.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use voxelift_model::device::{Computing, DeviceChoice, Precision};
use voxelift_model::model_file::ModelFile;
use voxelift_model::self_learning::SelfModel;
use voxelift_volume::Scale;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::{Acquired, Mode};
use voxelift_volume::scan;
use voxelift_volume::target::Target;

use super::super::files::{self, Inputs, Job};
use super::super::options::{ReadArguments, Spacing, WriteArguments};
use super::super::view;
use super::audit::AuditFiles;
use super::bytes::Bytes;
use super::consistency::ModeArgument;
use super::self_learning::SelfArguments;
use super::{Plan, sidecar};
use crate::failure::usage;
use crate::terminal::Terminal;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift upscale scan.nii.gz -o sr.nii.gz\n  voxelift upscale thick.nii.gz -o fine.nii.gz --method self --acquired slice:gaussian,5\n  voxelift upscale scans/ -o out/ --model runs/first/model.safetensors --memory 4G"
)]
pub struct UpscaleArguments {
    /// Scans: NIfTI, MGH or MGZ files, folders of one DICOM series each, or folders of all these, however deep
    #[arg(required = true, value_name = "IN")]
    pub(super) inputs: Vec<PathBuf>,
    /// For one input a file or an existing folder; for several a folder, files named <stem>_sr.nii.gz, in the folders that the
    /// scans lie in; of several, what is there and a fresh run would make alike is left as it is
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: PathBuf,
    /// A trained model, of which scans of other kinds than it was trained on are refused
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Of the models in the program, take only what anyone may use commercially; the others have learned from scans for non-commercial use
    #[arg(long, conflicts_with = "model")]
    pub(super) free_weights: bool,
    /// How the finer voxels are made [default: the network of --model; without one the built-in one where it does better than
    /// every baseline on the scan itself, else the baseline that does best]
    #[arg(long, value_enum)]
    pub(super) method: Option<MethodArgument>,
    /// SR voxels per voxel: one number, or x,y,z in file order [default: the model's; where no method is named, voxels of 1 mm
    /// or of the finest that the scan resolves, of half of that where it is as fine already; else 2]
    #[arg(long, value_parser = Scale::parse, conflicts_with_all = ["spacing", "like"])]
    pub(super) scale: Option<Scale>,
    /// The SR voxel size in mm: one number, or x,y,z in file order
    #[arg(
        long,
        value_name = "MM",
        conflicts_with = "like",
        allow_negative_numbers = true
    )]
    pub(super) spacing: Option<Spacing>,
    /// Write on this file's grid
    #[arg(long, value_name = "REF")]
    pub(super) like: Option<PathBuf>,
    /// A mask or label map of the one scan: carried onto the same grid, nearest in the world, into <stem>_labels.nii.gz
    /// beside the output
    #[arg(long, value_name = "L")]
    pub(super) labels: Option<PathBuf>,
    /// Voxels along a tile; it belongs to the output, since attention averages over it [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..))]
    pub(super) tile: Option<u16>,
    /// The most that the program may take, as 4G or 512M: smaller tiles where need be, and fewer scans side by side [default:
    /// the tile asked for, and half of what the machine has left for scans side by side]
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<Bytes>,
    /// Average the model's outputs over the eight mirrorings of the scan: eight times the time
    #[arg(long)]
    pub(super) ensemble: bool,
    /// Put what the scan measured back into the output [default: soft; off where one of the baselines is named]
    #[arg(long, value_enum)]
    pub(super) consistency: Option<ModeArgument>,
    /// What made the scan, for --consistency: auto, kspace, window:CUTOFF,EDGE, box, cubic, gaussian:SIGMA (in voxels of the
    /// scan), slice:gaussian,MM[,GAP] or slice:box,MM[,GAP] (thickness and gap of the slices in mm), or three of them as x/y/z
    #[arg(
        long,
        value_name = "OPERATOR",
        default_value = "auto",
        allow_hyphen_values = true
    )]
    pub(super) acquired: Acquired,
    /// Leave thick slices as bright as they are; else, where every second one is brighter than those between, as slices acquired in turn
    /// may be, they are evened out first, which is said
    #[arg(long)]
    pub(super) keep_bands: bool,
    /// Also write what the model added to the scan and how sure it is of that: <stem>_audit.json, and as maps
    /// <stem>_null-space.nii.gz and <stem>_null-space-spread.nii.gz beside the output; eight times the time. With --method
    /// self: half the difference of its two orientations, as <stem>_orientations.nii.gz
    #[arg(long)]
    pub(super) audit: bool,
    /// At the end, show the outputs beside their scans in a browser, as `view` does, until Ctrl-C
    #[arg(long)]
    pub(super) view: bool,
    /// Apply the model to voxel sizes, contrasts, sizes or noise that it was not trained on
    #[arg(long)]
    pub(super) allow_out_of_range: bool,
    /// Where to compute: auto, cpu, cuda:N or wgpu:N
    #[arg(long, default_value = "auto")]
    pub(super) device: DeviceChoice,
    /// The number format of the network's products: f32, or bf16, which a processor with avx512_bf16 multiplies faster
    #[arg(long, default_value = "f32")]
    pub(super) precision: Precision,
    #[command(flatten)]
    pub(super) learning: SelfArguments,
    #[command(flatten)]
    pub(super) read: ReadArguments,
    #[command(flatten)]
    pub(super) write: WriteArguments,
}

/// What `--method` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodArgument {
    /// A trained network.
    Model,
    /// A network learned from the scan itself.
    SelfLearned,
    /// A method that needs no training.
    Baseline(Baseline),
}

impl MethodArgument {
    const ALL: [Self; Baseline::ALL.len() + 2] = {
        let mut all = [Self::Model; Baseline::ALL.len() + 2];
        all[1] = Self::SelfLearned;
        let mut i = 0;
        while i < Baseline::ALL.len() {
            all[i + 2] = Self::Baseline(Baseline::ALL[i]);
            i += 1;
        }
        all
    };

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::SelfLearned => "self",
            Self::Baseline(baseline) => baseline.name(),
        }
    }
}

impl ValueEnum for MethodArgument {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Model => {
                "The network of --model, or the built-in one, for T1-weighted brains of about 2 mm; see info --model"
            }
            Self::SelfLearned => {
                "A network learned from the slices of the scan itself, which must be thick along one axis"
            }
            Self::Baseline(baseline) => baseline.description(),
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl UpscaleArguments {
    /// Shows the outputs in a browser, where `--view` asks for it.
    pub(super) fn view_outputs(&self, jobs: Vec<Job>, terminal: &Terminal) -> anyhow::Result<()> {
        let outputs = jobs.into_iter().map(|job| job.output);
        let there: Vec<PathBuf> = outputs.filter(|output| self.view && output.is_file()).collect();
        if !there.is_empty() {
            view::run(&view::ViewArguments::of(there), terminal)?;
        }
        Ok(())
    }

    /// Refuses to write over what is beside an output.
    pub(super) fn refuse_existing(&self, plan: &Plan, job: &Job, protected: &Inputs) -> anyhow::Result<()> {
        let force = self.write.force;
        if plan.keeps_sidecars(false) {
            sidecar::refuse_existing(&job.output, force)?;
        }
        if self.audit {
            let beside = AuditFiles::beside(&job.output);
            beside
                .maps()
                .into_iter()
                .try_for_each(|map| files::check_output_beside(map, protected, force))?;
            files::refuse_existing(&beside.json, force)?;
        }
        Ok(())
    }

    /// The grid asked for.
    ///
    /// # Errors
    /// When the file that it is to be like cannot be read.
    pub(super) fn target(&self) -> anyhow::Result<Option<Target>> {
        Ok(match (self.scale, self.spacing, &self.like) {
            (_, _, Some(reference)) => Some(Target::Like(Box::new(scan::read_header(reference)?.0))),
            (_, Some(spacing), None) => Some(Target::Spacing(spacing.0)),
            (Some(scale), None, None) => Some(Target::Scale(scale)),
            (None, None, None) => None,
        })
    }

    /// Where networks compute.
    pub(super) fn computing(&self) -> Computing {
        Computing {
            device: self.device,
            precision: self.precision,
        }
    }

    /// Whether nothing says how the finer voxels are to be made.
    pub(super) fn leaves_the_choice(&self) -> bool {
        self.method.is_none() && self.model.is_none() && !self.allow_out_of_range
    }

    /// The method, when the other arguments go with it.
    pub(super) fn method(&self) -> anyhow::Result<MethodArgument> {
        let self_learned = || self.model.as_deref().is_some_and(SelfModel::is_one);
        let method = self.method.unwrap_or_else(|| {
            if self_learned() {
                MethodArgument::SelfLearned
            } else {
                MethodArgument::Model
            }
        });
        if let Some(argument) = self.learning.given()
            && method != MethodArgument::SelfLearned
        {
            // Of a file that cannot be read nobody knows which method it is for.
            if let (Some(model), None) = (&self.model, self.method) {
                ModelFile::open(model)?.card()?;
            }
            return Err(usage(format!("{argument} goes with --method self only")));
        }
        if method == MethodArgument::Model {
            return Ok(method);
        }
        let learned = method == MethodArgument::SelfLearned;
        if learned && self.consistency.is_some_and(|mode| mode.0 != Mode::Soft) {
            return Err(usage(
                "--consistency: --method self always puts back what the scan measured as far as its noise allows (soft); \
                 leave it out",
            ));
        }
        let only_for_models = [
            ("--model", self.model.is_some() && !learned),
            ("--free-weights", self.free_weights && !learned),
            ("--tile", self.tile.is_some()),
            ("--ensemble", self.ensemble),
            ("--audit", self.audit && !learned),
            ("--allow-out-of-range", self.allow_out_of_range),
        ];
        if let Some((argument, _)) = only_for_models.iter().find(|(_, given)| *given) {
            let name = method.name();
            return Err(usage(format!(
                "{argument} goes with --method model only; --method {name} uses no model"
            )));
        }
        Ok(method)
    }
}
