//! DICOM files made to do harm, and series in which slices could be mixed up: refused with a reason, frugally.

use std::path::Path;
use std::time::{Duration, Instant};

use voxelift_volume::nifti::{NiftiImage, ReadOptions};
use voxelift_volume::scan;

use super::series::{Plan, folder, put};

fn read(folder: &Path) -> Result<NiftiImage, String> {
    scan::read(folder, &ReadOptions::default()).map_err(|error| error.to_string())
}

fn attempt(plans: &[Plan]) -> Result<NiftiImage, String> {
    read(folder(plans).path())
}

/// A series of whole files and one more of these bytes.
fn beside(bytes: &[u8], name: &str) -> Result<NiftiImage, String> {
    let here = folder(&stack());
    std::fs::write(here.path().join(name), bytes).unwrap();
    read(here.path())
}

fn stack() -> Vec<Plan> {
    (0..4)
        .map(|k| Plan::slice(k, [0.0, 0.0, 4.0 * k as f64]))
        .collect()
}

/// Two volumes of four slices with the same numbers; `change` makes the second.
fn two(change: impl Fn(&mut Plan)) -> Vec<Plan> {
    let mut plans = stack();
    for mut plan in stack() {
        plan.uid += 100;
        plan.value += 2000;
        change(&mut plan);
        plans.push(plan);
    }
    // Names of files say nothing of the order.
    plans.sort_by_key(|plan| plan.uid * 7919 % 101);
    plans
}

#[test]
fn echoes_that_share_their_numbers_are_kept_apart() {
    let image = attempt(&two(|plan| plan.echo_ms = "50")).unwrap();
    assert_eq!(image.frames.len(), 2);
    for (frame, offset) in image.frames.iter().zip([0.0, 2000.0]) {
        for k in 0..4 {
            assert_eq!(frame.at([0, 0, k]), 100.0 * k as f32 + offset, "slice {k}");
        }
    }
    assert_eq!(image.header.extra_spacing[0], 0.0, "echoes are no repetitions");
    assert!(image.warnings[0].contains("echoes"), "{:?}", image.warnings);
    let shorter = attempt(&two(|plan| plan.echo_ms = "4")).unwrap();
    assert_eq!(
        shorter.frames[0].at([0, 0, 1]),
        2100.0,
        "in the order of their times"
    );
}

#[test]
fn repetitions_that_share_their_numbers_go_by_their_time() {
    let mut plans = two(|plan| plan.temporal = Some("1"));
    plans
        .iter_mut()
        .filter(|plan| plan.uid < 100)
        .for_each(|plan| plan.temporal = Some("2"));
    let image = attempt(&plans).unwrap();
    assert_eq!(image.frames[0].at([0, 0, 3]), 2300.0);
    assert_eq!(image.header.extra_spacing[0], 2.0);
}

#[test]
fn what_nothing_tells_apart_is_refused() {
    let message = attempt(&two(|_| {})).unwrap_err();
    assert!(
        message.contains("InstanceNumber") && message.contains("tells them apart"),
        "{message}"
    );
    let phase = two(|plan| {
        plan.kind = "ORIGINAL\\PRIMARY\\P\\ND";
        plan.number += 4;
    });
    let message = attempt(&phase).unwrap_err();
    assert!(
        message.contains("2 kinds of image") && message.contains("phase"),
        "{message}"
    );
    let twice = two(|plan| {
        plan.number += 4;
        plan.value -= 2000;
    });
    let message = attempt(&twice).unwrap_err();
    assert!(message.contains("exported twice"), "{message}");
    let mut odd = two(|plan| plan.echo_ms = "50");
    odd.iter_mut().find(|plan| plan.uid == 102).unwrap().echo_ms = "30";
    let message = attempt(&odd).unwrap_err();
    assert!(message.contains("EchoTime"), "{message}");
}

