//! DICOM series: read in order and in place, or refused.

use std::path::Path;

use voxelift_volume::nifti::{self, Datatype, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::scan;

use super::series::{PERSON, Plan, folder};

fn read(folder: &Path) -> Result<NiftiImage, String> {
    scan::read(folder, &ReadOptions::default()).map_err(|error| {
        let message = error.to_string();
        assert!(
            message.starts_with(folder.to_str().unwrap()) && !message.contains('\n'),
            "{message}"
        );
        assert!(!message.contains(PERSON), "{message}");
        message
    })
}

fn attempt(plans: &[Plan]) -> Result<NiftiImage, String> {
    read(folder(plans).path())
}

fn stack() -> Vec<Plan> {
    [3, 1, 0, 2]
        .map(|k| Plan::slice(k, [-10.0, -20.0, 30.0 + 4.5 * k as f64]))
        .to_vec()
}

#[test]
fn a_stack_comes_back_in_the_order_of_its_places() {
    let image = attempt(&stack()).unwrap();
    let geometry = image.header.geometry();
    assert_eq!(geometry.extent, [3, 2, 4]);
    assert_eq!(geometry.spacing_mm(), [1.5, 2.5, 4.5]);
    // DICOM's x and y run to the left and to the back.
    assert_eq!(geometry.world([0.0; 3]), [10.0, 20.0, 30.0]);
    assert_eq!(geometry.world([1.0, 1.0, 1.0]), [8.5, 17.5, 34.5]);
    for (voxel, value) in [([0, 0, 0], 0.0), ([2, 1, 0], 5.0), ([1, 0, 3], 301.0)] {
        assert_eq!(image.frames[0].at(voxel), value, "{voxel:?}");
    }
    assert_eq!(
        (image.header.datatype, image.header.scaling),
        (Datatype::Int16, None)
    );
    assert!(image.warnings.is_empty(), "{:?}", image.warnings);
}

#[test]
fn an_oblique_stack_lies_where_its_vectors_say() {
    let (c, s) = (0.8, 0.6);
    let normal = [0.0, -s, c];
    let plans: Vec<Plan> = (0..3)
        .map(|k| Plan {
            orientation: [1.0, 0.0, 0.0, 0.0, c, s],
            ..Plan::slice(k, normal.map(|n| 3.0 * k as f64 * n))
        })
        .collect();
    let geometry = attempt(&plans).unwrap().header.geometry();
    let world = geometry.world([2.0, 1.0, 2.0]);
    let expected = [-3.0, -(2.5 * c - 6.0 * s), 2.5 * s + 6.0 * c];
    assert!(
        (0..3).all(|i| (world[i] - expected[i]).abs() < 1e-9),
        "{world:?} {expected:?}"
    );
}

#[test]
fn values_are_scaled_and_signs_and_stored_bits_kept() {
    let scaled = |slope| Plan {
        rescale: Some((slope, -7.0)),
        ..Plan::slice(1, [0.0; 3])
    };
    let image = attempt(&[scaled(0.5)]).unwrap();
    assert_eq!(image.frames[0].at([1, 0, 0]), 101.0 * 0.5 - 7.0);
    assert_eq!(image.header.scaling, Some((0.5, -7.0)));
    // Slices of different scales have no common one.
    let second = Plan {
        number: 2,
        uid: 2,
        value: 200,
        position: [0.0, 0.0, 3.0],
        ..scaled(0.25)
    };
    let image = attempt(&[scaled(0.5), second]).unwrap();
    assert_eq!(
        (image.header.datatype, image.header.scaling),
        (Datatype::Float32, None)
    );
    assert_eq!(image.frames[0].at([0, 0, 1]), 200.0 * 0.25 - 7.0);
    // Of 6 bits, signed: 100 = 0b1100100 is read as 0b100100, -28.
    let short = Plan {
        signed: true,
        bits_stored: 6,
        ..Plan::slice(1, [0.0; 3])
    };
    assert_eq!(attempt(&[short]).unwrap().frames[0].at([0, 0, 0]), -28.0);
}

#[test]
fn slices_at_one_place_are_volumes_of_their_own() {
    let plans: Vec<Plan> = (0..6)
        .map(|n| Plan::slice(n, [0.0, 0.0, 4.0 * (n % 3) as f64]))
        .collect();
    let image = attempt(&plans).unwrap();
    assert_eq!((image.frames.len(), image.header.extent), (2, [3, 2, 3]));
    assert_eq!(image.frames[1].at([0, 0, 1]), 400.0);
    assert_eq!(image.header.extra_spacing[0], 2.0);
    let here = folder(&plans);
    let scan = scan::open(here.path(), &ReadOptions::default()).unwrap();
    assert_eq!(scan.header, image.header);
    assert_eq!(scan.frames.map(Result::unwrap).collect::<Vec<_>>(), image.frames);
    let message = attempt(&plans[..5]).unwrap_err();
    assert!(message.contains("a slice is missing"), "{message}");
}

#[test]
fn what_is_no_regular_stack_is_refused() {
    let change = |at: usize, change: &dyn Fn(&mut Plan)| {
        let mut plans = stack();
        change(&mut plans[at]);
        attempt(&plans).unwrap_err()
    };
    let cases: [(String, &str); 10] = [
        (change(1, &|p| p.position[2] += 0.3), "irregular"),
        (change(1, &|p| p.position[0] += 0.3), "ImagePositionPatient"),
        (
            attempt(&[&stack()[..1], &stack()[2..]].concat()).unwrap_err(),
            "a slice is missing",
        ),
        (change(2, &|p| p.spacing = "2.5\\1.6"), "PixelSpacing"),
        (change(2, &|p| p.rows = 3), "Columns, Rows"),
        (
            change(2, &|p| p.orientation = [1.0, 0.0, 0.0, 0.0, 0.8, 0.6]),
            "ImageOrientationPatient",
        ),
        (change(2, &|p| p.series = "1.2.3.5"), "2 series"),
        (change(2, &|p| p.frames = Some("5")), "5 frames"),
        (change(2, &|p| p.photometric = "RGB"), "RGB"),
        (change(2, &|p| p.rescale = Some((0.0, 1.0))), "RescaleSlope"),
    ];
    for (message, word) in cases {
        assert!(message.contains(word), "{message}");
    }
    let mut twice = stack();
    twice.push(twice[0].clone());
    assert!(attempt(&twice).unwrap_err().contains("SOPInstanceUID"));
    let mut broken = Plan::slice(1, [0.0; 3]).bytes();
    broken.truncate(broken.len() - 4);
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), broken).unwrap();
    let message = read(here.path()).unwrap_err();
    assert!(
        message.contains("PixelData") || message.contains("without DICOM"),
        "{message}"
    );
}

