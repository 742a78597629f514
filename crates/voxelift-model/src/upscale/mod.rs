//! Layer 10 · Upscaler: a scan on a finer grid, by the method that is named or does best on the scan itself.
//!
//! ```no_run
//! use voxelift_model::device::{Computing, DeviceChoice, Precision};
//! use voxelift_model::infer::UpscaleOptions;
//! use voxelift_model::upscale::{BuiltIn, Methods, Upscaler, Wishes};
//! use voxelift_volume::nifti::{ReadOptions, read};
//!
//! let computing = Computing { device: DeviceChoice::Auto, precision: Precision::F32 };
//! let methods = Methods::BuiltIn(Box::new(BuiltIn::load(computing, UpscaleOptions::default())?));
//! let upscaler = Upscaler::new(methods, Wishes::default())?;
//! let scan = read("scan.nii.gz".as_ref(), &ReadOptions::default())?.frames.remove(0);
//! let finer = upscaler.run(&scan, &mut |event| eprintln!("{event:?}"))?;
//! println!("{:?}", finer.image.geometry().spacing_mm());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod budget;
mod choice;
mod error;
mod event;
mod guard;
mod interpolated;
mod method;
mod model;
mod place;
mod profile;
mod provenance;
mod scan;
mod slices;

use serde_json::{Value, json};
use voxelift_volume::consistency::{Acquired, Acquisition, Mode, Protocol};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Volume};

pub use audit::{Added, Audit, Residual};
pub use budget::{Budget, Share};
pub use choice::{BuiltIn, Choice, Methods};
pub use error::{Result, UpscaleError};
pub use event::{Doubt, Event};
pub use method::Method;
pub use model::Model;
pub use provenance::{AcquiredBy, OfModel, Provenance, PutBack, Trained};
pub use scan::{Upscaled, Upscaling};
pub use slices::{ByNetwork, FineSlices, SliceUpscaler, SliceUpscaling, SliceWishes, gains};

use choice::Sight;

/// Voxels along a tile where a model is tried on a degraded scan and memory is limited.
const TILE_OF_TRIALS: usize = 16;

/// Said before methods are tried, which takes its time on a large scan.
const TRYING: &str = "methods are tried on it, degraded once more";

/// What is wished for of an output; by default whatever suits the method and the scan.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The finer grid; none for the one that goes with the method.
    pub target: Option<Target>,
    /// Whether what the scan measured is put back; none for soft where models are at work, else off.
    pub consistency: Option<Mode>,
    /// What made the scan.
    pub acquired: Acquired,
    /// Whether to look at what a model adds, and how sure it is of that.
    pub audit: bool,
    /// Bytes that the whole program may take; none for half of what the machine can still give.
    pub memory: Option<u64>,
    /// The most voxels of an output.
    pub max_voxels: u64,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            target: None,
            consistency: None,
            acquired: Acquired::Auto,
            audit: false,
            memory: None,
            max_voxels: 1 << 31,
        }
    }
}

/// Makes scans finer.
#[derive(Debug)]
pub struct Upscaler {
    methods: Methods,
    target: Target,
    consistency: Mode,
    acquired: Acquired,
    audit: bool,
    budget: Budget,
    max_voxels: u64,
}

impl Upscaler {
    /// # Errors
    /// When a wish does not go with the methods.
    pub fn new(methods: Methods, wishes: Wishes) -> Result<Self> {
        if let (true, Methods::Named(Method::Model(model))) = (wishes.audit, &methods) {
            // What an audit cannot look at is refused before the work.
            model.operators()?;
        }
        let target = match (wishes.target, methods.fixed_scale()) {
            (Some(Target::Scale(asked)), Some(fixed)) if asked != fixed => {
                return Err(UpscaleError::Scale { asked, fixed });
            }
            (Some(target), _) => target,
            (None, _) => methods.default_target(),
        };
        let by_default = if methods.are_models() {
            Mode::Soft
        } else {
            Mode::Off
        };
        Ok(Self {
            target,
            consistency: wishes.consistency.unwrap_or(by_default),
            acquired: wishes.acquired,
            audit: wishes.audit,
            budget: Budget::new(wishes.memory)?,
            max_voxels: wishes.max_voxels,
            methods,
        })
    }

    /// One volume on a finer grid.
    ///
    /// # Errors
    /// When the method cannot take it, or the output is none that it can explain.
    pub fn run(&self, scan: &Volume, hear: &mut dyn FnMut(Event)) -> Result<Upscaled> {
        let made_by = self.acquisition(scan.geometry(), &Protocol::default())?;
        let upscaling = self.plan(scan.geometry(), made_by, Some(scan), 1, hear)?;
        let _share = self.share(&upscaling);
        upscaling.run(scan, hear)
    }

    /// What made a scan, by what is stated or known of it.
    ///
    /// # Errors
    /// When the statement does not go with the scan.
    pub fn acquisition(&self, scan: &Geometry, protocol: &Protocol) -> Result<Acquisition> {
        Ok(self.acquired.of(scan, protocol, self.methods.trained_through())?)
    }

    /// Whether the plan for a scan depends on its voxels.
    pub fn needs_first_volume(&self) -> bool {
        self.methods.need_first_volume(&self.target)
    }

    /// How a scan of `frames` volumes is made finer; `first` is the first of them that is not blank. Where methods are tried on it, it
    /// waits until the trials fit into memory beside the work on others.
    ///
    /// # Errors
    /// When no method can take the scan, or it does not fit into memory.
    ///
    /// # Panics
    /// Without `first` where the plan depends on it ([`Upscaler::needs_first_volume`]).
    pub fn plan(
        &self,
        scan: &Geometry,
        made_by: Acquisition,
        first: Option<&Volume>,
        frames: usize,
        hear: &mut dyn FnMut(Event),
    ) -> Result<Upscaling<'_>> {
        let mut before_trials = |may_be_chosen: &[&Method], target: &Target| {
            let share = scan::before_trials(self, may_be_chosen, target, scan, frames)?;
            hear(Event::Detail(TRYING.to_owned()));
            Ok(share)
        };
        let mut sight = first.filter(|_| self.needs_first_volume()).map(|first| Sight {
            first,
            made_by: &made_by.operators,
            consistent: self.is_consistent(),
            tile: self.budget.is_limited().then_some(TILE_OF_TRIALS),
            before_trials: &mut before_trials,
        });
        let choice = self.methods.choose(&self.target, sight.as_mut())?;
        Upscaling::new(self, choice, scan, made_by, frames, hear)
    }

    /// Waits until the work on a scan fits into memory beside that on others; it is given back when the share is dropped.
    pub fn share(&self, upscaling: &Upscaling<'_>) -> Share<'_> {
        self.budget.share(&upscaling.work, upscaling.tile)
    }

    /// Whether what a scan measured is put back.
    pub fn is_consistent(&self) -> bool {
        self.consistency != Mode::Off
    }

    /// The methods.
    pub fn methods(&self) -> &Methods {
        &self.methods
    }

    /// All that the choice of a method depends on beside the scan; nothing where there is no choice, or where the allowed memory
    /// decides.
    pub fn asked(&self, made_by: &Acquisition) -> Option<Value> {
        let models = self.methods.asked().filter(|_| !self.budget.is_limited())?;
        Some(json!({
            "models": models,
            "target": self.target.to_string(),
            "consistency": self.consistency.name(),
            "acquired": made_by.operators.to_string(),
        }))
    }
}
