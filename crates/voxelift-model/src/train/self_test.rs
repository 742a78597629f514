//! The self-test at the end of a run: what the model may be expected to do, on scans that training has not seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::{Degradation, Operators};
use voxelift_volume::metrics::{BOOTSTRAP_SEED, Score, Summary, by_subject, summarize};
use voxelift_volume::resample::pad_to_scale;

use super::degradations::seed_of;
use super::placed::on_its_grid;
use super::sources::Source;
use super::{Event, Prepared};
use crate::config::Config;
use crate::error::Result;
use crate::infer::SuperResolver;
use crate::model_file::SelfTest;
use crate::scoring::{Case, Method, SR, SR_CONSISTENT, consistent};

/// The scores that a card lists.
const ON_CARD: [Score; 5] = [
    Score::Psnr,
    Score::Ssim,
    Score::HaarPsi,
    Score::Resolution,
    Score::HallucinationIndex,
];
/// The baseline that gains are measured against.
const BASELINE: Baseline = Baseline::ZeroFill;

/// Scores by method, one entry a scan: its subject, and the value.
type Table = BTreeMap<(String, Score), Vec<(String, f64)>>;

/// Super-resolves every scan through every degradation and scores it, alone and with what the scan measured put back,
/// beside the baselines; none when asked to stop.
///
/// # Errors
/// When a scan cannot be read, degraded or scored.
pub fn run(
    resolver: &SuperResolver,
    config: &Config,
    prepared: &Prepared,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<Option<Vec<SelfTest>>> {
    let mut tests = Vec::new();
    if prepared.self_test.is_empty() {
        return Ok(Some(tests));
    }
    for degradation in &prepared.tests {
        let (mut table, mut region) = (Table::new(), "");
        for (index, source) in prepared.self_test.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            sink(Event::Note(format!(
                "self-test: {} through {degradation}",
                source.name
            )))?;
            let mut warnings = Vec::new();
            let hr = source.load(&config.data, &mut |warning| warnings.push(warning))?;
            warnings
                .into_iter()
                .try_for_each(|warning| sink(Event::Note(warning)))?;
            let lr = degradation.apply(&hr, seed_of(config, Role::Test, index))?;
            let hr = if config.network.placed {
                on_its_grid(&hr, degradation)
            } else {
                pad_to_scale(&hr, config.scale.scale())
            };
            region = score(&mut table, source, &hr, &lr, &degradation.operator, resolver)?;
        }
        let test = summarized(degradation, &prepared.self_test, &table, region);
        sink(Event::Note(in_words(&test)))?;
        tests.push(test);
    }
    Ok(Some(tests))
}

/// Returns where the scores were taken.
fn score(
    table: &mut Table,
    source: &Source,
    hr: &Volume,
    lr: &Volume,
    operators: &Operators,
    resolver: &SuperResolver,
) -> Result<&'static str> {
    let case = Case::of(hr, lr);
    let mut add = |name: &str, image: &Volume| -> Result<&'static str> {
        let scores = case.score(image)?.scores;
        for score in ON_CARD {
            let of_subject = table.entry((name.to_owned(), score)).or_default();
            // One that is infinite, as where nothing lies beyond the Nyquist frequency, has no place in a mean.
            let value = score.of(scores.headline());
            of_subject.extend(value.map(|value| (source.subject.clone(), value)));
        }
        Ok(scores.headline_region())
    };
    let alone = Method::Model(resolver).apply(lr, hr.extent(), hr)?;
    add(SR, &alone)?;
    for baseline in Baseline::ALL {
        add(
            baseline.name(),
            &Method::Baseline(baseline).apply(lr, hr.extent(), hr)?,
        )?;
    }
    add(SR_CONSISTENT, &consistent(&alone, lr, operators)?)
}

fn summarized(degradation: &Degradation, sources: &[Source], table: &Table, region: &str) -> SelfTest {
    let mut test = SelfTest {
        degradation: degradation.to_string(),
        scans: sources.iter().map(|source| source.name.clone()).collect(),
        region: region.to_owned(),
        scores: BTreeMap::new(),
        gain: BTreeMap::new(),
        least_gain: BTreeMap::new(),
        consistent_gain: BTreeMap::new(),
        least_consistent_gain: BTreeMap::new(),
    };
    let subjects = |method: &str, score| {
        let values = table.get(&(method.to_owned(), score)).into_iter().flatten();
        by_subject(values.map(|(subject, value)| (subject.as_str(), *value)))
    };
    let summary = |values: &[f64]| -> Option<Summary> { summarize(values, BOOTSTRAP_SEED) };
    for (method, score) in table.keys() {
        let name = score.short_key().to_owned();
        let values: Vec<f64> = subjects(method, *score).into_values().collect();
        let of_method = test.scores.entry(method.clone()).or_default();
        of_method.extend(summary(&values).map(|summary| (name.clone(), summary)));
        let gains_of = match method.as_str() {
            SR => Some((&mut test.gain, &mut test.least_gain)),
            SR_CONSISTENT => Some((&mut test.consistent_gain, &mut test.least_consistent_gain)),
            _ => None,
        };
        if let Some((all, least_of_all)) = gains_of {
            let baseline = subjects(BASELINE.name(), *score);
            let gains = subjects(method, *score)
                .into_iter()
                .filter_map(|(subject, value)| Some(value - baseline.get(subject)?));
            let gains: Vec<f64> = gains.collect();
            if let Some(summary) = summary(&gains) {
                all.insert(name.clone(), summary);
                let least = gains.iter().copied().fold(f64::INFINITY, f64::min);
                least_of_all.insert(name, least);
            }
        }
    }
    test
}

/// A test in one line.
fn in_words(test: &SelfTest) -> String {
    let mean = |method: &str, score: Score| {
        let scores = test.scores.get(method);
        let summary = scores.and_then(|scores| scores.get(score.short_key()));
        summary.map_or(f64::NAN, |summary| summary.mean)
    };
    let over = |method: &str| {
        format!(
            "{method} {:.2} dB (SSIM {:.4})",
            mean(method, Score::Psnr),
            mean(method, Score::Ssim)
        )
    };
    let gain = test.consistent_gain.get(Score::Psnr.short_key());
    let interval = gain.and_then(|gain| gain.interval);
    let interval = interval.map_or_else(String::new, |[low, high]| {
        format!(", 95 % interval {low:+.2} to {high:+.2}")
    });
    format!(
        "self-test on {}, {}: {}, {}, {}; gain {:+.2} dB{interval}",
        test.degradation,
        test.region,
        over(SR),
        over(SR_CONSISTENT),
        over(BASELINE.name()),
        mean(SR_CONSISTENT, Score::Psnr) - mean(BASELINE.name(), Score::Psnr),
    )
}
