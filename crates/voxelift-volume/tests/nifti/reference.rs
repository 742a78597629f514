//! The same files as nibabel, and the same files to nibabel and SimpleITK.
//!
//! `scripts/reference/nifti_reference.py` made the golden files; `nifti_written.py` beside it looks at ours.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use voxelift_volume::nifti::{
    CodedAffine, Header, NiftiImage, OutputType, ReadOptions, Version, WriteOptions, read, read_header, write,
};
use voxelift_volume::{Geometry, Volume, VoxelMap};

use super::python::{python, run, skipped};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn golden(name: &str) -> Vec<Value> {
    let path = Path::new(CRATE).join("tests/golden").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn shape(header: &Header) -> Vec<usize> {
    header
        .extent
        .iter()
        .chain(&header.extra_extent)
        .copied()
        .collect()
}

/// Our axes are those of the reference, which may have fewer than three.
fn assert_place(image: &NiftiImage, expected: &Value, file: &str) {
    let mut theirs: Vec<usize> = numbers(&expected["shape"])
        .into_iter()
        .map(|n| n as usize)
        .collect();
    theirs.resize(theirs.len().max(3), 1);
    assert_eq!(shape(&image.header), theirs, "{file}");
    let affine = image.frames[0].geometry().world_from_voxel;
    for (row, ours) in expected["affine"].as_array().unwrap().iter().zip(affine) {
        for (theirs, ours) in numbers(row).iter().zip(ours) {
            assert!(
                (theirs - ours).abs() < 1e-6,
                "{file}: {affine:?} is not {}",
                expected["affine"]
            );
        }
    }
}

#[test]
fn the_torture_set_reads_as_in_nibabel() {
    let folder = Path::new(CRATE).join("tests/golden/nifti");
    let cases = golden("nifti.json");
    assert!(cases.len() >= 70);
    for case in &cases {
        let file = case["file"].as_str().unwrap();
        let outcome = read(&folder.join(file), &ReadOptions::default());
        if let Some(field) = case["refused"].as_str() {
            let message = outcome
                .err()
                .unwrap_or_else(|| panic!("{file} was read"))
                .to_string();
            assert!(message.contains(field), "{file}: {message}");
            continue;
        }
        let image = outcome.unwrap_or_else(|e| panic!("{e}"));
        assert_place(&image, case, file);
        let voxels: Vec<f32> = image.frames.iter().flat_map(Volume::data).copied().collect();
        let theirs: Vec<f32> = numbers(&case["voxels"]).into_iter().map(|v| v as f32).collect();
        assert_eq!(voxels, theirs, "{file}");
        let header = &image.header;
        assert_eq!(
            header.datatype.name(),
            case["datatype"].as_str().unwrap(),
            "{file}"
        );
        let code = |coded: Option<CodedAffine>| coded.map_or(0, |c| i64::from(c.code));
        assert_eq!(code(header.sform), case["sform_code"].as_i64().unwrap(), "{file}");
        // A qform that no rotation can be made of is dropped.
        if file != "qform_damaged.nii" {
            assert_eq!(code(header.qform), case["qform_code"].as_i64().unwrap(), "{file}");
        }
        match case["warns"].as_str() {
            Some(word) => assert!(
                image.warnings.iter().any(|w| w.contains(word)),
                "{file}: {:?}",
                image.warnings
            ),
            None => assert!(image.warnings.is_empty(), "{file}: {:?}", image.warnings),
        }
        assert_eq!(read_header(&folder.join(file)).unwrap().0, image.header, "{file}");
    }
    let extended = read(&folder.join("extended.nii"), &ReadOptions::default()).unwrap();
    let texts: Vec<_> = extended
        .header
        .extensions
        .iter()
        .map(|e| (e.code, e.data.trim_ascii_end()))
        .collect();
    let bare = |data: &[u8]| data.iter().copied().take_while(|b| *b != 0).collect::<Vec<_>>();
    let texts: Vec<_> = texts.into_iter().map(|(code, data)| (code, bare(data))).collect();
    assert_eq!(
        texts,
        [(6, b"a comment of some length".to_vec()), (6, b"x".to_vec())]
    );
}

#[test]
fn real_scans_read_as_in_nibabel() {
    let wanted = ["malf1003", "rorden-T1", "sub50", "p19_FLAIR", "M2307", "spine"];
    compare_scans(|file| wanted.iter().any(|w| file.contains(w)), 7);
}

#[test]
#[ignore = "47 scans, 20 seconds"]
fn every_real_scan_reads_as_in_nibabel() {
    compare_scans(|_| true, 47);
}

fn compare_scans(wanted: impl Fn(&str) -> bool, least: usize) {
    let folder = Path::new(CRATE).join("../../../shared/data");
    if !folder.is_dir() {
        skipped("no shared data");
        return;
    }
    let cases = golden("nifti_scans.json");
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| wanted(case["file"].as_str().unwrap()))
        .collect();
    assert!(cases.len() >= least, "{} scans", cases.len());
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let image = read(&folder.join(file), &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(image.warnings.is_empty(), "{file}: {:?}", image.warnings);
        assert_place(&image, case, file);
        let voxels = image.volume().unwrap().data();
        let mut crc = flate2::Crc::new();
        voxels.iter().for_each(|v| crc.update(&v.to_le_bytes()));
        let sum: f64 = voxels.iter().map(|v| f64::from(*v)).sum();
        assert_eq!(
            u64::from(crc.sum()),
            case["crc32"].as_u64().unwrap(),
            "{file}: sum {sum}, not {}",
            case["sum"]
        );
    }
}

