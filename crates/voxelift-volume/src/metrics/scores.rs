//! What an evaluation says, as plain data: the fields are the keys of `evaluate --json`.

use serde::{Deserialize, Serialize};

use super::number;
use super::spectral::ShellCorrelation;
use super::tissue::ClassAgreement;

/// Every score of one image against its reference.
///
/// As JSON the scores of the whole volume stand beside `masked`, which holds the same keys. A score that is not
/// defined (a side too short for its window) is `null`, and so is an infinite one: identical images have no
/// PSNR. Read again, a number that is `null` or absent is NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scores {
    /// Over every voxel that both volumes have.
    #[serde(flatten)]
    pub whole: RegionScores,
    /// Over the mask: the one given, or by default Otsu's, dilated by two voxels, in which the ringing around a brain whose
    /// surroundings are 0 counts.
    pub masked: RegionScores,
    /// Over the brain alone, the scores to quote: the voxels above 5 % of the reference's maximum, nothing dilated, or the mask
    /// given. Absent in the JSON of earlier versions, and where no voxel is above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brain: Option<RegionScores>,
    /// L of PSNR and SSIM.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub data_range: f64,
    /// L of `psnr_p995_db`.
    pub data_range_p995: Option<f64>,
    /// Where the mask comes from.
    pub mask: String,
    /// How many voxels were compared.
    pub voxels: usize,
    /// How many of them are in the mask.
    pub mask_voxels: usize,
    /// What the brain is, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub brain_mask: String,
    /// How many voxels are in the brain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brain_voxels: Option<usize>,
    /// How much of the mask lies in the field of view that both volumes share; 1 unless something was cut off.
    pub mask_share: f64,
    /// How many scales entered MS-SSIM: 5 unless a side is too short.
    pub ms_ssim_scales: usize,
    /// Agreement of three intensity classes inside the mask.
    pub tissue: Option<Vec<ClassAgreement>>,
    /// What a reader of the numbers has to know: what was cropped, which score was left out and why.
    pub notes: Vec<String>,
}

/// What [`Scores::mask`] and [`Scores::brain_mask`] say of a mask that was given.
pub(super) const GIVEN: &str = "given";

impl Scores {
    /// The scores to quote: over the brain, or over the mask where there are none of the brain.
    pub fn headline(&self) -> &RegionScores {
        self.brain.as_ref().unwrap_or(&self.masked)
    }

    /// Where those are taken, in words.
    pub fn headline_region(&self) -> &'static str {
        match &self.brain {
            Some(_) if self.brain_mask != GIVEN => "in the brain",
            _ => "in the mask",
        }
    }
}

/// The scores of one region. Definitions stand in the family's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegionScores {
    /// Peak signal-to-noise ratio with L = [`Scores::data_range`], in dB.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub psnr_db: f64,
    /// The same with L = [`Scores::data_range_p995`].
    pub psnr_p995_db: Option<f64>,
    /// Structural similarity in three dimensions.
    pub ssim: Option<f64>,
    /// Root mean squared error over the reference's root mean square.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub nrmse: f64,
    /// Structural similarity of axial slices, averaged: another number than `ssim`.
    pub ssim_slice: Option<f64>,
    /// Structural similarity over several scales.
    pub ms_ssim: Option<f64>,
    /// Haar wavelet perceptual similarity of axial slices.
    pub haarpsi: Option<f64>,
    /// Gradient magnitude similarity deviation of axial slices; 0 is best.
    pub gmsd: Option<f64>,
    /// Visual information fidelity in the pixel domain, of axial slices.
    pub vifp: Option<f64>,
    /// Feature similarity of axial slices.
    pub fsim: Option<f64>,
    /// High-frequency error norm; 0 is best.
    pub hfen: Option<f64>,
    /// Of a whole volume whose scan holds the measured k-space: how far it is from that. [`evaluate`](super::evaluate) knows no
    /// scan and leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_consistency: Option<f64>,
    /// Fourier shell correlation.
    pub fsc: Option<ShellCorrelation>,
    /// The first scores after the image's intensities were fitted to the reference's.
    pub matched: MatchedScores,
}

/// Scores after the least-squares intensity match of this region, `slope * image + intercept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchedScores {
    /// Factor of the match.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub slope: f64,
    /// What the match adds.
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub intercept: f64,
    /// As [`RegionScores::psnr_db`].
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub psnr_db: f64,
    /// As [`RegionScores::psnr_p995_db`].
    pub psnr_p995_db: Option<f64>,
    /// As [`RegionScores::nrmse`].
    #[serde(default = "number::absent", deserialize_with = "number::read")]
    pub nrmse: f64,
    /// As [`RegionScores::ssim`].
    pub ssim: Option<f64>,
}
