//! Scores against scikit-image, pytorch-msssim, piq, SciPy and NumPy: golden numbers of
//! `scripts/reference/metrics_golden.py`, on volumes that both sides make by the same formula.

use serde_json::Value;
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{
    DataRange, EvaluateOptions, IntensityMatch, Pair, Regions, evaluate, fidelity, least_squares_match,
    perceptual, ssim, ssim_map, ssim_slice, structure,
};
use voxelift_volume::{Geometry, Volume};

/// The formula of the script's `volumes`: reference, image and mask.
fn volumes(extent: [usize; 3]) -> (Volume, Volume, Mask) {
    let [nx, ny, nz] = extent;
    let (mut reference, mut image, mut mask) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..nx * ny * nz {
        let (i, j, k) = (index % nx, index / nx % ny, index / (nx * ny));
        let square = |i: usize, n: usize| ((2 * i + 1) as f64 / n as f64 - 1.0).powi(2);
        let radius = square(i, nx) + square(j, ny) + square(k, nz);
        let noise = f64::from((index as u32).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24) - 0.5;
        let (x, y, z) = (i as f64, j as f64, k as f64);
        let texture = (0.9 * x + 0.3 * z).sin() * (0.7 * y - 0.2 * x).cos() + 0.5 * (1.7 * z + 0.4 * y).sin();
        let tissue = if radius < 0.25 {
            160.0
        } else if radius < 0.5 {
            110.0
        } else {
            60.0
        };
        let head = radius < 0.8;
        reference.push(if head { tissue + 20.0 * texture } else { 0.0 } as f32);
        let blurred = if head {
            0.93 * tissue + 12.0 * texture + 5.0
        } else {
            1.0
        };
        image.push((blurred + 9.0 * noise) as f32);
        mask.push(radius < 0.7);
    }
    let grid = Geometry::axis_aligned(extent, [1.0; 3]);
    (
        Volume::new(reference, grid.clone()),
        Volume::new(image, grid),
        Mask::new(mask, extent),
    )
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/metrics.json")).expect("the golden file is JSON")
}

fn small() -> Pair {
    let (reference, image, mask) = volumes([47, 52, 45]);
    Pair::new(&reference, &image, &mask).unwrap()
}

fn range_of(pair: &Pair) -> DataRange {
    let values = pair.reference().data().iter().map(|&v| f64::from(v));
    let full = values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min);
    DataRange {
        full,
        p995: Some(full),
    }
}

#[track_caller]
fn assert_close(got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().expect("a golden number");
    assert!(
        (got - expected).abs() <= tolerance * expected.abs().max(1.0),
        "got {got}, expected {expected}"
    );
}

const UNMATCHED: Regions<IntensityMatch> = Regions {
    whole: IntensityMatch::IDENTITY,
    masked: IntensityMatch::IDENTITY,
};

#[test]
fn fidelity_agrees_with_scikit_image() {
    let (pair, golden) = (small(), &golden()["small"]["fidelity"]);
    let range = range_of(&pair);
    let matches = least_squares_match(&pair);
    let raw = fidelity(&pair, range, &UNMATCHED);
    let matched = fidelity(&pair, range, &matches);
    let regions = [
        (raw.whole, matched.whole, matches.whole, &golden["whole"]),
        (raw.masked, matched.masked, matches.masked, &golden["masked"]),
    ];
    for (raw, matched, by, golden) in regions {
        assert_close(raw.psnr_db, &golden["psnr_db"], 1e-9);
        assert_close(raw.nrmse, &golden["nrmse"], 1e-9);
        assert_close(by.slope, &golden["slope"], 1e-9);
        assert_close(by.intercept, &golden["intercept"], 1e-7);
        assert_close(matched.psnr_db, &golden["matched_psnr_db"], 1e-9);
    }
}

#[test]
fn ssim_agrees_with_scikit_image() {
    let (pair, golden) = (small(), &golden()["small"]["structure"]);
    let range = range_of(&pair).full;
    let scores = structure(&pair, range, &least_squares_match(&pair));
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

    let slices = ssim_slice(&pair, range);
    assert_close(slices.whole.unwrap(), &golden["ssim_slice"], 1e-9);
    assert_close(slices.masked.unwrap(), &golden["masked_ssim_slice"], 1e-9);
    assert_eq!(
        pair.foreground_slices().iter().filter(|f| **f).count() as u64,
        golden["slices"]
    );
}

#[test]
fn ms_ssim_agrees_with_pytorch_msssim_at_three_and_at_five_scales() {
    for (extent, scales, name) in [([47, 52, 45], 3, "small"), ([165, 162, 161], 5, "large")] {
        let (reference, image, mask) = volumes(extent);
        let pair = Pair::new(&reference, &image, &mask).unwrap();
        let scores = structure(&pair, range_of(&pair).full, &UNMATCHED);
        assert_eq!(scores.scales, scales);
        assert_close(scores.ms_ssim.whole.unwrap(), &golden()[name]["ms_ssim"], 1e-6);
    }
}

#[test]
fn perceptual_scores_agree_with_piq_on_odd_and_even_slices() {
    for (extent, name) in [([47, 52, 45], "small"), ([64, 48, 12], "even")] {
        let (reference, image, mask) = volumes(extent);
        let pair = Pair::new(&reference, &image, &mask).unwrap();
        let scores = perceptual(&pair, range_of(&pair).full);
        for (scores, region) in [(scores.whole, "whole"), (scores.masked, "masked")] {
            let golden = &golden()[name]["perceptual"][region];
            assert_close(scores.haarpsi.unwrap(), &golden["haarpsi"], 1e-7);
            assert_close(scores.gmsd.unwrap(), &golden["gmsd"], 1e-7);
            assert_close(scores.vifp.unwrap(), &golden["vifp"], 1e-7);
            assert_close(scores.fsim.unwrap(), &golden["fsim"], 1e-7);
        }
    }
}

#[test]
fn evaluate_speaks_the_promised_json() {
    let (reference, image, mask) = volumes([47, 52, 45]);
    let scores = evaluate(&reference, &image, Some(&mask), &EvaluateOptions::default()).unwrap();
    let json = serde_json::to_value(&scores).unwrap();
    let same = [
        "psnr_db",
        "psnr_p995_db",
        "ssim",
        "nrmse",
        "ssim_slice",
        "ms_ssim",
    ];
    for key in same {
        assert!(json[key].is_f64(), "{key} in {json:#}");
        assert!(json["masked"][key].is_f64(), "masked {key} in {json:#}");
    }
    assert!(
        json["data_range"].is_f64() && json["mask"] == "given" && json["voxels"] == 47 * 52 * 45,
        "{json:#}"
    );

    let identical = evaluate(&reference, &reference, None, &EvaluateOptions::default()).unwrap();
    let json = serde_json::to_value(&identical).unwrap();
    assert!(
        json["psnr_db"].is_null() && json["masked"]["psnr_db"].is_null(),
        "{json:#}"
    );
    assert!(json["ssim"] == 1.0 && json["nrmse"] == 0.0, "{json:#}");
    assert!(json["mask"].as_str().unwrap().contains("Otsu"), "{json:#}");
}
