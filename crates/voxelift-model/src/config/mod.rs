//! Layer 7 · The configuration of a run: nests the parts' configs; TOML and `key=value` overrides, checked or refused.
//!
//! ```
//! use std::path::Path;
//! use voxelift_model::config::{Config, Mode};
//!
//! let text = r#"
//! mode = "supervised"
//! steps = 200
//! data = { hr = ["scans/hr/*.nii.gz"], source_operator = "kspace" }
//! "#;
//! // Values that are set beside the text come last; what is not named has its default.
//! let resolved = Config::from_text(text, "my.toml", Path::new("."), &["steps=300".to_owned()])?;
//! assert_eq!((resolved.config.mode, resolved.config.steps), (Mode::Supervised, 300));
//! // What a key cannot be is refused, with what it can be.
//! let error = Config::from_text(text, "my.toml", Path::new("."), &["patch.size=0".to_owned()]).unwrap_err();
//! assert!(error.to_string().starts_with("configuration: patch.size = 0: expected "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod data;
mod grids;
mod placed;
mod ranges;
#[cfg(test)]
mod reference;
mod scale;
mod text;

pub use data::{DataConfig, LrConfig, NamedSource, PhantomSource, SimulatedLr, SourceOperator};
pub use placed::{AxesOf, PlacedConfig};
pub use scale::ScaleConfig;
pub use text::parse_error;
pub(crate) use text::{deserialized, with_overrides};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use data::absolute;
use grids::OwnGrids;

use crate::dataset::{AugmentationConfig, PatchConfig};
use crate::device::Precision;
use crate::error::{ModelError, Result};
use crate::losses::LossConfig;
use crate::networks::{DiscriminatorConfig, GeneratorConfig, ProjectionConfig};
use crate::optimizer::OptimizerConfig;
use crate::tensor_file::Format;

/// Which method is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Pairs of HR scans and their known degradation only: the encoder and the SR decoder.
    Supervised,
    /// The whole method: source pairs, unpaired target scans, discriminators, contrastive losses.
    Unpaired,
}

impl Mode {
    /// As it is written in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Supervised => "supervised",
            Self::Unpaired => "unpaired",
        }
    }
}

/// Everything that decides what a run does, in one value. Written, resolved, beside every output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which method.
    pub mode: Mode,
    /// Keys every random stream of the run.
    pub seed: u64,
    /// Optimisation steps.
    pub steps: u64,
    /// A model whose encoder and SR decoder training starts from, instead of random ones; relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// HR voxels per LR voxel: one factor, or three in file order x, y, z.
    pub scale: ScaleConfig,
    /// The number format that the networks compute in; weights stay f32.
    pub precision: Precision,
    /// The scans and their roles.
    pub data: DataConfig,
    /// What a patch is.
    pub patch: PatchConfig,
    /// What is changed at random in a patch.
    pub augmentation: AugmentationConfig,
    /// The generator's sizes.
    pub network: GeneratorConfig,
    /// What a placed model (`network.placed`) learns from.
    #[serde(skip_serializing_if = "is_default")]
    pub placed: PlacedConfig,
    /// The discriminators' sizes.
    pub discriminator: DiscriminatorConfig,
    /// The projection heads of the contrastive losses.
    pub projection: ProjectionConfig,
    /// Terms and weights.
    pub loss: LossConfig,
    /// Adam of the generator side.
    pub optimizer: OptimizerConfig,
    /// When which terms act.
    pub schedule: ScheduleConfig,
    /// When the averaged model is scored.
    pub validation: ValidationConfig,
    /// When the state is kept.
    pub checkpoint: CheckpointConfig,
    /// What is written at the end.
    pub export: ExportConfig,
}

fn is_default(placed: &PlacedConfig) -> bool {
    *placed == PlacedConfig::default()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Unpaired,
            seed: 1,
            steps: 1000,
            start: None,
            scale: ScaleConfig::One(2),
            precision: Precision::default(),
            data: DataConfig::default(),
            patch: PatchConfig::default(),
            augmentation: AugmentationConfig::default(),
            network: GeneratorConfig::default(),
            placed: PlacedConfig::default(),
            discriminator: DiscriminatorConfig::default(),
            projection: ProjectionConfig::default(),
            loss: LossConfig::default(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            validation: ValidationConfig::default(),
            checkpoint: CheckpointConfig::default(),
            export: ExportConfig::default(),
        }
    }
}

