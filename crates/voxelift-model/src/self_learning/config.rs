//! Settings of learning from one scan.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::source::PatchSize;
use crate::device::Precision;
use crate::optimizer::OptimizerConfig;

/// Everything that decides what is learned from a scan, beside the scan and its protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningConfig {
    /// How long.
    pub length: Length,
    /// Keys the random streams.
    pub seed: u64,
    /// Channels of the network.
    pub n_feats: usize,
    /// Its residual blocks.
    pub n_resblocks: usize,
    /// Thick slices across a patch.
    pub patch_rows: usize,
    /// Voxels along a patch.
    pub patch_columns: usize,
    /// Patches a step.
    pub batch: usize,
    /// The least share of foreground in a patch.
    pub least_foreground: f64,
    /// The rate at its highest, for weights that are drawn.
    pub learning_rate: f64,
    /// The rate at its highest, for weights that have learned from other scans.
    pub start_rate: f64,
    /// Draw the weights, in place of starting with those that have learned from other scans ([`super::Start`]).
    pub from_scratch: bool,
    /// The share of slices that is kept out, to test what was learned.
    pub hold_out: f64,
    /// The number format of the network's products.
    pub precision: Precision,
    /// Add to coarse patches the noise that averaging took from them.
    pub noise: bool,
}

/// How long learning goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// So many steps.
    Steps(u64),
    /// As many steps as learning and applying leave time for.
    Budget(Duration),
}

/// Steps unless another number is asked for.
pub const DEFAULT_STEPS: u64 = 800;

impl Default for LearningConfig {
    fn default() -> Self {
        Self {
            length: Length::Steps(DEFAULT_STEPS),
            seed: 0,
            n_feats: 32,
            n_resblocks: 6,
            patch_rows: 16,
            patch_columns: 64,
            batch: 16,
            least_foreground: 0.25,
            learning_rate: 2e-3,
            start_rate: 1.5e-3,
            from_scratch: false,
            hold_out: 0.1,
            precision: Precision::default(),
            noise: true,
        }
    }
}

/// The share of the steps over which the rate rises.
const RISE: f64 = 0.15;

/// The rate at first over the highest.
const FIRST: f64 = 0.04;

/// The rate at last over the highest.
const LAST: f64 = 1e-3;

impl LearningConfig {
    /// What a patch is.
    pub fn patch(&self) -> PatchSize {
        PatchSize {
            rows: self.patch_rows,
            columns: self.patch_columns,
            batch: self.batch,
        }
    }

    /// The rate of step `step` (from 0) of `steps`: up along a cosine and down along a longer one, once (Smith, Topin,
    /// *Super-Convergence*, arXiv 1708.07120).
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        let highest = if self.starts() {
            self.start_rate
        } else {
            self.learning_rate
        };
        let at = (step as f64 + 0.5) / steps.max(1) as f64;
        let cosine =
            |from: f64, to: f64, t: f64| from + (to - from) * 0.5 * (1.0 - (std::f64::consts::PI * t).cos());
        let share = if at < RISE {
            cosine(FIRST, 1.0, at / RISE)
        } else {
            cosine(1.0, LAST, (at - RISE) / (1.0 - RISE))
        };
        highest * share
    }

    /// Whether the weights are those that have learned from other scans, which have the default sizes.
    pub fn starts(&self) -> bool {
        let sizes = |config: &Self| (config.n_feats, config.n_resblocks);
        !self.from_scratch && sizes(self) == sizes(&Self::default())
    }

    /// How the weights move at a given rate.
    pub(super) fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: self.learning_rate,
            ..OptimizerConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_once_and_falls_to_almost_nothing() {
        let config = LearningConfig::default();
        let rates: Vec<f64> = (0..200).map(|step| config.rate(step, 200)).collect();
        let highest = rates.iter().copied().fold(0.0, f64::max);
        let peak = rates.iter().position(|r| *r == highest).expect("a peak");
        assert!(
            (25..35).contains(&peak) && highest > 0.99 * config.start_rate,
            "{peak} {highest}"
        );
        assert!(rates[..peak].is_sorted() && rates[peak..].is_sorted_by(|a, b| a >= b));
        assert!(config.starts());
        assert!(rates[0] < 0.06 * highest && rates[199] < 0.01 * highest);
    }
}
