use super::*;
use crate::degrade::Operator;
use crate::nifti;
use crate::phantom::{PhantomConfig, head};
use std::path::PathBuf;

fn phantoms(seeds: std::ops::Range<u64>) -> Vec<Volume> {
    seeds
        .map(|seed| {
            head(&PhantomConfig {
                seed,
                extent: [56; 3],
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
fn the_operator_of_other_phantoms_is_found() {
    let (hr, others) = (phantoms(0..3), phantoms(10..14));
    for text in ["kspace", "box", "gaussian:0.6"] {
        let operator: Operators = text.parse().unwrap();
        let found = calibrate(&hr, &degraded(&others, operator, 0.0), Scale::isotropic(2)).unwrap();
        eprintln!("{text}: {found}");
        assert_eq!(found.best.operator, operator, "{found}");
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    }
}

fn real(folder: &str, names: &[&str]) -> Option<Vec<Volume>> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    if !root.exists() {
        return None;
    }
    let load = |name: &&str| {
        let path = root.join(folder).join(format!("{name}.nii.gz"));
        nifti::read(&path, &nifti::ReadOptions::default())
            .unwrap()
            .into_single()
            .unwrap()
    };
    Some(names.iter().map(load).collect())
}

#[test]
#[ignore = "minutes; prints what it measures"]
fn real_pools() {
    let hr = ["1107", "1011", "1025"].map(|n| format!("oasis-malf{n}_T1w_1mm_brain"));
    let lr = ["1001", "1006", "1018", "1010"].map(|n| format!("oasis-malf{n}_T1w_1mm_brain"));
    let names = |n: &[String]| n.to_vec();
    let hr = real(
        "train/hr",
        &names(&hr).iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .unwrap();
    let lr = real(
        "train/hr",
        &names(&lr).iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .unwrap();
    for text in [
        "kspace",
        "box",
        "gaussian:0.45",
        "cubic",
        "kspace/kspace/gaussian:0.5",
    ] {
        let operator: Operators = text.parse().unwrap();
        let target = degraded(&lr, operator, 0.0);
        let start = std::time::Instant::now();
        let found = calibrate(&hr, &target, Scale::isotropic(2)).unwrap();
        eprintln!("== {text} in {:?}: {found}", start.elapsed());
        for c in &found.ranked {
            eprintln!("   {} noise {} misfit {:.3}", c.operator, c.noise, c.misfit);
        }
    }
    let noisy = calibrate(&hr, &degraded(&lr, Operator::KSpace, 0.03), Scale::isotropic(2)).unwrap();
    eprintln!("== kspace noise 0.03: {noisy}");
    let other = ["34", "26", "06", "50"].map(|n| format!("ds002748-sub{n}_T1w_brain"));
    let other = real(
        "train/lr_source",
        &other.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .unwrap();
    let to_two = Degradation {
        grid: crate::degrade::Grid::SpacingMm([2.0; 3]),
        ..Degradation::default()
    };
    let other: Vec<Volume> = other.iter().map(|v| to_two.apply(v, 0).unwrap()).collect();
    let found = calibrate(&hr, &other, Scale::isotropic(2)).unwrap();
    eprintln!("== across scanners: {found} {:?}", found.warnings);
    for c in &found.ranked {
        eprintln!("   {} noise {} misfit {:.3}", c.operator, c.noise, c.misfit);
    }
}
