//! What only `--method self` takes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, value_parser};
use voxelift_model::self_learning::{DEFAULT_STEPS, LearningConfig, Length};

use crate::failure::usage;

/// What only `--method self` takes.
#[derive(Debug, Args)]
pub struct SelfArguments {
    /// Learn from the scan for so many steps [default: 800]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), conflicts_with = "budget", help_heading = HEADING)]
    pub(super) steps: Option<u64>,
    /// Learn and apply within about this time, as 90s, 2m or 1h; how many steps that makes is said, and the same number of
    /// --steps gives the same bytes
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    pub(super) budget: Option<Time>,
    /// Keys the random draws of learning
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = HEADING)]
    pub(super) seed: u64,
    /// Learn from this scan of thick slices too, whose voxels in plane are as short: another contrast of the same subject, say. May be
    /// given several times
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    with: Vec<PathBuf>,
    /// Keep what was learned in this file, for other scans of the same protocol (--model FILE)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub(super) keep_model: Option<PathBuf>,
    /// Go on where an interrupted call of the same command stopped
    #[arg(long, help_heading = HEADING)]
    pub(super) resume: bool,
    /// Learn from this scan alone, in place of beginning with the built-in weights that have learned from other scans
    #[arg(long, help_heading = HEADING)]
    pub(super) from_scratch: bool,
    /// Change a setting of the learning, as batch=8 or unpaired.alignment=0.01 (docs/method.md, "One scan as two domains", names them). May be
    /// given several times
    #[arg(long, value_name = "KEY=VALUE", help_heading = HEADING)]
    pub(super) set: Vec<String>,
    /// Apply what was learned even where the scan's own test shows no gain over the best baseline
    #[arg(long, help_heading = HEADING)]
    pub(super) allow_no_gain: bool,
}

/// Settings that are not changed by --set, and what is.
const OWN_OPTIONS: [(&str, &str); 4] = [
    ("length", "--steps or --budget"),
    ("seed", "--seed"),
    ("from_scratch", "--from-scratch"),
    ("precision", "--precision"),
];

const HEADING: &str = "Learning from the scan itself (--method self)";

impl SelfArguments {
    /// The first of these arguments that was given.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--steps", self.steps.is_some()),
            ("--budget", self.budget.is_some()),
            ("--seed", self.seed != 0),
            ("--with", !self.with.is_empty()),
            ("--keep-model", self.keep_model.is_some()),
            ("--resume", self.resume),
            ("--from-scratch", self.from_scratch),
            ("--set", !self.set.is_empty()),
            ("--allow-no-gain", self.allow_no_gain),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    /// Scans that are learned from too.
    pub fn with(&self) -> &[PathBuf] {
        &self.with
    }

    /// How learning goes on.
    ///
    /// # Errors
    /// For settings that nothing can be learned with, or that have an option of their own.
    pub fn config(&self) -> anyhow::Result<LearningConfig> {
        for argument in &self.set {
            let key = argument.split(['=', '.']).next().unwrap_or_default().trim();
            if let Some((_, option)) = OWN_OPTIONS.iter().find(|(own, _)| *own == key) {
                return Err(usage(format!("--set {argument}: give {option} in its place")));
            }
        }
        let length = match (self.budget, self.steps) {
            (Some(Time(budget)), _) => Length::Budget(budget),
            (None, steps) => Length::Steps(steps.unwrap_or(DEFAULT_STEPS)),
        };
        Ok(LearningConfig {
            length,
            seed: self.seed,
            from_scratch: self.from_scratch,
            ..LearningConfig::with(&self.set)?
        })
    }
}

/// A time, as `90s`, `2m` or `1.5h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: expected a time as 90s, 2m or 1h");
        let text = text.trim();
        let factor = match text.chars().last() {
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let seconds = number * factor;
        if !(1.0..=1e7).contains(&seconds) {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let seconds = |text: &str| text.parse::<Time>().map(|Time(time)| time.as_secs_f64());
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("2m"), Ok(120.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        for wrong in ["", "2", "m", "-2m", "2d", "nanm", "0s", "é"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }
}
