//! A score among the others: its name, which way is better, and where its value stands.

use super::scores::{RegionScores, Scores};
use super::sets::SetScores;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More.
    Higher,
    /// Less.
    Lower,
}

impl Direction {
    /// An arrow for the head of a table.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
        }
    }

    /// Whether one value is better than another.
    pub fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::Higher => one > other,
            Self::Lower => one < other,
        }
    }
}

/// A score of an image, or of a set of images. A new one is added here, and its value to [`RegionScores`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Score {
    /// [`RegionScores::psnr_db`].
    Psnr,
    /// [`RegionScores::psnr_p995_db`].
    PsnrP995,
    /// [`RegionScores::ssim`].
    Ssim,
    /// [`RegionScores::ssim_slice`].
    SsimSlice,
    /// [`RegionScores::ms_ssim`].
    MsSsim,
    /// [`RegionScores::nrmse`].
    Nrmse,
    /// [`RegionScores::haarpsi`].
    HaarPsi,
    /// [`RegionScores::fsim`].
    Fsim,
    /// [`RegionScores::vifp`].
    Vifp,
    /// [`RegionScores::gmsd`].
    Gmsd,
    /// [`RegionScores::hfen`].
    Hfen,
    /// `resolution_mm` of [`RegionScores::fsc`].
    Resolution,
    /// `beyond_nyquist.gain` of [`RegionScores::fsc`].
    GainBeyondNyquist,
    /// `beyond_nyquist.hallucination_index` of [`RegionScores::fsc`].
    HallucinationIndex,
    /// [`RegionScores::data_consistency`].
    DataConsistency,
    /// [`SetScores::sliced_wasserstein`].
    SlicedWasserstein,
    /// [`SetScores::log_power_l1`].
    LogPowerL1,
}

/// Key, label, direction and digits of a score.
type Description = (&'static str, &'static str, Direction, usize);

impl Score {
    /// Every score of an image, in the order of the tables.
    pub const ALL: [Self; 15] = [
        Self::Psnr,
        Self::PsnrP995,
        Self::Ssim,
        Self::SsimSlice,
        Self::MsSsim,
        Self::Nrmse,
        Self::HaarPsi,
        Self::Fsim,
        Self::Vifp,
        Self::Gmsd,
        Self::Hfen,
        Self::Resolution,
        Self::GainBeyondNyquist,
        Self::HallucinationIndex,
        Self::DataConsistency,
    ];

    /// Scores of the images of one method against the references as two sets.
    pub const OF_SETS: [Self; 2] = [Self::SlicedWasserstein, Self::LogPowerL1];

    /// The scores whose gains are reported, and that are listed for each subject.
    pub const GAINS: [Self; 4] = [Self::Psnr, Self::Ssim, Self::HaarPsi, Self::GainBeyondNyquist];

    fn description(self) -> Description {
        use Direction::{Higher, Lower};
        match self {
            Self::Psnr => ("psnr_db", "PSNR (dB)", Higher, 2),
            Self::PsnrP995 => ("psnr_p995_db", "PSNR, range p99.5 (dB)", Higher, 2),
            Self::Ssim => ("ssim", "SSIM", Higher, 4),
            Self::SsimSlice => ("ssim_slice", "SSIM by slice", Higher, 4),
            Self::MsSsim => ("ms_ssim", "MS-SSIM", Higher, 4),
            Self::Nrmse => ("nrmse", "NRMSE", Lower, 4),
            Self::HaarPsi => ("haarpsi", "HaarPSI", Higher, 4),
            Self::Fsim => ("fsim", "FSIM", Higher, 4),
            Self::Vifp => ("vifp", "VIFp", Higher, 4),
            Self::Gmsd => ("gmsd", "GMSD", Lower, 4),
            Self::Hfen => ("hfen", "HFEN", Lower, 4),
            Self::Resolution => ("fsc.resolution_mm", "effective resolution (mm)", Lower, 2),
            Self::GainBeyondNyquist => ("fsc.beyond_nyquist.gain", "gain beyond Nyquist", Higher, 4),
            Self::HallucinationIndex => (
                "fsc.beyond_nyquist.hallucination_index",
                "hallucination index",
                Lower,
                4,
            ),
            Self::DataConsistency => ("data_consistency", "data consistency", Lower, 4),
            Self::SlicedWasserstein => ("sliced_wasserstein", "sliced Wasserstein distance", Lower, 4),
            Self::LogPowerL1 => ("log_power_l1", "log power spectrum L1", Lower, 4),
        }
    }

