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
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Study, String> {
        let written = toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned())?;
        let command = ["steps=3".to_owned()];
        Study::resolved(written, Vec::new(), text, Path::new("/s"), "s", &command)
    }

    const GOOD: &str = r#"
        base = "base.toml"
        baseline = "a"
        seeds = [1, 2]
        set = { steps = 9, loss.ssim = 0.0 }
        [[variant]]
        name = "a"
        set = { "loss.cycle" = 0.5, data.lr.degrade = { noise = 0.1 }, optimizer.halve_at = [] }
        [[variant]]
        name = "elsewhere"
        model = "runs/seed-{seed}"
        [[test]]
        name = "t"
        images = ["phantom:1"]
        degrade = { operator = "box", noise = 0.02 }
    "#;

    #[test]
    fn sets_become_keys_in_order_and_paths_start_at_the_study() {
        let study = read(GOOD).unwrap();
        let Origin::Trained(set) = &study.variants[0].origin else {
            panic!("a trained variant")
        };
        let mut own = set[2..5].to_vec();
        own.sort();
        assert_eq!(&set[..2], ["loss.ssim=0.0", "steps=9"]);
        assert_eq!(
            own,
            [
                "data.lr.degrade.noise=0.1",
                "loss.cycle=0.5",
                "optimizer.halve_at=[]"
            ]
        );
        assert_eq!(set[5..], ["steps=3"], "what the command line says comes last");
        assert!(matches!(&study.variants[1].origin, Origin::Model(path) if path == "/s/runs/seed-{seed}"));
        assert_eq!(study.base.as_deref(), Some(Path::new("/s/base.toml")));
        assert_eq!(study.tests[0].degrade.to_string(), "box, scale 2, noise 0.02");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (from, to, said) in [
            ("base = \"base.toml\"", "", "base is missing"),
            (
                "baseline = \"a\"",
                "baseline = \"b\"",
                "expected a variant or one of the methods without training",
            ),
            ("[1, 2]", "[1, 1]", "twice"),
            ("[1, 2]", "[]", "at least one"),
            ("\"elsewhere\"", "\"a\"", "rename one"),
            ("\"elsewhere\"", "\"zero-fill\"", "name of a baseline"),
            ("\"elsewhere\"", "\"../a\"", "expected letters"),
            ("steps = 9", "seed = 9", "listed once"),
            ("model =", "set = { steps = 1 }\nmodel =", "trained elsewhere"),
            ("model =", "study = \"s1\"\nmodel =", "exclude each other"),
            ("[\"phantom:1\"]", "[]", "images = []"),
            ("operator = \"box\"", "spacing_mm = 2.0", "spacing_mm"),
            ("operator = \"box\"", "operater = \"box\"", "operater"),
            ("seeds", "seed", "seed"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(said), "{from} -> {to}: {error}");
        }
    }

    #[test]
    fn tests_of_another_file_come_first_and_their_paths_start_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (study, tests) = (
            folder.path().join("s.toml"),
            folder.path().join("shared/tests.toml"),
        );
        std::fs::create_dir(folder.path().join("shared")).expect("a folder");
        std::fs::write(&study, format!("tests = \"shared/tests.toml\"\n{GOOD}")).expect("a file");
        std::fs::write(&tests, "[[test]]\nname = \"first\"\nimages = [\"a.nii\"]\n").expect("a file");
        let read = Study::load(&study, &[]).expect("a study");
        let found: Vec<_> = read
            .tests
            .iter()
            .map(|test| (test.name.as_str(), test.data.root.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("first", folder.path().join("shared")),
                ("t", folder.path().to_owned())
            ]
        );
        std::fs::write(&tests, "[[test]]\nname = \"t\"\nimages = [\"a.nii\"]\n").expect("a file");
        let twice = Study::load(&study, &[]).expect_err("two of a name").to_string();
        assert!(twice.contains("test t: there are two"), "{twice}");
        std::fs::write(&tests, "[[test]]\nname = \"first\"\nimages = []\n").expect("a file");
        let refused = Study::load(&study, &[]).expect_err("no images").to_string();
        assert!(
            refused.contains("tests.toml: test first: images = []"),
            "{refused}"
        );
    }

    /// What a fuzzer does, in the plain tests: this module is private, and no fuzz target reaches it.
    /// Damages studies `times` times; each is read, or refused with a reason. Answers how many were read and refused.
    fn damaged(times: u64, seed: u64) -> (u64, u64) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
        let mut texts = vec![GOOD.to_owned()];
        for entry in std::fs::read_dir(folder).expect("the studies") {
            texts.push(std::fs::read_to_string(entry.expect("an entry").path()).expect("text"));
        }
        let words = [
            "-1",
            "1e400",
            "nan",
            "9223372036854775807",
            "[",
            "\"",
            "=",
            "{}",
            "\u{0}",
            "seeds = []",
            "\n",
        ];
        let mut stream = voxelift_volume::random::Stream::new(seed, 1);
        let mut below = |n: usize| (stream.between(0.0, n as f64) as usize).min(n - 1);
        let (mut read_whole, mut refused) = (0, 0);
        for _ in 0..times {
            let mut bytes = texts[below(texts.len())].clone().into_bytes();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes[at] ^= 1 << below(8),
                    1 => drop(bytes.drain(at..(at + 1 + below(40)).min(bytes.len()))),
                    2 => drop(bytes.splice(at..at, words[below(words.len())].bytes())),
                    _ => {
                        let copied = bytes[at..(at + 60).min(bytes.len())].to_vec();
                        drop(bytes.splice(at..at, copied));
                    }
                }
                if bytes.is_empty() {
                    bytes.push(b'x');
                }
            }
            match read(&String::from_utf8_lossy(&bytes)) {
                Ok(_) => read_whole += 1,
                Err(message) => {
                    refused += 1;
                    assert!(!message.is_empty());
                }
            }
        }
        (read_whole, refused)
    }

    #[test]
    fn a_damaged_study_file_is_read_or_refused_in_one_line() {
        let (read_whole, refused) = damaged(4000, 7);
        assert!(
            read_whole > 0 && refused > 0,
            "{read_whole} read, {refused} refused"
        );
    }

    /// `FUZZ_SECONDS=600 cargo test --release -p voxelift --lib -- --ignored studies_for_a_while --nocapture`
    #[test]
    #[ignore = "as long as asked for"]
    fn studies_for_a_while() {
        let seconds = std::env::var("FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
        let (begin, mut rounds, mut whole) = (std::time::Instant::now(), 0, 0);
        while begin.elapsed().as_secs() < seconds {
            rounds += 1;
            whole += damaged(1000, 7 + rounds).0;
        }
        let said = format!(
            "{} damaged studies in {seconds} s, {whole} read, none a panic\n",
            1000 * rounds
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
    }
}