#[test]
fn mosaics_and_enhanced_images_are_named() {
    let mosaic = |plan: &mut Plan| plan.kind = "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC";
    let mut plans = stack();
    plans.iter_mut().for_each(mosaic);
    let message = attempt(&plans).unwrap_err();
    assert!(
        message.contains("mosaic") && message.contains("dcm2niix"),
        "{message}"
    );
    let mut bytes = Plan::slice(1, [0.0; 3]).bytes();
    let at = bytes
        .windows(6)
        .position(|w| w == [0xe0, 0x7f, 0x10, 0, b'O', b'W'])
        .unwrap();
    let mut groups = Vec::new();
    put(&mut groups, 0x5200, 0x9229, "OB", &[]);
    groups[4..6].copy_from_slice(b"SQ");
    bytes.splice(at..at, groups);
    let message = beside(&bytes, "IM9").unwrap_err();
    assert!(message.contains("enhanced DICOM"), "{message}");
}

#[test]
fn damaged_images_are_errors_and_other_files_are_not() {
    let whole = Plan::slice(4, [0.0, 0.0, 16.0]).bytes();
    let cases = [
        (Vec::new(), "IM9", "empty"),
        (whole[..300].to_vec(), "IM9", "cut short"),
        (whole[..whole.len() - 4].to_vec(), "IM9", "cut short"),
        (b"no image at all".to_vec(), "a.dcm", "named as a DICOM image"),
    ];
    for (bytes, name, word) in cases {
        let message = beside(&bytes, name).unwrap_err();
        assert!(message.contains(word) && message.contains(name), "{message}");
    }
    assert_eq!(
        beside(b"no image at all", "notes.txt").unwrap().header.extent,
        [3, 2, 4]
    );
    assert_eq!(beside(&whole, "IM9").unwrap().header.extent, [3, 2, 5]);
}

#[test]
fn images_without_a_preamble_are_read() {
    let mut plans = stack();
    plans.iter_mut().for_each(|plan| plan.preamble = false);
    assert_eq!(attempt(&plans).unwrap().frames, attempt(&stack()).unwrap().frames);
}

#[test]
fn rounded_directions_are_upright_and_a_tilt_is_told() {
    let (x, y) = (0.1_f64, 0.3_f64);
    let along = [
        [x.cos(), x.sin(), 0.0],
        [-x.sin() * y.cos(), x.cos() * y.cos(), y.sin()],
    ];
    let normal = [x.sin() * y.sin(), -x.cos() * y.sin(), y.cos()];
    for digits in [1e6, 1e4, 1e3] {
        let round = |v: f64, by: f64| (v * by).round() / by;
        let plans: Vec<Plan> = (0..20)
            .map(|k| Plan {
                orientation: std::array::from_fn(|i| round(along[i / 3][i % 3], digits)),
                ..Plan::slice(k, normal.map(|n| round(3.0 * k as f64 * n, digits / 10.0)))
            })
            .collect();
        let image = attempt(&plans).unwrap();
        assert!(
            image.warnings.is_empty() && image.header.qform.is_some(),
            "{digits}: {:?}",
            image.warnings
        );
        let spacing = image.header.geometry().spacing_mm();
        assert!(
            (spacing[0] - 1.5).abs() < 1e-9 && (spacing[2] - 3.0).abs() < 0.01,
            "{spacing:?}"
        );
    }
    let tilted: Vec<Plan> = (0..8)
        .map(|k| Plan::slice(k, [0.0, 0.5 * k as f64, 2.0 * k as f64]))
        .collect();
    let image = attempt(&tilted).unwrap();
    assert!(
        image.warnings[0].contains("14.04 degrees"),
        "{:?}",
        image.warnings
    );
    assert_eq!(image.header.geometry().world([0.0, 0.0, 2.0]), [0.0, -1.0, 4.0]);
}

