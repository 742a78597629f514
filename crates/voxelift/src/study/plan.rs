//! The runs of a study: every variant with every seed, and how far each has come.

use std::path::{Path, PathBuf};

use voxelift_model::config::Config;
use voxelift_model::model_file;
use voxelift_model::run::RunDir;
use voxelift_volume::VolumeError;

use super::definition::{Origin, Study};
use crate::failure::usage;

/// One variant with one seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// Its folder in the study.
    pub folder: PathBuf,
    /// Where its model comes from.
    pub source: Source,
}

/// Where a run's model comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Trained in the run's folder.
    Trained {
        /// What `train` is told beside the base configuration.
        set: Vec<String>,
        /// What that comes to.
        config: Box<Config>,
    },
    /// A model of another study.
    Elsewhere(PathBuf),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is nothing yet.
    Absent,
    /// There is a folder; `train` goes on in it.
    Begun,
    /// The model is there.
    Complete,
}

fn folder(out: &Path, variant: &str, seed: u64) -> PathBuf {
    out.join("runs").join(variant).join(format!("seed-{seed}"))
}

/// Every run, all variants of the first seed before those of the second: a study that is cut short has balanced arms.
///
/// # Errors
/// When a configuration is refused.
pub fn runs(study: &Study, out: &Path) -> anyhow::Result<Vec<Run>> {
    let beside = std::path::absolute(out)?;
    let beside = beside.parent().unwrap_or(Path::new("/"));
    let mut runs = Vec::new();
    for (place, &seed) in study.seeds.iter().enumerate() {
        for variant in &study.variants {
            let source = match &variant.origin {
                Origin::Model(path) if place > 0 && !path.contains("{seed}") => continue,
                Origin::Model(path) => {
                    let path = PathBuf::from(path.replace("{seed}", &seed.to_string()));
                    let is_file = path
                        .extension()
                        .is_some_and(|extension| extension == "safetensors");
                    Source::Elsewhere(if is_file { path } else { path.join(RunDir::MODEL) })
                }
                Origin::Study(study) => {
                    Source::Elsewhere(folder(&beside.join(study), &variant.name, seed).join(RunDir::MODEL))
                }
                Origin::Trained(set) => {
                    let base = study.base.as_ref().expect("checked when the study was read");
                    let set: Vec<String> = set.iter().cloned().chain([format!("seed={seed}")]).collect();
                    let config = Config::load(base, &set)
                        .map_err(|error| {
                            anyhow::Error::from(error).context(format!("variant {}", variant.name))
                        })?
                        .config;
                    Source::Trained {
                        set,
                        config: Box::new(config),
                    }
                }
            };
            runs.push(Run {
                variant: variant.name.clone(),
                seed,
                folder: out.join("runs").join(&variant.name).join(format!("seed-{seed}")),
                source,
            });
        }
    }
    Ok(runs)
}

impl Run {
    /// How it is told from the others.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.variant, self.seed)
    }

    /// The model, once it is there.
    pub fn model(&self) -> PathBuf {
        match &self.source {
            Source::Trained { .. } => self.folder.join(RunDir::MODEL),
            Source::Elsewhere(path) => path.clone(),
        }
    }

    /// How far it has come.
    ///
    /// # Errors
    /// When its folder holds a run of another configuration, naming the keys that differ.
    pub fn state(&self) -> anyhow::Result<State> {
        let Source::Trained { config, .. } = &self.source else {
            return Ok(if self.model().is_file() {
                State::Complete
            } else {
                State::Absent
            });
        };
        let Ok(run) = RunDir::open(&self.folder) else {
            return Ok(State::Absent);
        };
        let path = run.config();
        let text = std::fs::read_to_string(&path).map_err(|e| VolumeError::io(&path, "read", e))?;
        let there = Config::from_resolved(&text, &path)?;
        let differing = there.differing_keys(config);
        let other: Vec<&str> = differing
            .iter()
            .map(String::as_str)
            .filter(|key| !Config::leaves_the_model(key))
            .collect();
        if !other.is_empty() {
            return Err(usage(format!(
                "{}: holds a run with another {}; give another --out folder, or remove this one",
                self.folder.display(),
                other.join(", ")
            )));
        }
        let complete = run.model().is_file() && model_file::read_card(&run.model())?.steps == config.steps;
        Ok(if complete { State::Complete } else { State::Begun })
    }
}

/// `--shard i/n`: every n-th run from the i-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the run at this place (from 0) belongs to it.
    pub fn holds(self, place: usize) -> bool {
        place % self.count == self.index - 1
    }

    /// Whether it is the one that also scores the baselines.
    pub fn is_first(self) -> bool {
        self.index == 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.trim().parse().ok()?, count.trim().parse().ok()?)));
        match parsed {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("expected i/n with i from 1 to n, as 2/8".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_runs_out_without_remainder() {
        let of = |text: &str| -> Vec<usize> {
            let shard: Shard = text.parse().unwrap();
            (0..7).filter(|place| shard.holds(*place)).collect()
        };
        assert_eq!(of("2/3"), [1, 4]);
        let mut all: Vec<usize> = ["1/3", "2/3", "3/3"].into_iter().flat_map(of).collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        let whole: Shard = "1/1".parse().unwrap();
        assert!(whole.holds(6) && whole.is_first());
    }
}
