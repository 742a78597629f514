//! How the finer voxels are made: by a trained model, or by one of the methods that need none.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::device::Precision;
use voxelift_model::infer::{MIRRORINGS, SuperResolver, UpscaleOptions};
use voxelift_model::model_file::{ModelCard, ModelFile};
use voxelift_model::networks::{PLACED_CHANNELS, PLACED_STEP};
use voxelift_volume::appearance::Appearance;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::Operators;
use voxelift_volume::expected::{Expected, Trial};
use voxelift_volume::intensity::{Normalization, explained, fill_value};
use voxelift_volume::placed::resolved_mm;
use voxelift_volume::{Geometry, Scale, Volume};

use super::super::words::number;
use super::computing::Computing;
use super::guard;
use super::memory::NetworkWork;
use super::target::Target;
use crate::terminal::Terminal;

/// Voxel sizes within this factor of those of training are taken for the same.
const SPACING_TOLERANCE: f64 = 1.1;

/// Operators that a card may name; a training run has a few.
const MOST_OPERATORS: usize = 1000;

/// How the finer voxels are made.
#[derive(Debug)]
pub enum Method {
    Baseline(Baseline),
    Model(Box<Model>),
}

/// A trained model, and how it is applied.
#[derive(Debug)]
pub struct Model {
    origin: PathBuf,
    resolver: SuperResolver,
    card: ModelCard,
    /// SHA-256 of the file.
    content: String,
    options: UpscaleOptions,
    precision: Precision,
    allow_out_of_range: bool,
    /// Whether it was chosen for the scan: then nothing is refused, and the output is made on the grid asked for.
    chosen: bool,
    /// Where it computes, without how many threads do.
    device: String,
}

/// Refuses a volume with voxels that drown all others, where nobody chose what is made of it.
///
/// # Errors
/// When there are such voxels; for a volume without contrast too.
pub fn refuse_spikes(volume: &Volume) -> anyhow::Result<()> {
    let spikes = Normalization::of(volume)?.spikes_told(volume);
    spikes.map_or(Ok(()), |spikes| {
        anyhow::bail!(
            "{spikes}: what is made of it would spread over the image; mend it, or --method {} makes the voxels finer all the same",
            Baseline::Trilinear
        )
    })
}

impl Model {
    /// Reads a model file; without one, the built-in model.
    ///
    /// # Errors
    /// When it cannot be read, or the device is not there.
    pub fn load(
        path: Option<&Path>,
        computing: Computing,
        options: UpscaleOptions,
        allow_out_of_range: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let file = path.map_or_else(|| Ok(ModelFile::built_in()), ModelFile::open)?;
        let model = Self::of(&file, computing, options, terminal)?;
        Ok(Self {
            allow_out_of_range,
            ..model
        })
    }

    /// A model file that has been read.
    ///
    /// # Errors
    /// When it is damaged, or the device is not there.
    pub fn of(
        file: &ModelFile,
        computing: Computing,
        options: UpscaleOptions,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let (device, name) = computing.open()?;
        let products = computing.precision.products(&device);
        let (resolver, card) = SuperResolver::of(file, device)?;
        let resolver = resolver.computing_in(products);
        terminal.detail(format!("{}: on {name}", file.origin().display()));
        Ok(Self {
            origin: file.origin().to_owned(),
            resolver,
            card,
            content: file.content(),
            options,
            precision: computing.precision,
            allow_out_of_range: false,
            chosen: false,
            device: match name.split_once(", ") {
                Some(("cpu", _)) => "cpu".to_owned(),
                _ => name.trim_end_matches(", the first GPU found").to_owned(),
            },
        })
    }

    /// The same for whatever scan it is chosen for.
    pub fn for_every_scan(self) -> Self {
        Self { chosen: true, ..self }
    }

    /// Its file, or what it is called in the program.
    pub fn name(&self) -> String {
        self.origin.display().to_string()
    }

    /// SR voxels per voxel.
    pub fn scale(&self) -> Scale {
        self.resolver.scale()
    }

    /// Whether it takes scans of any spacing.
    pub fn is_placed(&self) -> bool {
        self.resolver.is_placed()
    }

    /// Voxels of the volume that it makes for a target.
    ///
    /// # Errors
    /// When the target is coarser than the scan.
    pub fn extent(&self, input: &Geometry, target: &Target) -> voxelift_volume::Result<[usize; 3]> {
        if self.is_placed() || self.chosen {
            target.extent(input)
        } else {
            Ok(self.scale().up(input.extent))
        }
    }

    /// What a scan resolves: along x, y, z its spacing, or more where the scanner interpolated. A model of a fixed scale takes
    /// voxels as they are where so many times as many are asked for.
    pub fn resolved_mm(&self, scan: &Volume, target: &Target) -> [f64; 3] {
        let as_it_is = !self.chosen || matches!(target, Target::Scale(_));
        if !self.is_placed() && as_it_is {
            scan.geometry().spacing_mm()
        } else {
            resolved_mm(scan)
        }
    }

