//! Records: what a run writes of its steps and validations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// One optimisation step.
    Step {
        /// Steps done, counting this one.
        step: u64,
        /// Wall time of this step.
        seconds: f64,
        /// Of these, spent waiting for data.
        #[serde(default)]
        waiting: f64,
        /// The optimiser's rate.
        learning_rate: f64,
        /// One entry a loss term, unweighted.
        #[serde(deserialize_with = "numbers_or_none")]
        terms: BTreeMap<String, f64>,
    },
    /// The averaged model, alone and with what the scan measured put back, against the baselines on the validation scans.
    Validation {
        /// Steps done.
        step: u64,
        /// `sr`, `sr-consistent` and each baseline.
        scores: BTreeMap<String, ValidationScores>,
    },
}

impl Record {
    /// Steps done when it was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step { step, .. } | Self::Validation { step, .. } => *step,
        }
    }
}

/// Mean scores over the validation scans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationScores {
    /// Peak signal-to-noise ratio over the whole volume, L = max - min of the reference.
    #[serde(deserialize_with = "number_or_none")]
    pub psnr_db: f64,
    /// Structural similarity over the whole volume.
    #[serde(deserialize_with = "number_or_none")]
    pub ssim: f64,
    /// The same inside the default mask, dilated by two voxels.
    #[serde(deserialize_with = "number_or_none")]
    pub masked_psnr_db: f64,
    /// The same inside the default mask.
    #[serde(deserialize_with = "number_or_none")]
    pub masked_ssim: f64,
    /// The same over the brain alone, the number to quote; none in records of earlier versions.
    #[serde(default = "no_number", deserialize_with = "number_or_none")]
    pub brain_psnr_db: f64,
    /// The same over the brain alone.
    #[serde(default = "no_number", deserialize_with = "number_or_none")]
    pub brain_ssim: f64,
}

impl ValidationScores {
    /// PSNR and SSIM to quote: over the brain, or in records of earlier versions over the mask.
    pub fn headline(&self) -> [f64; 2] {
        if self.brain_psnr_db.is_nan() {
            [self.masked_psnr_db, self.masked_ssim]
        } else {
            [self.brain_psnr_db, self.brain_ssim]
        }
    }
}

fn no_number() -> f64 {
    f64::NAN
}

/// A number that JSON cannot hold is written as null, and read again as none.
fn number_or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

fn numbers_or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    Ok(numbers
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
        .collect())
}
