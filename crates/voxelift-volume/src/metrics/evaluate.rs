//! Every score of an image against its reference.

use super::fidelity::{DataRange, Fidelity, IntensityMatch, fidelity, least_squares_match};
use super::hfen::hfen;
use super::perceptual::perceptual_of;
use super::protocol::{Pair, Regions};
use super::scores::{GIVEN, MatchedScores, RegionScores, Scores};
use super::spectral::shell_correlation_of;
use super::structure::{ssim_slice, structure};
use super::tissue::tissue_agreement;
use crate::error::{Result, VolumeError};
use crate::intensity::{Mask, Normalization, fill_value, otsu};
use crate::resample::{Interpolation, resample_like};
use crate::volume::{Geometry, Turn, Volume};

/// How far the default mask reaches beyond Otsu's, so that the brain's edge counts.
const MASK_MARGIN: usize = 2;

/// The brain is what lies above this share of the reference's maximum.
const BRAIN: f32 = 0.05;

/// What a full evaluation takes at most beside its volumes: bytes a voxel of the reference.
pub const EVALUATION_BYTES: u64 = 100;

/// How to score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluateOptions {
    /// L of PSNR and SSIM; the reference's maximum minus its minimum when not given.
    pub data_range: Option<f64>,
    /// Voxel size (mm; x, y, z in the reference's file) of the LR image that the scored one was made from: with it the
    /// scores say what happens beyond the frequencies it holds.
    pub measured_spacing_mm: Option<[f64; 3]>,
    /// How much to compute.
    pub detail: Detail,
}

/// How much an evaluation computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Fidelity and structure, in about a second a head: for validation during training.
    Headline,
    /// Every family but the tissues, over the brain or the mask given alone: what studies quote. Over the whole volume fidelity and structure
    /// only, which saves up to two of three passes of the costly families.
    Brain,
    /// Every family.
    #[default]
    Full,
}

/// Scores an image against its reference.
///
/// The two must lie on the same grid up to whole voxels; what only one of them covers is cut off and a note says so.
/// Without a mask two are taken: the brain alone ([`brain_mask`]), whose scores are the ones to quote, and the reference
/// above Otsu's threshold, the largest component, dilated by two voxels. A mask that is given is both.
///
/// # Errors
/// [`VolumeError::GridMismatch`] for different grids; [`VolumeError::Content`] for NaN or infinite voxels, a constant
/// reference without a given data range or mask, or an empty mask; [`VolumeError::Argument`] for a data range that is
/// not positive or a measured spacing finer than the reference's.
pub fn evaluate(
    reference: &Volume,
    image: &Volume,
    mask: Option<&Mask>,
    options: &EvaluateOptions,
) -> Result<Scores> {
    if let Some(mask) = mask {
        let whole = options.detail != Detail::Brain;
        let scores = in_mask(reference, image, mask, GIVEN.to_owned(), options, whole)?;
        return Ok(of_brain_alone(scores));
    }
    if options.detail == Detail::Brain {
        let (brain, words) = brain_mask(reference);
        return Ok(of_brain_alone(in_mask(
            reference, image, &brain, words, options, false,
        )?));
    }
    let (mask, words) = default_mask(reference)?;
    let mut scores = in_mask(reference, image, &mask, words, options, true)?;
    // What is wrong with the two has been found by now; a brain outside what they share has no scores.
    let (brain, words) = brain_mask(reference);
    if let Ok(of_brain) = in_mask(reference, image, &brain, words, options, false) {
        scores.brain = Some(of_brain.masked);
        (scores.brain_mask, scores.brain_voxels) = (of_brain.mask, Some(of_brain.mask_voxels));
    }
    Ok(scores)
}

/// The mask of these scores is the brain's, or was given in its place.
fn of_brain_alone(scores: Scores) -> Scores {
    Scores {
        brain: Some(scores.masked.clone()),
        brain_mask: scores.mask.clone(),
        brain_voxels: Some(scores.mask_voxels),
        ..scores
    }
}

