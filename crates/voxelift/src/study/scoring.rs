//! One method on one test set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use rayon::prelude::*;
use serde_json::Value;
use voxelift_model::memory;
use voxelift_model::scoring::{self, Method};
use voxelift_volume::Volume;
use voxelift_volume::metrics::{Detail, EVALUATION_BYTES, EvaluateOptions, SetMember, set_scores};

use super::cases::{Case, TestSet};
use super::scores::{ScanScores, TestScores};
use crate::terminal::Progress;

/// Scores a method on every scan of a test set; none when asked to stop. A model twice: alone, and with what its scan
/// measured put back, as `upscale` does by default. What is doubtful about a scan goes to `warn`.
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
    warn: &dyn Fn(String),
    progress: &mut Progress<'_>,
) -> anyhow::Result<Option<Vec<TestScores>>> {
    if let Method::Model(resolver) = method {
        let (has, needs) = (resolver.scale(), test.scale());
        anyhow::ensure!(
            has == needs,
            "test {}: a scale of {needs}; the model has {has}",
            test.definition.name
        );
    }
    let arms = if let Method::Model(_) = method { 2 } else { 1 };
    let mut all: Vec<Arm> = (0..arms).map(|_| Arm::default()).collect();
    let mut waiting: Vec<Waiting> = Vec::new();
    for index in 0..test.scans.len() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        progress.set(index as u64, &test.scans[index].name);
        let case = test.case(index, warn)?;
        let begin = Instant::now();
        let image = method.apply(&case.lr, test.scale().up(case.lr.extent()), &case.reference)?;
        let mut images = vec![(image, begin.elapsed().as_secs_f64())];
        if arms == 2 {
            let operators = &test.definition.degrade.operator;
            let image = scoring::consistent(&images[0].0, &case.lr, operators)?;
            images.push((image, begin.elapsed().as_secs_f64()));
        }
        let voxels = arms * case.reference.data().len() as u64;
        waiting.push((index, case, images));
        if waiting.len() >= memory::side_by_side(voxels * EVALUATION_BYTES) || index + 1 == test.scans.len() {
            let scored: Vec<Vec<Scored>> = waiting
                .par_drain(..)
                .map(|(index, case, images)| {
                    let scan = &test.scans[index];
                    let case_of = scoring::Case::of(&case.reference, &case.lr);
                    let of = scoring::Case {
                        options: EvaluateOptions {
                            detail: Detail::Brain,
                            ..case_of.options
                        },
                        measured: test.is_truncated().then_some(&case.lr),
                        classes: &case.classes,
                        ..case_of
                    };
                    let scored = images.into_iter().map(|(image, seconds)| {
                        let scores = of.score(&image).with_context(|| scan.name.clone())?;
                        let scored = ScanScores {
                            scan: scan.name.clone(),
                            person: scan.subject.clone(),
                            seconds,
                            scores,
                        };
                        Ok((scored, [&image, &case.reference].map(SetMember::of)))
                    });
                    scored.collect()
                })
                .collect::<anyhow::Result<_>>()?;
            for (arm, (scored, [image, reference])) in
                scored.into_iter().flat_map(|arms| arms.into_iter().enumerate())
            {
                all[arm].scans.push(scored);
                all[arm].images.extend(image);
                all[arm].references.extend(reference);
            }
        }
    }
    let scores = all.into_iter().map(|arm| TestScores {
        of: of.clone(),
        set: set_scores(&arm.images, &arm.references),
        scans: arm.scans,
    });
    Ok(Some(scores.collect()))
}

/// A scan whose images wait to be scored: its place, its case, each image with the seconds that it took.
type Waiting = (usize, Case, Vec<(Volume, f64)>);

/// What scoring an image leaves: its scores, and what it and its reference add to the two sets.
type Scored = (ScanScores, [Option<SetMember>; 2]);

/// A method's images of one kind, scored.
#[derive(Default)]
struct Arm {
    scans: Vec<ScanScores>,
    images: Vec<SetMember>,
    references: Vec<SetMember>,
}
