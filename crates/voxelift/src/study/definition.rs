//! A study as it is written: what is varied, over which seeds, and on what it is tested.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use voxelift_model::config::{DataConfig, PhantomSource, parse_error};
use voxelift_model::scoring::Method;
use voxelift_volume::VolumeError;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::{Degradation, Grid};

use super::CONSISTENT;
use crate::failure::usage;

/// A study: every variant with every seed, each tested on every test set.
#[derive(Clone, Debug)]
pub struct Study {
    /// What it is called in the tables: the name of its file.
    pub name: String,
    /// The file as it was read.
    pub text: String,
    /// The training configuration that variants start from; none where every variant is a model.
    pub base: Option<PathBuf>,
    /// The variant (or method without training) that those without a baseline of their own are compared with.
    pub baseline: Option<String>,
    /// Keys every random stream of a run.
    pub seeds: Vec<u64>,
    /// The methods without training, in the order of the tables.
    pub baselines: Vec<Method<'static>>,
    /// In the order of the tables.
    pub variants: Vec<Variant>,
    /// In the order of the tables.
    pub tests: Vec<TestDefinition>,
}

/// One arm of a study.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Names its folder too.
    pub name: String,
    /// Where its models come from.
    pub origin: Origin,
    /// The variant (or method without training) that it is compared with, where that is not the study's.
    pub baseline: Option<String>,
}

/// Where a variant's models come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Trained here: the base configuration with these `key=value` in their order.
    Trained(Vec<String>),
    /// Trained elsewhere: a model file or a run folder; `{seed}` in its path stands for each seed.
    Model(String),
    /// The variant of the same name of another study, whose folder lies beside this one's.
    Study(String),
}

/// Scans whose reference is known, and how they are made coarse.
#[derive(Clone, Debug)]
pub struct TestDefinition {
    /// Names it in the tables.
    pub name: String,
    /// The scans as roles of a cohort: globs, the subjects who were scanned more than once.
    pub data: DataConfig,
    /// What the models get of them.
    pub degrade: Degradation,
    /// Draws what is random in the degradation: the n-th scan takes the n-th number from here on.
    pub seed: u64,
    /// Label maps, one a scan in the order of the scans: what lies in each label is scored by itself.
    pub labels: Vec<String>,
    /// Score the three intensity classes of each reference by themselves.
    pub classes: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    base: Option<PathBuf>,
    baseline: Option<String>,
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    #[serde(default)]
    set: Table,
    #[serde(default)]
    phantom: PhantomSource,
    #[serde(default)]
    smoothed_floors: bool,
    tests: Option<PathBuf>,
    variant: Vec<WrittenVariant>,
    #[serde(default)]
    test: Vec<WrittenTest>,
}

/// A file of tests that several studies share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTests {
    test: Vec<WrittenTest>,
}

/// The baselines that `smoothed_floors = true` adds.
const SMOOTHED: [Baseline; 3] = [Baseline::ZeroFill, Baseline::CubicBSpline, Baseline::Trilinear];