    /// What it may be expected to gain, measured on the scan.
    ///
    /// # Errors
    /// When it cannot take the scan.
    pub fn expected(&self, trial: &Trial, tile: Option<usize>) -> anyhow::Result<Option<Expected>> {
        Ok(self.resolver.expected(trial, tile.or(self.options.tile))?)
    }

    /// What the owner of the training data wants every user to know.
    pub fn notes(&self) -> &str {
        &self.card.notes
    }

    /// What stands beside an output, so that it can be made again.
    fn sidecar(&self, tile: Option<usize>) -> Value {
        let mut sidecar = json!({
            "method": "model",
            "model": self.origin.to_string_lossy(),
            "model_sha256": self.content,
            "scale": self.card.scale,
            "tile": tile.unwrap_or(self.resolver.tile()),
            "ensemble": self.options.ensemble,
            "allow_out_of_range": self.allow_out_of_range,
            "device": self.device,
            "grid": self.card.grid,
            "normalization": self.card.normalization,
            "trained": {"method": self.card.method, "steps": self.card.steps, "seed": self.card.seed, "notes": self.card.notes},
        });
        if self.precision != Precision::F32 {
            sidecar["precision"] = json!(self.precision.name());
        }
        sidecar
    }

    /// Whether the answer is the mean over the mirrorings of the scan.
    pub fn averages(&self) -> bool {
        self.options.ensemble
    }

    /// What a scan asks of the network.
    pub fn work(&self, input: &Geometry, grid: &Geometry) -> NetworkWork {
        let (n_feats, placed) = (self.card.network.n_feats, self.is_placed());
        NetworkWork {
            extent: if placed { grid.extent } else { input.extent },
            tile: self.options.tile.unwrap_or(self.resolver.tile()),
            // A placed network has its features for every eighth voxel, and four channels of the image.
            n_feats: if placed {
                n_feats.div_ceil(PLACED_STEP.pow(3))
            } else {
                n_feats
            },
            sub_voxels: if placed {
                PLACED_CHANNELS
            } else {
                self.card.scale.iter().product()
            },
        }
    }

    /// The operators that the model was trained through.
    ///
    /// # Errors
    /// When the card names none that this version knows.
    pub fn operators(&self) -> anyhow::Result<Vec<Operators>> {
        let of_card = || format!("model {}: source_operators in its card", self.origin.display());
        let count = self.card.source_operators.len();
        if count > MOST_OPERATORS {
            anyhow::bail!("{}: are {count}; expected at most {MOST_OPERATORS}", of_card());
        }
        let mut distinct: Vec<Operators> = Vec::new();
        for operator in self.card.operators().with_context(of_card)? {
            // A card names one as often as it was drawn.
            if !distinct.contains(&operator) {
                distinct.push(operator);
            }
        }
        Ok(distinct)
    }

    /// The answer to one mirroring of the scan.
    ///
    /// # Errors
    /// When the model cannot take the scan.
    pub fn member(
        &self,
        scan: &Volume,
        target: &Target,
        tile: Option<usize>,
        mirroring: usize,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let what = format!("{name}, mirroring {} of {MIRRORINGS}", mirroring + 1);
        self.with_progress(&what, terminal, |hear| {
            let extent = self.extent(scan.geometry(), target)?;
            let resolved = self.resolved_mm(scan, target);
            self.resolver
                .member_onto(scan, extent, resolved, tile, mirroring, hear)
        })
    }

    fn upscale(
        &self,
        scan: &Volume,
        target: &Target,
        tile: Option<usize>,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let options = UpscaleOptions { tile, ..self.options };
        self.with_progress(name, terminal, |hear| {
            let extent = self.extent(scan.geometry(), target)?;
            let resolved = self.resolved_mm(scan, target);
            self.resolver.onto(scan, extent, resolved, &options, hear)
        })
    }

    fn with_progress(
        &self,
        name: &str,
        terminal: &Terminal,
        answer: impl FnOnce(&mut dyn FnMut(usize, usize)) -> voxelift_model::error::Result<Volume>,
    ) -> anyhow::Result<Volume> {
        let mut progress = None;
        let mut hear = |done: usize, tiles: usize| {
            let progress = progress.get_or_insert_with(|| terminal.progress(name, "tiles", tiles as u64));
            progress.set(done as u64, "");
        };
        answer(&mut hear).with_context(|| format!("model {}", self.origin.display()))
    }

