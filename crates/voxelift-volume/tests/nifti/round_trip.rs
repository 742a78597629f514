//! Whatever is written comes back, in every type, byte order and container.

use std::fs;

use proptest::prelude::*;
use voxelift_volume::nifti::{
    CodedAffine, Datatype, Extension, Intent, NiftiImage, OutputType, ReadOptions, Slices, Version,
    WriteOptions, read, write,
};
use voxelift_volume::{Geometry, Volume, VolumeError};

use super::builder::{ORDER, Plan, file, gzip};

fn plan() -> impl Strategy<Value = Plan> {
    let shape = prop::collection::vec(1_i64..5, 1..6);
    let kind = (any::<bool>(), any::<bool>(), prop::sample::select(ORDER.to_vec()));
    let scaling = prop_oneof![Just((1.0, 0.0)), Just((0.0, 9.0)), (-3.0..3.0, -100.0..100.0)];
    (shape, kind, scaling, 0_usize..70, any::<u64>()).prop_map(
        |(dim, (two, big, datatype), scaling, gap, seed)| {
            // A multiplicative generator is enough to fill a few voxels with values all over the type.
            let count = dim.iter().product::<i64>() as u64;
            let (least, most) = datatype.integer_range().unwrap_or((-1e6, 1e6));
            let stored = (1..=count).map(|k| {
                let fraction =
                    (seed | 1).wrapping_mul(k.wrapping_mul(0x9e37_79b9_7f4a_7c15)) as f64 / u64::MAX as f64;
                let value = least + fraction * (most - least);
                if datatype.integer_range().is_some() {
                    value.round()
                } else {
                    f64::from(value as f32)
                }
            });
            let stored = stored.collect();
            let srow = [
                0.5,
                0.1,
                -0.2,
                -31.5,
                0.0,
                -1.25,
                0.3,
                42.0,
                0.2,
                0.05,
                3.0,
                seed as f64 / 1e18,
            ];
            Plan {
                two,
                big,
                datatype,
                dim,
                scaling,
                srow,
                gap,
                stored,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_container_gives_the_voxels(plan in plan(), split in 0.0..1.0) {
        let folder = tempfile::tempdir().unwrap();
        let single = plan.single();
        let cut = (split * single.len() as f64) as usize;
        let members = [gzip(&single[..cut]), gzip(&single[cut..])].concat();
        let mut image = vec![0; plan.gap];
        image.extend(plan.voxels());
        let header = plan.header(true);
        file(folder.path(), "d.img", &image);
        file(folder.path(), "e.img.gz", &gzip(&image));
        let paths = [
            file(folder.path(), "a.nii", &single),
            file(folder.path(), "b.nii.gz", &gzip(&single)),
            file(folder.path(), "c.nii.gz", &members),
            file(folder.path(), "d.hdr", &header),
            file(folder.path(), "e.hdr.gz", &gzip(&header)),
        ];
        for path in paths {
            let image = read(&path, &ReadOptions::default()).unwrap();
            let voxels: Vec<f32> = image.frames.iter().flat_map(Volume::data).copied().collect();
            prop_assert_eq!(&voxels, &plan.expected(), "{}", path.display());
            prop_assert_eq!(image.header.datatype, plan.datatype);
            let affine = image.frames[0].geometry().world_from_voxel;
            for (ours, theirs) in affine.as_flattened().iter().zip(plan.srow) {
                let held = if plan.two { theirs } else { f64::from(theirs as f32) };
                prop_assert_eq!(*ours, held);
            }
        }
    }
}

proptest! {
    // Each case waits for the disk four times.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_write_comes_back_and_writes_the_same_bytes(plan in plan(), gz in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let image = read(&file(folder.path(), "a.nii", &plan.single()), &ReadOptions::default()).unwrap();
        let suffix = if gz { "nii.gz" } else { "nii" };
        for (dtype, name) in [(OutputType::Float32, "f"), (OutputType::Same, "s")] {
            let (first, second) = [1, 2].map(|k| folder.path().join(format!("{name}{k}.{suffix}"))).into();
            let options = WriteOptions { dtype, ..WriteOptions::default() };
            let report = write(&first, &image, &options).unwrap();
            let again = read(&first, &ReadOptions::default()).unwrap();
            prop_assert!(again.warnings.iter().all(|w| w.contains("2^24")), "{:?}", again.warnings);
            // 64-bit integers are written in 32 bits, and f32 does not hold every 32-bit integer.
            let exact = dtype == OutputType::Float32 || plan.datatype.bytes() < 4
                || plan.datatype.integer_range().is_none();
            if exact {
                prop_assert_eq!(&again.frames, &image.frames);
                prop_assert_eq!(report.clamped, 0);
                write(&second, &again, &options).unwrap();
                prop_assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
            }
            let carried = |image: &NiftiImage| {
                let mut header = image.header.clone();
                header.datatype = Datatype::Float32;
                header.scaling = None;
                // One or two axes are written as three.
                header.spacing_mm = image.header.geometry().spacing_mm();
                header
            };
            prop_assert_eq!(carried(&again), carried(&image));
        }
    }
}

fn volume(values: &[f32]) -> NiftiImage {
    NiftiImage::from_volume(Volume::new(
        values.to_vec(),
        Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]),
    ))
}

