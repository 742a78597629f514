//! DICOM series written by pydicom, read by SimpleITK and by us: the same voxels in the same places.

use serde_json::Value;
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::scan;

use super::python::{python, run, skipped};

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

#[test]
fn every_transfer_syntax_reads_as_in_simpleitk() {
    let Some(python) = python("pydicom, SimpleITK, PIL") else {
        return skipped("no Python with pydicom, SimpleITK and pillow");
    };
    let folder = tempfile::tempdir().unwrap();
    run(python, "dicom_torture.py", folder.path());
    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    assert!(cases.len() >= 15, "{} series", cases.len());
    for case in &cases {
        let name = case["folder"].as_str().unwrap();
        let read = scan::read(&folder.path().join(name), &ReadOptions::default());
        if let Some(compression) = case["refused"].as_str() {
            let message = read.unwrap_err().to_string();
            let word = format!("({compression}) is not supported");
            assert!(
                message.contains(&word) && message.contains("transfer syntax 1.2.840"),
                "{name}: {message}"
            );
            continue;
        }
        let image = read.unwrap_or_else(|e| panic!("{e}"));
        let extent = numbers(&case["shape"]).into_iter().map(|n| n as usize);
        assert!(
            extent.eq(image.header.extent),
            "{name}: {:?}",
            image.header.extent
        );
        let voxels: Vec<f64> = image.frames[0].data().iter().map(|v| f64::from(*v)).collect();
        let (theirs, tolerance) = (numbers(&case["voxels"]), case["tolerance"].as_f64().unwrap());
        let near = voxels
            .iter()
            .zip(&theirs)
            .all(|(a, b)| (a - b).abs() <= tolerance);
        assert!(
            near && voxels.len() == theirs.len(),
            "{name}: {voxels:?} {theirs:?}"
        );
        let affine = image.header.geometry().world_from_voxel;
        for (theirs, ours) in case["affine"].as_array().unwrap().iter().zip(affine) {
            let near = numbers(theirs)
                .iter()
                .zip(ours)
                .all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{name}: {affine:?} is not {}", case["affine"]);
        }
    }
}
