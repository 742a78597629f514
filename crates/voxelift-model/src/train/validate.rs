//! The averaged model against the baselines, on whole held-out scans.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::Operators;
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{brain_mask, default_mask};

use crate::error::Result;
use crate::infer::SuperResolver;
use crate::run::ValidationScores;
use crate::scoring::{Case, Method, SR_CONSISTENT, consistent};

/// The baselines that a run is watched against.
const BASELINES: [Baseline; 3] = [Baseline::ZeroFill, Baseline::CubicBSpline, Baseline::Trilinear];

/// A scan whose reference is known.
#[derive(Clone, Debug)]
pub struct ValidationScan {
    /// The name of its file.
    pub name: String,
    /// The reference.
    pub hr: Volume,
    /// What the model gets.
    pub lr: Volume,
    /// What made that.
    pub operators: Operators,
    mask: Mask,
    brain: Mask,
    zero_fill: Volume,
    /// The baselines do not learn: they are scored once, at the first validation.
    baselines: OnceLock<Vec<(Baseline, ValidationScores)>>,
}

/// What one validation found.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Means over the scans: `sr`, `sr-consistent` and each baseline.
    pub scores: BTreeMap<String, ValidationScores>,
    /// The first scan's output, with what that scan measured put back.
    pub first: Volume,
    /// Of each scan by name: PSNR in the brain less that of its best baseline, dB.
    pub gains: Vec<(String, f64)>,
}

impl ValidationScan {
    /// Computes the zero-filled scan and the masks once; `operators` made the scan.
    ///
    /// # Errors
    /// When the reference has no foreground.
    pub fn new(name: String, hr: Volume, lr: Volume, operators: Operators) -> Result<Self> {
        let (mask, _) = default_mask(&hr)?;
        let (brain, _) = brain_mask(&hr);
        let zero_fill = Baseline::ZeroFill.apply(&lr, hr.extent());
        Ok(Self {
            name,
            hr,
            lr,
            operators,
            mask,
            brain,
            zero_fill,
            baselines: OnceLock::new(),
        })
    }

    /// Where the scores to quote are taken: the brain alone.
    pub fn brain(&self) -> &Mask {
        &self.brain
    }

    /// The baseline to beat on k-space-truncated scans.
    pub fn zero_fill(&self) -> &Volume {
        &self.zero_fill
    }

    fn apply(&self, method: Method<'_>) -> Result<Volume> {
        match method {
            Method::Baseline(Baseline::ZeroFill) => Ok(self.zero_fill.clone()),
            method => method.apply(&self.lr, self.hr.extent(), &self.hr),
        }
    }

    fn score(&self, image: &Volume) -> Result<ValidationScores> {
        let [scores, of_brain] =
            [&self.mask, &self.brain].map(|mask| Case::headline(&self.hr, mask).score(image));
        let (scores, of_brain) = (scores?.scores, of_brain?.scores.masked);
        Ok(ValidationScores {
            psnr_db: scores.whole.psnr_db,
            ssim: scores.whole.ssim.unwrap_or(f64::NAN),
            masked_psnr_db: scores.masked.psnr_db,
            masked_ssim: scores.masked.ssim.unwrap_or(f64::NAN),
            brain_psnr_db: of_brain.psnr_db,
            brain_ssim: of_brain.ssim.unwrap_or(f64::NAN),
        })
    }

    fn baselines(&self) -> Result<&[(Baseline, ValidationScores)]> {
        if let Some(scored) = self.baselines.get() {
            return Ok(scored);
        }
        let score = |baseline| {
            let image = self.apply(Method::Baseline(baseline))?;
            Ok((baseline, self.score(&image)?))
        };
        let scored = BASELINES.into_iter().map(score).collect::<Result<_>>()?;
        Ok(self.baselines.get_or_init(|| scored))
    }
}

/// Scores the resolver on every validation scan.
///
/// # Errors
/// When a scan cannot be normalised.
pub fn validate(resolver: &SuperResolver, scans: &[ValidationScan]) -> Result<Validation> {
    let mut sums: BTreeMap<String, Vec<ValidationScores>> = BTreeMap::new();
    let mut first = None;
    let mut gains = Vec::new();
    let model = Method::Model(resolver);
    for scan in scans {
        let sr = scan.apply(model)?;
        let mut best = f64::NEG_INFINITY;
        for (baseline, scores) in scan.baselines()? {
            best = best.max(scores.brain_psnr_db);
            sums.entry(baseline.to_string()).or_default().push(*scores);
        }
        let of_sr = scan.score(&sr)?;
        gains.push((scan.name.clone(), of_sr.brain_psnr_db - best));
        sums.entry(model.name()).or_default().push(of_sr);
        let sr = consistent(&sr, &scan.lr, &scan.operators)?;
        let of_consistent = sums.entry(SR_CONSISTENT.to_owned()).or_default();
        of_consistent.push(scan.score(&sr)?);
        first.get_or_insert(sr);
    }
    let scores = sums.into_iter().map(|(name, all)| (name, mean(&all))).collect();
    Ok(Validation {
        scores,
        first: first.expect("at least one scan"),
        gains,
    })
}

fn mean(all: &[ValidationScores]) -> ValidationScores {
    let mean = |of: fn(&ValidationScores) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    ValidationScores {
        psnr_db: mean(|s| s.psnr_db),
        ssim: mean(|s| s.ssim),
        masked_psnr_db: mean(|s| s.masked_psnr_db),
        masked_ssim: mean(|s| s.masked_ssim),
        brain_psnr_db: mean(|s| s.brain_psnr_db),
        brain_ssim: mean(|s| s.brain_ssim),
    }
}
