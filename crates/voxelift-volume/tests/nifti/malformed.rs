//! Every way a file can be wrong is one line that names the field; none is a panic or a huge allocation.

use proptest::prelude::*;
use voxelift_volume::Volume;
use voxelift_volume::nifti::{
    Datatype, NanPolicy, NiftiImage, OutputType, ReadOptions, WriteOptions, read, read_header, write,
};

use super::builder::{Plan, file, gzip, put};

fn attempt(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<NiftiImage, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), name, bytes);
    read(&path, options).map_err(|e| {
        let message = e.to_string();
        assert!(!message.contains('\n'), "{message}");
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        message
    })
}

fn refusal(bytes: &[u8]) -> String {
    let message = attempt("a.nii", bytes, &ReadOptions::default()).unwrap_err();
    let packed = attempt("a.nii.gz", &gzip(bytes), &ReadOptions::default());
    assert!(packed.is_err(), "refused only when plain: {message}");
    message
}

fn short(value: i16) -> Vec<u8> {
    value.to_le_bytes().into()
}

fn single(value: f32) -> Vec<u8> {
    value.to_le_bytes().into()
}

#[test]
fn each_field_is_checked() {
    let nan = single(f32::NAN);
    let cases: &[(usize, Vec<u8>, &str)] = &[
        (0, short(0), "sizeof_hdr is 0; expected 348 (NIfTI-1) or 540"),
        (40, short(0), "dim[0] is 0; expected a number of axes from 1 to 7"),
        (40, short(8), "dim[0] is 8"),
        (40, short(-3), "dim[0] is -3"),
        (42, short(0), "dim[1] is 0; expected a positive count"),
        (46, short(-2), "dim[3] is -2"),
        (44, short(i16::MAX), "voxel data is"),
        (70, short(0), "datatype is 0"),
        (
            70,
            short(1),
            "binary (one bit a voxel) (datatype 1) is not supported",
        ),
        (70, short(32), "complex64"),
        (70, short(128), "RGB24"),
        (70, short(1536), "float128"),
        (70, short(2304), "RGBA32"),
        (70, short(77), "datatype is 77"),
        (
            108,
            single(351.0),
            "vox_offset is 351; expected a whole number, 352 or more",
        ),
        (108, single(0.0), "vox_offset is 0"),
        (108, single(-352.0), "vox_offset is -352"),
        (108, single(352.5), "vox_offset is 352.5"),
        (108, single(1e30), "vox_offset is 1"),
        (108, single(1e12), "vox_offset"),
        (108, nan.clone(), "vox_offset is NaN"),
        (
            116,
            single(f32::INFINITY),
            "scl_inter is inf; expected a finite number beside scl_slope 2",
        ),
        (280, nan.clone(), "sform (sform_code 2) is [[NaN"),
        (292, single(f32::NEG_INFINITY), "sform (sform_code 2) is"),
        (280, single(0.0), "determinant of more than 1e-9"),
        (344, b"n+2\0".into(), "magic is \"n+2\\x00\""),
        (344, b"ni1\0".into(), "magic is that of a .hdr/.img pair"),
        (344, vec![0; 4], "ANALYZE 7.5"),
    ];
    for (at, value, word) in cases {
        let plan = Plan {
            scaling: (2.0, 0.0),
            ..Plan::plain()
        };
        let mut bytes = plan.single();
        bytes[*at..at + value.len()].copy_from_slice(value);
        let message = refusal(&bytes);
        assert!(message.contains(word), "{at}: {message}");
    }
}

#[test]
fn without_sform_the_qform_and_the_voxel_sizes_are_checked() {
    let cases: &[(usize, f32, i16, &str)] = &[
        (
            256,
            0.9,
            1,
            "qform (qform_code 1) is a quaternion of squared norm",
        ),
        (
            260,
            f32::NAN,
            1,
            "qform (qform_code 1) is a value that is not finite",
        ),
        (272, f32::INFINITY, 1, "qform (qform_code 1)"),
        (84, f32::NAN, 1, "qform (qform_code 1)"),
        (84, 1e-20, 1, "qform (qform_code 1)"),
        (84, f32::NAN, 0, "pixdim[1..3] is [1.5, NaN, 2.5]"),
        (84, 1e-20, 0, "pixdim[1..3]"),
    ];
    for (at, value, code, word) in cases {
        let mut bytes = Plan::plain().single();
        put(&mut bytes, 254, 0_i16.to_le_bytes(), false);
        put(&mut bytes, 252, code.to_le_bytes(), false);
        put(&mut bytes, 260, 0.9_f32.to_le_bytes(), false);
        put(&mut bytes, *at, value.to_le_bytes(), false);
        let message = refusal(&bytes);
        assert!(message.contains(word), "{at}: {message}");
    }
}