/// A whole image with elements put before its voxels.
fn with(elements: &[u8]) -> Vec<u8> {
    let mut bytes = Plan::slice(4, [0.0, 0.0, 16.0]).bytes();
    let at = bytes
        .windows(6)
        .position(|w| w == [0xe0, 0x7f, 0x10, 0, b'O', b'W'])
        .unwrap();
    bytes.splice(at..at, elements.iter().copied());
    bytes
}

/// An element as text, of an even length.
fn text(group: u16, element: u16, vr: &str, value: &str) -> Vec<u8> {
    let (mut bytes, mut value) = (Vec::new(), value.to_owned());
    if !value.len().is_multiple_of(2) {
        value.push(' ');
    }
    put(&mut bytes, group, element, vr, value.as_bytes());
    bytes
}

#[test]
fn intensities_that_the_elements_do_not_give_are_refused() {
    let table = {
        let mut bytes = Vec::new();
        put(&mut bytes, 0x0028, 0x3000, "OB", &[1, 2]);
        bytes[4..6].copy_from_slice(b"SQ");
        bytes
    };
    let mut floats = Vec::new();
    put(&mut floats, 0x7fe0, 0x0008, "OB", &[0; 24]);
    let cases = [
        (table, "Modality LUT"),
        (floats, "floating-point"),
        (text(0x0028, 0x1053, "DS", "nan"), "RescaleSlope is nan"),
        (text(0x0028, 0x1053, "DS", "1e300"), "RescaleSlope is 1e300"),
        (text(0x0028, 0x1052, "DS", "inf"), "RescaleIntercept is inf"),
        (text(0x0028, 0x1052, "DS", "1,5"), "RescaleIntercept is 1,5"),
    ];
    for (elements, word) in cases {
        let message = beside(&with(&elements), "IM9").unwrap_err();
        assert!(message.contains(word) && message.contains("IM9"), "{message}");
    }
    assert!(beside(&with(&text(0x0028, 0x1053, "DS", "  ")), "IM9").is_ok());
}

#[test]
fn slices_of_two_subjects_in_one_series_are_refused_without_their_names() {
    let message = beside(&with(&text(0x0010, 0x0020, "LO", "SECRET-17")), "IM9").unwrap_err();
    assert!(message.contains("PatientID is another"), "{message}");
    assert!(!message.contains("SECRET"), "{message}");
}

#[test]
fn an_image_without_a_place_is_told_from_a_slice() {
    let mut bytes = Plan::slice(4, [0.0, 0.0, 16.0]).bytes();
    for tag in [[0x20, 0, 0x32, 0], [0x20, 0, 0x37, 0], [0x28, 0, 0x30, 0]] {
        let at = bytes
            .windows(6)
            .position(|w| w[..4] == tag && w[4..] == *b"DS")
            .unwrap();
        bytes[at + 2] = 0x99;
    }
    let message = beside(&bytes, "IM9").unwrap_err();
    assert!(
        message.contains("an image without a place") && message.contains("IM9"),
        "{message}"
    );
}

