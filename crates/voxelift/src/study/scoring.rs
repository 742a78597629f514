//! One method on one test set.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::memory;
use voxelift_volume::Volume;
use voxelift_volume::metrics::{self, Detail, EVALUATION_BYTES, EvaluateOptions, SetMember, set_scores};

use super::cases::{Case, TestSet};
use super::floors::Floor;
use super::kept::{ScanScores, TestScores};
use crate::terminal::Progress;

/// What makes the finer images.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// No model.
    Floor(Floor),
    /// A trained one.
    Model(&'a SuperResolver),
}

/// Scores a method on every scan of a test set; none when asked to stop.
///
/// Images are made one after another, each on all threads; they are scored side by side as far as memory allows.
///
/// # Errors
/// When a scan cannot be read or scored, or the model has another scale.
pub fn score(
    method: Method<'_>,
    of: Value,
    test: &TestSet,
    stop: &AtomicBool,
    progress: &mut Progress<'_>,
) -> anyhow::Result<Option<TestScores>> {
    if let Method::Model(resolver) = method {
        let (has, needs) = (resolver.scale(), test.scale());
        anyhow::ensure!(
            has == needs,
            "test {}: a scale of {needs}; the model has {has}",
            test.definition.name
        );
    }
    let mut scans = Vec::with_capacity(test.scans.len());
    let (mut images, mut references) = (Vec::new(), Vec::new());
    let mut waiting: Vec<(usize, Case, Volume, f64)> = Vec::new();
    for index in 0..test.scans.len() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        progress.set(index as u64, &test.scans[index].name);
        let case = test.case(index)?;
        let begin = Instant::now();
        let image = match method {
            Method::Floor(floor) => {
                floor.apply(&case.lr, test.scale().up(case.lr.extent()), &case.reference)?
            }
            Method::Model(resolver) => {
                resolver.upscale(&case.lr, &UpscaleOptions::default(), &mut |_, _| {})?
            }
        };
        let voxels = case.reference.data().len() as u64;
        waiting.push((index, case, image, begin.elapsed().as_secs_f64()));
        if waiting.len() >= memory::side_by_side(voxels * EVALUATION_BYTES) || index + 1 == test.scans.len() {
            let scored: Vec<(ScanScores, [Option<SetMember>; 2])> = waiting
                .par_drain(..)
                .map(|(index, case, image, seconds)| {
                    let scan = &test.scans[index];
                    let scores =
                        scores(&case, &image, test).map_err(|error| error.context(scan.name.clone()))?;
                    let scored = ScanScores {
                        scan: scan.name.clone(),
                        person: scan.person.clone(),
                        seconds,
                        scores,
                    };
                    Ok((scored, [&image, &case.reference].map(SetMember::of)))
                })
                .collect::<anyhow::Result<_>>()?;
            for (scored, [image, reference]) in scored {
                scans.push(scored);
                images.extend(image);
                references.extend(reference);
            }
        }
    }
    let set = set_scores(&images, &references);
    Ok(Some(TestScores {
        of,
        scans,
        set: serde_json::to_value(set)?,
    }))
}

/// Every score of one image, as `evaluate --json` writes them, with data consistency and the classes beside them.
fn scores(case: &Case, image: &Volume, test: &TestSet) -> anyhow::Result<Value> {
    let options = EvaluateOptions {
        measured_spacing_mm: Some(case.lr.geometry().spacing_mm()),
        ..EvaluateOptions::default()
    };
    let scores = metrics::evaluate(&case.reference, image, None, &options)?;
    let mut json = serde_json::to_value(&scores)?;
    if test.is_truncated() {
        json["data_consistency"] = json!(metrics::data_consistency(image, &case.lr)?);
    }
    let headline = EvaluateOptions {
        data_range: Some(scores.data_range),
        detail: Detail::Headline,
        ..EvaluateOptions::default()
    };
    let mut classes = BTreeMap::new();
    for (name, mask) in &case.classes {
        let of_class = metrics::evaluate(&case.reference, image, Some(mask), &headline)?;
        classes.insert(name, serde_json::to_value(of_class.masked)?);
    }
    if !classes.is_empty() {
        json["classes"] = serde_json::to_value(classes)?;
    }
    Ok(json)
}