#[test]
fn an_enormous_claim_is_refused_without_memory_for_it() {
    let claim = |dim: &[i64], two| {
        Plan {
            two,
            dim: dim.into(),
            ..Plan::plain()
        }
        .single()
    };
    let message = refusal(&claim(&[1290, 1290, 1290], false));
    assert!(
        message.contains("voxel data is 48 bytes long; expected 4293378000 bytes"),
        "{message}"
    );
    assert!(refusal(&claim(&[32767, 32767, 3], false)).contains("at most 2147483648 voxels, unless"));
    assert!(refusal(&claim(&[i64::MAX, i64::MAX, i64::MAX], true)).contains("dim is"));
    assert!(refusal(&claim(&[1 << 62, 1, 1], true)).contains("dim is"));
    assert!(refusal(&claim(&[2, 1, 1, 1 << 40, 1 << 40], true)).contains("at most 65536 volumes"));
    assert!(refusal(&claim(&[2, 1, 1, 70_000], true)).contains("dim[4..] is [70000]"));
    let few = ReadOptions {
        max_voxels: 23,
        ..ReadOptions::default()
    };
    let message = attempt("a.nii", &Plan::plain().single(), &few).unwrap_err();
    assert!(
        message.ends_with(
            "dim is [4, 3, 2] in 1 volume(s); expected at most 23 voxels, unless more are allowed"
        )
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = Plan {
        gap: 16,
        ..Plan::plain()
    }
    .single();
    for length in 0..whole.len() {
        attempt("a.nii", &whole[..length], &ReadOptions::default()).unwrap_err();
    }
    let packed = gzip(&whole);
    for length in 1..packed.len() {
        attempt("a.nii.gz", &packed[..length], &ReadOptions::default()).unwrap_err();
    }
}

#[test]
fn a_damaged_gzip_stream_is_named() {
    let packed = gzip(&Plan::plain().single());
    let tell = |bytes: &[u8]| attempt("a.nii.gz", bytes, &ReadOptions::default()).unwrap_err();
    let length = packed.len();
    assert!(tell(&packed[..length - 1]).contains("gzip stream is cut short after 400 unpacked bytes"));
    for at in [length - 8, length - 1, length - 12] {
        let mut damaged = packed.clone();
        damaged[at] ^= 0x10;
        assert!(
            tell(&damaged).contains("gzip stream is damaged"),
            "{}",
            tell(&damaged)
        );
    }
    assert!(tell(&[&packed[..], b"rubbish that is no member"].concat()).contains("gzip stream is"));
    // The second member is looked at too, though the first has all the voxels.
    let mut second = gzip(b"more");
    *second.last_mut().unwrap() ^= 1;
    assert!(tell(&[packed, second].concat()).contains("gzip stream is damaged"));
}

#[test]
fn what_follows_the_voxels_is_said_or_refused() {
    for length in [1, 5000] {
        let bytes = [Plan::plain().single(), vec![7; length]].concat();
        for (name, bytes) in [("a.nii", bytes.clone()), ("a.nii.gz", gzip(&bytes))] {
            let image = attempt(name, &bytes, &ReadOptions::default()).unwrap();
            assert_eq!(
                image.warnings,
                [format!("{length} bytes behind the voxel data were ignored")]
            );
        }
    }
    let bytes = [Plan::plain().single(), vec![7; 2 << 20]].concat();
    assert!(refusal(&bytes).contains("voxel data is followed by more than 1048576 bytes"));
}

#[test]
fn voxels_that_are_not_finite_follow_the_policy() {
    let stored = vec![1.0, f64::NAN, f64::INFINITY, 1e300];
    let bytes = Plan {
        datatype: Datatype::Float64,
        dim: vec![4],
        stored,
        ..Plan::plain()
    }
    .single();
    let image = attempt("a.nii", &bytes, &ReadOptions::default()).unwrap();
    assert_eq!(image.frames[0].data(), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(
        image.warnings,
        ["voxel data is not finite, or beyond float32, at 3 places; set to zero"]
    );
    let strict = ReadOptions {
        nan: NanPolicy::Error,
        ..ReadOptions::default()
    };
    let message = attempt("a.nii", &bytes, &strict).unwrap_err();
    assert!(
        message.contains("at 3 places; expected finite values, unless"),
        "{message}"
    );
}

#[test]
fn a_broken_chain_of_extensions_costs_only_the_extensions() {
    let plan = Plan {
        gap: 48,
        ..Plan::plain()
    };
    let mut bytes = plan.single();
    bytes[348] = 1;
    put(&mut bytes, 352, 16_i32.to_le_bytes(), false);
    put(&mut bytes, 356, 6_i32.to_le_bytes(), false);
    for size in [0, 7, -16, 64, i32::MAX] {
        put(&mut bytes, 368, size.to_le_bytes(), false);
        let image = attempt("a.nii", &bytes, &ReadOptions::default()).unwrap();
        assert_eq!(image.frames[0].data(), plan.expected());
        assert_eq!(image.header.extensions.len(), 1);
        assert!(
            image.warnings[0].contains(&format!("at byte 368 has size {size}")),
            "{:?}",
            image.warnings
        );
    }
}

#[test]
fn halves_of_a_pair_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::plain();
    let lone = file(folder.path(), "lone.hdr", &plan.header(true));
    let message = read(&lone, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("the other half of the pair is missing"),
        "{message}"
    );
    assert_eq!(read_header(&lone).unwrap().0.extent, [4, 3, 2]);
    let orphan = file(folder.path(), "orphan.img", &plan.voxels());
    let message = read(&orphan, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("orphan.hdr: cannot open"), "{message}");
    let wrong = file(folder.path(), "wrong.hdr", &plan.single());
    let message = read(&wrong, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("magic is that of a single file"), "{message}");
    file(folder.path(), "lone.img", &plan.voxels()[..40]);
    let message = read(&lone, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("lone.img: ") && message.contains("voxel data is 40 bytes long"),
        "{message}"
    );
}

#[test]
fn what_is_no_file_of_ours_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let message = read(folder.path(), &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("a folder is not supported"), "{message}");
    let missing = folder.path().join("none.nii.gz");
    let message = read(&missing, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("none.nii.gz: cannot open: No such file"),
        "{message}"
    );
    assert!(refusal(b"").contains("the file is empty"));
    assert!(refusal(b"Not an image at all, but a text.").contains("is it a NIfTI file?"));
}

/// A small file with some bytes changed, perhaps packed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((0_usize..620, any::<u8>()), 1..6);
    (any::<(bool, bool, bool)>(), damage).prop_map(|((two, big, packed), damage)| {
        let mut bytes = Plan {
            two,
            big,
            gap: 32,
            ..Plan::plain()
        }
        .single();
        for (at, value) in damage {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        if packed { gzip(&bytes) } else { bytes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_a_panic_or_a_value_unfit_for_use(bytes in damaged()) {
        if let Ok(image) = attempt("a.nii", &bytes, &ReadOptions::default()) {
            prop_assert!(image.header.geometry().determinant().abs() > 1e-9);
            prop_assert!(image.frames.iter().flat_map(Volume::data).all(|v| v.is_finite()));
        }
    }
}

proptest! {
    // Each case waits for the disk.
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_can_be_written(bytes in damaged()) {
        if let Ok(image) = attempt("a.nii", &bytes, &ReadOptions::default()) {
            let folder = tempfile::tempdir().unwrap();
            let options = WriteOptions { dtype: OutputType::Same, ..WriteOptions::default() };
            write(&folder.path().join("b.nii"), &image, &options).unwrap();
        }
    }
}