#[test]
fn attacks_end_in_a_word_at_once() {
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        nested.extend([0x40, 0, 0x75, 2, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff]);
        nested.extend([0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff]);
    }
    let claim = [0x29, 0, 0x10, 0x10, b'O', b'B', 0, 0, 0xf0, 0xff, 0xff, 0xff];
    let begin = Instant::now();
    let cases = [
        (with(&nested), "nested"),
        (with(&claim), "claims 4294967280 bytes"),
        (bomb(), "deflated"),
        (run_lengths(), "run-length"),
    ];
    for (bytes, word) in cases {
        let message = beside(&bytes, "IM9").unwrap_err();
        assert!(message.contains(word), "{message}");
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Replaces the transfer syntax by another of at most as many bytes.
fn in_syntax(mut bytes: Vec<u8>, syntax: &[u8]) -> Vec<u8> {
    let here = b"1.2.840.10008.1.2.1\0";
    let at = bytes.windows(here.len()).position(|w| w == here).unwrap();
    bytes[at - 2..at].copy_from_slice(&(syntax.len() as u16).to_le_bytes());
    bytes.splice(at..at + here.len(), syntax.iter().copied());
    bytes
}

/// A deflated image behind a hundred megabytes of zeros.
fn bomb() -> Vec<u8> {
    let bytes = in_syntax(
        Plan::slice(4, [0.0, 0.0, 16.0]).bytes(),
        b"1.2.840.10008.1.2.1.99",
    );
    let at = bytes.windows(4).position(|w| w == [8, 0, 8, 0]).unwrap();
    let mut packed = flate2::write::DeflateEncoder::new(bytes[..at].to_vec(), flate2::Compression::fast());
    let zeros = vec![0_u8; 100 << 20];
    let head = [
        [0x29, 0, 0x10, 0x10, b'O', b'B', 0, 0],
        [0, 0, 0x40, 6, 0, 0, 0, 0],
    ];
    std::io::Write::write_all(&mut packed, &head.as_flattened()[..12]).unwrap();
    std::io::Write::write_all(&mut packed, &zeros).unwrap();
    packed.finish().unwrap()
}

/// Run lengths that make no sense.
fn run_lengths() -> Vec<u8> {
    let bytes = in_syntax(Plan::slice(4, [0.0, 0.0, 16.0]).bytes(), b"1.2.840.10008.1.2.5\0");
    let at = bytes
        .windows(6)
        .position(|w| w == [0xe0, 0x7f, 0x10, 0, b'O', b'W'])
        .unwrap();
    let mut out = bytes[..at].to_vec();
    out.extend([0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0, 0xff, 0xff, 0xff, 0xff]);
    out.extend([0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0]);
    out.extend([0xfe, 0xff, 0, 0xe0, 70, 0, 0, 0]);
    out.extend((0..70_u8).map(|i| i.wrapping_mul(91)));
    out.extend([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
    out
}

/// Images of several transfer syntaxes.
fn images() -> Vec<Vec<u8>> {
    let plain = Plan::slice(4, [0.0, 0.0, 16.0]);
    let without = Plan {
        preamble: false,
        ..plain.clone()
    };
    vec![
        plain.bytes(),
        without.bytes(),
        run_lengths(),
        with(&text(0x0028, 0x1053, "DS", "2.5")),
    ]
}

/// Changes images `times` times; each is read, or refused with a reason. Returns how many were read.
fn changed(times: u64, seed: u64) -> u64 {
    let wholes = images();
    let mut state = seed;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % most
    };
    let here = tempfile::tempdir().unwrap();
    let mut whole = 0;
    for _ in 0..times {
        let mut bytes = wholes[next(wholes.len())].clone();
        for _ in 0..1 + next(8) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes[at] = 0xff,
                2 => bytes.truncate(at.max(140)),
                3 => bytes[at] ^= 1 << next(8),
                _ => {
                    let more: Vec<u8> = (0..next(40)).map(|i| i as u8).collect();
                    bytes.splice(at..at, more);
                }
            }
        }
        std::fs::write(here.path().join("a"), &bytes).unwrap();
        match read(here.path()) {
            Ok(_) => whole += 1,
            Err(message) => assert!(!message.is_empty() && !message.contains('\n'), "{message}"),
        }
    }
    whole
}

#[test]
fn whatever_is_changed_in_an_image_it_is_read_or_refused() {
    let begin = Instant::now();
    let whole = changed(600, 1);
    assert!((30..570).contains(&whole), "{whole} of 600 read");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// `FUZZ_SECONDS=600 cargo test --release --workspace --test formats -- --ignored images_for_a_while --nocapture`
#[test]
#[ignore = "as long as asked for"]
fn images_for_a_while() {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
    let (begin, mut rounds, mut whole) = (Instant::now(), 0, 0);
    while begin.elapsed().as_secs() < seconds {
        rounds += 1;
        whole += changed(1000, 1 + rounds);
    }
    let words = format!(
        "{} damaged images in {seconds} s, {whole} read, none a panic\n",
        1000 * rounds
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
}
