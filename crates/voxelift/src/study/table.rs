//! The one table of a study: every method on every test set, with its differences to the baseline.

use std::collections::BTreeMap;

use serde::Serialize;
use voxelift_model::scoring::CaseScores;
use voxelift_volume::metrics::{
    BOOTSTRAP_SEED, Direction, PairedDifference, Score, Summary, by_subject, crossed_interval, paired,
    summarize,
};

use super::cost::Cost;
use super::scores::TestScores;

/// One run of a method: a seed, or the only run of a baseline.
#[derive(Clone, Debug)]
pub struct Scored {
    /// None for a baseline.
    pub seed: Option<u64>,
    /// What the training has cost, where there was one.
    pub cost: Option<Cost>,
    /// By the name of the test set; a test that is not scored yet is not there.
    pub tests: BTreeMap<String, TestScores>,
}

/// A method and its runs that are complete.
#[derive(Clone, Debug)]
pub struct ScoredMethod {
    /// The variant's or the baseline's.
    pub name: String,
    /// Whether it is a baseline.
    pub is_floor: bool,
    /// What it is compared with.
    pub baseline: Option<String>,
    /// How many runs are planned.
    pub planned: usize,
    /// Those that are complete.
    pub runs: Vec<Scored>,
}

/// A test set in a table.
#[derive(Clone, Debug, Serialize)]
pub struct TestHead {
    /// Its name.
    pub name: String,
    /// How its scans were made coarse.
    pub degradation: String,
    /// How many scans.
    pub scans: usize,
    /// Of how many subjects.
    pub people: usize,
}

/// The table; as JSON it is what the page is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// The study's name.
    pub study: String,
    /// Floors first, then the variants.
    pub methods: Vec<MethodHead>,
    /// One a test set.
    pub tests: Vec<TestTable>,
}

/// A method in a table.
#[derive(Clone, Debug, Serialize)]
pub struct MethodHead {
    /// Its name.
    pub name: String,
    /// Whether it is a baseline.
    pub is_floor: bool,
    /// What it is compared with; nothing where it is that itself.
    pub baseline: Option<String>,
    /// How many runs are planned.
    pub planned: usize,
    /// The seeds of those that are complete.
    pub seeds: Vec<u64>,
    /// What each of them has cost.
    pub costs: Vec<Cost>,
}

/// The part of a table that belongs to one test set.
#[derive(Clone, Debug, Serialize)]
pub struct TestTable {
    /// Which.
    #[serde(flatten)]
    pub head: TestHead,
    /// A score each.
    pub scores: Vec<ScoreTable>,
}

/// One score of every method on one test set.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreTable {
    /// Which score: its place in the JSON of an evaluation.
    pub key: String,
    /// With its unit.
    pub name: String,
    /// `brain`, `masked`, `whole`, `set`, or a class.
    pub region: String,
    /// Which way is better.
    pub higher_is_better: bool,
    /// Digits behind the point.
    pub digits: usize,
    /// By method, in the order of the table's methods; one without the score is not there.
    pub methods: Vec<Cell>,
}

/// One score of one method on one test set.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Which method.
    pub method: String,
    /// Over subjects, each the mean of its scans and seeds.
    #[serde(flatten)]
    pub summary: Summary,
    /// Standard deviation over seeds of the mean over subjects; `null` for fewer than two.
    pub seed_sd: Option<f64>,
    /// Against the baseline; `null` for the baseline itself.
    pub difference: Option<Difference>,
}

/// How a method differs from the baseline on the subjects and seeds that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Over subjects, each the mean over seeds; the interval over seeds too where there are several.
    #[serde(flatten)]
    pub paired: PairedDifference,
    /// Each subject with each seed.
    pub each: Vec<Each>,
}

/// One subject with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Each {
    /// Whose scans.
    pub person: String,
    /// Which run; `null` between baselines.
    pub seed: Option<u64>,
    /// Method less baseline.
    pub difference: f64,
}

/// One number: what the long table has a row of.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Whose number.
    pub method: &'a str,
    /// Which run.
    pub seed: Option<u64>,
    /// Which scan; empty for a score of the set.
    pub scan: &'a str,
    /// Whose head; empty for a score of the set.
    pub person: &'a str,
    /// `masked`, `whole`, `set`, or a class.
    pub region: String,
    /// Which score.
    pub score: Score,
    /// The number.
    pub value: f64,
}

