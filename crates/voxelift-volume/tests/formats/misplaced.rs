//! Files that are something else than their name says, and headers whose two places disagree.

use std::io::Write;
use std::path::Path;

use voxelift_volume::doctor::{examine, mend};
use voxelift_volume::nifti::{self, CodedAffine, Extension, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::{Geometry, Volume, scan};

fn image() -> NiftiImage {
    let geometry = Geometry::axis_aligned([6, 5, 4], [1.0, 1.0, 1.25]);
    NiftiImage::from_volume(Volume::new((0..120).map(|v| v as f32).collect(), geometry))
}

fn write(path: &Path, image: &NiftiImage) {
    nifti::write(
        path,
        image,
        &WriteOptions {
            force: true,
            ..WriteOptions::default()
        },
    )
    .unwrap();
}

#[test]
fn other_kinds_of_file_are_named() {
    let here = tempfile::tempdir().unwrap();
    let mut gzipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzipped.write_all(b"NRRD0005\ntype: short\n").unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"BZh91AY&SY", "bzip2"),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "a Git LFS pointer",
        ),
        (b"/annex/objects/MD5E-s12345--01.nii.gz\n", "a git-annex pointer"),
        (b"", "empty"),
        (&gzipped.finish().unwrap(), "NRRD"),
    ];
    for (bytes, word) in cases {
        let path = here.path().join("a.nii.gz");
        std::fs::write(&path, bytes).unwrap();
        let message = scan::read(&path, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(word) && !message.contains("is it a NIfTI"),
            "{message}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_named_and_not_waited_for() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("a.nii");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let message = scan::read(&path, &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("a pipe"), "{message}");
}

#[test]
fn a_tiny_file_that_promises_a_gibibyte_needs_a_word() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("a.nii.gz");
    let plain = here.path().join("a.nii");
    write(&plain, &image());
    let mut head = std::fs::read(&plain).unwrap()[..352].to_vec();
    for (axis, count) in [1000_i16, 1000, 300].into_iter().enumerate() {
        head[42 + 2 * axis..44 + 2 * axis].copy_from_slice(&count.to_le_bytes());
    }
    head[70..72].copy_from_slice(&2_i16.to_le_bytes());
    head[72..74].copy_from_slice(&8_i16.to_le_bytes());
    let mut packed = flate2::write::GzEncoder::new(
        std::fs::File::create(&path).unwrap(),
        flate2::Compression::default(),
    );
    packed.write_all(&head).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..287).for_each(|_| packed.write_all(&zeros).unwrap());
    packed.finish().unwrap();
    let message = scan::read(&path, &ReadOptions::default())
        .expect_err("a refusal")
        .to_string();
    assert!(message.contains("a volume of 300000000 voxels"), "{message}");
}

#[test]
fn an_unusable_sform_gives_way_to_a_good_qform() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("a.nii");
    write(&path, &image());
    let bytes = std::fs::read(&path).unwrap();
    for fill in [0.0_f32, f32::NAN] {
        let mut bytes = bytes.clone();
        (0..12).for_each(|i| bytes[280 + 4 * i..284 + 4 * i].copy_from_slice(&fill.to_le_bytes()));
        std::fs::write(&path, &bytes).unwrap();
        let (header, warnings) = nifti::read_header(&path).unwrap();
        assert_eq!(header.geometry(), image().header.geometry());
        assert!(
            warnings.iter().any(|w| w.contains("the qform is used")),
            "{warnings:?}"
        );
        // Without a qform there is no place at all.
        bytes[252..254].copy_from_slice(&[0; 2]);
        std::fs::write(&path, &bytes).unwrap();
        assert!(
            nifti::read_header(&path)
                .unwrap_err()
                .to_string()
                .contains("sform")
        );
    }
}

#[test]
fn a_good_qform_beside_a_sheared_sform_stays() {
    let here = tempfile::tempdir().unwrap();
    let (path, mended) = (here.path().join("a.nii"), here.path().join("b.nii"));
    let mut sheared = image();
    let mut affine = sheared.header.geometry().world_from_voxel;
    affine[0][1] = 3e-3;
    sheared.header.sform = Some(CodedAffine { code: 1, affine });
    sheared.frames = vec![Volume::new(
        sheared.frames[0].data().to_vec(),
        sheared.header.geometry(),
    )];
    write(&path, &sheared);
    let found = examine(&path, &ReadOptions::default()).unwrap();
    assert!(
        found
            .iter()
            .any(|f| f.contains("0.172 degrees off a right angle")),
        "{found:?}"
    );
    mend(&path, &mended, false, false, &ReadOptions::default()).unwrap();
    let header = nifti::read_header(&mended).unwrap().0;
    let (sform, qform) = (header.sform.unwrap(), header.qform.expect("a qform"));
    assert!(qform.farthest_mm(&sform, header.extent) < 0.02);
    assert!(nifti::lean(&qform.affine) < 1e-6);
    // Sheared beyond a rotation: the qform stays what it was.
    sheared.header.sform.as_mut().unwrap().affine[0][1] = 0.3;
    sheared.frames = vec![Volume::new(
        sheared.frames[0].data().to_vec(),
        sheared.header.geometry(),
    )];
    write(&path, &sheared);
    mend(&path, &mended, true, false, &ReadOptions::default()).unwrap();
    let affine = nifti::read_header(&mended)
        .unwrap()
        .0
        .qform
        .expect("a qform")
        .affine;
    assert_eq!(affine[0][1], 0.0);
}

#[test]
fn words_are_told_and_dropped_when_asked() {
    let here = tempfile::tempdir().unwrap();
    let (path, mended) = (here.path().join("a.nii"), here.path().join("b.nii"));
    let mut named = image();
    for stamp in ["FSL5.0", "6.0.5:9e026117", "SPM12"] {
        named.header.descrip = stamp.to_owned();
        write(&path, &named);
        assert_eq!(
            examine(&path, &ReadOptions::default()).unwrap(),
            Vec::<String>::new(),
            "{stamp}"
        );
    }
    named.header.descrip = "DOE^JANE 1950".to_owned();
    named.header.aux_file = "jane.txt".to_owned();
    named.header.intent.name = "Jane Doe".to_owned();
    named.header.extensions.push(Extension {
        code: 2,
        data: b"PatientName DOE^JANE    ".to_vec(),
    });
    write(&path, &named);
    let found = examine(&path, &ReadOptions::default()).unwrap().join("\n");
    for word in ["descrip", "aux_file", "intent_name", "DICOM attributes"] {
        assert!(found.contains(word), "{found}");
    }
    assert!(!found.contains("JANE"), "{found}");
    mend(&path, &mended, false, false, &ReadOptions::default()).unwrap();
    assert_eq!(examine(&mended, &ReadOptions::default()).unwrap().len(), 4);
    mend(&path, &mended, true, true, &ReadOptions::default()).unwrap();
    assert_eq!(
        examine(&mended, &ReadOptions::default()).unwrap(),
        Vec::<String>::new()
    );
    let bytes = std::fs::read(&mended).unwrap();
    for word in ["JANE", "jane", "Jane"] {
        assert!(!bytes.windows(4).any(|w| w == word.as_bytes()), "{word}");
    }
}
