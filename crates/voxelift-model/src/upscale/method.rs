//! How the finer voxels are made: by a trained model, or by one of the baselines.

use voxelift_volume::appearance::Appearance;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::Operators;
use voxelift_volume::intensity::{Normalization, explained, fill_value};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Volume};

use super::error::Result;
use super::event::Event;
use super::guard;
use super::model::Model;

/// How the finer voxels are made.
#[derive(Debug)]
pub enum Method {
    /// By a method that needs no training.
    Baseline(Baseline),
    /// By a trained model.
    Model(Box<Model>),
}

impl Method {
    /// As it is written: `model`, or the name of the baseline.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Model(_) => "model",
            Self::Baseline(baseline) => baseline.name(),
        }
    }

    /// Checks that the method is meant for voxels of such a size.
    ///
    /// # Errors
    /// When a model was trained on others.
    pub fn check_voxels(&self, input: &Geometry, hear: &mut dyn FnMut(Event)) -> Result<()> {
        match self {
            Self::Model(model) if !model.is_chosen => model.judge(&model.strange_voxels(input), hear),
            Self::Model(_) | Self::Baseline(_) => Ok(()),
        }
    }

    /// Checks that the method is meant for a scan that looks like this.
    ///
    /// # Errors
    /// When a model was trained on others, or for a volume without contrast.
    pub fn check_appearance(&self, volume: &Volume, hear: &mut dyn FnMut(Event)) -> Result<()> {
        let Self::Model(model) = self else {
            return Ok(());
        };
        if model.is_chosen {
            return Ok(());
        }
        let spikes = Normalization::of(volume)?.spikes_in_words(volume);
        let mut respects = match model.knows_looks() {
            true => model.strange_looks(&Appearance::of(volume)?),
            false => Vec::new(),
        };
        respects.extend(spikes);
        model.judge(&respects, hear)
    }

    /// Refuses a scan with voxels far brighter than all others where its method was chosen here; warns where the caller chose it.
    ///
    /// # Errors
    /// When the method was chosen here; for a volume without contrast too.
    pub fn check_spikes(
        &self,
        volume: &Volume,
        is_chosen: bool,
        consistent: bool,
        hear: &mut dyn FnMut(Event),
    ) -> Result<()> {
        if is_chosen {
            return guard::refuse_spikes(volume);
        }
        // Trilinear interpolation and splines keep a spike where it is.
        let spreads = consistent || matches!(self, Self::Baseline(Baseline::ZeroFill | Baseline::Lanczos));
        if spreads && matches!(self, Self::Baseline(_)) {
            let strange = match Normalization::of(volume) {
                Ok(scale) => scale.spikes_in_words(volume),
                Err(_) => fill_value(volume),
            };
            if let Some(strange) = strange {
                hear(Event::Warning(format!("{strange}: it spreads over the output")));
            }
        }
        Ok(())
    }

    /// Checks that an output is one that its input can explain.
    ///
    /// # Errors
    /// When voxels are not finite, or those of a model lie ten times the width of the input's range beyond it.
    pub fn check_output(&self, output: &Volume, input: &Volume, hear: &mut dyn FnMut(Event)) -> Result<()> {
        match self {
            Self::Model(model) => guard::check(output, input, Some(model.may_be_out_of_range), hear),
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
        hear: &mut dyn FnMut(Event),
    ) -> Result<Volume> {
        match self {
            Self::Baseline(baseline) => Ok(baseline.apply(volume, target.extent(volume.geometry())?)),
            Self::Model(model) => model.apply(volume, target, tile, hear),
        }
    }

    /// The operator that a model was trained for, where its card names a single one.
    pub fn trained_through(&self) -> Option<Operators> {
        match self {
            Self::Model(model) => model.trained_through(),
            Self::Baseline(_) => None,
        }
    }
}

impl From<Baseline> for Method {
    fn from(baseline: Baseline) -> Self {
        Self::Baseline(baseline)
    }
}
