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
    let Some(python) = python("pydicom, SimpleITK") else {
        return skipped("no Python with pydicom and SimpleITK");
    };
    let folder = tempfile::tempdir().unwrap();
    run(python, "dicom_torture.py", folder.path());
    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    assert!(cases.len() >= 12, "{} series", cases.len());
    for case in &cases {
        let name = case["folder"].as_str().unwrap();
        let image =
            scan::read(&folder.path().join(name), &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        let extent = numbers(&case["shape"]).into_iter().map(|n| n as usize);
        assert!(
            extent.eq(image.header.extent),
            "{name}: {:?}",
            image.header.extent
        );
        let voxels: Vec<f64> = image.frames[0].data().iter().map(|v| f64::from(*v)).collect();
        assert_eq!(voxels, numbers(&case["voxels"]), "{name}");
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
