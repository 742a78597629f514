//! Statistics over subjects: what a column of scores says, and whether two methods differ.
//!
//! A subject counts once: [`by_subject`] averages the scans of each before anything else is done. The interval is a
//! percentile bootstrap over subjects with a fixed seed. The paired test is Wilcoxon's signed-rank test with its exact
//! distribution under the null hypothesis, ties included, and only from six subjects on: with fewer no result could fall
//! below 0.05.
//!
//! Source: Efron, Tibshirani, *An Introduction to the Bootstrap*, 1993; Wilcoxon, *Biometrics Bulletin* 1945. Checked
//! against SciPy (`wilcoxon`, `bootstrap`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::random::Stream;

/// Draws every bootstrap interval: the same scores give the same intervals, wherever they are shown.
pub const BOOTSTRAP_SEED: u64 = 0;

const RESAMPLES: usize = 10_000;

/// The interval covers 95 %.
const TAIL: f64 = 0.025;

/// Fewest subjects behind a Wilcoxon test.
const MIN_SUBJECTS: usize = 6;

/// What a score is over a group of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many subjects.
    pub people: usize,
    /// Mean over subjects.
    pub mean: f64,
    /// Sample standard deviation (n - 1); `null` for one subject.
    pub sd: Option<f64>,
    /// 95 % bootstrap interval of the mean; `null` for one subject.
    pub interval: Option<[f64; 2]>,
}

/// How a score differs between two methods on the same subjects.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedDifference {
    /// Method less baseline, one a subject.
    pub differences: Vec<f64>,
    /// Their mean, standard deviation and interval.
    #[serde(flatten)]
    pub summary: Summary,
    /// Two-sided p of Wilcoxon's signed-rank test; `null` for fewer than six subjects or no difference at all.
    pub wilcoxon_p: Option<f64>,
}

/// One value a subject, the mean of their scans, in the order of their names.
pub fn by_subject<'a>(scans: impl IntoIterator<Item = (&'a str, f64)>) -> BTreeMap<&'a str, f64> {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for (subject, value) in scans {
        let sum = sums.entry(subject).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    sums.into_iter()
        .map(|(subject, (sum, count))| (subject, sum / count as f64))
        .collect()
}

/// Mean, standard deviation and bootstrap interval of one value a subject; `None` without subjects.
pub fn summarize(subjects: &[f64], seed: u64) -> Option<Summary> {
    if subjects.is_empty() {
        return None;
    }
    let mean = mean(subjects);
    let spread = subjects.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let several = subjects.len() > 1;
    Some(Summary {
        people: subjects.len(),
        mean,
        sd: several.then(|| (spread / (subjects.len() - 1) as f64).sqrt()),
        interval: several.then(|| bootstrap(subjects, seed)),
    })
}

/// Compares a method with a baseline, subject by subject; `None` without subjects.
///
/// # Panics
/// When the two are not of one length: both hold the same subjects in the same order.
pub fn paired(method: &[f64], baseline: &[f64], seed: u64) -> Option<PairedDifference> {
    assert_eq!(
        method.len(),
        baseline.len(),
        "a paired comparison of different numbers of subjects"
    );
    let differences: Vec<f64> = method.iter().zip(baseline).map(|(m, b)| m - b).collect();
    let summary = summarize(&differences, seed)?;
    let wilcoxon_p = (differences.len() >= MIN_SUBJECTS)
        .then(|| wilcoxon(&differences))
        .flatten();
    Some(PairedDifference {
        differences,
        summary,
        wilcoxon_p,
    })
}

