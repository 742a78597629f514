//! One scan on its way to a finer grid.

use std::borrow::Cow;

use voxelift_volume::consistency::{Acquisition, Agreement};
use voxelift_volume::expected::Expected;
use voxelift_volume::intensity::{Normalization, explained};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Volume};

use super::Upscaler;
use super::audit::{Audit, gather};
use super::budget::{Extras, Share, Work, voxels};
use super::choice::Choice;
use super::error::{Result, UpscaleError};
use super::event::Event;
use super::guard;
use super::method::Method;
use super::provenance::{AcquiredBy, Provenance, PutBack};

/// How one scan is made finer.
#[derive(Debug)]
pub struct Upscaling<'a> {
    upscaler: &'a Upscaler,
    choice: Choice<'a>,
    grid: Geometry,
    frames: usize,
    acquisition: Acquisition,
    pub(super) work: Work,
    pub(super) tile: Option<usize>,
}

/// A volume on its finer grid, and remarks about it.
#[derive(Clone, Debug)]
pub struct Upscaled {
    /// The volume.
    pub image: Volume,
    /// How it came onto the grid, in words, where that is more than leaving out whole voxels or adding zeros.
    pub placed: Option<&'static str>,
    /// What was done for data consistency.
    pub consistency: Option<Agreement>,
    /// What a model added, where that was asked for.
    pub audit: Option<Audit>,
}

impl<'a> Upscaling<'a> {
    pub(super) fn new(
        upscaler: &'a Upscaler,
        choice: Choice<'a>,
        scan: &Geometry,
        acquisition: Acquisition,
        frames: usize,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Self> {
        if upscaler.audit && !matches!(choice.method, Method::Model(_)) {
            let because = choice.because.unwrap_or_else(|| choice.method.name().to_owned());
            return Err(UpscaleError::AuditWithoutModel { because });
        }
        choice.method.check_voxels(scan, hear)?;
        let grid = grid(upscaler, &choice.target, scan, frames)?;
        if let Some(warning) = choice.target.little_in_common(scan) {
            hear(Event::Warning(warning));
        }
        let work = work(choice.method, scan, &grid, extras(upscaler, &choice.target));
        Ok(Self {
            tile: upscaler.budget.tile(&work)?,
            upscaler,
            choice,
            grid,
            frames,
            acquisition,
            work,
        })
    }

    /// The grid of the output.
    pub fn grid(&self) -> &Geometry {
        &self.grid
    }

    /// The grid as it was asked for.
    pub fn target(&self) -> &Target {
        &self.choice.target
    }

    /// What makes the scan finer.
    pub fn method(&self) -> &Method {
        self.choice.method
    }

    /// Why this method, where there was a choice.
    pub fn because(&self) -> Option<&str> {
        self.choice.because.as_deref()
    }

    /// What it may be expected to gain over the best baseline, where that was measured.
    pub fn expected(&self) -> Option<&Expected> {
        self.choice.expected.as_ref()
    }

    /// Whether a baseline was chosen for thick slices, from which a network could learn.
    pub fn slices_may_teach(&self) -> bool {
        self.choice.slices_may_teach
    }

    /// Whether the voxels are halved because the scan was as fine as the target already.
    pub fn is_halved(&self) -> bool {
        self.choice.halved
    }

    /// What made the scan, where data consistency is asked for.
    pub fn acquisition(&self) -> Option<&Acquisition> {
        self.upscaler.is_consistent().then_some(&self.acquisition)
    }

    /// The tile asked for and the smaller one that fits into memory, in voxels along a side, where they differ.
    pub fn smaller_tile(&self) -> Option<[usize; 2]> {
        let (network, tile) = (self.work.network?, self.tile?);
        (tile != network.tile).then_some([network.tile, tile])
    }

    /// How the output is made.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            method: self.choice.method.name(),
            of_model: match self.choice.method {
                Method::Model(model) => Some(model.provenance(self.tile)),
                Method::Baseline(_) => None,
            },
            target: self.choice.target.to_string(),
            consistency: PutBack {
                mode: self.upscaler.consistency.name(),
            },
            acquired: self.acquisition().map(|made_by| AcquiredBy {
                operators: made_by.operators.to_string(),
                because: made_by.because.clone(),
            }),
        }
    }

    /// One volume of the scan on the finer grid.
    ///
    /// # Errors
    /// When the method cannot take it, or the output is none that it can explain.
    pub fn run(&self, volume: &Volume, hear: &mut dyn FnMut(Event)) -> Result<Upscaled> {
        let (method, target, acquisition) = (self.choice.method, &self.choice.target, self.acquisition());
        let blank = volume.only_value();
        if let (Method::Model(model), Some(value), true) = (method, blank, self.frames > 1) {
            hear(Event::Warning(format!(
                "is {value} everywhere, and so is its output"
            )));
            let extent = model.extent(volume.geometry(), target)?;
            let empty = Volume::filled(value, volume.geometry().with_extent(extent));
            return Ok(Upscaled {
                image: target.placed(empty, &self.grid).0,
                placed: None,
                consistency: None,
                audit: None,
            });
        }
        method.check_appearance(volume, hear)?;
        if blank.is_none() {
            // What is no magnitude image is refused whatever was chosen by the first volume.
            let is_chosen = self.choice.because.is_some();
            if !is_chosen {
                guard::warn_of_labels(volume, hear);
            }
            method.check_spikes(volume, is_chosen, acquisition.is_some(), hear)?;
        }
        // What a scanner filled with zeros was not measured, and must not take away what a model adds.
        let measured = match method {
            Method::Model(model) => model.measured(volume, target, &self.acquisition.operators),
            Method::Baseline(_) => Cow::Borrowed(volume),
        };
        let (made, gathered) = match method {
            Method::Model(model) if self.upscaler.audit => {
                let (made, agreement) = gather(model, volume, measured.extent(), target, self.tile, hear)?;
                (made, Some((model, agreement)))
            }
            method => (method.apply(volume, target, self.tile, hear)?, None),
        };
        let (fine, consistency) = match acquisition {
            Some(made_by) => self.upscaler.consistency.apply(made, &measured, made_by)?,
            None => (made, None),
        };
        method.check_output(&fine, volume, hear)?;
        let audit = gathered
            .map(|(model, agreement)| Audit::of(model, agreement, &fine, &measured))
            .transpose()?;
        let (image, placed) = self.placed(fine, volume);
        explained(&image, volume)?;
        Ok(Upscaled {
            image,
            placed,
            consistency,
            audit,
        })
    }

    /// A finer volume on the grid of the output. Beyond the field of view there is no signal: of a shifted scan that is not 0.
    fn placed(&self, fine: Volume, volume: &Volume) -> (Volume, Option<&'static str>) {
        let target = &self.choice.target;
        let scale = match target {
            Target::Like(_) => Normalization::of(volume).ok().filter(|scale| scale.zero != 0.0),
            _ => None,
        };
        let Some(scale) = scale else {
            return target.placed(fine, &self.grid);
        };
        let (image, how) = target.placed(scale.without_zero(fine), &self.grid);
        (scale.onto_zero(image), how)
    }
}

