//! Layer 13 · Study: a grid of runs (variants x seeds), each tested on every test set, and one table.

mod cases;
mod chapters;
mod cost;
mod definition;
mod pages;
mod plan;
mod scores;
mod scoring;
mod table;
mod training;

pub use definition::Study;
pub use plan::{Run, Shard, Source, State};
pub use training::Trainer;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use serde_json::{Value, json};
use voxelift_model::cache;
use voxelift_model::device::DeviceChoice;
use voxelift_model::infer::SuperResolver;
use voxelift_model::model_file;
use voxelift_model::run::RunDir;
use voxelift_model::scoring::Method;
use voxelift_model::train::{self, Inventory};
use voxelift_volume::cohort::{Cohort, Role};
use voxelift_volume::files::write_atomically;

use crate::failure::{Outcome, message, usage};
use crate::terminal::Terminal;
use cases::TestSet;
use cost::Cost;
use scores::Kept;
use scoring::score;
use table::{Scored, ScoredMethod, Table, TestHead, observations};

/// Behind the name of a variant: the same models, with what each scan measured put back, as `upscale` does by default.
pub const CONSISTENT: &str = "+consistency";

/// The page of a study in its folder.
pub const PAGE: &str = "table.html";

/// A study in its folder.
pub struct Grid<'a> {
    study: &'a Study,
    out: PathBuf,
    runs: Vec<Run>,
    tests: Vec<TestSet>,
    terminal: &'a Terminal,
    stop: &'a AtomicBool,
    /// What was said once.
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Grid<'a> {
    /// Resolves every run and test set, and refuses what cannot work before anything is trained.
    ///
    /// # Errors
    /// A configuration that is refused, a run folder of another one, a test subject in the training data, or test scans that
    /// are not there.
    pub fn new(
        study: &'a Study,
        out: &Path,
        terminal: &'a Terminal,
        stop: &'a AtomicBool,
    ) -> anyhow::Result<Self> {
        let runs = plan::runs(study, out)?;
        for run in &runs {
            run.state()?;
        }
        let found = |test| TestSet::find(test, |doubt| terminal.warn(doubt));
        let tests = study.tests.iter().cloned().map(found);
        let tests = tests.collect::<anyhow::Result<Vec<_>>>()?;
        let grid = Self {
            study,
            out: out.to_owned(),
            runs,
            tests,
            terminal,
            stop,
            told: RefCell::default(),
        };
        grid.refuse_known_subjects()?;
        Ok(grid)
    }

    /// Refuses subjects and contents that are tested on and trained on, and runs in the folder that learned from other scans.
    fn refuse_known_subjects(&self) -> anyhow::Result<()> {
        // Variants mostly share their data, which are hashed once.
        let mut inventories: BTreeMap<String, Inventory> = BTreeMap::new();
        let mut checked: BTreeSet<&str> = BTreeSet::new();
        for run in &self.runs {
            let Source::Trained { config, .. } = &run.source else {
                if run.model().is_file() {
                    self.refuse_known_to(&run.model())?;
                }
                continue;
            };
            if let Some(test) = self
                .tests
                .iter()
                .find(|test| test.scale() != config.scale.scale())
            {
                return Err(usage(format!(
                    "variant {}: its models have a scale of {}, and test {} one of {}; a study tests models of its tests' scale",
                    run.variant,
                    config.scale.scale(),
                    test.definition.name,
                    test.scale()
                )));
            }
            let key = json!([config.data, config.placed.labels]).to_string();
            if checked.insert(&run.variant) {
                let mut data = config.data.clone();
                // Watching a run by tuning heads and testing on them is what a search does.
                data.leave_out &= data.validation.is_empty();
                data.validation.clear();
                self.refuse_tested(train::cohort(&data)?)?;
                if !inventories.contains_key(&key) {
                    let inventory = train::inventory(config, self.stop)?;
                    inventories.insert(key.clone(), inventory.of_training());
                }
            }
            let inventory = &inventories[&key];
            for test in &self.tests {
                if let Some([trained, tested]) = inventory.in_common(&test.entries) {
                    anyhow::bail!(
                        "test {}: {} holds the same as {}, which variant {} is trained on: leave one out",
                        test.definition.name,
                        tested.display(),
                        trained.display(),
                        run.variant
                    );
                }
            }
            let Ok(folder) = RunDir::open(&run.folder) else {
                continue;
            };
            match train::inventory_of_run(&folder) {
                Some(then) => {
                    if let Some(change) = inventory.changes(&then.of_training()).first() {
                        return Err(usage(format!(
                            "{}: holds a run that learned from other scans: {change}; give another --out folder, or remove this one",
                            run.folder.display()
                        )));
                    }
                }
                None if run.model().is_file() => self.warn_once(format!(
                    "{}: no checkpoint there can be read, so that nothing tells whether this model learned from the scans of today",
                    run.folder.display()
                )),
                None => {}
            }
        }
        Ok(())
    }

    /// Refuses a model that learned from a subject of a test, as far as its card names them.
    fn refuse_known_to(&self, model: &Path) -> anyhow::Result<()> {
        // What cannot be read fails when it is its turn, and leaves the others alone.
        let Ok(card) = model_file::read_card(model) else {
            return Ok(());
        };
        let mut cohort = Cohort::new();
        for name in card.hr_scans.iter().chain(&card.lr_scans) {
            cohort.add_file(Role::Hr, Path::new(name))?;
        }
        self.refuse_tested(cohort)
            .with_context(|| model.display().to_string())
    }

    fn refuse_tested(&self, mut cohort: Cohort) -> anyhow::Result<()> {
        for test in &self.tests {
            for names in &test.definition.data.people {
                cohort.same_subject(names)?;
            }
            for scan in &test.scans {
                cohort.add(&scan.subject, Role::Test, scan.path())?;
            }
        }
        if let Some(unknown) = train::unknown_people(&cohort) {
            self.warn_once(unknown);
        }
        Ok(())
    }

    /// Warns of something once, however many methods meet it.
    fn warn_once(&self, what: String) {
        if self.told.borrow_mut().insert(what.clone()) {
            self.terminal.warn(what);
        }
    }

    /// Trains and scores what is not there yet, one run after another; the tables are written after each.
    ///
    /// # Errors
    /// When the folder cannot be written. A run that fails is said, and the others go on.
    pub fn carry_out(
        &self,
        trainer: Option<&Trainer>,
        device: DeviceChoice,
        shard: Shard,
    ) -> anyhow::Result<Outcome> {
        self.keep("study.toml", self.study.text.as_bytes())?;
        if shard.is_first() && !self.score_baselines()? {
            return Ok(Outcome::Interrupted);
        }
        let (mut failed, mut done) = (0, 0);
        for (place, run) in self.runs.iter().enumerate() {
            if !shard.holds(place) {
                continue;
            }
            self.terminal.say(format!(
                "study {}: run {} of {}: {}",
                self.study.name,
                place + 1,
                self.runs.len(),
                run.title()
            ));
            let outcome = self.train(run, trainer).and_then(|outcome| match outcome {
                Outcome::Done => self.score_model(run, device),
                other => Ok(other),
            });
            match outcome {
                Ok(Outcome::Done) => done += 1,
                Ok(Outcome::Interrupted) => return Ok(Outcome::Interrupted),
                Ok(Outcome::InPart) => failed += 1,
                Err(error) => {
                    // A run that was ended together with the study has not failed.
                    if self.stopped() {
                        return Ok(Outcome::Interrupted);
                    }
                    self.terminal.complain(message(&error));
                    failed += 1;
                }
            }
            self.write_tables()?;
        }
        match (failed, done) {
            (0, _) => Ok(Outcome::Done),
            (_, 0) => anyhow::bail!("study {}: none of its runs could be finished", self.study.name),
            _ => Ok(Outcome::InPart),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn train(&self, run: &Run, trainer: Option<&Trainer>) -> anyhow::Result<Outcome> {
        match (&run.source, run.state()?, trainer) {
            (_, State::Complete, _) => Ok(Outcome::Done),
            (Source::Trained { set, .. }, _, Some(trainer)) => trainer.train(run, set, self.stop),
            (Source::Trained { .. }, _, None) => unreachable!("a study with a base has a trainer"),
            (Source::Elsewhere(path), ..) => {
                self.terminal.complain(format!(
                    "{}: {} is not there yet; the same command goes on once it is",
                    run.title(),
                    path.display()
                ));
                Ok(Outcome::InPart)
            }
        }
    }

    fn baseline_folder(&self, name: &str) -> PathBuf {
        self.out.join("floors").join(name)
    }

    /// Answers whether it came to its end.
    fn score_baselines(&self) -> anyhow::Result<bool> {
        for method in self.study.baselines.iter().copied() {
            let name = method.name();
            let folder = self.baseline_folder(&name);
            for test in &self.tests {
                let of = depends(test, &name);
                if !self.score_missing(&folder, &name, method, of, test)? {
                    return Ok(false);
                }
            }
        }
        self.write_tables()?;
        Ok(true)
    }

    fn score_model(&self, run: &Run, device: DeviceChoice) -> anyhow::Result<Outcome> {
        let of = cache::content(&run.model())?;
        let kept = Kept::read(&run.folder);
        let beside = Kept::read(&consistent_folder(&run.folder));
        let missing = |test: &&TestSet| {
            let (name, of) = (&test.definition.name, depends(test, &of));
            kept.get(name, &of).is_none() || beside.get(name, &of).is_none()
        };
        if !self.tests.iter().any(|test| missing(&test)) {
            return Ok(Outcome::Done);
        }
        if let Source::Elsewhere(model) = &run.source {
            self.refuse_known_to(model)?;
        }
        let (resolver, card) = SuperResolver::load(&run.model(), device.open()?.0)?;
        for test in self.tests.iter().filter(missing) {
            for strange in test.strange_to(&card)? {
                let name = &test.definition.name;
                self.warn_once(format!(
                    "test {name}: not what {} was trained for: {strange}",
                    run.variant
                ));
            }
            let method = Method::Model(&resolver);
            if !self.score_missing(&run.folder, &run.title(), method, depends(test, &of), test)? {
                return Ok(Outcome::Interrupted);
            }
        }
        Ok(Outcome::Done)
    }

    /// Scores a method on a test set unless that is kept; returns whether it came to its end.
    fn score_missing(
        &self,
        folder: &Path,
        name: &str,
        method: Method<'_>,
        of: Value,
        test: &TestSet,
    ) -> anyhow::Result<bool> {
        let folders = match method {
            Method::Model(_) => vec![folder.to_owned(), consistent_folder(folder)],
            Method::Baseline(_) | Method::Smoothed(_) => vec![folder.to_owned()],
        };
        let is_kept = |folder: &PathBuf| Kept::read(folder).get(&test.definition.name, &of).is_some();
        if folders.iter().all(is_kept) {
            return Ok(true);
        }
        let what = format!("{name} on {}", test.definition.name);
        let mut progress = self.terminal.progress(&what, "scans", test.scans.len() as u64);
        let warn = |what| self.warn_once(what);
        match score(method, of, test, self.stop, &warn, &mut progress)? {
            Some(arms) => {
                for (folder, scores) in folders.iter().zip(arms) {
                    Kept::add(folder, &test.definition.name, scores)?;
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Everything that is complete, baselines first.
    fn scored(&self) -> anyhow::Result<Vec<ScoredMethod>> {
        let of_folder = |folder: &Path, of: &str| -> BTreeMap<_, _> {
            let kept = Kept::read(folder);
            let tests = self.tests.iter().filter_map(|test| {
                let name = &test.definition.name;
                Some((name.clone(), kept.get(name, &depends(test, of))?.clone()))
            });
            tests.collect()
        };
        let compared_with = |own: Option<&String>, name: &str| {
            let baseline = own.or(self.study.baseline.as_ref());
            baseline.filter(|baseline| *baseline != name).cloned()
        };
        let baselines = self.study.baselines.iter().map(|method| method.name());
        let mut methods: Vec<ScoredMethod> = baselines
            .map(|name| ScoredMethod {
                is_floor: true,
                baseline: compared_with(None, &name),
                planned: 1,
                runs: vec![Scored {
                    seed: None,
                    cost: None,
                    tests: of_folder(&self.baseline_folder(&name), &name),
                }],
                name,
            })
            .collect();
        for variant in &self.study.variants {
            let planned: Vec<&Run> = self
                .runs
                .iter()
                .filter(|run| run.variant == variant.name)
                .collect();
            let (mut runs, mut consistent) = (Vec::new(), Vec::new());
            for run in &planned {
                if run.state()? == State::Complete {
                    let folder = run.model().parent().map(Path::to_owned).unwrap_or_default();
                    let of = cache::content(&run.model())?;
                    runs.push(Scored {
                        seed: Some(run.seed),
                        cost: Some(Cost::of(&folder)),
                        tests: of_folder(&run.folder, &of),
                    });
                    consistent.push(Scored {
                        seed: Some(run.seed),
                        cost: None,
                        tests: of_folder(&consistent_folder(&run.folder), &of),
                    });
                }
            }
            let baseline = compared_with(variant.baseline.as_ref(), &variant.name);
            // With the scan put back against the same of the baseline, or against the variant alone.
            let of_variant = |name: &String| self.study.variants.iter().any(|variant| variant.name == *name);
            let beside = match &baseline {
                Some(name) if of_variant(name) => format!("{name}{CONSISTENT}"),
                Some(name) => name.clone(),
                None => variant.name.clone(),
            };
            for (name, baseline, runs) in [
                (variant.name.clone(), baseline, runs),
                (format!("{}{CONSISTENT}", variant.name), Some(beside), consistent),
            ] {
                methods.push(ScoredMethod {
                    name,
                    is_floor: false,
                    baseline,
                    planned: planned.len(),
                    runs,
                });
            }
        }
        Ok(methods)
    }

    /// Writes `table.md`, `table.csv`, `table.json` and `table.html` from whatever is complete; returns the first.
    ///
    /// # Errors
    /// When a model cannot be read or a file cannot be written.
    pub fn write_tables(&self) -> anyhow::Result<String> {
        let methods = self.scored()?;
        let heads: Vec<TestHead> = self.tests.iter().map(head).collect();
        let table = Table::new(&self.study.name, &methods, &heads);
        let text = pages::markdown(&table);
        let json = serde_json::to_value(&table)?;
        let observed = heads
            .iter()
            .map(|test| (test.name.as_str(), observations(&methods, &test.name)));
        self.keep("table.md", text.as_bytes())?;
        self.keep("table.csv", &pages::long_csv(observed)?)?;
        self.keep("table.json", format!("{json}\n").as_bytes())?;
        self.keep(PAGE, pages::html(&table, &self.study.text).as_bytes())?;
        Ok(text)
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.out)?;
        Ok(write_atomically(&self.out.join(name), true, |out| {
            out.write_all(bytes)
        })?)
    }
}

/// Where the scores of a run's model stand with what each scan measured put back.
fn consistent_folder(run: &Path) -> PathBuf {
    run.join("consistent")
}

/// Everything that the scores of a method on a test set depend on.
fn depends(test: &TestSet, method: &str) -> Value {
    json!({"method": method, "test": test.of})
}

fn head(test: &TestSet) -> TestHead {
    let people: BTreeSet<&str> = test.scans.iter().map(|scan| scan.subject.as_str()).collect();
    TestHead {
        name: test.definition.name.clone(),
        degradation: test.definition.degrade.to_string(),
        scans: test.scans.len(),
        people: people.len(),
    }
}