/// When the adversarial and contrastive terms act, as fractions of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Share of the run without them.
    pub quiet: f64,
    /// Share over which their weight then rises linearly to one.
    pub ramp: f64,
    /// Generator updates for each discriminator update.
    pub n_gen: usize,
    /// Largest decay of the weight average: `min(this, (1 + step) / (10 + step))`.
    pub ema_decay: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            quiet: 0.05,
            ramp: 0.05,
            n_gen: 1,
            ema_decay: 0.999,
        }
    }
}

impl ScheduleConfig {
    /// The factor on the adversarial and contrastive weights at step `step` (from 0) of `steps`.
    pub fn strength(&self, step: u64, steps: u64) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        match done - self.quiet {
            late if late < 0.0 => 0.0,
            late if late < self.ramp => late / self.ramp,
            _ => 1.0,
        }
    }

    /// The decay of the weight average after `step` steps.
    pub fn decay(&self, step: u64) -> f64 {
        self.ema_decay.min((1 + step) as f64 / (10 + step) as f64)
    }
}

/// When the averaged model is scored against the baselines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Steps between validations; 0 for one at the end only.
    pub every: u64,
    /// LR voxels of an inference tile along its longest side; 0 for twice the training patch.
    pub tile: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { every: 250, tile: 0 }
    }
}

/// When the state is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Steps between checkpoints.
    pub every: u64,
    /// How many of the newest are kept, beside the best.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 100, keep: 3 }
    }
}

/// The model file at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    /// The number format of its weights.
    pub weights: Format,
    /// What its users must know that it does badly; kept in the model card.
    pub limits: Vec<String>,
}

/// A configuration as it will run, and which of its keys the command line changed.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// `key = value`, one entry an override, to be shown to the user.
    pub overrides: Vec<String>,
}

impl Config {
    /// Reads a TOML file, applies `key=value` overrides and checks the whole.
    ///
    /// # Errors
    /// One line that names the key, its value and what was expected; nothing but the file itself is read.
    pub fn load(path: &Path, set: &[String]) -> Result<Resolved> {
        let text = std::fs::read_to_string(path).map_err(|e| ModelError::ConfigText {
            origin: path.display().to_string(),
            message: match e.kind() {
                std::io::ErrorKind::InvalidData => {
                    "is not UTF-8 text; save the configuration as UTF-8".to_owned()
                }
                _ => format!("cannot read the configuration: {e}"),
            },
        })?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Self::from_text(&text, &path.display().to_string(), folder, set)
    }

