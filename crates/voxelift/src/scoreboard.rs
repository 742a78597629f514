//! Floor 11 · The scores as people see them: names, order, and which way is better.
//!
//! Works on the JSON that `evaluate` writes, so that a report needs nothing but that file.

use serde_json::Value;

/// Methods that need no training, the one to beat first.
pub const FLOORS: [&str; 5] = ["zero-fill", "lanczos", "cubic", "trilinear", "nearest"];

/// A score in a table.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Its place in the JSON: keys from the outside in, with points between.
    pub key: &'static str,
    /// Its name with its unit.
    pub name: &'static str,
    /// Which way is better.
    pub higher_is_better: bool,
    /// Digits behind the point.
    pub digits: usize,
}

const fn score(key: &'static str, name: &'static str, higher_is_better: bool, digits: usize) -> Score {
    Score {
        key,
        name,
        higher_is_better,
        digits,
    }
}

/// Every score, in the order in which they are shown. One that a file does not hold is not shown.
pub const SCORES: [Score; 15] = [
    score("psnr_db", "PSNR (dB)", true, 2),
    score("psnr_p995_db", "PSNR, range p99.5 (dB)", true, 2),
    score("ssim", "SSIM", true, 4),
    score("ssim_slice", "SSIM by slice", true, 4),
    score("ms_ssim", "MS-SSIM", true, 4),
    score("nrmse", "NRMSE", false, 4),
    score("haarpsi", "HaarPSI", true, 4),
    score("fsim", "FSIM", true, 4),
    score("vifp", "VIFp", true, 4),
    score("gmsd", "GMSD", false, 4),
    score("hfen", "HFEN", false, 4),
    score("fsc.resolution_mm", "effective resolution (mm)", false, 2),
    score("fsc.beyond_nyquist.gain", "gain beyond Nyquist", true, 4),
    score(
        "fsc.beyond_nyquist.hallucination_index",
        "hallucination index",
        false,
        4,
    ),
    score("data_consistency", "data consistency", false, 4),
];

/// Scores of the images of one method against the references as two sets.
pub const SET_SCORES: [Score; 2] = [
    score("sliced_wasserstein", "sliced Wasserstein distance", false, 4),
    score("log_power_l1", "log power spectrum L1", false, 4),
];

impl Score {
    /// Its value over the mask or the whole volume; none where it is not defined.
    pub fn of(&self, scores: &Value, masked: bool) -> Option<f64> {
        let region = if masked { scores.get("masked")? } else { scores };
        self.key
            .split('.')
            .try_fold(region, |at, key| at.get(key))?
            .as_f64()
    }

    /// A value with the digits that mean something.
    pub fn shown(&self, value: Option<f64>) -> String {
        let Some(value) = value else {
            return "none".to_owned();
        };
        let text = format!("{value:.*}", self.digits);
        // What rounds to zero has no sign.
        match text.strip_prefix('-') {
            Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.to_owned(),
            _ => text,
        }
    }
}

/// The scores that at least one of `all` holds, over the mask or over the whole volume.
pub fn present(all: &[&Value]) -> Vec<&'static Score> {
    let held = |score: &&Score| {
        all.iter()
            .any(|s| score.of(s, false).or(score.of(s, true)).is_some())
    };
    SCORES.iter().filter(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scores_are_found_by_region_and_absent_ones_are_left_out() {
        let scores = json!({"psnr_db": 30.123, "ssim": null, "masked": {"psnr_db": 25.5, "ssim": 0.9}, "fsc": {"resolution_mm": 1.5}});
        let shown = present(&[&scores]);
        assert_eq!(
            shown.iter().map(|s| s.key).collect::<Vec<_>>(),
            ["psnr_db", "ssim", "fsc.resolution_mm"]
        );
        assert_eq!(shown[0].shown(shown[0].of(&scores, false)), "30.12");
        assert_eq!(shown[1].shown(shown[1].of(&scores, false)), "none");
        assert_eq!(shown[1].of(&scores, true), Some(0.9));
        assert_eq!(
            (shown[1].shown(Some(-1e-6)), shown[1].shown(Some(-0.5))),
            ("0.0000".to_owned(), "-0.5000".to_owned())
        );
    }
}
