//! What the writer makes of types, scales, headers and names.

use std::fs;

use voxelift_volume::nifti::{
    CodedAffine, Datatype, Extension, Intent, NiftiImage, OutputType, ReadOptions, Slices, Version,
    WriteOptions, read, write, write_frames,
};
use voxelift_volume::{Geometry, Volume, VolumeError};

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
fn volumes_written_as_they_are_made_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut image = volume(&[0.0, 1.5, -2.25, 100.0]);
    image.header.datatype = Datatype::Uint8;
    for factor in [-3.0, 40.0] {
        image.frames.push(image.frames[0].clone().map(|v| v * factor));
    }
    image.header.extra_extent = vec![3];
    let each = || image.frames.iter().cloned().map(Ok::<_, VolumeError>);
    for dtype in [
        OutputType::Same,
        OutputType::Int16,
        OutputType::Uint16,
        OutputType::Float32,
    ] {
        let options = WriteOptions {
            dtype,
            ..WriteOptions::default()
        };
        for suffix in ["nii", "nii.gz"] {
            let [whole, parts] =
                ["whole", "parts"].map(|n| folder.path().join(format!("{n}{dtype:?}.{suffix}")));
            let report = write(&whole, &image, &options).unwrap();
            assert_eq!(
                write_frames(&parts, &image.header, each(), &options).unwrap(),
                report
            );
            assert_eq!(
                fs::read(whole).unwrap(),
                fs::read(parts).unwrap(),
                "{dtype:?} {suffix}"
            );
        }
        let path = folder.path().join("none.nii");
        let attempt = |frames: Vec<Result<Volume, VolumeError>>| {
            let message = write_frames(&path, &image.header, frames, &options)
                .unwrap_err()
                .to_string();
            assert!(!path.exists());
            message
        };
        let breaks = |(k, frame)| {
            if k == 1 {
                Err(VolumeError::content("a", "b", "c"))
            } else {
                frame
            }
        };
        assert_eq!(
            attempt(each().enumerate().map(breaks).collect()),
            "a: b; expected c"
        );
        assert!(attempt(each().take(2).collect()).contains("number of volumes: 3 against 2"));
        let other =
            |k: usize| (k == 2).then(|| Volume::filled(0.0, Geometry::axis_aligned([3, 1, 1], [1.0; 3])));
        let odd = each().enumerate().map(|(k, frame)| other(k).map_or(frame, Ok));
        assert!(attempt(odd.collect()).contains("extent"));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 16);
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
