//! The self-test at the end of a run: what the model may be expected to do, on heads that training has not seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use voxelift_volume::cohort::Role;
use voxelift_volume::degrade::Degradation;
use voxelift_volume::metrics::{
    BOOTSTRAP_SEED, EvaluateOptions, RegionScores, Summary, by_person, evaluate, summarize,
};
use voxelift_volume::resample::{Interpolation, pad_to_scale, resize};
use voxelift_volume::{Volume, kspace};

use super::data::seed_of;
use super::sources::Source;
use super::{Event, Prepared};
use crate::config::Config;
use crate::error::Result;
use crate::infer::{SuperResolver, UpscaleOptions};
use crate::model_file::SelfTest;

/// The model among the methods.
const MODEL: &str = "sr";
/// The floor that gains are told over.
const FLOOR: &str = "zero-fill";

/// Scores by method and name, one entry a scan: whose it is, and the value.
type Table = BTreeMap<(String, &'static str), Vec<(String, f64)>>;

/// Super-resolves every head through every degradation and scores it beside the floors, in the mask; none when asked to
/// stop.
///
/// # Errors
/// When a head cannot be read, degraded or scored.
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
        let mut table = Table::new();
        for (index, head) in prepared.self_test.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            sink(Event::Note(format!(
                "self-test: {} through {degradation}",
                head.name
            )))?;
            let mut warnings = Vec::new();
            let hr = head.load(&config.data, &mut |warning| warnings.push(warning))?;
            warnings
                .into_iter()
                .try_for_each(|warning| sink(Event::Note(warning)))?;
            let lr = degradation.apply(&hr, seed_of(config, Role::Test, index))?;
            let hr = pad_to_scale(&hr, config.scale.scale());
            score(&mut table, head, &hr, &lr, resolver)?;
        }
        let test = summarized(degradation, &prepared.self_test, &table);
        sink(Event::Note(told(&test)))?;
        tests.push(test);
    }
    Ok(Some(tests))
}

fn score(table: &mut Table, head: &Source, hr: &Volume, lr: &Volume, resolver: &SuperResolver) -> Result<()> {
    let extent = hr.extent();
    let options = EvaluateOptions {
        measured_spacing_mm: Some(lr.geometry().spacing_mm()),
        ..EvaluateOptions::default()
    };
    let images = [
        (
            MODEL,
            resolver.upscale(lr, &UpscaleOptions::default(), &mut |_, _| {})?,
        ),
        (FLOOR, kspace::zero_fill(lr, extent)),
        ("lanczos", resize(lr, extent, Interpolation::Lanczos4)),
        ("cubic", resize(lr, extent, Interpolation::CubicBSpline)),
        ("trilinear", resize(lr, extent, Interpolation::Trilinear)),
    ];
    for (method, image) in images {
        let scores = evaluate(hr, &image, None, &options)?.masked;
        for (name, value) in kept(&scores) {
            let of_person = table.entry((method.to_owned(), name)).or_default();
            // Infinite where nothing lies beyond the Nyquist frequency or an image is exact: no number that a mean could take.
            let value = value.filter(|value| value.is_finite());
            of_person.extend(value.map(|value| (head.person.clone(), value)));
        }
    }
    Ok(())
}

/// What a card says of an image.
fn kept(scores: &RegionScores) -> [(&'static str, Option<f64>); 5] {
    let beyond = scores.fsc.as_ref().and_then(|fsc| fsc.beyond_nyquist.as_ref());
    [
        ("psnr_db", Some(scores.psnr_db)),
        ("ssim", scores.ssim),
        ("haarpsi", scores.haarpsi),
        ("resolution_mm", scores.fsc.as_ref().map(|fsc| fsc.resolution_mm)),
        (
            "hallucination_index",
            beyond.map(|beyond| beyond.hallucination_index),
        ),
    ]
}

fn summarized(degradation: &Degradation, heads: &[Source], table: &Table) -> SelfTest {
    let mut test = SelfTest {
        degradation: degradation.to_string(),
        scans: heads.iter().map(|head| head.name.clone()).collect(),
        scores: BTreeMap::new(),
        gain: BTreeMap::new(),
        least_gain: BTreeMap::new(),
    };
    let people = |method: &str, name| {
        let values = table.get(&(method.to_owned(), name)).into_iter().flatten();
        by_person(values.map(|(person, value)| (person.as_str(), *value)))
    };
    let summary = |values: &[f64]| -> Option<Summary> { summarize(values, BOOTSTRAP_SEED) };
    for (method, name) in table.keys() {
        let values: Vec<f64> = people(method, name).into_values().collect();
        let of_method = test.scores.entry(method.clone()).or_default();
        of_method.extend(summary(&values).map(|summary| ((*name).to_owned(), summary)));
        if method == MODEL {
            let floor = people(FLOOR, name);
            let gains = people(MODEL, name)
                .into_iter()
                .filter_map(|(person, value)| Some(value - floor.get(person)?));
            let gains: Vec<f64> = gains.collect();
            if let Some(summary) = summary(&gains) {
                test.gain.insert((*name).to_owned(), summary);
                let least = gains.iter().copied().fold(f64::INFINITY, f64::min);
                test.least_gain.insert((*name).to_owned(), least);
            }
        }
    }
    test
}

/// A test in a line.
fn told(test: &SelfTest) -> String {
    let score = |method: &str, name: &str| {
        test.scores
            .get(method)
            .and_then(|scores| scores.get(name))
            .map_or(f64::NAN, |summary| summary.mean)
    };
    let over = |method: &str| {
        format!(
            "{method} {:.2} dB (SSIM {:.4})",
            score(method, "psnr_db"),
            score(method, "ssim")
        )
    };
    let interval = test.gain.get("psnr_db").and_then(|gain| gain.interval);
    let interval = interval.map_or_else(String::new, |[low, high]| {
        format!(", 95 % interval {low:+.2} to {high:+.2}")
    });
    format!(
        "self-test on {}, in the mask: {}, {}; gain {:+.2} dB{interval}",
        test.degradation,
        over(MODEL),
        over(FLOOR),
        score(MODEL, "psnr_db") - score(FLOOR, "psnr_db"),
    )
}