/// Refuses a scan that has no room by any of the methods that may be chosen for it, or no room for the trials; else waits until it has
/// room beside the work on others.
///
/// # Errors
/// When the output has too many voxels, or the memory holds the work of none of the methods or not that of a trial.
pub(super) fn before_trials<'a>(
    upscaler: &'a Upscaler,
    may_be_chosen: &[&Method],
    target: &Target,
    scan: &Geometry,
    frames: usize,
) -> Result<Share<'a>> {
    let grid = grid(upscaler, target, scan, frames)?;
    let trial = Extras {
        consistent: upscaler.is_consistent(),
        ..Extras::default()
    };
    // As many voxels as a trial leaves, or more: where the scanner interpolated it leaves fewer, and of thick slices it degrades another axis.
    let few = |a: usize| (scan.extent[a] * scan.extent[a]).div_ceil(grid.extent[a].max(1));
    let coarse = scan.with_extent(std::array::from_fn(few));
    let trials = may_be_chosen.iter().map(|method| {
        let of_trial = work(method, &coarse, scan, trial);
        // The scan is there as well.
        let input = of_trial.input + voxels(scan);
        Work { input, ..of_trial }
    });
    let works = may_be_chosen
        .iter()
        .map(|method| work(method, scan, &grid, extras(upscaler, target)));
    upscaler.budget.share_of_trials(trials, works)
}

/// The grid of an output.
///
/// # Errors
/// When the target is coarser than the scan, lies elsewhere, or has too many voxels.
fn grid(upscaler: &Upscaler, target: &Target, scan: &Geometry, frames: usize) -> Result<Geometry> {
    let grid = target.grid(scan)?;
    let counts = grid.extent.iter().map(|n| *n as u64);
    if counts.fold(frames as u64, u64::saturating_mul) > upscaler.max_voxels {
        return Err(UpscaleError::TooManyVoxels {
            extent: grid.extent,
            frames,
            most: upscaler.max_voxels,
        });
    }
    Ok(grid)
}

/// What is done beside the making of finer voxels.
fn extras(upscaler: &Upscaler, target: &Target) -> Extras {
    Extras {
        consistent: upscaler.is_consistent(),
        audited: upscaler.audit,
        placed: !matches!(target, Target::Scale(_)),
        ..Extras::default()
    }
}

/// What a scan takes in memory.
fn work(method: &Method, input: &Geometry, grid: &Geometry, extras: Extras) -> Work {
    let (made, network) = match method {
        Method::Model(model) => (model.made(input, grid), Some(model.work(input, grid))),
        Method::Baseline(_) => (grid.clone(), None),
    };
    let extras = Extras {
        cut: made.extent != grid.extent && !extras.placed,
        ..extras
    };
    Work {
        input: voxels(input),
        output: voxels(&made).max(voxels(grid)),
        beside: extras.bytes(network.is_some()),
        network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Computing, DeviceChoice, Precision};
    use crate::infer::UpscaleOptions;
    use crate::model_file::ModelFile;
    use crate::upscale::Model;

    #[test]
    fn a_grid_that_is_cut_takes_its_transforms_too() {
        let computing = Computing {
            device: DeviceChoice::Cpu,
            precision: Precision::F32,
        };
        let file = ModelFile::built_in_for_any_contrast();
        let model = Model::of(&file, computing, UpscaleOptions::default()).expect("a model");
        let method = Method::Model(Box::new(model.for_every_scan()));
        let scan = Geometry::axis_aligned([64; 3], [1.0; 3]);
        let bytes =
            |extent, extras| work(&method, &scan, &scan.with_extent(extent), extras).with_tile(16) as usize;
        let (none, made) = (Extras::default(), 128 * 128 * 128);
        let whole = bytes([128; 3], none);
        assert_eq!(bytes([64, 128, 128], none) - whole, 22 * made);
        // Data consistency comes after it, and takes less.
        let consistent = Extras {
            consistent: true,
            ..none
        };
        assert_eq!(bytes([128; 3], consistent) - whole, 16 * made);
        assert_eq!(bytes([64, 128, 128], consistent), bytes([64, 128, 128], none));
    }
}