/// Grids of every kind, and what the header says of them.
fn outputs() -> Vec<(String, NiftiImage, OutputType)> {
    let (c, s) = (0.3_f64.cos(), 0.3_f64.sin());
    let oblique = [
        [-0.9 * c, s, 0.0, 90.0],
        [0.9 * s, c, 0.0, -120.0],
        [0.0, 0.0, 2.0, -60.0],
    ];
    let left_handed = oblique.map(|[x, y, z, w]| [-x, y, z, w]);
    let near_half_turn = [
        [-1.0, 6e-4, 0.0, 9.0],
        [6e-4, 1.0, 0.0, 8.0],
        [0.0, 0.0, -1.5, 7.0],
    ];
    let axial = [[0.0, 0.0, 2.0, 1.0], [-1.5, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 3.0]];
    let mut list = Vec::new();
    for (grid, affine) in [
        ("oblique", oblique),
        ("left", left_handed),
        ("half", near_half_turn),
        ("permuted", axial),
    ] {
        for (dtype, name) in [
            (OutputType::Float32, "f32"),
            (OutputType::Int16, "i16"),
            (OutputType::Uint16, "u16"),
        ] {
            for version in [Version::One, Version::Two] {
                let geometry = Geometry {
                    extent: [5, 4, 3],
                    world_from_voxel: affine,
                };
                let data = (0..60).map(|k| (k as f32 * 0.37).sin() * 40.0 + 10.0).collect();
                let mut image = NiftiImage::from_volume(Volume::new(data, geometry));
                image.header.version = version;
                image.header.descrip = "made by a test".into();
                let suffix = if version == Version::One { "nii.gz" } else { "nii" };
                list.push((
                    format!("{grid}_{name}_{version:?}.{suffix}"),
                    image.clone(),
                    dtype,
                ));
                // The same after resampling, with one affine only.
                let extent = [10, 8, 3];
                let map = VoxelMap::field_of_view(image.header.extent, extent);
                let mut header = image.header.resampled(extent, &map);
                header.sform = None;
                let volume = Volume::filled(3.5, header.geometry());
                let finer = NiftiImage {
                    header,
                    frames: vec![volume],
                    warnings: Vec::new(),
                };
                list.push((format!("{grid}_{name}_{version:?}_qform.{suffix}"), finer, dtype));
            }
        }
    }
    let mut series = list[0].1.clone();
    series.frames = vec![series.frames[0].clone(); 3];
    series.header.extra_extent = vec![3];
    series.header.extra_spacing[0] = 2.5;
    list.push(("series.nii.gz".into(), series, OutputType::Float32));
    list
}

#[test]
fn what_we_write_opens_in_nibabel_and_simpleitk() {
    let Some(python) = python("nibabel, SimpleITK") else {
        skipped("no Python with nibabel and SimpleITK");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = Vec::new();
    for (name, image, dtype) in outputs() {
        let path = folder.path().join(&name);
        write(
            &path,
            &image,
            &WriteOptions {
                dtype,
                ..WriteOptions::default()
            },
        )
        .unwrap();
        let back = read(&path, &ReadOptions::default()).unwrap();
        assert!(back.warnings.is_empty(), "{name}: {:?}", back.warnings);
        let voxels: Vec<f32> = back.frames.iter().flat_map(Volume::data).copied().collect();
        manifest.push(json!({
            "file": name,
            "shape": shape(&image.header),
            "affine": image.header.geometry().world_from_voxel,
            "sform_code": image.header.sform.map_or(0, |c| c.code),
            "qform_code": image.header.qform.map_or(0, |c| c.code),
            "voxels": voxels,
        }));
    }
    fs::write(
        folder.path().join("manifest.json"),
        serde_json::to_string(&manifest).unwrap(),
    )
    .unwrap();
    run(python, "nifti_written.py", folder.path());
}
