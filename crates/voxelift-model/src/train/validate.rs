//! The averaged model against the floors, on whole held-out heads.

use std::collections::BTreeMap;

use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{DataRange, IntensityMatch, Pair, Regions, default_mask, fidelity, structure};
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Volume, kspace};

use crate::error::Result;
use crate::infer::{SuperResolver, UpscaleOptions};
use crate::run::ValidationScores;

/// A head whose truth is known.
#[derive(Clone, Debug)]
pub struct ValidationHead {
    /// The name of its file.
    pub name: String,
    /// The truth.
    pub hr: Volume,
    /// What the model gets.
    pub lr: Volume,
    mask: Mask,
    range: DataRange,
    floors: Vec<(&'static str, Volume)>,
}

/// What one validation found.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Means over the heads: `sr` and each floor.
    pub scores: BTreeMap<String, ValidationScores>,
    /// The first head, super-resolved.
    pub first: Volume,
}

impl ValidationHead {
    /// Computes the floors, the default mask and the data range once.
    ///
    /// # Errors
    /// When the truth has no foreground.
    pub fn new(name: String, hr: Volume, lr: Volume) -> Result<Self> {
        let (mask, _) = default_mask(&hr)?;
        let extremes = |(low, high): (f32, f32), v: &f32| (low.min(*v), high.max(*v));
        let (low, high) = hr
            .data()
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), extremes);
        let range = DataRange {
            full: f64::from(high) - f64::from(low),
            p995: None,
        };
        let floors = vec![
            ("zero-fill", kspace::zero_fill(&lr, hr.extent())),
            ("trilinear", resize(&lr, hr.extent(), Interpolation::Trilinear)),
            ("cubic", resize(&lr, hr.extent(), Interpolation::CubicBSpline)),
        ];
        Ok(Self {
            name,
            hr,
            lr,
            mask,
            range,
            floors,
        })
    }

    /// Where the scores in the mask are taken.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The floor that the others stand on.
    pub fn zero_fill(&self) -> &Volume {
        &self.floors[0].1
    }
}

/// Scores the resolver on every head.
///
/// # Errors
/// When a head cannot be normalised.
pub fn validate(resolver: &SuperResolver, heads: &[ValidationHead]) -> Result<Validation> {
    let mut sums: BTreeMap<String, Vec<ValidationScores>> = BTreeMap::new();
    let mut first = None;
    for head in heads {
        let sr = resolver.upscale(&head.lr, &UpscaleOptions::default(), &mut |_, _| {})?;
        for (name, floor) in &head.floors {
            sums.entry((*name).into()).or_default().push(scores(head, floor)?);
        }
        sums.entry("sr".into()).or_default().push(scores(head, &sr)?);
        first.get_or_insert(sr);
    }
    let scores = sums.into_iter().map(|(name, all)| (name, mean(&all))).collect();
    Ok(Validation {
        scores,
        first: first.expect("at least one head"),
    })
}

fn scores(head: &ValidationHead, image: &Volume) -> Result<ValidationScores> {
    let pair = Pair::new(&head.hr, image, &head.mask)?;
    let as_it_is = Regions {
        whole: IntensityMatch::IDENTITY,
        masked: IntensityMatch::IDENTITY,
    };
    let fidelity = fidelity(&pair, head.range, &as_it_is);
    let ssim = structure(&pair, head.range.full, &as_it_is)
        .ssim
        .each(|ssim| ssim.unwrap_or(f64::NAN));
    Ok(ValidationScores {
        psnr_db: fidelity.whole.psnr_db,
        ssim: ssim.whole,
        masked_psnr_db: fidelity.masked.psnr_db,
        masked_ssim: ssim.masked,
    })
}

fn mean(all: &[ValidationScores]) -> ValidationScores {
    let mean = |of: fn(&ValidationScores) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    ValidationScores {
        psnr_db: mean(|s| s.psnr_db),
        ssim: mean(|s| s.ssim),
        masked_psnr_db: mean(|s| s.masked_psnr_db),
        masked_ssim: mean(|s| s.masked_ssim),
    }
}