    /// As [`Config::load`], from text; relative paths in it start at `folder`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(text: &str, origin: &str, folder: &Path, set: &[String]) -> Result<Resolved> {
        let (table, overrides) = with_overrides(text, origin, set)?;
        let stated = OwnGrids::of(&table);
        let mut config: Config = deserialized(table, text, origin, &overrides)?;
        config.on_its_own_grid(&stated)?;
        config.data.root = config.data.root_from(folder)?;
        if let Some(start) = &mut config.start {
            *start = absolute(&folder.join(&*start), "start")?;
        }
        config.check()?;
        Ok(Resolved { config, overrides })
    }

    /// The configuration as TOML, every key written.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is plain data")
    }

    /// Reads the resolved configuration of a run folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_resolved(text: &str, path: &Path) -> Result<Self> {
        let table = toml::from_str(text).map_err(|e| parse_error(&e, text, &path.display().to_string()))?;
        let mut config: Config = deserialized(table, text, &path.display().to_string(), &[])?;
        config.on_its_own_grid(&OwnGrids::default())?;
        Ok(config)
    }

    /// The generator's sizes with the scale in tensor order.
    pub fn generator(&self) -> GeneratorConfig {
        let [x, y, z] = self.scale.scale().0;
        GeneratorConfig {
            scale: [z, y, x],
            ..self.network.clone()
        }
    }

    /// LR voxels along an inference tile.
    pub fn tile(&self) -> usize {
        if self.validation.tile > 0 {
            self.validation.tile
        } else {
            2 * self.patch.size
        }
    }

    /// The dotted keys whose values differ.
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let flat = |config: &Self| text::flattened(&config.to_toml());
        let (mine, theirs) = (flat(self), flat(other));
        let keys: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        keys.into_iter()
            .filter(|key| mine.get(*key) != theirs.get(*key))
            .cloned()
            .collect()
    }

    /// Whether a run may go on with another value of `key`: those that do not change what a step computes, `steps`,
    /// which extends a run (the schedule's fractions are then of the new length), and the rate, which brings one back
    /// that diverged.
    pub fn may_change(key: &str) -> bool {
        ["steps", "optimizer.learning_rate"].contains(&key) || Self::leaves_the_model(key)
    }

    /// Whether a run computes the same with another value of `key`.
    pub fn leaves_the_model(key: &str) -> bool {
        [
            "validation.every",
            "checkpoint.",
            "data.notes",
            "data.cache",
            // A folder that moved: the scans in it are known by their content.
            "data.root",
            "data.test",
            "export.",
            "placed.watch",
        ]
        .iter()
        .any(|free| key.starts_with(free))
    }

    fn check(&self) -> Result<()> {
        ranges::check(&text::flattened(&self.to_toml()))?;
        let wrong = |key: &str, value: &dyn ToString, expected: &str| {
            Err(ModelError::config(key, value.to_string(), expected))
        };
        let factors = self.scale.scale().0;
        let placed = self.network.placed;
        if placed
            && (factors != [1; 3] || self.mode != Mode::Supervised || !self.patch.size.is_multiple_of(2))
        {
            return wrong(
                "network.placed",
                &true,
                "goes with scale = 1, mode = \"supervised\" and an even patch.size",
            );
        }
        if factors.iter().any(|f| !(1..=8).contains(f)) || (factors == [1; 3] && !placed) {
            return wrong(
                "scale",
                &format!("{factors:?}"),
                "expected factors of 1 to 8, at least one above 1",
            );
        }
        if self.steps == 0 {
            return wrong("steps", &self.steps, "expected at least 1");
        }
        if self.patch.size < 4 {
            return wrong("patch.size", &self.patch.size, "expected at least 4 LR voxels");
        }
        if self.patch.batch == 0 {
            return wrong("patch.batch", &self.patch.batch, "expected at least 1");
        }
        if self.optimizer.learning_rate.is_nan() || self.optimizer.learning_rate <= 0.0 {
            return wrong(
                "optimizer.learning_rate",
                &self.optimizer.learning_rate,
                "expected a rate above 0",
            );
        }
        if self.schedule.n_gen == 0 {
            return wrong("schedule.n_gen", &0, "expected at least 1");
        }
        if self.checkpoint.every == 0 || self.checkpoint.keep == 0 {
            return wrong(
                "checkpoint",
                &format!("every {}, keep {}", self.checkpoint.every, self.checkpoint.keep),
                "expected at least 1 of each",
            );
        }
        for (key, share) in [
            ("schedule.quiet", self.schedule.quiet),
            ("schedule.ramp", self.schedule.ramp),
            ("schedule.ema_decay", self.schedule.ema_decay),
            ("patch.min_foreground", self.patch.min_foreground),
            ("data.hr_fraction", self.data.hr_fraction),
            ("data.hr_slab", self.data.hr_slab),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(key, &share, "expected a share between 0 and 1");
            }
        }
        if self.mode == Mode::Supervised && self.loss.reconstruction + self.loss.null_space == 0.0 {
            return wrong(
                "loss.reconstruction",
                &0,
                "expected a weight of it or of loss.null_space above 0: the supervised twin has no other term",
            );
        }
        for (key, weight) in [
            ("loss.measurement", self.loss.measurement),
            ("loss.measurement_contrastive", self.loss.measurement_contrastive),
        ] {
            if weight > 0.0 && !self.data.source_operator.is_one() {
                return wrong(
                    key,
                    &weight,
                    "expected 0 unless data.source_operator is one operator or \"auto\": the output is compared with its scan through it",
                );
            }
        }
        // The supervised twin has no contrastive term that would want negatives.
        let negatives = if self.mode == Mode::Unpaired {
            self.patch.batch
        } else {
            usize::MAX
        };
        let parts = [
            ("loss", self.loss.check(negatives)),
            ("augmentation", self.augmentation.check()),
            ("network", self.generator().check()),
            ("placed", if placed { self.placed.check() } else { Ok(()) }),
            ("discriminator", self.discriminator.check()),
            ("projection", self.projection.check()),
        ];
        for (part, found) in parts {
            found.map_err(|setting| setting.within(part))?;
        }
        self.data.check(self.mode, placed)
    }
}
