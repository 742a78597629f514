//! What makes a scan finer: the method that was named, or where none was, what is in the program and does best on the scan.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use voxelift_volume::appearance::Appearance;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::Operators;
use voxelift_volume::expected::{Expected, Trial};
use voxelift_volume::placed::slice_axis;
use voxelift_volume::target::Target;
use voxelift_volume::{Scale, Volume};

use super::budget::Share;
use super::error::Result;
use super::guard::{refuse_ct, refuse_labels};
use super::method::Method;
use super::model::Model;
use crate::device::Computing;
use crate::infer::UpscaleOptions;
use crate::model_file::ModelFile;

/// The method that was named, or those in the program.
#[derive(Debug)]
#[non_exhaustive]
pub enum Methods {
    /// The method that was named.
    Named(Method),
    /// Whatever is in the program.
    BuiltIn(Box<BuiltIn>),
}

/// What is in the program.
#[derive(Debug)]
pub struct BuiltIn {
    /// The first of them is meant for the scans of its card: these get one of the models, whatever the baselines do. The last is meant for
    /// every scan.
    models: Vec<BuiltInModel>,
    /// What needs no training, one method each.
    baselines: [Method; Baseline::ALL.len()],
}

#[derive(Debug)]
struct BuiltInModel {
    method: Method,
    /// Whether it made a scan finer.
    used: AtomicBool,
}

/// What makes a scan finer, and onto which grid.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The method.
    pub method: &'a Method,
    /// The grid.
    pub target: Target,
    /// Why this method, where there was a choice.
    pub because: Option<String>,
    /// What it may be expected to gain over the best baseline, where that was measured.
    pub expected: Option<Expected>,
    /// Whether the voxels are halved because the scan was as fine as the target already.
    pub halved: bool,
    /// Whether a baseline was chosen for thick slices, from which a network could learn.
    pub slices_may_teach: bool,
}

/// What is known of a scan before anything is made of it.
pub struct Sight<'a> {
    /// Its first volume that is not blank.
    pub first: &'a Volume,
    /// What made it, as far as is known.
    pub made_by: &'a Operators,
    /// Whether what it measured is put back.
    pub consistent: bool,
    /// Voxels along a tile.
    pub tile: Option<usize>,
    /// Asked before any method is tried on the scan, with those that may be chosen for a grid: refuses what has no room by any of
    /// them, and gives the trials their share of the memory.
    pub before_trials: &'a mut dyn FnMut(&[&Method], &Target) -> Result<Share<'a>>,
}

impl BuiltInModel {
    fn model(&self) -> &Model {
        match &self.method {
            Method::Model(model) => model,
            Method::Baseline(_) => unreachable!("made of models"),
        }
    }

    fn described(&self) -> Value {
        let mut of_model = serde_json::to_value(self.model().provenance(None)).expect("plain data");
        of_model["method"] = self.method.name().into();
        of_model
    }

    fn taken(&self) -> &Method {
        self.used.store(true, Ordering::Relaxed);
        &self.method
    }

    /// What it may be expected to gain; none where a scan is of slices and the network has seen none.
    fn expected(&self, trial: &Trial, thick: bool, tile: Option<usize>) -> Result<Option<Expected>> {
        let model = self.model();
        if thick && !model.is_placed() {
            return Ok(None);
        }
        model.expected(trial, tile)
    }
}

