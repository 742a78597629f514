use super::*;
use crate::nifti;
use crate::phantom::{PhantomConfig, head};
use crate::volume::Geometry;
use std::io::Write as _;
use std::path::PathBuf;

fn phantoms(seeds: std::ops::Range<u64>) -> Vec<Volume> {
    seeds
        .map(|seed| {
            head(&PhantomConfig {
                seed,
                extent: [64; 3],
                ..Default::default()
            })
            .unwrap()
        })
        .collect()
}

fn degraded(volumes: &[Volume], operator: impl Into<Operators>, noise: f64) -> Vec<Volume> {
    let degradation = Degradation {
        noise,
        ..Degradation::new(operator, Scale::isotropic(2))
    };
    volumes
        .iter()
        .enumerate()
        .map(|(i, v)| degradation.apply(v, i as u64).unwrap())
        .collect()
}

#[test]
fn the_operator_and_the_noise_of_other_phantoms_are_found() {
    let (hr, others) = (phantoms(0..3), phantoms(10..14));
    for (text, noise) in [
        ("kspace", 0.0),
        ("gaussian:0.55", 0.02),
        ("kspace", 0.04),
        ("box", 0.05),
    ] {
        let operator: Operators = text.parse().unwrap();
        let found = calibrate(&hr, &degraded(&others, operator, noise), Scale::isotropic(2)).unwrap();
        assert_eq!(found.best.operator, operator, "{found}");
        assert!((found.best.noise - noise).abs() <= 0.25 * noise, "{found}");
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    }
}

#[test]
fn the_operator_and_the_noise_of_single_slices_are_found() {
    let slices: Vec<Volume> = phantoms(0..MOST_HR as u64)
        .iter()
        .map(|volume| volume.crop([0, 0, 32], [64, 64, 1]))
        .collect();
    let scale = Scale([2, 2, 1]);
    for (text, noise) in [("kspace", 0.0), ("kspace", 0.03), ("gaussian:0.55", 0.03)] {
        let operator: Operators = text.parse().unwrap();
        let degradation = Degradation {
            noise,
            ..Degradation::new(operator, scale)
        };
        let degraded = (0..)
            .zip(&slices)
            .map(|(seed, slice)| degradation.apply(slice, seed));
        let lr = degraded.collect::<Result<Vec<_>>>().unwrap();
        let found = calibrate(&slices, &lr, scale).unwrap();
        assert_eq!(found.best.operator.0[0], operator.0[0], "{found}");
        assert!((found.best.noise - noise).abs() <= 0.25 * noise, "{found}");
        assert!(found.best.misfit < LARGE_MISFIT, "{found}");
    }
}

/// A head of another contrast, or another subject's, is brighter in all bands alike: that is no other operator.
#[test]
fn pools_of_different_brightness_inside_agree() {
    let hr = phantoms(0..2);
    let kspace: Operators = "kspace".parse().unwrap();
    // The brightest voxels, by which intensities are scaled, become brighter; the rest stays.
    let brightest = |volume: &Volume| volume.data().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let changed: Vec<Volume> = hr
        .iter()
        .map(|volume| {
            let most = brightest(volume);
            let voxels = volume
                .data()
                .iter()
                .map(|v| if *v > 0.9 * most { 1.2 * v } else { *v });
            Volume::new(voxels.collect(), volume.geometry().clone())
        })
        .collect();
    let found = calibrate(&hr, &degraded(&changed, kspace, 0.03), Scale::isotropic(2)).unwrap();
    assert_eq!(found.best.operator, kspace, "{found}");
    assert!(found.best.misfit < 0.05, "{found}");
}

#[test]
fn a_level_counts_as_one_band_and_less_where_noise_fills_it() {
    // Power that falls from a hundred times that of the noise to a hundredth, and a tenth more of it.
    let noise: f64 = 0.01;
    let logs = |times: f64| {
        [Some(std::array::from_fn(|band| {
            let power = 0.01 * (-0.4 * band as f64).exp();
            (times * power + noise * noise).ln()
        })); 3]
    };
    let level = 1.1_f64.ln() / (BANDS as f64).sqrt();
    assert_eq!(misfit(&logs(1.0), &logs(1.0), noise), 0.0);
    let [x, y, _] = logs(1.0);
    assert_eq!(misfit(&[x, y, None], &logs(1.0), noise), 0.0);
    assert_eq!(misfit(&[x, None, None], &[None, y, None], noise), f64::INFINITY);
    let found = misfit(&logs(1.1), &logs(1.0), noise);
    assert!(
        (0.8 * level..1.1 * level).contains(&found),
        "{found} against {level}"
    );
}

#[test]
fn levels_of_noise_lie_near_enough_to_tell_a_little_more_of_it() {
    let hr = phantoms(0..2);
    let kspace: Operators = "kspace".parse().unwrap();
    let found = [0.017, 0.02, 0.024, 0.028, 0.034, 0.04, 0.048].map(|noise| {
        let found = calibrate(&hr, &degraded(&hr, kspace, noise), Scale::isotropic(2)).unwrap();
        assert_eq!(found.best.operator, kspace, "{found}");
        assert!((found.best.noise / noise - 1.0).abs() < 0.15, "{noise}: {found}");
        found.best.noise
    });
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
}

