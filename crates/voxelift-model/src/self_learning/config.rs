//! Settings of learning from one scan.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::patch::PatchSize;
use super::unpaired::UnpairedConfig;
use crate::config::{deserialized, with_overrides};
use crate::device::Precision;
use crate::error::{InvalidSetting, Result};
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
    /// The unpaired method between slices and the planes across them: its terms, all off.
    pub unpaired: UnpairedConfig,
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
            unpaired: UnpairedConfig::default(),
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
    /// The default with these `key=value` changes, as `unpaired.style=0.01`.
    ///
    /// # Errors
    /// One line naming the key, its value and what was expected.
    pub fn with(set: &[String]) -> Result<Self> {
        let (table, overrides) = with_overrides("", "the learning", set)?;
        let config: Self = deserialized(table, "", "the learning", &overrides)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses settings that nothing can be learned with.
    ///
    /// # Errors
    /// One line naming the key, its value and what was expected.
    pub fn check(&self) -> std::result::Result<(), InvalidSetting> {
        let sizes = [
            ("n_feats", self.n_feats, 256),
            ("n_resblocks", self.n_resblocks, 64),
            ("patch_rows", self.patch_rows, 1024),
            ("patch_columns", self.patch_columns, 1024),
            ("batch", self.batch, 1024),
        ];
        if let Some((key, size, most)) = sizes.iter().find(|(_, size, most)| *size == 0 || size > most) {
            return Err(InvalidSetting::new(*key, size, format!("must be 1 to {most}")));
        }
        let numbers = [
            ("least_foreground", self.least_foreground, 0.0..=1.0),
            ("learning_rate", self.learning_rate, 1e-9..=1.0),
            ("start_rate", self.start_rate, 1e-9..=1.0),
            ("hold_out", self.hold_out, 0.0..=0.5),
        ];
        if let Some((key, value, range)) = numbers.iter().find(|(_, value, range)| !range.contains(value)) {
            let [least, most] = [range.start(), range.end()];
            return Err(InvalidSetting::new(
                *key,
                value,
                format!("must be {least} to {most}"),
            ));
        }
        let unpaired = self.unpaired.check(self.batch);
        unpaired.map_err(|setting| setting.within("unpaired"))
    }

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

    #[test]
    fn keys_are_changed_one_by_one_and_nonsense_is_refused_by_name() {
        let with =
            |set: &[&str]| LearningConfig::with(&set.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let changed = with(&[
            "batch=8",
            "unpaired.style=0.01",
            "unpaired.projection.embedding=flat",
        ])
        .expect("allowed");
        assert_eq!((changed.batch, changed.unpaired.style), (8, 0.01));
        assert_eq!(with(&[]).expect("allowed"), LearningConfig::default());
        for (wrong, name) in [
            ("batch=0", "batch"),
            ("least_foreground=nan", "least_foreground"),
            ("learning_rate=0", "learning_rate"),
            ("unpaired.style=-1", "unpaired.style"),
            ("unpaired.temperature=0", "unpaired.temperature"),
            ("unpaired.quiet=2", "unpaired.quiet"),
            ("unpaired.discriminator.width=0", "unpaired.discriminator.width"),
            ("unpaired.projection.dim=0", "unpaired.projection.dim"),
            ("stile=1", "stile"),
        ] {
            let error = with(&[wrong]).expect_err(wrong);
            assert!(
                error.is_configuration() && error.to_string().contains(name),
                "{error}"
            );
        }
        let error = with(&["batch=1", "unpaired.feature_contrastive=0.1"]).expect_err("no negatives");
        assert!(error.to_string().contains("no negatives"), "{error}");
    }
}