impl BuiltIn {
    /// All of it.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn load(computing: Computing, options: UpscaleOptions) -> Result<Self> {
        let files = [ModelFile::built_in(), ModelFile::built_in_for_any_contrast()];
        Self::of(&files, computing, options)
    }

    /// Only what anyone may use commercially.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn load_free(computing: Computing, options: UpscaleOptions) -> Result<Self> {
        Self::of(&[ModelFile::built_in_free()], computing, options)
    }

    fn of(files: &[ModelFile], computing: Computing, options: UpscaleOptions) -> Result<Self> {
        let models = files.iter().map(|file| {
            let model = Model::of(file, computing, options)?.for_every_scan();
            Ok(BuiltInModel {
                method: Method::Model(Box::new(model)),
                used: AtomicBool::new(false),
            })
        });
        Ok(Self {
            models: models.collect::<Result<_>>()?,
            baselines: Baseline::ALL.map(Method::Baseline),
        })
    }

    fn baseline(&self, baseline: Baseline) -> &Method {
        let place = Baseline::ALL.iter().position(|one| *one == baseline);
        &self.baselines[place.expect("all are there")]
    }

    /// What may be chosen for a scan: one of the models where the first was trained on scans like it, else the last or a baseline.
    /// The baselines all take the same memory.
    fn candidates(&self, is_known: bool) -> Vec<&Method> {
        let models = self.models.iter().map(|model| &model.method);
        match is_known {
            true => models.collect(),
            false => models.rev().take(1).chain(&self.baselines).collect(),
        }
    }

    /// For the scans that the first model was trained on, the model that came nearest to the scan when it was degraded once more and
    /// brought back; for others the last model, where it came nearer than every baseline, else the baseline that came nearest.
    fn choose(&self, sight: &mut Sight<'_>, asked: &Target) -> Result<Choice<'_>> {
        let first = &self.models[0];
        let geometry = sight.first.geometry();
        // Whatever cannot be placed is refused here: no contrast, a phase map, a CT.
        let looks = Appearance::of(sight.first)?;
        refuse_ct(sight.first)?;
        refuse_labels(sight.first)?;
        let mut respects = first.model().strange_voxels(geometry);
        respects.extend(first.model().strange_looks(&looks));
        let is_known = respects.is_empty();
        let (target, halved) = match asked {
            Target::Finest if is_known => (Target::Scale(first.model().scale()), false),
            asked => asked.settled(sight.first),
        };
        let extent = target.extent(geometry)?;
        let _share = (sight.before_trials)(&self.candidates(is_known), &target)?;
        let resolved = first.model().resolved_mm(sight.first, &target);
        let thick = slice_axis(resolved).is_some();
        let trial = Trial::of(sight.first, extent, resolved, sight.made_by, sight.consistent)?;
        let choice = |method, because: String, expected| Choice {
            method,
            target: target.clone(),
            because: Some(because),
            expected,
            halved,
            slices_may_teach: false,
        };
        let tile = sight.tile;
        let expected = |model: &BuiltInModel| -> Result<Option<Expected>> {
            match &trial {
                Some(trial) => model.expected(trial, thick, tile),
                None => Ok(None),
            }
        };
        if is_known {
            let mut best = (first, expected(first)?);
            for model in &self.models[1..] {
                let found = expected(model)?;
                if let (Some(found), Some(before)) = (&found, &best.1)
                    && found.gain_db > before.gain_db
                {
                    best = (model, Some(*found));
                }
            }
            let (model, expected) = best;
            let name = model.model().name();
            let because = if std::ptr::eq(model, first) {
                format!("the {name}, trained on scans like this one")
            } else {
                format!("the {name}, which came nearest to this scan when it was degraded once more")
            };
            return Ok(choice(model.taken(), because, expected));
        }
        // The last model is meant for every scan; a trial does not tell what the first does with a scan of another kind (decision 16).
        let model = self.models.last().expect("there is one");
        let found = expected(model)?;
        if let Some(expected) = found.filter(|expected| expected.gain_db > 0.0) {
            let because = format!(
                "the {}, which came nearer to this scan than every baseline when it was degraded once more",
                model.model().name()
            );
            return Ok(choice(model.taken(), because, Some(expected)));
        }
        let (baseline, because) = match (&trial, found, thick) {
            (Some(trial), Some(expected), _) => {
                let because = format!(
                    "which came nearest to this scan when it was degraded once more; the {} was {:.2} dB worse",
                    model.model().name(),
                    -expected.gain_db
                );
                (trial.baseline(), because)
            }
            (Some(trial), None, true) => (
                trial.baseline(),
                "which came nearest to slices of this scan that were degraded once more; no model in the program was trained on \
                 thick slices"
                    .to_owned(),
            ),
            (_, _, true) => (
                Baseline::CubicBSpline,
                "since the scan is too small to measure on it whether a model does better".to_owned(),
            ),
            _ => (
                Baseline::ZeroFill,
                "since the scan is too small to measure on it whether a model does better".to_owned(),
            ),
        };
        let because = format!("{}, {because}", baseline.name());
        Ok(Choice {
            slices_may_teach: thick,
            ..choice(self.baseline(baseline), because, None)
        })
    }
}