fn one_seed() -> Vec<u64> {
    vec![1]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenVariant {
    name: String,
    #[serde(default)]
    set: Table,
    model: Option<String>,
    study: Option<String>,
    baseline: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTest {
    name: String,
    images: Vec<String>,
    #[serde(default)]
    people: Vec<String>,
    #[serde(default)]
    degrade: Degradation,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    classes: bool,
}

impl Study {
    /// Reads a study; `set` are further `key=value` for every run.
    ///
    /// # Errors
    /// What is wrong with it, in one line; all of it is refused before any scan is read.
    pub fn load(path: &Path, set: &[String]) -> anyhow::Result<Self> {
        let (text, written): (String, Written) = read(path)?;
        let folder = folder_of(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let refused = |path: &Path, what: String| usage(format!("{}: {what}", path.display()));
        let shared = match &written.tests {
            None => Vec::new(),
            Some(file) => {
                let file = folder.join(file);
                let (_, shared): (String, WrittenTests) = read(&file)?;
                resolved_tests(shared.test, &folder_of(&file)?, written.phantom)
                    .map_err(|what| refused(&file, what))?
            }
        };
        Self::resolved(written, shared, &text, &folder, &name, set).map_err(|what| refused(path, what))
    }

    fn resolved(
        written: Written,
        mut tests: Vec<TestDefinition>,
        text: &str,
        folder: &Path,
        name: &str,
        set: &[String],
    ) -> Result<Self, String> {
        let common = assignments(&written.set)?;
        let mut variants = Vec::new();
        for variant in written.variant {
            let elsewhere = variant.model.is_some() || variant.study.is_some();
            let origin = match (variant.model, variant.study) {
                (Some(model), None) => Origin::Model(folder.join(model).to_string_lossy().into_owned()),
                (None, Some(study)) => Origin::Study(study),
                (Some(_), Some(_)) => {
                    return Err(format!(
                        "variant {}: model and study exclude each other",
                        variant.name
                    ));
                }
                (None, None) => {
                    let own = assignments(&variant.set)?;
                    Origin::Trained([common.as_slice(), &own, set].concat())
                }
            };
            if elsewhere && !variant.set.is_empty() {
                let name = variant.name;
                return Err(format!(
                    "variant {name}: is trained elsewhere, and set changes nothing there"
                ));
            }
            variants.push(Variant {
                name: variant.name,
                origin,
                baseline: variant.baseline,
            });
        }
        let trains = variants.iter().any(|v| matches!(v.origin, Origin::Trained(_)));
        if trains && written.base.is_none() {
            return Err("base is missing; expected the path of a training configuration".to_owned());
        }
        tests.extend(resolved_tests(written.test, folder, written.phantom)?);
        let smoothed = SMOOTHED.into_iter().filter(|_| written.smoothed_floors);
        let baselines = Baseline::ALL
            .into_iter()
            .map(Method::Baseline)
            .chain(smoothed.map(Method::Smoothed));
        let study = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            base: written.base.map(|base| folder.join(base)),
            baseline: written.baseline,
            seeds: written.seeds,
            baselines: baselines.collect(),
            variants,
            tests,
        };
        study.check()?;
        Ok(study)
    }

    fn check(&self) -> Result<(), String> {
        let names: Vec<&str> = self.variants.iter().map(|v| v.name.as_str()).collect();
        let baselines: Vec<String> = self.baselines.iter().map(|method| method.name()).collect();
        let is_baseline = |name: &str| baselines.iter().any(|baseline| baseline == name);
        let tests: Vec<&str> = self.tests.iter().map(|t| t.name.as_str()).collect();
        for (what, names) in [("variant", &names), ("test", &tests)] {
            if names.is_empty() {
                return Err(format!("there is no {what}; expected at least one [[{what}]]"));
            }
            for (i, name) in names.iter().enumerate() {
                let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
                if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                    return Err(format!(
                        "{what} {name:?}: expected letters, digits, and . _ - + within"
                    ));
                }
                if names[..i].contains(name) {
                    return Err(format!("{what} {name}: there are two; rename one"));
                }
            }
        }
        if let Some(name) = names.iter().find(|name| name.ends_with(CONSISTENT)) {
            return Err(format!(
                "variant {name}: {CONSISTENT} is what the table calls models with their scans put back; rename it"
            ));
        }
        if let Some(name) = names.iter().find(|name| is_baseline(name)) {
            return Err(format!("variant {name}: is the name of a baseline; rename it"));
        }
        if self.seeds.is_empty() {
            return Err("seeds = []: expected at least one".to_owned());
        }
        if let Some(i) = (0..self.seeds.len()).find(|i| self.seeds[..*i].contains(&self.seeds[*i])) {
            return Err(format!("seeds: {} is there twice", self.seeds[i]));
        }
        let of_variants = self
            .variants
            .iter()
            .filter_map(|variant| variant.baseline.as_deref());
        let mut compared = self.baseline.as_deref().into_iter().chain(of_variants);
        match compared.find(|name| !names.contains(name) && !is_baseline(name)) {
            Some(name) => Err(format!(
                "baseline = {name:?}: expected a variant or one of the methods without training"
            )),
            None => Ok(()),
        }
    }
}

/// The text of a TOML file, and what it says.
fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<(String, T)> {
    let text = std::fs::read_to_string(path).map_err(|e| VolumeError::io(path, "read", e))?;
    let origin = path.display().to_string();
    let written = toml::from_str(&text).map_err(|error| parse_error(&error, &text, &origin))?;
    Ok((text, written))
}

/// Where the paths that a file names begin.
fn folder_of(path: &Path) -> std::io::Result<PathBuf> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    std::path::absolute(folder.unwrap_or(Path::new(".")))
}

fn resolved_tests(
    written: Vec<WrittenTest>,
    folder: &Path,
    phantom: PhantomSource,
) -> Result<Vec<TestDefinition>, String> {
    let resolved = |test: WrittenTest| test.resolved(folder, phantom);
    written.into_iter().map(resolved).collect()
}

impl WrittenTest {
    fn resolved(self, folder: &Path, phantom: PhantomSource) -> Result<TestDefinition, String> {
        if self.images.is_empty() {
            return Err(format!(
                "test {}: images = []: expected at least one glob, or phantom:SEED",
                self.name
            ));
        }
        if let Grid::SpacingMm(_) = self.degrade.grid {
            return Err(format!(
                "test {}: degrade.spacing_mm: expected scale, the factor that the models were trained for",
                self.name
            ));
        }
        let data = DataConfig {
            root: folder.to_owned(),
            hr: self.images,
            people: self.people,
            phantom,
            leave_out: false,
            ..DataConfig::default()
        };
        Ok(TestDefinition {
            name: self.name,
            data,
            degrade: self.degrade,
            seed: self.seed,
            labels: self.labels,
            classes: self.classes,
        })
    }
}

/// The leaves of a table as `key=value`, the keys dotted; a table within is merged, not replaced.
fn assignments(table: &Table) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                all.extend(
                    assignments(inner)?
                        .into_iter()
                        .map(|inner| format!("{key}.{inner}")),
                );
            }
            leaf => all.push(format!("{key}={leaf}")),
        }
    }
    if let Some(seed) = all.iter().find(|a| a.starts_with("seed=")) {
        return Err(format!("set {seed}: seeds are listed once, as seeds = [1, 2, 3]"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