/// The middle of real heads, large enough for a spectrum and small enough for a test.
fn real(numbers: &[u32]) -> Option<Vec<Volume>> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/train/hr"
    ));
    let load = |number: &u32| {
        let path = folder.join(format!("oasis-malf{number}_T1w_1mm_brain.nii.gz"));
        let whole = nifti::read(&path, &nifti::ReadOptions::default())
            .unwrap()
            .into_single()
            .unwrap();
        whole.crop(whole.extent().map(|n| (n - 88) / 2), [88; 3])
    };
    folder.exists().then(|| numbers.iter().map(load).collect())
}

#[test]
fn the_operator_of_other_subjects_scans_is_found() {
    let (Some(hr), Some(others)) = (real(&[1107, 1011, 1025]), real(&[1001, 1006, 1018, 1010])) else {
        writeln!(std::io::stderr(), "skipped: no shared data").expect("a standard error");
        return;
    };
    for text in ["kspace", "box"] {
        let operator: Operators = text.parse().unwrap();
        let found = calibrate(&hr, &degraded(&others, operator, 0.0), Scale::isotropic(2)).unwrap();
        assert_eq!(found.best.operator, operator, "{found}");
        assert!(found.best.misfit < 0.5 * found.ranked[1].misfit, "{found}");
    }
}

#[test]
fn pools_that_cannot_be_compared_are_refused_or_complained_about() {
    let hr = phantoms(0..1);
    let message = |lr: &[Volume]| calibrate(&hr, lr, Scale::isotropic(2)).unwrap_err().to_string();
    assert!(message(&[]).contains("1 HR and 0 LR"));
    assert!(message(&[Volume::filled(0.0, hr[0].geometry().clone())]).contains("no contrast"));
    assert!(message(&[hr[0].crop([28; 3], [8; 3])]).contains("name the operator"));
    let found = calibrate(&hr, &hr, Scale::isotropic(2)).unwrap();
    assert!(
        found.warnings[0].contains("1 of 1 LR scans have voxels of another size"),
        "{:?}",
        found.warnings
    );
    assert!(
        found.warnings[1].starts_with("a single HR and a single LR scan: "),
        "{:?}",
        found.warnings
    );
    assert!(
        found.warnings.len() == 3 && found.best.misfit > LARGE_MISFIT,
        "{found}"
    );
}

#[test]
fn an_operator_of_its_own_along_one_axis_is_found() {
    let (hr, others) = (phantoms(0..2), phantoms(10..13));
    let operator: Operators = "kspace/kspace/gaussian:0.55".parse().unwrap();
    let found = calibrate(&hr, &degraded(&others, operator, 0.0), Scale::isotropic(2)).unwrap();
    assert_eq!(found.best.operator.0[2], operator.0[2], "{found}");
    assert!(found.best.misfit < 0.5 * found.ranked[1].misfit, "{found}");
    assert_eq!(found.degradation().operator, found.best.operator);
}

#[test]
fn axes_are_matched_by_their_direction_in_the_world() {
    let hr = phantoms(0..1);
    let lr = degraded(
        &phantoms(10..12),
        "kspace/kspace/gaussian:0.55".parse::<Operators>().unwrap(),
        0.0,
    );
    // Stored with z fastest: axes z, x, y of the same head.
    let turned = |v: &Volume| {
        let [nx, ny, nz] = v.extent();
        let world_from_voxel = v.geometry().world_from_voxel.map(|r| [r[2], r[0], r[1], r[3]]);
        let mut data = Vec::with_capacity(v.data().len());
        for y in 0..ny {
            for x in 0..nx {
                data.extend((0..nz).map(|z| v.at([x, y, z])));
            }
        }
        Volume::new(
            data,
            Geometry {
                extent: [nz, nx, ny],
                world_from_voxel,
            },
        )
    };
    let turned: Vec<Volume> = lr.iter().map(turned).collect();
    let log_powers = |v: &[Volume]| {
        mean_log(&v.iter().map(|v| Powers::of(v).unwrap()).collect::<Vec<_>>(), 0.0).map(Option::unwrap)
    };
    for (a, b) in log_powers(&lr)
        .iter()
        .flatten()
        .zip(log_powers(&turned).iter().flatten())
    {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    let pool = [hr[0].clone(), turned[0].clone()];
    assert!(
        calibrate(&pool, &lr, Scale::isotropic(2))
            .unwrap_err()
            .to_string()
            .contains("storage order")
    );
}

#[test]
fn spectra_agree_with_numpy() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/calibration.json")).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> { serde_json::from_value(value.clone()).unwrap() };
    let extent: [usize; 3] = serde_json::from_value(golden["extent"].clone()).unwrap();
    let voxels = numbers(&golden["volume"]).iter().map(|&v| v as f32).collect();
    let volume = Volume::new(voxels, Geometry::axis_aligned(extent, [1.0; 3]));
    let agree = |ours: &[f64], theirs: Vec<f64>, within: f64| {
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < within * b, "{ours:?} against {theirs:?}");
        }
    };
    for axis in 0..3 {
        agree(
            &crate::kspace::mean_power(&volume, axis),
            numbers(&golden["power"][axis]),
            1e-5,
        );
    }
    let bands = spectrum::banded(&crate::kspace::mean_power(&volume, 0), extent[0]);
    agree(&bands, numbers(&golden["bands"]), 1e-3);
}