impl Methods {
    /// The grid that is meant where none is asked for.
    pub fn default_target(&self) -> Target {
        match self {
            Self::BuiltIn(_) => Target::Finest,
            Self::Named(Method::Model(model)) if model.is_placed() => Target::Finest,
            Self::Named(Method::Model(model)) => Target::Scale(model.scale()),
            Self::Named(Method::Baseline(_)) => Target::Scale(Scale::isotropic(2)),
        }
    }

    /// The scale of a model that has only one.
    pub fn fixed_scale(&self) -> Option<Scale> {
        match self {
            Self::Named(Method::Model(model)) if !model.is_placed() => Some(model.scale()),
            Self::Named(_) | Self::BuiltIn(_) => None,
        }
    }

    /// The operator that a named model was trained for, where its card names a single one.
    pub fn trained_through(&self) -> Option<Operators> {
        match self {
            Self::Named(method) => method.trained_through(),
            Self::BuiltIn(_) => None,
        }
    }

    /// Whether they are models: what a scan measured is put back, and an output has a sidecar, unless something else is asked for.
    pub fn are_models(&self) -> bool {
        !matches!(self, Self::Named(Method::Baseline(_)))
    }

    /// What a choice among them depends on beside the scan, its acquisition and the grid asked for; nothing where there is no choice.
    pub fn asked(&self) -> Option<Value> {
        match self {
            Self::Named(_) => None,
            Self::BuiltIn(built_in) => {
                let models = built_in.models.iter().map(|model| model.described());
                Some(models.collect())
            }
        }
    }

    /// Whether a choice depends on what a scan looks like.
    pub fn need_first_volume(&self, asked: &Target) -> bool {
        matches!(self, Self::BuiltIn(_)) || matches!(asked, Target::Finest)
    }

    /// What makes this scan finer, and onto which grid.
    ///
    /// # Errors
    /// When the scan is none that can be placed: without contrast, of other units, or a phase map; when the
    /// output has too many voxels, or the memory holds the work of none of the methods.
    ///
    /// # Panics
    /// When the first volume is not given although [`Methods::need_first_volume`].
    pub fn choose(&self, asked: &Target, sight: Option<&mut Sight<'_>>) -> Result<Choice<'_>> {
        let method = match self {
            Self::BuiltIn(built_in) => return built_in.choose(sight.expect("a sight of the scan"), asked),
            Self::Named(method) => method,
        };
        let (target, halved) = match &sight {
            Some(sight) => asked.settled(sight.first),
            None => (asked.clone(), false),
        };
        let expected = match (method, sight) {
            (Method::Model(model), Some(sight)) if model.is_placed() => {
                let extent = target.extent(sight.first.geometry())?;
                let _share = (sight.before_trials)(&[method], &target)?;
                let resolved = model.resolved_mm(sight.first, &target);
                Trial::of(sight.first, extent, resolved, sight.made_by, sight.consistent)?
                    .map(|trial| model.expected(&trial, sight.tile))
                    .transpose()?
                    .flatten()
            }
            _ => None,
        };
        Ok(Choice {
            method,
            target,
            because: None,
            expected,
            halved,
            slices_may_teach: false,
        })
    }

    /// What the owners of the data want every user to know whose scans trained a model that made a scan finer.
    pub fn notes(&self) -> Vec<&str> {
        let methods: Vec<&Method> = match self {
            Self::Named(method) => vec![method],
            Self::BuiltIn(built_in) => {
                let models = built_in.models.iter();
                let used = models.filter(|model| model.used.load(Ordering::Relaxed));
                used.map(|model| &model.method).collect()
            }
        };
        let notes = methods.into_iter().filter_map(|method| match method {
            Method::Model(model) => Some(model.notes()),
            Method::Baseline(_) => None,
        });
        notes.filter(|notes| !notes.is_empty()).collect()
    }
}
