//! A trained model as it is applied to scans.

use std::borrow::Cow;
use std::path::PathBuf;

use voxelift_volume::appearance::Appearance;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::expected::{Expected, Trial};
use voxelift_volume::placed::{held, resolved_mm};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Scale, Volume};

use super::budget::NetworkWork;
use super::error::{Result, UpscaleError};
use super::event::Event;
use super::provenance::{OfModel, Trained};
use crate::device::{Computing, Precision};
use crate::error::ModelError;
use crate::infer::{MIRRORINGS, SuperResolver, UpscaleOptions};
use crate::model_file::{ModelCard, ModelFile};
use crate::networks::{PLACED_CHANNELS, PLACED_STEP};

/// Operators that a card may name; a training run has a few.
const MOST_OPERATORS: usize = 1000;

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
    /// Whether scans that it was not trained for are taken, and outputs that cannot come from their scans.
    pub(super) may_be_out_of_range: bool,
    /// Whether it was chosen for the scan: then nothing is refused, and the output is made on the grid asked for.
    pub(super) is_chosen: bool,
    /// Where it computes, without how many threads do.
    device: String,
}

impl Model {
    /// A model file that has been read.
    ///
    /// # Errors
    /// When it is damaged, or the device is not there.
    pub fn of(file: &ModelFile, computing: Computing, options: UpscaleOptions) -> Result<Self> {
        let (device, name) = computing.open()?;
        let products = computing.precision.products(&device);
        let (resolver, card) = SuperResolver::of(file, device)?;
        Ok(Self {
            origin: file.origin().to_owned(),
            resolver: resolver.computing_in(products),
            card,
            content: file.content(),
            options,
            precision: computing.precision,
            may_be_out_of_range: false,
            is_chosen: false,
            device: match name.split_once(", ") {
                Some(("cpu", _)) => "cpu".to_owned(),
                _ => name.trim_end_matches(", the first GPU found").to_owned(),
            },
        })
    }

    /// The same, which takes scans that it was not trained for as well, and says so.
    pub fn allowing_out_of_range(self, allowed: bool) -> Self {
        Self {
            may_be_out_of_range: allowed,
            ..self
        }
    }

    /// The same for whatever scan it is chosen for.
    pub fn for_every_scan(self) -> Self {
        Self {
            is_chosen: true,
            ..self
        }
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
        if self.is_placed() || self.is_chosen {
            target.extent(input)
        } else {
            Ok(self.scale().up(input.extent))
        }
    }

    /// What a scan resolves: along x, y, z its spacing, or more where the scanner interpolated. A model of a fixed scale takes
    /// voxels as they are where so many times as many are asked for.
    pub fn resolved_mm(&self, scan: &Volume, target: &Target) -> [f64; 3] {
        let as_it_is = !self.is_chosen || matches!(target, Target::Scale(_));
        if !self.is_placed() && as_it_is {
            scan.geometry().spacing_mm()
        } else {
            resolved_mm(scan)
        }
    }

