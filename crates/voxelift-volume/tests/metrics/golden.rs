//! Against scikit-image, pytorch-msssim, piq, SciPy, scikit-learn and NumPy: golden numbers of
//! `scripts/reference/metrics_golden.py`.

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use voxelift_volume::Volume;
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{
    IntensityMatch, Mixture, Pair, Perceptual, Regions, SetMember, ShellCorrelation, by_subject, fidelity,
    hfen, least_squares_match, paired, perceptual, set_scores, shell_correlation, ssim, ssim_map, ssim_slice,
    structure, tissue_agreement,
};
use voxelift_volume::nifti::{ReadOptions, read};

use crate::made::{UNMATCHED, range_of, small, volumes};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/metrics.json")).expect("the golden file is JSON")
}

#[track_caller]
fn assert_close(got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().expect("a golden number");
    assert!(
        (got - expected).abs() <= tolerance * expected.abs().max(1.0),
        "got {got}, expected {expected}"
    );
}

#[test]
fn fidelity_agrees_with_scikit_image() {
    check_fidelity(&small(), &golden()["small"]["fidelity"]);
}

#[test]
fn ssim_agrees_with_scikit_image() {
    check_structure(&small(), &golden()["small"]["structure"]);
}

#[test]
fn ms_ssim_agrees_with_pytorch_msssim_at_three_and_at_five_scales() {
    for (extent, scales, name) in [([47, 52, 45], 3, "small"), ([165, 162, 161], 5, "large")] {
        let (reference, image, mask) = volumes(extent, [1.0; 3]);
        let pair = Pair::new(&reference, &image, &mask).unwrap();
        let scores = structure(&pair, range_of(&pair).full, &UNMATCHED);
        assert_eq!(scores.scales, scales);
        assert_close(scores.ms_ssim.whole.unwrap(), &golden()[name]["ms_ssim"], 1e-6);
    }
}

#[test]
fn perceptual_scores_agree_with_piq_on_odd_and_even_slices() {
    for (extent, name) in [([47, 52, 45], "small"), ([64, 48, 12], "even")] {
        let (reference, image, mask) = volumes(extent, [1.0; 3]);
        let pair = Pair::new(&reference, &image, &mask).unwrap();
        check_perceptual(&pair, &golden()[name]["perceptual"]);
    }
}

#[test]
fn hfen_agrees_with_scipy() {
    check_hfen(&small(), &golden()["small"]["hfen"]);
}

#[test]
fn shell_correlation_agrees_with_numpy_on_unequal_spacings() {
    let (reference, image, mask) = volumes([47, 52, 45], [1.0, 1.1, 0.9]);
    let pair = Pair::new(&reference, &image, &mask).unwrap();
    check_spectral(&pair, [2.0, 2.2, 0.9], &golden()["small"]["spectral"]);
}

#[test]
fn tissue_classes_agree_with_scikit_learn() {
    check_tissue(&small(), &golden()["small"]["tissue"]);
}

