//! Layer 10 · How good the image of a method is: the one place where training, studies, reports and `evaluate` score.
//!
//! ```
//! use voxelift_model::scoring::{Case, Method};
//! use voxelift_volume::baseline::Baseline;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let reference = head(&PhantomConfig { seed: 1, extent: [24; 3], spacing_mm: [7.0; 3] })?;
//! let scan = voxelift_volume::kspace::truncate(&reference, [12; 3]);
//! let case = Case::of(&reference, &scan);
//! let psnr_db = |baseline| -> Result<f64, Box<dyn std::error::Error>> {
//!     let image = Method::Baseline(baseline).apply(&scan, reference.extent(), &reference)?;
//!     Ok(case.score(&image)?.scores.headline().psnr_db)
//! };
//! assert!(psnr_db(Baseline::ZeroFill)? > psnr_db(Baseline::Trilinear)? + 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::soft;
use voxelift_volume::degrade::Operators;
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{self, Detail, EvaluateOptions, RegionScores, Scores};

use crate::error::Result;
use crate::infer::{SuperResolver, UpscaleOptions};

/// The model's name among the baselines, in records and in cards.
pub const SR: &str = "sr";

/// The same with what the scan measured put back as far as its noise allows: what `upscale` writes by default.
pub const SR_CONSISTENT: &str = "sr-consistent";

/// A model's image with what its scan measured put back, as far as the scan's noise allows.
///
/// # Errors
/// Unless the two cover the same field of view.
pub fn consistent(image: &Volume, scan: &Volume, operators: &Operators) -> Result<Volume> {
    Ok(soft(image, scan, operators)?.image)
}

/// What makes a finer volume.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// A trained model.
    Model(&'a SuperResolver),
    /// A method that needs no training.
    Baseline(Baseline),
    /// A baseline that was smoothed with knowledge of the reference.
    Smoothed(Baseline),
}

impl Method<'_> {
    /// As it is called in records and tables.
    pub fn name(self) -> String {
        match self {
            Self::Model(_) => SR.to_owned(),
            Self::Baseline(baseline) => baseline.to_string(),
            Self::Smoothed(baseline) => format!("{baseline}-smoothed"),
        }
    }

    /// The scan on a grid of `extent` voxels, which for a model of a fixed scale is its own; only smoothing looks at the reference.
    ///
    /// # Errors
    /// When the model cannot take the scan, or the reference has no contrast.
    pub fn apply(self, scan: &Volume, extent: [usize; 3], reference: &Volume) -> Result<Volume> {
        Ok(match self {
            Self::Model(resolver) => {
                let (spacing, options) = (scan.geometry().spacing_mm(), UpscaleOptions::default());
                resolver.onto(scan, extent, spacing, &options, &mut |_, _| {})?
            }
            Self::Baseline(baseline) => baseline.apply(scan, extent),
            Self::Smoothed(baseline) => baseline.apply_smoothed(scan, extent, reference)?,
        })
    }
}

/// A reference, and how images are scored against it.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// What an image should be.
    pub reference: &'a Volume,
    /// Where it counts; the default mask of the reference where none is given.
    pub mask: Option<&'a Mask>,
    /// What is computed, and with which constants.
    pub options: EvaluateOptions,
    /// The scan, where it holds the measured k-space itself, so that consistency with it means something.
    pub measured: Option<&'a Volume>,
    /// Parts of the reference that are scored by themselves, by name.
    pub classes: &'a [(String, Mask)],
}

/// The scores of one image of a case; as JSON, what `evaluate --json` writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseScores {
    /// Over the whole volume and in the mask.
    #[serde(flatten)]
    pub scores: Scores,
    /// Of each class by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, RegionScores>,
}

impl<'a> Case<'a> {
    /// Every score against a reference, in its default mask, of images that were made from a scan.
    pub fn of(reference: &'a Volume, scan: &Volume) -> Self {
        Self {
            reference,
            mask: None,
            options: EvaluateOptions {
                measured_spacing_mm: Some(scan.geometry().spacing_mm()),
                ..EvaluateOptions::default()
            },
            measured: None,
            classes: &[],
        }
    }

    /// Fidelity and structure alone, in a mask.
    pub fn headline(reference: &'a Volume, mask: &'a Mask) -> Self {
        Self {
            reference,
            mask: Some(mask),
            options: EvaluateOptions {
                detail: Detail::Headline,
                ..EvaluateOptions::default()
            },
            measured: None,
            classes: &[],
        }
    }

    /// Scores an image.
    ///
    /// # Errors
    /// As [`metrics::evaluate`] and [`metrics::data_consistency`].
    pub fn score(&self, image: &Volume) -> Result<CaseScores> {
        let mut scores = metrics::evaluate(self.reference, image, self.mask, &self.options)?;
        if let Some(scan) = self.measured {
            scores.whole.data_consistency = Some(metrics::data_consistency(image, scan)?);
        }
        let headline = EvaluateOptions {
            data_range: Some(scores.data_range),
            detail: Detail::Headline,
            ..EvaluateOptions::default()
        };
        let mut classes = BTreeMap::new();
        for (name, mask) in self.classes {
            let of_class = metrics::evaluate(self.reference, image, Some(mask), &headline)?;
            classes.insert(name.clone(), of_class.masked);
        }
        Ok(CaseScores { scores, classes })
    }
}
