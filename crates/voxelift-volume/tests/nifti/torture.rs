//! Hundreds of generated files, each read by nibabel, SimpleITK and us: the same voxels in the same places, or refused.

use serde_json::Value;
use voxelift_volume::nifti::{NiftiImage, ReadOptions};
use voxelift_volume::{Volume, scan};

use super::python::{python, run, skipped};

/// What we refuse and nibabel does not, each for a reason: the field that our message names.
const STRICTER: [&str; 14] = [
    // 348 or 540, whatever the magic says.
    "sizeof_hdr",
    // Beyond the file's own header, or not a whole number.
    "vox_offset",
    // A number that is not one is no intercept.
    "scl_inter",
    // Bytes that no dim describes.
    "voxel data",
    // No inverse, no rotation, or nowhere on Earth.
    "sform",
    "qform",
    "pixdim",
    "dim",
    // nibabel takes the name's word for a pair or a single file.
    "magic",
    // nibabel drops the imaginary part.
    "complex",
    // nibabel makes structured voxels of them.
    "RGB",
    "float128",
    "datatype",
    "extension",
];

fn crc(image: &NiftiImage) -> u64 {
    let mut crc = flate2::Crc::new();
    let voxels = image.frames.iter().flat_map(Volume::data);
    // Zero has one sign here.
    voxels.for_each(|v| crc.update(&(v + 0.0).to_le_bytes()));
    u64::from(crc.sum())
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

/// Damage that we read as the standard's own library does and nibabel does not, each with a warning: a qfac that is neither
/// 1 nor -1 has a sign (nibabel: +1), and a code that the standard does not have is a code (nibabel: 0).
fn reads_as_nifti_clib(image: &NiftiImage) -> bool {
    image
        .warnings
        .iter()
        .any(|w| w.contains("(qfac)") || w.contains("no code of the standard"))
}

/// What differs between our reading and theirs, in words.
fn difference(image: &NiftiImage, case: &Value) -> Option<String> {
    let header = &image.header;
    let ours: Vec<usize> = header
        .extent
        .iter()
        .chain(&header.extra_extent)
        .copied()
        .collect();
    let mut theirs: Vec<usize> = numbers(&case["shape"]).into_iter().map(|n| n as usize).collect();
    theirs.resize(theirs.len().max(3), 1);
    if ours != theirs {
        return Some(format!("shape {ours:?}, not {theirs:?}"));
    }
    let geometry = header.geometry();
    let rows = case["affine"].as_array().unwrap().iter().map(numbers);
    for (row, ours) in rows.zip(geometry.world_from_voxel) {
        if row
            .iter()
            .zip(ours)
            .any(|(theirs, ours)| (theirs - ours).abs() >= 1e-6)
        {
            return Some(format!("affine row {ours:?}, not {row:?}"));
        }
    }
    if crc(image) != case["crc32"].as_u64().unwrap() {
        return Some("other voxels than nibabel's".into());
    }
    if case["itk_close"] == Value::Bool(false) {
        return Some("other voxels than SimpleITK's".into());
    }
    // Where both affines are there and one is damaged, ITK has rules of its own.
    let corners = case["itk_corners"]
        .as_array()
        .filter(|_| case["kind"] != "damaged");
    let corners = corners.into_iter().flatten();
    for (k, corner) in corners.enumerate() {
        // NumPy's order: the last axis runs fastest.
        let at = std::array::from_fn(|axis| ((k >> (2 - axis) & 1) * (geometry.extent[axis] - 1)) as f64);
        let (theirs, ours) = (numbers(corner), geometry.world(at));
        if (0..3).any(|a| (theirs[a] - ours[a]).abs() > 1e-3) {
            return Some(format!("SimpleITK has {at:?} at {theirs:?}, we at {ours:?}"));
        }
    }
    None
}

#[test]
fn a_generated_torture_set_reads_as_in_nibabel_and_simpleitk() {
    let Some(python) = python("nibabel, SimpleITK") else {
        return skipped("no Python with nibabel and SimpleITK");
    };
    let folder = tempfile::tempdir().unwrap();
    run(python, "nifti_torture.py", folder.path());
    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    assert!(cases.len() > 700, "{} files", cases.len());

    let (mut wrong, mut both, mut stricter, mut itk) = (Vec::new(), 0, 0, 0);
    for case in &cases {
        let (file, kind) = (case["file"].as_str().unwrap(), case["kind"].as_str().unwrap());
        match (
            scan::read(&folder.path().join(file), &ReadOptions::default()),
            case["refused"].as_str(),
        ) {
            (Ok(image), None) => {
                both += 1;
                itk += usize::from(case["itk_corners"].is_array());
                let how =
                    difference(&image, case).filter(|_| kind != "damaged" || !reads_as_nifti_clib(&image));
                wrong.extend(how.map(|how| format!("{file}: {how}")));
            }
            (Err(_), Some(_)) => {}
            (Err(error), None) => {
                let message = error.to_string();
                let message = message.split_once(": ").map_or("", |(_, message)| message);
                stricter += 1;
                if kind != "damaged" || !STRICTER.iter().any(|field| message.contains(field)) {
                    wrong.push(format!("{file}: we alone refuse it: {error}"));
                }
            }
            (Ok(image), Some(refused)) => {
                // Where nibabel stumbles and we do not, we have said what we did.
                if image.warnings.is_empty() {
                    wrong.push(format!("{file}: nibabel alone refuses it: {refused}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} files:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert!(
        both > 500 && itk > 250 && stricter < 80,
        "{both} read by both, {itk} by ITK, {stricter} refused by us"
    );
}
