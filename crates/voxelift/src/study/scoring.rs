//! One method on one test set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use rayon::prelude::*;
use serde_json::Value;
use voxelift_model::memory;
use voxelift_model::scoring::{self, Method};
use voxelift_volume::Volume;
use voxelift_volume::metrics::{EVALUATION_BYTES, SetMember, set_scores};

use super::cases::{Case, TestSet};
use super::kept::{ScanScores, TestScores};
use crate::terminal::Progress;

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
        let image = method.apply(&case.lr, test.scale().up(case.lr.extent()), &case.reference)?;
        let voxels = case.reference.data().len() as u64;
        waiting.push((index, case, image, begin.elapsed().as_secs_f64()));
        if waiting.len() >= memory::side_by_side(voxels * EVALUATION_BYTES) || index + 1 == test.scans.len() {
            let scored: Vec<(ScanScores, [Option<SetMember>; 2])> = waiting
                .par_drain(..)
                .map(|(index, case, image, seconds)| {
                    let scan = &test.scans[index];
                    let of = scoring::Case {
                        measured: test.is_truncated().then_some(&case.lr),
                        classes: &case.classes,
                        ..scoring::Case::of(&case.reference, &case.lr)
                    };
                    let scores = of.score(&image).with_context(|| scan.name.clone())?;
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
    Ok(Some(TestScores { of, scans, set }))
}
