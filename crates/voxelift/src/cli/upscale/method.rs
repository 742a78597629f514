//! How the finer voxels are made: by a trained model, or by one of the methods that need none.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::device::DeviceChoice;
use voxelift_model::infer::{MIRRORINGS, SuperResolver, UpscaleOptions};
use voxelift_model::model_file::ModelCard;
use voxelift_volume::degrade::Operators;
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Geometry, Scale, Volume, kspace};

use super::super::words::number;
use super::target::Target;
use crate::terminal::Terminal;

/// Voxel sizes within this factor of those of training are taken for the same.
const SPACING_TOLERANCE: f64 = 1.1;

/// How the finer voxels are made.
#[derive(Debug)]
pub enum Method {
    ZeroFill,
    Interpolated(Interpolation),
    Model(Box<Model>),
}

/// A trained model, and how it is applied.
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    resolver: SuperResolver,
    card: ModelCard,
    options: UpscaleOptions,
    allow_out_of_range: bool,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// When it cannot be read, or the device is not there.
    pub fn load(
        path: &Path,
        device: DeviceChoice,
        options: UpscaleOptions,
        allow_out_of_range: bool,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let (device, name) = device.open()?;
        let (resolver, card) = SuperResolver::load(path, device)?;
        terminal.detail(format!("{}: on {name}", path.display()));
        Ok(Self {
            path: path.to_owned(),
            resolver,
            card,
            options,
            allow_out_of_range,
        })
    }

    /// SR voxels per voxel.
    pub fn scale(&self) -> Scale {
        self.resolver.scale()
    }

    /// What the owner of the training data wants every user to know.
    pub fn notes(&self) -> &str {
        &self.card.notes
    }

    /// What stands beside an output, so that it can be made again.
    fn sidecar(&self) -> Value {
        json!({
            "method": "model",
            "model": self.path,
            "scale": self.card.scale,
            "tile": self.options.tile.unwrap_or(self.resolver.tile()),
            "ensemble": self.options.ensemble,
            "grid": self.card.grid,
            "normalization": self.card.normalization,
            "trained": {"method": self.card.method, "steps": self.card.steps, "seed": self.card.seed, "notes": self.card.notes},
        })
    }

    /// Whether the answer is the mean over the mirrorings of the scan.
    pub fn averages(&self) -> bool {
        self.options.ensemble
    }

    /// The operators that the model was trained through.
    ///
    /// # Errors
    /// When the card names none that this version knows.
    pub fn operators(&self) -> anyhow::Result<Vec<Operators>> {
        let operators = self.card.operators();
        operators.with_context(|| format!("model {}: source_operators in its card", self.path.display()))
    }

    /// The answer to one mirroring of the scan.
    ///
    /// # Errors
    /// When the model cannot take the scan.
    pub fn member(
        &self,
        scan: &Volume,
        mirroring: usize,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        let what = format!("{name}, mirroring {} of {MIRRORINGS}", mirroring + 1);
        self.with_progress(&what, terminal, |hear| {
            self.resolver.member(scan, self.options.tile, mirroring, hear)
        })
    }

    fn upscale(&self, scan: &Volume, name: &str, terminal: &Terminal) -> anyhow::Result<Volume> {
        self.with_progress(name, terminal, |hear| {
            self.resolver.upscale(scan, &self.options, hear)
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
        answer(&mut hear).with_context(|| format!("model {}", self.path.display()))
    }

    /// # Errors
    /// When the voxels have another size than those that the model was trained on.
    fn check_range(&self, input: &Geometry) -> anyhow::Result<()> {
        let spacing = input.spacing_mm();
        for (axis, [least, largest]) in self.card.lr_spacing_mm.into_iter().enumerate() {
            let fits = (least / SPACING_TOLERANCE..=largest * SPACING_TOLERANCE).contains(&spacing[axis]);
            if !fits && !self.allow_out_of_range {
                anyhow::bail!(
                    "voxels of {} mm along {}; the model was trained on {} to {} mm; bring the scan there, or pass \
                     --allow-out-of-range",
                    number(spacing[axis]),
                    ["x", "y", "z"][axis],
                    number(least),
                    number(largest),
                );
            }
        }
        Ok(())
    }
}

impl Method {
    /// Checks that the method is meant for such a scan.
    ///
    /// # Errors
    /// When a model was trained on other voxel sizes.
    pub fn check(&self, input: &Geometry) -> anyhow::Result<()> {
        match self {
            Self::Model(model) => model.check_range(input),
            Self::ZeroFill | Self::Interpolated(_) => Ok(()),
        }
    }

    /// A finer volume over the same field of view: a model's scale is fixed, the others make what `target` takes.
    ///
    /// # Errors
    /// When the target is coarser than the volume, or a model cannot take it.
    pub fn apply(
        &self,
        volume: &Volume,
        target: &Target,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Volume> {
        match self {
            Self::ZeroFill => Ok(kspace::zero_fill(volume, target.extent(volume.geometry())?)),
            Self::Interpolated(method) => Ok(resize(volume, target.extent(volume.geometry())?, *method)),
            Self::Model(model) => model.upscale(volume, name, terminal),
        }
    }

    /// Nothing where it is known that the scan was made by k-space truncation.
    ///
    /// # Errors
    /// In words, what is known instead.
    pub fn known_truncation(&self) -> Result<(), String> {
        match self {
            Self::ZeroFill => Ok(()),
            Self::Interpolated(_) => Err("an interpolation assumes none".to_owned()),
            Self::Model(model) => {
                let operators = model.operators().map_err(|error| format!("{error:#}"))?;
                if !operators.is_empty() && operators.iter().all(Operators::is_kspace) {
                    return Ok(());
                }
                let said = model.card.source_operators.join("; ");
                Err(format!("the card of {} says \"{said}\"", model.path.display()))
            }
        }
    }

    /// What stands beside an output, so that it can be made again; the interpolations need none.
    pub fn sidecar(&self) -> Option<Value> {
        match self {
            Self::Model(model) => Some(model.sidecar()),
            Self::ZeroFill => Some(json!({"method": "zero-fill"})),
            Self::Interpolated(_) => None,
        }
    }
}