/// Every number of a test set.
pub fn observations<'a>(methods: &'a [ScoredMethod], test: &str) -> Vec<Observation<'a>> {
    let mut all = Vec::new();
    for method in methods {
        for run in &method.runs {
            let Some(scores) = run.tests.get(test) else {
                continue;
            };
            let mut add = |scan: &'a str, person: &'a str, region: &str, score, value: Option<f64>| {
                all.extend(value.map(|value| Observation {
                    method: &method.name,
                    seed: run.seed,
                    scan,
                    person,
                    region: region.to_owned(),
                    score,
                    value,
                }));
            };
            for scan in &scores.scans {
                let CaseScores { scores, classes } = &scan.scores;
                for score in Score::ALL {
                    let brain = scores.brain.iter().map(|brain| ("brain", brain));
                    let others = [("masked", &scores.masked), ("whole", &scores.whole)];
                    for (region, of_region) in brain.chain(others) {
                        add(&scan.scan, &scan.person, region, score, score.of(of_region));
                    }
                }
                for (class, of_class) in classes {
                    for score in Score::ALL {
                        add(&scan.scan, &scan.person, class, score, score.of(of_class));
                    }
                }
            }
            for score in Score::OF_SETS {
                let value = scores.set.as_ref().and_then(|set| score.of_sets(set));
                add("", "", "set", score, value);
            }
        }
    }
    all
}

/// A method's numbers of one score: for each run its subjects, a subject scanned twice once.
type Runs<'a> = BTreeMap<Option<u64>, BTreeMap<&'a str, f64>>;

impl Table {
    /// From whatever is complete.
    pub fn new(study: &str, methods: &[ScoredMethod], tests: &[TestHead]) -> Self {
        let head = |method: &ScoredMethod| MethodHead {
            name: method.name.clone(),
            is_floor: method.is_floor,
            baseline: method.baseline.clone(),
            planned: method.planned,
            seeds: method.runs.iter().filter_map(|run| run.seed).collect(),
            costs: method.runs.iter().filter_map(|run| run.cost).collect(),
        };
        Self {
            study: study.to_owned(),
            methods: methods.iter().map(head).collect(),
            tests: tests
                .iter()
                .map(|test| TestTable {
                    head: test.clone(),
                    scores: scores(&observations(methods, &test.name), methods),
                })
                .collect(),
        }
    }
}

fn scores(all: &[Observation<'_>], methods: &[ScoredMethod]) -> Vec<ScoreTable> {
    let mut regions: Vec<&str> = Vec::new();
    for observation in all {
        if !regions.contains(&observation.region.as_str()) {
            regions.push(&observation.region);
        }
    }
    let mut tables = Vec::new();
    for region in regions {
        for score in Score::ALL.into_iter().chain(Score::OF_SETS) {
            let of = |method: &str| -> Runs<'_> {
                let mut scans: BTreeMap<Option<u64>, Vec<(&str, f64)>> = BTreeMap::new();
                for o in all
                    .iter()
                    .filter(|o| o.method == method && o.region == region && o.score == score)
                {
                    scans.entry(o.seed).or_default().push((o.person, o.value));
                }
                let people = scans.into_iter().map(|(seed, scans)| (seed, by_subject(scans)));
                people.collect()
            };
            let cells: Vec<Cell> = methods
                .iter()
                .filter_map(|method| {
                    let baseline = method.baseline.as_deref().map(of);
                    cell(&method.name, &of(&method.name), baseline.as_ref())
                })
                .collect();
            if !cells.is_empty() {
                tables.push(ScoreTable {
                    key: score.key().to_owned(),
                    name: score.label().to_owned(),
                    region: region.to_owned(),
                    higher_is_better: score.direction() == Direction::Higher,
                    digits: score.digits(),
                    methods: cells,
                });
            }
        }
    }
    tables
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A subject's mean over runs.
fn over_runs<'a>(runs: impl Iterator<Item = (&'a str, f64)>) -> Vec<f64> {
    by_subject(runs).into_values().collect()
}

fn cell(method: &str, runs: &Runs<'_>, baseline: Option<&Runs<'_>>) -> Option<Cell> {
    let people = over_runs(runs.values().flatten().map(|(person, value)| (*person, *value)));
    let of_seeds: Vec<f64> = runs
        .values()
        .map(|people| mean(&people.values().copied().collect::<Vec<_>>()))
        .collect();
    Some(Cell {
        method: method.to_owned(),
        summary: summarize(&people, BOOTSTRAP_SEED)?,
        seed_sd: summarize(&of_seeds, BOOTSTRAP_SEED).and_then(|summary| summary.sd),
        difference: baseline.and_then(|baseline| difference(runs, baseline)),
    })
}

/// The subjects of a seed, or of the only run.
fn run_of<'r, 'a>(runs: &'r Runs<'a>, seed: Option<u64>) -> Option<&'r BTreeMap<&'a str, f64>> {
    runs.get(&seed).or_else(|| runs.get(&None))
}