    /// What of a scan was measured, as far as it was truncated in k-space: where its scanner interpolated, fewer voxels. What `operators` made
    /// otherwise stays as it is.
    pub fn measured<'a>(&self, scan: &'a Volume, target: &Target, operators: &Operators) -> Cow<'a, Volume> {
        let (spacing, mut resolved) = (scan.geometry().spacing_mm(), self.resolved_mm(scan, target));
        for a in 0..3 {
            if operators.0[a] != Operator::KSpace {
                resolved[a] = spacing[a];
            }
        }
        match resolved == spacing {
            true => Cow::Borrowed(scan),
            false => Cow::Owned(held(scan, resolved)),
        }
    }

    /// What it may be expected to gain, measured on the scan.
    ///
    /// # Errors
    /// When it cannot take the scan.
    pub fn expected(&self, trial: &Trial, tile: Option<usize>) -> Result<Option<Expected>> {
        Ok(self.resolver.expected(trial, tile.or(self.options.tile))?)
    }

    /// What the owner of the training data wants every user to know.
    pub fn notes(&self) -> &str {
        &self.card.notes
    }

    /// Its part in an output, so that the output can be made again.
    pub fn provenance(&self, tile: Option<usize>) -> OfModel {
        OfModel {
            model: self.name(),
            model_sha256: self.content.clone(),
            scale: self.card.scale,
            tile: tile.unwrap_or(self.resolver.tile()),
            ensemble: self.options.ensemble,
            allow_out_of_range: self.may_be_out_of_range,
            device: self.device.clone(),
            grid: self.card.grid.clone(),
            normalization: self.card.normalization.clone(),
            trained: Trained {
                method: self.card.method.clone(),
                steps: self.card.steps,
                seed: self.card.seed,
                notes: self.card.notes.clone(),
            },
            precision: (self.precision != Precision::F32).then(|| self.precision.name()),
        }
    }

    /// Whether the output is the mean over the mirrorings of the scan.
    pub fn averages(&self) -> bool {
        self.options.ensemble
    }

    /// The grid of what the network itself makes on its way to another.
    pub fn made(&self, input: &Geometry, grid: &Geometry) -> Geometry {
        if self.is_placed() {
            grid.clone()
        } else {
            input.with_extent(self.scale().up(input.extent))
        }
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
    pub fn operators(&self) -> Result<Vec<Operators>> {
        let count = self.card.source_operators.len();
        if count > MOST_OPERATORS {
            let expected = format!("at most {MOST_OPERATORS}");
            return Err(ModelError::model_file(
                &self.origin,
                format!("source_operators in its card are {count}"),
                expected,
            )
            .into());
        }
        let mut distinct: Vec<Operators> = Vec::new();
        let operators = self.card.operators().map_err(|error| UpscaleError::OfModel {
            name: format!("{}: source_operators in its card", self.origin.display()),
            source: error,
        })?;
        for operator in operators {
            // A card names one as often as it was drawn.
            if !distinct.contains(&operator) {
                distinct.push(operator);
            }
        }
        Ok(distinct)
    }

    /// The operator that it was trained through, where its card names a single one.
    pub fn trained_through(&self) -> Option<Operators> {
        let operators = self.card.operators().ok()?;
        let (first, others) = operators.split_first()?;
        others.iter().all(|other| other == first).then_some(*first)
    }

    /// The output for one of the [`MIRRORINGS`] of the scan.
    ///
    /// # Errors
    /// When the model cannot take the scan.
    pub fn member(
        &self,
        scan: &Volume,
        target: &Target,
        tile: Option<usize>,
        mirroring: usize,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Volume> {
        debug_assert!(mirroring < MIRRORINGS);
        let mut tiles = |done, of| {
            hear(Event::Tiles {
                mirroring: Some(mirroring),
                done,
                of,
            })
        };
        let extent = self.extent(scan.geometry(), target)?;
        let resolved = self.resolved_mm(scan, target);
        self.resolver
            .member_onto(scan, extent, resolved, tile, mirroring, &mut tiles)
            .map_err(|error| self.failed(error))
    }

    /// The output of the network.
    ///
    /// # Errors
    /// When the model cannot take the scan.
    pub fn apply(
        &self,
        scan: &Volume,
        target: &Target,
        tile: Option<usize>,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Volume> {
        let options = UpscaleOptions { tile, ..self.options };
        let mut tiles = |done, of| {
            hear(Event::Tiles {
                mirroring: None,
                done,
                of,
            })
        };
        let extent = self.extent(scan.geometry(), target)?;
        let resolved = self.resolved_mm(scan, target);
        self.resolver
            .onto(scan, extent, resolved, &options, &mut tiles)
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ModelError) -> UpscaleError {
        UpscaleError::OfModel {
            name: self.name(),
            source: error,
        }
    }

    /// In which respects voxels of this size are none that the model was trained on.
    pub fn strange_voxels(&self, input: &Geometry) -> Vec<String> {
        if self.is_placed() {
            return Vec::new();
        }
        self.card.strange_voxels(input.spacing_mm())
    }

    /// In which respects a scan looks like none that the model was trained on.
    pub fn strange_looks(&self, looks: &Appearance) -> Vec<String> {
        let seen = self.card.appearance.as_ref();
        seen.map(|range| range.strange(looks)).unwrap_or_default()
    }

    /// Refuses what the model was not trained for, or says it where that is allowed.
    ///
    /// # Errors
    /// When there is something and it is not allowed.
    pub fn judge(&self, respects: &[String], hear: &mut dyn FnMut(Event)) -> Result<()> {
        if respects.is_empty() {
            return Ok(());
        }
        let respects = respects.join("; ");
        if !self.may_be_out_of_range {
            return Err(UpscaleError::OutOfRange { respects });
        }
        hear(Event::Warning(format!(
            "outside what the model was trained for: {respects}"
        )));
        Ok(())
    }

    /// Whether it was trained on scans of a known appearance.
    pub fn knows_looks(&self) -> bool {
        self.card.appearance.is_some()
    }
}