#[test]
fn statistics_agree_with_scipy() {
    let golden = &golden()["statistics"];
    let list = |key: &str| -> Vec<f64> {
        golden[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let of = |differences: &[f64]| paired(differences, &vec![0.0; differences.len()], 3).unwrap();
    let plain = of(&list("plain"));
    assert_close(plain.wilcoxon_p.unwrap(), &golden["plain_p"], 1e-12);
    assert_close(plain.summary.sd.unwrap(), &golden["sd"], 1e-12);
    // Two bootstraps with different draws: their ends scatter by about 0.003.
    let interval = plain.summary.interval.unwrap();
    assert_close(interval[0], &golden["interval"][0], 0.015);
    assert_close(interval[1], &golden["interval"][1], 0.015);
    assert_close(of(&list("tied")).wilcoxon_p.unwrap(), &golden["tied_p"], 1e-12);
    assert_eq!(of(&list("plain")), plain, "the same seed, the same interval");
    assert_eq!(
        of(&[0.2, 0.3, 0.4, 0.5, 0.6]).wilcoxon_p,
        None,
        "five subjects prove nothing"
    );
    assert_eq!(of(&[0.0; 7]).wilcoxon_p, None);
    assert_eq!(of(&[1.0]).summary.interval, None);
    let subjects = by_subject([("b", 1.0), ("a", 4.0), ("b", 3.0)]);
    assert_eq!(subjects.into_iter().collect::<Vec<_>>(), [("a", 4.0), ("b", 2.0)]);
}

/// A real head stored as left, front, up, against its averages over 2x2x2 voxels.
#[test]
fn a_real_head_scores_as_the_references_say() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/val/hr/oasis-malf1003_T1w_1mm_brain.nii.gz"
    );
    if !Path::new(path).exists() {
        let _ = writeln!(std::io::stderr(), "skipped: no shared data");
        return;
    }
    let head = read(Path::new(path), &ReadOptions::default())
        .unwrap()
        .into_single()
        .unwrap();
    // The golden script cuts an odd last plane after it has turned the head to the right: at the far end of each axis,
    // which is where x starts in this file.
    let extent = head.extent().map(|n| n / 2 * 2);
    let reference = head.crop([head.extent()[0] % 2, 0, 0], extent);
    let image = averaged(&reference);
    let pair = Pair::new(&reference, &image, &Mask::above(&reference, 50.0)).unwrap();
    let golden = &golden()["real"];
    check_fidelity(&pair, &golden["fidelity"]);
    check_structure(&pair, &golden["structure"]);
    let scores = structure(&pair, range_of(&pair).full, &UNMATCHED);
    assert_close(scores.ms_ssim.whole.unwrap(), &golden["ms_ssim"], 1e-6);
    check_perceptual(&pair, &golden["perceptual"]);
    check_hfen(&pair, &golden["hfen"]);
    check_spectral(&pair, [2.0; 3], &golden["spectral"]);
    check_tissue(&pair, &golden["tissue"]);
    check_sets(&[pair.image()], &[pair.reference()], &golden["sets"]);
}

#[test]
fn sets_of_volumes_compare_as_in_numpy() {
    let of = |extent| volumes(extent, [1.0; 3]);
    let [small, other, third] = [[47, 52, 45], [60, 52, 49], [52, 60, 56]].map(of);
    check_sets(
        &[&small.1, &other.1],
        &[&small.0, &other.0, &third.0],
        &golden()["sets"],
    );
}

/// Patches are kept in single precision.
fn check_sets(images: &[&Volume], references: &[&Volume], golden: &Value) {
    let members = |volumes: &[&Volume]| -> Vec<SetMember> {
        let members = volumes.iter().map(|v| SetMember::of(v).expect("large enough"));
        members.collect()
    };
    let scores = set_scores(&members(images), &members(references)).unwrap();
    for level in 0..3 {
        assert_close(
            scores.sliced_wasserstein_levels[level],
            &golden["levels"][level],
            1e-4,
        );
    }
    assert_close(scores.log_power_l1, &golden["log_power_l1"], 1e-6);
}

/// Each voxel becomes the mean of its block of 2x2x2.
fn averaged(volume: &Volume) -> Volume {
    let [nx, ny, _] = volume.extent();
    let block = |i: usize| {
        let at = [i % nx / 2 * 2, i / nx % ny / 2 * 2, i / (nx * ny) / 2 * 2];
        let corner = |c: usize| f64::from(volume.at([at[0] + c % 2, at[1] + c / 2 % 2, at[2] + c / 4]));
        ((0..8).map(corner).sum::<f64>() / 8.0) as f32
    };
    Volume::new(
        (0..volume.data().len()).map(block).collect(),
        volume.geometry().clone(),
    )
}

fn check_fidelity(pair: &Pair, golden: &Value) {
    let range = range_of(pair);
    let matches = least_squares_match(pair);
    let (raw, matched) = (fidelity(pair, range, &UNMATCHED), fidelity(pair, range, &matches));
    let regions = [
        (raw.whole, matched.whole, matches.whole, &golden["whole"]),
        (raw.masked, matched.masked, matches.masked, &golden["masked"]),
    ];
    for (raw, matched, IntensityMatch { slope, intercept }, golden) in regions {
        assert_close(raw.psnr_db, &golden["psnr_db"], 1e-9);
        assert_close(raw.nrmse, &golden["nrmse"], 1e-9);
        assert_close(slope, &golden["slope"], 1e-7);
        assert_close(intercept, &golden["intercept"], 1e-6);
        assert_close(matched.psnr_db, &golden["matched_psnr_db"], 1e-9);
    }
}