/// The scores over one mask, and over the whole volume, of which the costly ones are left out where they are not wanted.
fn in_mask(
    reference: &Volume,
    image: &Volume,
    mask: &Mask,
    mask_source: String,
    options: &EvaluateOptions,
    whole: bool,
) -> Result<Scores> {
    let pair = Pair::new(reference, image, mask)?;
    let scale = Normalization::of(reference).ok();
    let range = DataRange {
        full: data_range(reference, options.data_range)?,
        p995: scale.map(|scale| f64::from(scale.factor)),
    };

    let mut notes: Vec<String> = pair.cropped().map(str::to_owned).into_iter().collect();
    if pair.mask_share() < 1.0 {
        notes.push(format!(
            "{:.1} % of the mask lies in what both volumes cover; the scores say nothing about the rest",
            100.0 * pair.mask_share()
        ));
    }
    if let Some((count, farthest)) = scale.and_then(|scale| scale.spikes(reference))
        && options.data_range.is_none()
    {
        notes.push(format!(
            "{count} spikes in the reference, up to {farthest}, make the data range {}: PSNR and SSIM flatter; state the data range",
            range.full
        ));
    }
    if let Some(fill) = fill_value(reference)
        && options.data_range.is_none()
    {
        notes.push(format!(
            "the reference: {fill}: a fill value makes the data range {}: PSNR and SSIM flatter; state the data range",
            range.full
        ));
    }
    let unmatched = Regions {
        whole: IntensityMatch::IDENTITY,
        masked: IntensityMatch::IDENTITY,
    };
    let matches = least_squares_match(&pair);
    let raw = fidelity(&pair, range, &unmatched);
    let matched = fidelity(&pair, range, &matches);
    let structure = structure(&pair, range.full, &matches);
    let slices = ssim_slice(&pair, range.full);
    if range.p995.is_none() {
        notes.push(
            "no psnr_p995_db: the 99.5th percentile of the reference's foreground is not positive".to_owned(),
        );
    }
    if structure.scales < 5 {
        notes.push(format!(
            "ms_ssim over {} scales: a side is too short for five",
            structure.scales
        ));
    }

    let region = |of: fn(&Regions<Fidelity>) -> Fidelity, by: IntensityMatch| {
        let (raw, matched) = (of(&raw), of(&matched));
        RegionScores {
            psnr_db: raw.psnr_db,
            psnr_p995_db: raw.psnr_p995_db,
            nrmse: raw.nrmse,
            matched: MatchedScores {
                slope: by.slope,
                intercept: by.intercept,
                psnr_db: matched.psnr_db,
                psnr_p995_db: matched.psnr_p995_db,
                nrmse: matched.nrmse,
                ssim: None,
            },
            ..RegionScores::default()
        }
    };
    let mut scores = Scores {
        whole: region(|f| f.whole, matches.whole),
        masked: region(|f| f.masked, matches.masked),
        data_range: range.full,
        data_range_p995: range.p995,
        brain: None,
        brain_mask: String::new(),
        brain_voxels: None,
        mask: mask_source,
        voxels: pair.reference().data().len(),
        mask_voxels: pair.mask().count(),
        mask_share: pair.mask_share(),
        ms_ssim_scales: structure.scales,
        tissue: None,
        notes,
    };
    scores.fill(structure.ssim, |s| &mut s.ssim);
    scores.fill(structure.matched_ssim, |s| &mut s.matched.ssim);
    scores.fill(structure.ms_ssim, |s| &mut s.ms_ssim);
    scores.fill(slices, |s| &mut s.ssim_slice);
    if options.detail != Detail::Headline {
        scores.add_perceptual(&pair, whole);
        scores.fill(hfen(&pair).each(|h| Some(*h)), |s| &mut s.hfen);
        scores.tissue = if whole { tissue_agreement(&pair) } else { None };
        let fsc = shell_correlation_of(&pair, options.measured_spacing_mm, whole)?;
        scores.fill(fsc.each(|f| Some(f.clone())), |s| &mut s.fsc);
    }
    Ok(scores)
}

impl Scores {
    fn add_perceptual(&mut self, pair: &Pair, whole: bool) {
        let slices = perceptual_of(pair, self.data_range, whole);
        if slices.masked.gmsd.is_none() {
            self.notes
                .push("no slice scores: no axial slice has 5 % foreground".to_owned());
        } else if slices.masked.vifp.is_none() {
            self.notes
                .push("no vifp: a side of the axial slices is under 41 voxels".to_owned());
        }
        self.fill(slices.each(|s| s.haarpsi), |s| &mut s.haarpsi);
        self.fill(slices.each(|s| s.gmsd), |s| &mut s.gmsd);
        self.fill(slices.each(|s| s.vifp), |s| &mut s.vifp);
        self.fill(slices.each(|s| s.fsim), |s| &mut s.fsim);
    }

    /// Puts a score of both regions into its place.
    fn fill<T>(&mut self, score: Regions<T>, place: impl Fn(&mut RegionScores) -> &mut T) {
        *place(&mut self.whole) = score.whole;
        *place(&mut self.masked) = score.masked;
    }
}

