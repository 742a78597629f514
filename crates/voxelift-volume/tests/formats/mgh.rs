//! MGH files made from the table of FreeSurfer's format, without the crate under test.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use voxelift_volume::nifti::{Datatype, NiftiImage, ReadOptions};
use voxelift_volume::{Volume, mgh, scan};

struct Plan {
    dims: [i32; 4],
    kind: i32,
    placed: i16,
    spacing: [f32; 3],
    /// A column an axis.
    cosines: [[f32; 3]; 3],
    centre: [f32; 3],
}

impl Plan {
    /// Coronal slices, as FreeSurfer conforms them, of anisotropic voxels.
    fn coronal(kind: i32) -> Self {
        Self {
            dims: [4, 3, 2, 2],
            kind,
            placed: 1,
            spacing: [1.0, 1.5, 2.0],
            cosines: [[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
            centre: [5.0, -7.0, 11.0],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [1].iter().chain(&self.dims).chain(&[self.kind, 0]) {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.placed.to_be_bytes());
        let floats = self
            .spacing
            .iter()
            .chain(self.cosines.as_flattened())
            .chain(&self.centre);
        floats.for_each(|f| bytes.extend(f.to_be_bytes()));
        bytes.resize(284, 0);
        for v in 0..self.dims.iter().product::<i32>() {
            match self.kind {
                0 => bytes.push(v as u8),
                1 => bytes.extend((v - 9).to_be_bytes()),
                3 => bytes.extend((v as f32 * 0.5).to_be_bytes()),
                4 => bytes.extend((v as i16 - 9).to_be_bytes()),
                _ => bytes.extend((v as u16 + 40_000).to_be_bytes()),
            }
        }
        bytes
    }
}

fn attempt(name: &str, bytes: &[u8]) -> Result<NiftiImage, String> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    scan::read(&path, &ReadOptions::default()).map_err(|error| {
        let message = error.to_string();
        assert!(
            message.starts_with(path.to_str().unwrap()) && !message.contains('\n'),
            "{message}"
        );
        message
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_type_is_read_plain_and_packed() {
    for (kind, datatype, value) in [
        (0, Datatype::Uint8, 5.0),
        (1, Datatype::Int32, -4.0),
        (3, Datatype::Float32, 2.5),
        (4, Datatype::Int16, -4.0),
        (10, Datatype::Uint16, 40_005.0),
    ] {
        let bytes = Plan::coronal(kind).bytes();
        for (name, bytes) in [
            ("a.mgh", bytes.clone()),
            ("a.mgz", gzip(&bytes)),
            ("a.mgh.gz", gzip(&bytes)),
        ] {
            let image = attempt(name, &bytes).unwrap();
            assert_eq!(
                (image.header.datatype, image.frames.len()),
                (datatype, 2),
                "{name}"
            );
            assert_eq!(image.frames[0].at([1, 1, 0]), value, "{name}");
            assert!(image.warnings.is_empty(), "{:?}", image.warnings);
        }
    }
}

#[test]
fn the_centre_and_the_cosines_place_the_volume() {
    let image = attempt("a.mgh", &Plan::coronal(4).bytes()).unwrap();
    // Index extent / 2 is at c_ras: x runs to the left, y down, z to the front.
    let world = image.header.geometry().world([2.0, 1.5, 1.0]);
    assert_eq!(world, [5.0, -7.0, 11.0]);
    assert_eq!(image.header.geometry().world([3.0, 1.5, 1.0]), [4.0, -7.0, 11.0]);
    assert_eq!(image.header.geometry().world([2.0, 2.5, 1.0]), [5.0, -7.0, 9.5]);
    assert_eq!(image.header.geometry().world([2.0, 1.5, 2.0]), [5.0, -5.0, 11.0]);
    assert_eq!(image.header.sform.map(|s| s.code), Some(1));
}

#[test]
fn the_repetition_time_is_taken_from_behind_the_voxels() {
    let plan = Plan::coronal(0);
    let footer: Vec<u8> = [2500.0_f32, 0.1, 30.0, 900.0]
        .iter()
        .flat_map(|f| f.to_be_bytes())
        .collect();
    let tags = b"\0\0\0\x03mri_convert /somebody/s/folder";
    let image = attempt("a.mgh", &[plan.bytes(), footer.clone(), tags.to_vec()].concat()).unwrap();
    assert_eq!(image.header.extra_spacing[0], 2.5);
    assert!(image.header.extensions.is_empty() && image.header.descrip.is_empty());
    // Known before the first volume, though it stands behind the last.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mgh");
    std::fs::write(&path, [plan.bytes(), footer].concat()).unwrap();
    let scan = scan::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(scan.header, image.header);
    assert_eq!(scan.frames.map(Result::unwrap).collect::<Vec<_>>(), image.frames);
}

#[test]
fn without_a_place_it_is_guessed_and_said() {
    let plan = Plan {
        placed: 0,
        ..Plan::coronal(0)
    };
    let image = attempt("a.mgh", &plan.bytes()).unwrap();
    assert!(image.warnings[0].contains("goodRASFlag"), "{:?}", image.warnings);
    assert_eq!(image.header.spacing_mm, [1.0; 3]);
}

#[test]
fn each_field_is_checked() {
    let be = |number: i32| number.to_be_bytes().to_vec();
    let nan = f32::NAN.to_be_bytes().to_vec();
    let cases: &[(usize, Vec<u8>, &str)] = &[
        (0, be(2), "version is 2; expected 1"),
        (4, be(0), "width is 0; expected a positive count"),
        (8, be(-3), "height is -3"),
        (12, be(1 << 24), "voxel data is 48 bytes long"),
        (16, be(0), "nframes is 0"),
        (16, be(70_000), "nframes is 70000; expected at most 65536"),
        (20, be(2), "MRI_LONG"),
        (20, be(99), "type is 99"),
        (30, nan.clone(), "spacing, direction cosines and c_ras is [[NaN"),
        (78, 1e30_f32.to_be_bytes().to_vec(), "up to 1e9 mm"),
        (34, 0.0_f32.to_be_bytes().to_vec(), "determinant"),
    ];
    for (at, value, word) in cases {
        let mut bytes = Plan::coronal(0).bytes();
        bytes[*at..at + value.len()].copy_from_slice(value);
        let message = attempt("a.mgh", &bytes).unwrap_err();
        assert!(message.contains(word), "{message}");
        assert!(attempt("a.mgz", &gzip(&bytes)).is_err(), "{word}");
    }
    let whole = Plan::coronal(1).bytes();
    for length in 0..whole.len() {
        attempt("a.mgh", &whole[..length]).unwrap_err();
    }
}

#[test]
fn the_header_alone_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mgz");
    std::fs::write(&path, gzip(&Plan::coronal(3).bytes())).unwrap();
    let (header, _) = mgh::read_header(&path).unwrap();
    let image = mgh::open(&path, &ReadOptions::default())
        .unwrap()
        .into_image()
        .unwrap();
    assert_eq!(header, image.header);
    assert_eq!(
        image.frames.iter().map(Volume::extent).collect::<Vec<_>>(),
        [[4, 3, 2]; 2]
    );
}