/// The 95 % bootstrap interval of the mean over runs and subjects at once, both drawn anew: `runs` holds one value a subject, the same
/// subjects in each run. What a method does to all subjects alike differs from run to run (seed to seed) by more than from
/// subject to subject, which an interval over subjects alone does not see. `None` for a single run or a single subject.
///
/// # Panics
/// When the runs are not of one length.
pub fn crossed_interval(runs: &[Vec<f64>], seed: u64) -> Option<[f64; 2]> {
    let subjects = runs.first().map_or(0, Vec::len);
    if runs.len() < 2 || subjects < 2 {
        return None;
    }
    assert!(
        runs.iter().all(|run| run.len() == subjects),
        "runs of different subjects"
    );
    let mut draws = Stream::new(seed, 1);
    let mut resampled = || {
        let chosen: Vec<usize> = (0..subjects).map(|_| draws.below(subjects)).collect();
        let of_run = |run: &Vec<f64>| chosen.iter().map(|subject| run[*subject]).sum::<f64>();
        let sum: f64 = (0..runs.len())
            .map(|_| of_run(&runs[draws.below(runs.len())]))
            .sum();
        sum / (runs.len() * subjects) as f64
    };
    Some(percentiles((0..RESAMPLES).map(|_| resampled()).collect()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The percentile interval of the mean over resampled subjects.
fn bootstrap(subjects: &[f64], seed: u64) -> [f64; 2] {
    let mut draws = Stream::new(seed, 0);
    let n = subjects.len();
    let means = (0..RESAMPLES).map(|_| (0..n).map(|_| subjects[draws.below(n)]).sum::<f64>() / n as f64);
    percentiles(means.collect())
}

/// Where the middle 95 % of some means end.
fn percentiles(mut means: Vec<f64>) -> [f64; 2] {
    means.sort_by(f64::total_cmp);
    [TAIL, 1.0 - TAIL].map(|share| {
        let rank = share * (RESAMPLES - 1) as f64;
        let (below, part) = (means[rank as usize], rank.fract());
        below + part * (means[rank.ceil() as usize] - below)
    })
}

/// Two-sided p of the signed-rank test: the share of all sign patterns whose rank sum is at least as far from the
/// middle as the one seen. Zero differences are left out; equal ones share their mean rank. `None` when all are zero.
fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let mut nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    nonzero.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Twice the ranks are whole numbers also where ties share a mean rank.
    let mut doubled = Vec::with_capacity(nonzero.len());
    for tied in nonzero.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = doubled.len();
        doubled.extend(std::iter::repeat_n(2 * first + tied.len() + 1, tied.len()));
    }
    let total: usize = doubled.iter().sum();
    let positive: usize = nonzero
        .iter()
        .zip(&doubled)
        .filter(|(d, _)| **d > 0.0)
        .map(|(_, rank)| rank)
        .sum();
    let extreme = positive.min(total - positive);
    // The chance of each doubled rank sum when every sign is a coin's toss.
    let mut chance = vec![0.0; total + 1];
    chance[0] = 1.0;
    for &rank in &doubled {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { chance[sum - rank] } else { 0.0 };
            chance[sum] = 0.5 * (chance[sum] + with);
        }
    }
    let tail: f64 = chance[..=extreme].iter().sum();
    (!nonzero.is_empty()).then(|| (2.0 * tail).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_differ_widen_the_interval_that_subjects_alone_would_give() {
        // Three runs that do the same to all subjects, each another thing.
        let runs: Vec<Vec<f64>> = [-0.05, 0.03, 0.06].map(|of_run| vec![of_run; 4]).to_vec();
        let [low, high] = crossed_interval(&runs, 0).expect("several of both");
        // All three draws the least, or the greatest: one of 27 each, more than the tails of 2.5 %.
        assert!(
            (low + 0.05).abs() < 1e-9 && (high - 0.06).abs() < 1e-9,
            "{low} {high}"
        );
        let over_runs: Vec<f64> = (0..4).map(|_| 0.04 / 3.0).collect();
        let [least, most] = summarize(&over_runs, 0)
            .and_then(|s| s.interval)
            .expect("several");
        assert!(most - least < 1e-9, "subjects alone see nothing of it");

        // Runs that agree: the interval is that over subjects.
        let subjects = [0.1, 0.4, 0.2, 0.9, 0.5];
        let crossed = crossed_interval(&vec![subjects.to_vec(); 3], 0).expect("several of both");
        let alone = summarize(&subjects, 0).and_then(|s| s.interval).expect("several");
        for (a, b) in crossed.iter().zip(alone) {
            assert!((a - b).abs() < 0.03, "{crossed:?} {alone:?}");
        }
        assert_eq!(crossed_interval(&runs[..1], 0), None);
        assert_eq!(crossed_interval(&[vec![1.0], vec![2.0]], 0), None);
    }
}