fn check_structure(pair: &Pair, golden: &Value) {
    let range = range_of(pair).full;
    let scores = structure(pair, range, &least_squares_match(pair));
    assert_close(scores.ssim.whole.unwrap(), &golden["ssim"], 1e-9);
    assert_close(scores.ssim.masked.unwrap(), &golden["masked_ssim"], 1e-9);
    assert_close(scores.matched_ssim.whole.unwrap(), &golden["matched_whole"], 1e-9);
    assert_close(
        scores.matched_ssim.masked.unwrap(),
        &golden["matched_masked"],
        1e-9,
    );
    assert_eq!(ssim(pair.reference(), pair.image(), range), scores.ssim.whole);

    let map = ssim_map(pair.reference(), pair.image(), range);
    assert_close(f64::from(map.at([0, 0, 0])), &golden["map_corner"], 1e-6);
    assert_close(f64::from(map.at([20, 1, 2])), &golden["map_edge"], 1e-6);

    let slices = ssim_slice(pair, range);
    assert_close(slices.whole.unwrap(), &golden["ssim_slice"], 1e-9);
    assert_close(slices.masked.unwrap(), &golden["masked_ssim_slice"], 1e-9);
    assert_eq!(
        pair.foreground_slices().iter().filter(|f| **f).count() as u64,
        golden["slices"]
    );
}

fn check_perceptual(pair: &Pair, golden: &Value) {
    let Regions { whole, masked } = perceptual(pair, range_of(pair).full);
    for (
        Perceptual {
            haarpsi,
            gmsd,
            vifp,
            fsim,
        },
        golden,
    ) in [(whole, &golden["whole"]), (masked, &golden["masked"])]
    {
        assert_close(haarpsi.unwrap(), &golden["haarpsi"], 1e-7);
        assert_close(gmsd.unwrap(), &golden["gmsd"], 1e-7);
        assert_close(vifp.unwrap(), &golden["vifp"], 1e-7);
        assert_close(fsim.unwrap(), &golden["fsim"], 1e-7);
    }
}

fn check_hfen(pair: &Pair, golden: &Value) {
    let Regions { whole, masked } = hfen(pair);
    assert_close(whole, &golden["whole"], 1e-6);
    assert_close(masked, &golden["masked"], 1e-6);
}

fn check_spectral(pair: &Pair, measured: [f64; 3], golden: &Value) {
    let Regions { whole, masked } = shell_correlation(pair, Some(measured)).unwrap();
    for (fsc, golden) in [(whole, &golden["whole"]), (masked, &golden["masked"])] {
        let ShellCorrelation {
            correlation,
            cutoff_cycles_per_mm,
            resolution_mm,
            ..
        } = fsc;
        let beyond = fsc.beyond_nyquist.unwrap();
        assert_eq!(correlation.len() as u64, golden["shells"]);
        assert_eq!(beyond.frequencies as u64, golden["frequencies"]);
        assert_close(correlation[0], &golden["first"], 1e-6);
        assert_close(correlation[correlation.len() / 2], &golden["middle"], 1e-6);
        assert_close(*correlation.last().unwrap(), &golden["last"], 1e-6);
        assert_close(cutoff_cycles_per_mm, &golden["cutoff"], 1e-6);
        assert!((resolution_mm * 2.0 * cutoff_cycles_per_mm - 1.0).abs() < 1e-12);
        assert_close(beyond.correlation, &golden["correlation"], 1e-6);
        assert_close(beyond.zero_fill_correlation, &golden["zero_fill"], 1e-6);
        assert!((beyond.gain - (beyond.correlation - beyond.zero_fill_correlation)).abs() < 1e-12);
        assert_close(beyond.hallucination_index, &golden["hallucination"], 1e-6);
        assert_close(beyond.energy, &golden["energy"], 1e-6);
    }
}

/// The mixture is fitted to a histogram, hence not to the last digit.
fn check_tissue(pair: &Pair, golden: &Value) {
    for (volume, golden) in [
        (pair.reference(), &golden["reference"]),
        (pair.image(), &golden["image"]),
    ] {
        let Mixture { weights, means, .. } = Mixture::fitted(volume, pair.mask()).unwrap();
        for class in 0..3 {
            assert_close(means[class], &golden["means"][class], 2e-3);
            assert_close(weights[class], &golden["weights"][class], 2e-3);
        }
    }
    for (class, agreement) in tissue_agreement(pair).unwrap().iter().enumerate() {
        assert_close(agreement.dice, &golden["dice"][class], 2e-3);
        assert_close(
            agreement.volume_difference,
            &golden["volume_difference"][class],
            4e-3,
        );
    }
}