/// The mask of an evaluation without one, and what it is in words: the voxels above Otsu's threshold, of these the
/// largest component, dilated by two voxels.
///
/// # Errors
/// For a volume of one value.
pub fn default_mask(reference: &Volume) -> Result<(Mask, String)> {
    let Some(threshold) = otsu(reference.data()) else {
        return Err(VolumeError::content(
            "the reference",
            "the same value everywhere",
            "an image with contrast, or a mask",
        ));
    };
    let mask = Mask::above(reference, threshold)
        .largest_component()
        .dilated(MASK_MARGIN);
    let words = format!(
        "the reference above {threshold} (Otsu), its largest component, dilated by {MASK_MARGIN} voxels"
    );
    Ok((mask, words))
}

/// The brain alone, and what it is in words: the voxels above 5 % of the way from the reference's zero, which is 0 unless its
/// intensities were shifted, to its maximum; spikes are no maximum.
///
/// Of a skull-stripped head these are its voxels but for the darkest. Gains over the dilated [`default_mask`] were 0.4 dB
/// larger, since the ring of zero-fill around a stripped brain counts in it.
pub fn brain_mask(reference: &Volume) -> (Mask, String) {
    let (zero, highest) = match Normalization::of(reference) {
        Ok(scale) => (scale.zero, scale.highest(reference)),
        Err(_) => (0.0, reference.data().iter().copied().fold(0.0, f32::max)),
    };
    let threshold = zero + BRAIN * (highest - zero);
    let words = format!("the reference above {threshold} (5 % of its maximum)");
    (Mask::above(reference, threshold), words)
}

/// A mask from a file of its own, on the grid of `reference`: the voxels above zero, as [`map_on`] carries them; and in words how it
/// got there.
///
/// # Errors
/// When it lies elsewhere, or more than half of it does.
pub fn mask_on(reference: &Geometry, mask: &Volume) -> Result<(Mask, Option<String>)> {
    let (mask, how) = map_on(reference, mask, "mask")?;
    Ok((Mask::above(&mask, 0.0), how))
}

/// A mask or a label map, `what` it is, on the grid of `reference`: whole voxels where it has the same grid in any storage order, else
/// nearest in the world; and in words how it got there.
///
/// # Errors
/// When what it marks lies elsewhere, or more than half of that does.
pub fn map_on(reference: &Geometry, map: &Volume, what: &str) -> Result<(Volume, Option<String>)> {
    let turned = Turn::along(map.geometry(), reference).applied_to(map);
    let place = |voxel: [f64; 3]| turned.geometry().voxel(reference.world(voxel));
    let last = reference.extent.map(|n| n as f64 - 1.0);
    let corners: Vec<[f64; 3]> = (0..8)
        .map(|corner| std::array::from_fn(|a| if corner >> a & 1 == 1 { last[a] } else { 0.0 }))
        .collect();
    let same = turned.extent() == reference.extent
        && corners
            .iter()
            .all(|corner| (0..3).all(|a| (place(*corner)[a] - corner[a]).abs() < 0.01));
    if same {
        return Ok((turned, None));
    }
    let carried = resample_like(&turned, reference, Interpolation::Nearest);
    let [given, left] = [&turned, &carried].map(|map| Mask::above(map, 0.0).count());
    let refuse = |value: String| {
        let expected =
            format!("a {what} that lies where the reference does; compare both with `voxelift info`");
        Err(VolumeError::content(format!("the {what}"), value, expected))
    };
    if given > 0 && left == 0 {
        return refuse("outside the reference's field of view".to_owned());
    }
    let ml = |geometry: &Geometry| geometry.spacing_mm().iter().product::<f64>() / 1000.0;
    let (before, after) = (given as f64 * ml(turned.geometry()), left as f64 * ml(reference));
    let missing = corners.iter().any(|corner| {
        let at = place(*corner);
        (0..3).any(|a| at[a] < -1.5 || at[a] > turned.extent()[a] as f64 + 0.5)
    });
    if missing && after < 0.5 * before {
        return refuse(format!(
            "{before:.1} ml, of which {after:.1} ml in the reference's field of view"
        ));
    }
    let words = format!(
        "the {what} is on another grid; carried onto the reference's, nearest in the world ({before:.1} ml became {after:.1} ml)"
    );
    Ok((carried, Some(words)))
}

fn data_range(reference: &Volume, given: Option<f64>) -> Result<f64> {
    if let Some(range) = given {
        let usable = range > 0.0 && range.is_finite();
        return if usable {
            Ok(range)
        } else {
            Err(VolumeError::argument(
                "data-range",
                range,
                "expected a positive number",
            ))
        };
    }
    let (low, high) = reference
        .data()
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| {
            (l.min(v), h.max(v))
        });
    if low < high {
        Ok(f64::from(high) - f64::from(low))
    } else {
        Err(VolumeError::content(
            "the reference",
            format!("{low} everywhere"),
            "an image with contrast, or a data range",
        ))
    }
}