/// On the subjects and seeds that both have; a baseline has one run, which goes with every seed.
fn difference(runs: &Runs<'_>, baseline: &Runs<'_>) -> Option<Difference> {
    let seeds = if runs.contains_key(&None) { baseline } else { runs }.keys();
    let mut each = Vec::new();
    let (mut method, mut base) = (Vec::new(), Vec::new());
    for &seed in seeds {
        let (Some(of_method), Some(of_baseline)) = (run_of(runs, seed), run_of(baseline, seed)) else {
            continue;
        };
        for (person, value) in of_method {
            let Some(other) = of_baseline.get(person) else {
                continue;
            };
            method.push((*person, *value));
            base.push((*person, *other));
            each.push(Each {
                person: (*person).to_owned(),
                seed,
                difference: value - other,
            });
        }
    }
    each.sort_by(|a, b| (&a.person, a.seed).cmp(&(&b.person, b.seed)));
    let mut paired = paired(
        &over_runs(method.into_iter()),
        &over_runs(base.into_iter()),
        BOOTSTRAP_SEED,
    )?;
    let of_seeds = by_seed(&each);
    let complete = of_seeds.iter().all(|run| run.len() == paired.differences.len());
    if let Some(interval) = complete
        .then(|| crossed_interval(&of_seeds, BOOTSTRAP_SEED))
        .flatten()
    {
        paired.summary.interval = Some(interval);
    }
    Some(Difference { paired, each })
}

/// The differences of each seed, in the order of the subjects.
fn by_seed(each: &[Each]) -> Vec<Vec<f64>> {
    let mut seeds: BTreeMap<Option<u64>, Vec<f64>> = BTreeMap::new();
    for one in each {
        seeds.entry(one.seed).or_default().push(one.difference);
    }
    seeds.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::scores::ScanScores;
    use super::*;
    use serde_json::json;

    fn run(seed: Option<u64>, scans: &[(&str, &str, f64)]) -> Scored {
        let scans = scans.iter().map(|(scan, person, psnr)| ScanScores {
            scan: (*scan).to_owned(),
            person: (*person).to_owned(),
            seconds: 0.0,
            scores: serde_json::from_value(json!({"psnr_db": psnr - 1.0, "masked": {"psnr_db": psnr}}))
                .expect("scores"),
        });
        let scores = TestScores {
            of: serde_json::Value::Null,
            scans: scans.collect(),
            set: None,
        };
        Scored {
            seed,
            cost: None,
            tests: [("t".to_owned(), scores)].into(),
        }
    }

    fn method(name: &str, baseline: Option<&str>, runs: Vec<Scored>) -> ScoredMethod {
        ScoredMethod {
            name: name.to_owned(),
            is_floor: runs.iter().any(|run| run.seed.is_none()),
            baseline: baseline.map(str::to_owned),
            planned: 3,
            runs,
        }
    }

    #[test]
    fn people_count_once_and_differences_keep_to_common_seeds_and_people() {
        let methods = [
            method(
                "floor",
                Some("a"),
                vec![run(None, &[("1", "p", 20.0), ("2", "p", 22.0), ("3", "q", 27.0)])],
            ),
            method(
                "a",
                None,
                vec![
                    run(Some(1), &[("1", "p", 30.0), ("2", "p", 32.0), ("3", "q", 35.0)]),
                    run(Some(2), &[("1", "p", 31.0), ("2", "p", 33.0), ("3", "q", 36.0)]),
                ],
            ),
            method(
                "b",
                Some("a"),
                vec![
                    run(Some(2), &[("1", "p", 34.0), ("2", "p", 34.0), ("3", "q", 36.5)]),
                    run(Some(3), &[("1", "p", 90.0), ("2", "p", 90.0), ("3", "q", 90.0)]),
                ],
            ),
        ];
        let head = TestHead {
            name: "t".to_owned(),
            degradation: String::new(),
            scans: 3,
            people: 2,
        };
        let table = Table::new("s", &methods, &[head]);
        let score = &table.tests[0].scores[0];
        assert_eq!((score.key.as_str(), score.region.as_str()), ("psnr_db", "masked"));
        let [floor, a, b] = score.methods.as_slice() else {
            panic!("three methods")
        };
        // Person p: 31 and 32 over the seeds, q: 35 and 36.
        assert_eq!((a.summary.people, a.summary.mean), (2, (31.5 + 35.5) / 2.0));
        assert!((a.summary.sd.unwrap() - 4.0 / 2f64.sqrt()).abs() < 1e-12);
        // Means over subjects: 33 and 34.
        assert!((a.seed_sd.unwrap() - 0.5f64.sqrt()).abs() < 1e-12);
        assert!(a.difference.is_none());
        // Only seed 2 is common: p 34 - 32, q 36.5 - 36.
        let difference = b.difference.as_ref().unwrap();
        assert_eq!(difference.paired.differences, [2.0, 0.5]);
        assert_eq!(difference.each.len(), 2);
        assert!(difference.each.iter().all(|each| each.seed == Some(2)));
        // A baseline goes with each seed: p 21 - 31.5, q 27 - 35.5.
        let difference = floor.difference.as_ref().unwrap();
        assert_eq!(difference.paired.differences, [-10.5, -8.5]);
        assert_eq!(difference.each.len(), 4);
        // Over seeds too: p is 10 and 11 behind, q 8 and 9.
        assert_eq!(difference.paired.summary.interval, Some([-11.0, -8.0]));
        assert_eq!(observations(&methods, "t").len(), 2 * (3 + 6 + 6));
        assert!(table.tests[0].scores[1].region == "whole");
    }
}