#[test]
fn other_files_are_left_out_and_an_empty_folder_is_said() {
    let here = folder(&stack());
    std::fs::write(here.path().join("notes.txt"), "nothing").unwrap();
    std::fs::create_dir(here.path().join("below")).unwrap();
    let image = read(here.path()).unwrap();
    assert_eq!(image.warnings, ["1 files that are no DICOM images were left out"]);
    let message = read(&here.path().join("below")).unwrap_err();
    assert!(message.contains("a folder without DICOM images"), "{message}");
}

#[test]
fn too_many_voxels_are_refused_before_they_are_read() {
    let options = ReadOptions {
        max_voxels: 23,
        ..ReadOptions::default()
    };
    let here = folder(&stack());
    let message = scan::read(here.path(), &options).unwrap_err().to_string();
    assert!(
        message.contains("at most 23 voxels, unless more are allowed"),
        "{message}"
    );
}

#[test]
fn a_claim_of_many_voxels_gets_no_memory() {
    let mut bytes = Plan::slice(1, [0.0; 3]).bytes();
    for element in [0x10, 0x11] {
        let head = [0x28, 0, element, 0, b'U', b'S'];
        let at = bytes.windows(6).position(|window| window == head).unwrap();
        bytes[at + 8..at + 10].copy_from_slice(&30_000_u16.to_le_bytes());
    }
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("a"), bytes).unwrap();
    let message = read(here.path()).unwrap_err();
    assert!(message.contains("1800000000 of Rows and Columns"), "{message}");
}

#[test]
fn nothing_that_names_a_person_comes_out() {
    let here = folder(&stack());
    let image = read(here.path()).unwrap();
    let out = here.path().join("out.nii");
    nifti::write(&out, &image, &WriteOptions::default()).unwrap();
    let bytes = std::fs::read(out).unwrap();
    for text in [PERSON, "DOE", "0815", "HOSPITAL", "1999", "1.2.3.4"] {
        assert!(!bytes.windows(text.len()).any(|w| w == text.as_bytes()), "{text}");
    }
}