    /// Its place in the JSON of an evaluation: keys from the outside in, with points between.
    pub fn key(self) -> &'static str {
        self.description().0
    }

    /// The last part of its key, which names it in a model's card.
    pub fn short_key(self) -> &'static str {
        self.key().rsplit('.').next().unwrap_or_default()
    }

    /// Its name with its unit.
    pub fn label(self) -> &'static str {
        self.description().1
    }

    /// Which way is better.
    pub fn direction(self) -> Direction {
        self.description().2
    }

    /// Significant digits behind the point.
    pub fn digits(self) -> usize {
        self.description().3
    }

    /// Its value in a region; none where it is not defined or infinite, and for a score of sets.
    pub fn of(self, scores: &RegionScores) -> Option<f64> {
        let beyond = || scores.fsc.as_ref()?.beyond_nyquist.as_ref();
        let value = match self {
            Self::Psnr => Some(scores.psnr_db),
            Self::PsnrP995 => scores.psnr_p995_db,
            Self::Ssim => scores.ssim,
            Self::SsimSlice => scores.ssim_slice,
            Self::MsSsim => scores.ms_ssim,
            Self::Nrmse => Some(scores.nrmse),
            Self::HaarPsi => scores.haarpsi,
            Self::Fsim => scores.fsim,
            Self::Vifp => scores.vifp,
            Self::Gmsd => scores.gmsd,
            Self::Hfen => scores.hfen,
            Self::Resolution => scores.fsc.as_ref().map(|fsc| fsc.resolution_mm),
            Self::GainBeyondNyquist => beyond().map(|beyond| beyond.gain),
            Self::HallucinationIndex => beyond().map(|beyond| beyond.hallucination_index),
            Self::DataConsistency => scores.data_consistency,
            Self::SlicedWasserstein | Self::LogPowerL1 => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// Its value of two sets; none for a score of an image.
    pub fn of_sets(self, scores: &SetScores) -> Option<f64> {
        let value = match self {
            Self::SlicedWasserstein => Some(scores.sliced_wasserstein),
            Self::LogPowerL1 => Some(scores.log_power_l1),
            _ => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// A value in words, with its significant digits.
    pub fn format(self, value: Option<f64>) -> String {
        let Some(value) = value else {
            return "none".to_owned();
        };
        let text = format!("{value:.*}", self.digits());
        // What rounds to zero has no sign.
        match text.strip_prefix('-') {
            Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
            _ => text,
        }
    }

    /// The scores that at least one of `all` holds, in its mask or as a whole.
    pub fn present<'a>(all: impl IntoIterator<Item = &'a Scores>) -> Vec<Self> {
        let mut held = [false; Self::ALL.len()];
        for scores in all {
            for (held, score) in held.iter_mut().zip(Self::ALL) {
                *held |= score.of(&scores.whole).or(score.of(&scores.masked)).is_some();
            }
        }
        let scores = Self::ALL.into_iter().zip(held);
        scores.filter(|(_, held)| *held).map(|(score, _)| score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        serde_json::from_value(serde_json::json!({
            "psnr_db": 30.123, "ssim": null, "nrmse": null, "fsc": {"resolution_mm": 1.5},
            "masked": {"psnr_db": 25.5, "ssim": 0.9}
        }))
        .expect("scores")
    }

    #[test]
    fn scores_are_found_by_region_and_absent_ones_are_left_out() {
        let scores = scores();
        assert_eq!(
            Score::present([&scores]),
            [Score::Psnr, Score::Ssim, Score::Resolution]
        );
        assert_eq!(Score::Psnr.format(Score::Psnr.of(&scores.whole)), "30.12");
        assert_eq!(Score::Ssim.format(Score::Ssim.of(&scores.whole)), "none");
        assert_eq!(Score::Ssim.of(&scores.masked), Some(0.9));
        assert_eq!(Score::Ssim.format(Some(-1e-6)), "0.0000");
        assert_eq!(Score::Ssim.format(Some(-0.5)), "-0.5000");
    }

    #[test]
    fn a_key_leads_to_the_value_in_the_json() {
        let mut region = RegionScores {
            data_consistency: Some(0.5),
            ..RegionScores::default()
        };
        let numbers = [
            &mut region.psnr_p995_db,
            &mut region.ssim,
            &mut region.ssim_slice,
            &mut region.ms_ssim,
            &mut region.haarpsi,
            &mut region.gmsd,
            &mut region.vifp,
            &mut region.fsim,
            &mut region.hfen,
        ];
        for (i, number) in numbers.into_iter().enumerate() {
            *number = Some(1.0 + i as f64);
        }
        (region.psnr_db, region.nrmse) = (20.0, 21.0);
        region.fsc = Some(super::super::ShellCorrelation {
            resolution_mm: 22.0,
            beyond_nyquist: Some(super::super::BeyondNyquist {
                gain: 23.0,
                hallucination_index: 24.0,
                ..Default::default()
            }),
            ..Default::default()
        });
        let json = serde_json::to_value(&region).expect("JSON");
        for score in Score::ALL {
            let at = score
                .key()
                .split('.')
                .try_fold(&json, |at, key| at.get(key))
                .and_then(serde_json::Value::as_f64);
            assert!(at.is_some() && at == score.of(&region), "{}", score.key());
        }
    }
}