    /// In which respects voxels of this size are none that the model was trained on.
    pub fn strange_voxels(&self, input: &Geometry) -> Vec<String> {
        if self.is_placed() {
            return Vec::new();
        }
        let spacing = input.spacing_mm();
        let ranges = self.card.lr_spacing_mm.into_iter().enumerate();
        let strange = ranges.filter_map(|(axis, [least, largest])| {
            let fits = (least / SPACING_TOLERANCE..=largest * SPACING_TOLERANCE).contains(&spacing[axis]);
            (!fits).then(|| {
                format!(
                    "voxels of {} mm along {}, {} to {} mm in training",
                    number(spacing[axis]),
                    ["x", "y", "z"][axis],
                    number(least),
                    number(largest),
                )
            })
        });
        strange.collect()
    }

    /// In which respects a scan looks like none that the model was trained on.
    pub fn strange_looks(&self, looks: &Appearance) -> Vec<String> {
        let seen = self.card.appearance.as_ref();
        seen.map(|range| range.strange(looks)).unwrap_or_default()
    }

    /// Refuses what the model was not trained for, or says it where that is allowed.
    fn judge(&self, respects: &[String], name: &str, terminal: &Terminal) -> anyhow::Result<()> {
        if respects.is_empty() {
            return Ok(());
        }
        let respects = respects.join("; ");
        if !self.allow_out_of_range {
            anyhow::bail!(
                "outside what the model was trained for: {respects}; bring the scan there, or pass --allow-out-of-range"
            );
        }
        terminal.warn(format!(
            "{name}: outside what the model was trained for: {respects}"
        ));
        Ok(())
    }
}

impl Method {
    /// Checks that the method is meant for voxels of such a size.
    ///
    /// # Errors
    /// When a model was trained on others.
    pub fn check_voxels(&self, input: &Geometry, name: &str, terminal: &Terminal) -> anyhow::Result<()> {
        match self {
            Self::Model(model) if !model.chosen => model.judge(&model.strange_voxels(input), name, terminal),
            Self::Model(_) | Self::Baseline(_) => Ok(()),
        }
    }

    /// Checks that the method is meant for a scan that looks like this.
    ///
    /// # Errors
    /// When a model was trained on others, or for a volume without contrast.
    pub fn check_appearance(&self, volume: &Volume, name: &str, terminal: &Terminal) -> anyhow::Result<()> {
        let Self::Model(model) = self else {
            return Ok(());
        };
        if model.chosen {
            return Ok(());
        }
        let spikes = Normalization::of(volume)?.spikes_told(volume);
        let mut respects = match &model.card.appearance {
            Some(_) => model.strange_looks(&Appearance::of(volume)?),
            None => Vec::new(),
        };
        respects.extend(spikes);
        model.judge(&respects, name, terminal)
    }

    /// Checks that no voxel drowns the others of a scan whose method was chosen here, or says so where it was not.
    ///
    /// # Errors
    /// When the method was chosen here; for a volume without contrast too.
    pub fn check_spikes(
        &self,
        volume: &Volume,
        is_chosen: bool,
        consistent: bool,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        if is_chosen {
            return refuse_spikes(volume);
        }
        // Trilinear interpolation and splines keep a spike where it is.
        let spreads = consistent || matches!(self, Self::Baseline(Baseline::ZeroFill | Baseline::Lanczos));
        if spreads && matches!(self, Self::Baseline(_)) {
            let strange = match Normalization::of(volume) {
                Ok(scale) => scale.spikes_told(volume),
                Err(_) => fill_value(volume),
            };
            if let Some(strange) = strange {
                terminal.warn(format!("{name}: {strange}: it spreads over the output"));
            }
        }
        Ok(())
    }

    /// Checks that an output is one that its input can explain.
    ///
    /// # Errors
    /// When voxels are not finite, or those of a model lie ten times the width of the input's range beyond it.
    pub fn check_output(
        &self,
        output: &Volume,
        input: &Volume,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        match self {
            Self::Model(model) => guard::check(output, input, Some(model.allow_out_of_range), name, terminal),
            Self::Baseline(_) => Ok(explained(output, input).map(|_| ())?),
        }
    }

    /// A finer volume over the same field of view: what `target` takes, or as fine as a model of a fixed scale makes it.
    ///
    /// # Errors
    /// When the target is coarser than the volume, or a model cannot take it.
    pub fn apply(
        &self,
        volume: &Volume,
        target: &Target,
        tile: Option<usize>,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        match self {
            Self::Baseline(baseline) => Ok(baseline.apply(volume, target.extent(volume.geometry())?)),
            Self::Model(model) => model.upscale(volume, target, tile, name, terminal),
        }
    }

    /// The operator that a model was trained for, where its card names a single one.
    pub fn trained_through(&self) -> Option<Operators> {
        let Self::Model(model) = self else { return None };
        let operators = model.card.operators().ok()?;
        let (first, others) = operators.split_first()?;
        others.iter().all(|other| other == first).then_some(*first)
    }

    /// What stands beside an output, so that it can be made again.
    pub fn sidecar(&self, tile: Option<usize>) -> Value {
        match self {
            Self::Model(model) => model.sidecar(tile),
            Self::Baseline(baseline) => json!({"method": baseline.name()}),
        }
    }
}