fn written(image: &NiftiImage, dtype: OutputType) -> (NiftiImage, u64, (f64, f64)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let report = write(
        &path,
        image,
        &WriteOptions {
            dtype,
            ..WriteOptions::default()
        },
    )
    .unwrap();
    (
        read(&path, &ReadOptions::default()).unwrap(),
        report.clamped,
        report.scaling,
    )
}

#[test]
fn integer_outputs_keep_zero_and_half_a_step() {
    for values in [
        &[0.0, 1.37, -0.21, 0.9][..],
        &[0.0, 1e-30, 3e-31],
        &[0.0, -3e7, 4e8],
        &[0.0, 5e-42],
        &[-1.5, -2.5],
        &[0.0],
        &[65535.5, 0.0],
        &[3e38, -3e38, 0.0],
    ] {
        for dtype in [OutputType::Int16, OutputType::Uint16] {
            let (image, clamped, (slope, inter)) = written(&volume(values), dtype);
            assert_eq!(clamped, 0, "{values:?}");
            for (back, value) in image.frames[0].data().iter().zip(values) {
                let off = (f64::from(*back) - f64::from(*value)).abs();
                assert!(
                    off <= slope * 0.5001,
                    "{value} -> {back}, slope {slope}, inter {inter}"
                );
                assert!(*value != 0.0 || *back == 0.0, "zero became {back}");
            }
            let span = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(
                slope <= f64::from(span) * 4.0 / 65534.0 * 1.01 || span < 1e-33 || slope == 1.0,
                "{slope}"
            );
        }
    }
}

#[test]
fn whole_numbers_that_fit_are_kept_as_they_are() {
    let labels = volume(&[0.0, 2.0, 41.0, 14175.0]);
    for dtype in [OutputType::Int16, OutputType::Uint16] {
        let (image, clamped, scaling) = written(&labels, dtype);
        assert_eq!(
            (image.frames, clamped, scaling),
            (labels.frames.clone(), 0, (1.0, 0.0))
        );
    }
}

#[test]
fn the_same_type_keeps_its_scale_and_counts_what_it_cannot_hold() {
    let mut image = volume(&[0.0, 300.0, -4.0, 250.4, f32::NAN]);
    image.header.datatype = Datatype::Uint8;
    image.header.scaling = Some((2.0, 0.0));
    let (back, clamped, scaling) = written(&image, OutputType::Same);
    assert_eq!(
        (back.header.datatype, clamped, scaling),
        (Datatype::Uint8, 2, (2.0, 0.0))
    );
    assert_eq!(back.frames[0].data(), [0.0, 300.0, 0.0, 250.0, 0.0]);
    image.header.scaling = None;
    let (back, clamped, _) = written(&image, OutputType::Same);
    assert_eq!(
        (back.frames[0].data(), clamped),
        (&[0.0, 255.0, 0.0, 250.0, 0.0][..], 3)
    );
}

#[test]
fn the_whole_header_is_carried() {
    let affine = [
        [-0.8, 0.6, 0.0, 40.0],
        [0.6, 0.8, 0.0, -30.0],
        [0.0, 0.0, 2.0, 5.0],
    ];
    let geometry = Geometry {
        extent: [2, 3, 1],
        world_from_voxel: affine,
    };
    for version in [Version::One, Version::Two] {
        let mut image = NiftiImage::from_volume(Volume::filled(1.0, geometry.clone()));
        image.frames = vec![image.frames[0].clone(); 4];
        let header = &mut image.header;
        header.version = version;
        header.extra_extent = vec![2, 1, 2];
        header.extra_spacing = [2.5, 0.0, 1.0, 0.0];
        header.sform = Some(CodedAffine {
            code: 4,
            affine: affine.map(|[x, y, z, w]| [x, y, z, w + 0.5]),
        });
        header.qform = Some(CodedAffine { code: 1, affine });
        header.xyzt_units = 18;
        header.dim_info = 57;
        header.slices = Slices {
            start: 1,
            end: 2,
            code: 3,
            duration: 0.25,
        };
        header.toffset = 1.5;
        header.intent = Intent {
            code: 1002,
            parameters: [1.0, 2.0, 3.0],
            name: "labels, sixteen!".into(),
        };
        header.descrip = "é ".repeat(40);
        header.aux_file = "none".into();
        header.extensions = vec![
            Extension {
                code: 4,
                data: b"12345678".into(),
            },
            Extension {
                code: 6,
                data: b"a comment, ending in a bracket]\0\0\0\0\0\0\0\0\0".into(),
            },
        ];
        for frame in &mut image.frames {
            *frame = Volume::filled(
                1.0,
                Geometry {
                    world_from_voxel: header.sform.unwrap().affine,
                    ..geometry.clone()
                },
            );
        }
        let (back, ..) = written(&image, OutputType::Float32);
        for (ours, theirs) in [
            (back.header.qform, image.header.qform),
            (back.header.sform, image.header.sform),
        ] {
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            assert_eq!(ours.code, theirs.code);
            for (a, b) in ours
                .affine
                .as_flattened()
                .iter()
                .zip(theirs.affine.as_flattened())
            {
                assert!((a - b).abs() < 1e-6, "{ours:?} {theirs:?}");
            }
        }
        assert!(
            back.warnings[0].contains("differ by up to 0.866 mm"),
            "{:?}",
            back.warnings
        );
        let mut expected = image.header.clone();
        (expected.sform, expected.qform) = (back.header.sform, back.header.qform);
        expected.spacing_mm = back.header.spacing_mm;
        assert_eq!(back.header, expected);
        assert_eq!(back.frames.len(), 4);
    }
}

#[test]
fn a_long_axis_makes_nifti_2() {
    let long = volume(&vec![1.0; 40_000]);
    let (back, ..) = written(&long, OutputType::Float32);
    assert_eq!(
        (back.header.version, back.header.extent),
        (Version::Two, [40_000, 1, 1])
    );
}

#[test]
fn gzip_is_one_member_without_name_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    write(&path, &volume(&[1.0, 2.0]), &WriteOptions::default()).unwrap();
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut unpacked = Vec::new();
    let mut member = flate2::read::GzDecoder::new(&bytes[..]);
    std::io::Read::read_to_end(&mut member, &mut unpacked).unwrap();
    assert_eq!(unpacked.len(), 352 + 8);
}

#[test]
fn an_input_is_never_replaced_and_an_output_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.nii"), folder.path().join("b.nii"));
    let image = volume(&[1.0]);
    write(&path, &image, &WriteOptions::default()).unwrap();
    let before = fs::read(&path).unwrap();
    let again = write(&path, &image, &WriteOptions::default());
    assert!(matches!(again, Err(VolumeError::Exists { .. })));
    let inputs = vec![
        other.clone(),
        folder
            .path()
            .join("../")
            .join(folder.path().file_name().unwrap())
            .join("a.nii"),
    ];
    let over = write(
        &path,
        &image,
        &WriteOptions {
            force: true,
            inputs,
            ..WriteOptions::default()
        },
    );
    assert!(over.unwrap_err().to_string().contains("is an input"));
    assert_eq!(fs::read(&path).unwrap(), before);
    write(
        &path,
        &volume(&[2.0]),
        &WriteOptions {
            force: true,
            ..WriteOptions::default()
        },
    )
    .unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_header_off_its_frames_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let good = volume(&[1.0, 2.0]);
    let attempt = |change: &dyn Fn(&mut NiftiImage)| {
        let mut image = good.clone();
        change(&mut image);
        write(&path, &image, &WriteOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(attempt(&|i| i.header.extent = [1, 2, 1]).contains("extent"));
    assert!(attempt(&|i| i.header.extra_extent = vec![2]).contains("number of volumes: 2 against 1"));
    assert!(attempt(&|i| i.header.sform.as_mut().unwrap().affine[1][1] = 2.0).contains("spacing"));
    assert!(attempt(&|i| i.header.sform.as_mut().unwrap().affine[1][3] = 2.0).contains("affine"));
    assert!(!path.exists());
    for (name, word) in [
        ("a.img", "pair"),
        ("a.hdr.gz", "pair"),
        ("a.mgz", ".nii.gz"),
        ("a", ".nii.gz"),
    ] {
        let message = write(&folder.path().join(name), &good, &WriteOptions::default())
            .unwrap_err()
            .to_string();
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn output_types_are_named() {
    for (text, dtype) in [
        ("same", OutputType::Same),
        ("int16", OutputType::Int16),
        ("uint16", OutputType::Uint16),
        ("float32", OutputType::Float32),
    ] {
        assert_eq!(text.parse::<OutputType>().unwrap(), dtype);
    }
    let message = "int64".parse::<OutputType>().unwrap_err().to_string();
    assert_eq!(message, "dtype = int64: expected same, int16, uint16 or float32");
}

#[test]
fn one_volume_is_asked_of_a_file_with_four() {
    let mut image = volume(&[1.0]);
    assert_eq!(image.volume().unwrap(), &image.frames[0]);
    image.frames = vec![image.frames[0].clone(); 4];
    assert!(
        image
            .volume()
            .unwrap_err()
            .to_string()
            .contains("volumes in the file: 4")
    );
    assert!(
        image
            .into_single()
            .unwrap_err()
            .to_string()
            .contains("volumes in the file: 4")
    );
}
