//! The linter against files broken on purpose, and its mended copies against the stored voxels.

use std::io::Write;
use std::path::{Path, PathBuf};

use voxelift_volume::doctor::{examine, mend};
use voxelift_volume::kspace::{truncate, zero_fill};
use voxelift_volume::nifti::{self, NiftiImage, OutputType, ReadOptions, WriteOptions};
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::{Geometry, Volume};

/// A clean int16 file of 5 x 4 x 3 voxels, oblique, as bytes.
fn clean(folder: &Path) -> Vec<u8> {
    let (c, s) = (0.8, 0.6);
    let geometry = Geometry {
        extent: [5, 4, 3],
        world_from_voxel: [[c, -s, 0.0, 4.0], [s, c, 0.0, -3.0], [0.0, 0.0, 2.0, 9.0]],
    };
    let volume = Volume::new((0..60).map(|v| v as f32 - 7.0).collect(), geometry);
    let options = WriteOptions {
        dtype: OutputType::Int16,
        ..WriteOptions::default()
    };
    let path = folder.join("made.nii");
    nifti::write(&path, &NiftiImage::from_volume(volume), &options).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    bytes
}

fn findings(path: &Path) -> Vec<String> {
    examine(path, &ReadOptions::default()).unwrap()
}

/// A broken file is found, mended, and then clean, with its stored voxels as they were.
fn found_and_mended(name: &str, word: &str, damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = clean(folder.path());
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, damage(bytes.clone())).unwrap();
    let found = findings(&path);
    assert!(
        found.iter().any(|finding| finding.contains(word)),
        "{word}: {found:?}"
    );

    let mended = folder.path().join("mended.nii");
    mend(&path, &mended, false, false, &ReadOptions::default()).unwrap();
    assert_eq!(findings(&mended), Vec::<String>::new(), "{word}");
    let voxels = std::fs::read(&mended).unwrap().split_off(352);
    assert_eq!(voxels, bytes[352..], "{word}: the stored voxels stay");
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn float(value: f32) -> [u8; 4] {
    value.to_le_bytes()
}

#[test]
fn a_clean_file_is_clean_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = clean(folder.path());
    let path = folder.path().join("a.nii");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(findings(&path), Vec::<String>::new());
    let again = folder.path().join("b.nii");
    mend(&path, &again, false, false, &ReadOptions::default()).unwrap();
    assert_eq!(std::fs::read(again).unwrap(), bytes);
}

#[test]
fn each_slip_is_found_and_mended() {
    let at = |offset: usize, value: Vec<u8>| {
        move |mut bytes: Vec<u8>| {
            put(&mut bytes, offset, &value);
            bytes
        }
    };
    found_and_mended("a.nii", "differ by up to", at(292, float(4.5).to_vec()));
    found_and_mended("a.nii", "qfac", at(76, float(0.0).to_vec()));
    found_and_mended("a.nii", "pixdim[1] is -1", at(80, float(-1.0).to_vec()));
    found_and_mended("a.nii", "scl_slope is NaN", at(112, float(f32::NAN).to_vec()));
    found_and_mended("a.nii", "bitpix is 8", at(72, 8_i16.to_le_bytes().to_vec()));
    found_and_mended("a.nii", "db_name", at(14, b"DOE^JANE".to_vec()));
    found_and_mended("a.nii", "17 bytes behind", |bytes| [bytes, vec![1; 17]].concat());
    found_and_mended("a.nii", "says metres", at(123, vec![1 + 8]));
    found_and_mended("a.nii.gz", "not gzip", |bytes| bytes);
    found_and_mended("a.nii", "gzip", |bytes| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        packed.finish().unwrap()
    });
    // The sizes matter where only the qform is there.
    found_and_mended("a.nii", "pixdim[3] is 0", |mut bytes| {
        put(&mut bytes, 88, &float(0.0));
        bytes
    });
}

#[test]
fn a_quaternion_that_nibabel_does_not_take_is_found_and_mended() {
    // A half turn, with a norm that a text of six digits rounded.
    found_and_mended("a.nii", "nibabel does not take it", |mut bytes| {
        put(&mut bytes, 254, &0_i16.to_le_bytes());
        let half = 0.5_f32.sqrt() * (1.0 + 5e-7);
        for (at, value) in [(256, half), (260, half), (264, 0.0)] {
            put(&mut bytes, at, &float(value));
        }
        bytes
    });
}

#[test]
fn every_volume_is_looked_at_for_spikes_and_damage() {
    let folder = tempfile::tempdir().unwrap();
    let head = phantom::head(&PhantomConfig {
        extent: [24; 3],
        ..PhantomConfig::default()
    });
    let mut image = NiftiImage::from_volume(head.unwrap());
    let mut second = image.frames[0].clone();
    second.data_mut()[24 * 24 * 12 + 24 * 12 + 12] = 1e7;
    image.frames.push(second);
    image.header.extra_extent = vec![2];
    let path = folder.path().join("a.nii.gz");
    nifti::write(&path, &image, &WriteOptions::default()).unwrap();
    let found = findings(&path);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("volume 2 of 2: 1 voxel lies far beyond the rest, at 10000000"),
        "{found:?}"
    );
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 200);
    std::fs::write(&path, bytes).unwrap();
    let found = findings(&path);
    assert!(found[0].contains("cut short"), "{found:?}");
}

#[test]
fn a_qform_brought_to_another_world_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let codes = |offset: f32| {
        let mut bytes = clean(folder.path());
        put(&mut bytes, 254, &4_i16.to_le_bytes());
        let there = f32::from_le_bytes(bytes[292..296].try_into().unwrap());
        put(&mut bytes, 292, &float(there + offset));
        let (path, mended) = (folder.path().join("a.nii"), folder.path().join("b.nii"));
        std::fs::write(&path, bytes).unwrap();
        mend(&path, &mended, true, false, &ReadOptions::default()).unwrap();
        let header = nifti::read_header(&mended).unwrap().0;
        (header.qform.unwrap().code, header.sform.unwrap().code)
    };
    assert_eq!(codes(0.0), (1, 4), "one place, two names");
    assert_eq!(
        codes(30.0),
        (4, 4),
        "the scanner's world is not where the sform leads"
    );
}

#[test]
fn what_cannot_be_mended_is_left_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = clean(folder.path());
    put(&mut bytes, 252, &[0; 4]);
    let path = folder.path().join("a.nii");
    std::fs::write(&path, &bytes).unwrap();
    assert!(findings(&path)[0].contains("left and right are a guess"));
    let mended = folder.path().join("b.nii.gz");
    mend(&path, &mended, false, false, &ReadOptions::default()).unwrap();
    let header = nifti::read_header(&mended).unwrap().0;
    assert!(
        header.sform.is_none() && header.qform.is_none(),
        "no code is invented"
    );
    assert_eq!(findings(&mended).len(), 1);

    put(&mut bytes, 42, &0_i16.to_le_bytes());
    let broken = folder.path().join("broken.nii");
    std::fs::write(&broken, &bytes).unwrap();
    assert!(findings(&broken)[0].starts_with("cannot be read: dim[1] is 0"));
    assert!(
        mend(
            &broken,
            &folder.path().join("c.nii"),
            false,
            false,
            &ReadOptions::default()
        )
        .is_err()
    );
    assert!(!folder.path().join("c.nii").exists());
    assert!(examine(&folder.path().join("missing.nii"), &ReadOptions::default()).is_err());
}

#[test]
fn a_damaged_end_is_found_before_a_copy_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&clean(folder.path())).unwrap();
    let mut bytes = packed.finish().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let path = folder.path().join("a.nii.gz");
    std::fs::write(&path, bytes).unwrap();
    let found = findings(&path);
    assert!(
        found.len() == 1 && found[0].contains("gzip stream is damaged"),
        "{found:?}"
    );
    let message = mend(
        &path,
        &folder.path().join("b.nii"),
        false,
        false,
        &ReadOptions::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("a.nii.gz: gzip stream is damaged"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let over = mend(&path, &path, true, false, &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(over.contains("is an input"), "{over}");
}

#[test]
fn an_axis_that_a_scanner_interpolated_is_named_with_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let config = PhantomConfig {
        extent: [96; 3],
        spacing_mm: [2.0; 3],
        ..PhantomConfig::default()
    };
    let head = phantom::head(&config).unwrap();
    let filled = zero_fill(&truncate(&head, [96, 96, 56]), [96; 3]);
    for (volume, found) in [(head, 0), (filled, 1)] {
        let path = folder.path().join(format!("{found}.nii"));
        nifti::write(&path, &NiftiImage::from_volume(volume), &WriteOptions::default()).unwrap();
        let findings = findings(&path);
        assert_eq!(findings.len(), found, "{findings:?}");
        assert!(
            findings
                .iter()
                .all(|f| f.contains("along z") && f.contains("degraded to voxels of 2.000 x 2.000 x 3."))
        );
    }
}

#[test]
fn the_interpolated_scans_of_the_shared_data_are_named() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/train");
    if !data.is_dir() {
        return writeln!(std::io::stderr(), "skipped: no shared data").unwrap();
    }
    let found = findings(&data.join("lr_source/ds002748-sub02_T1w_brain.nii.gz"));
    // Along y it is a little interpolated too, along x not enough to say.
    assert!(
        found.iter().all(|finding| !finding.contains("along x")),
        "{found:?}"
    );
    let along_z = found.iter().find(|finding| finding.contains("along z"));
    let present = along_z
        .expect("the axis k")
        .split("finer than ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let present: f64 = present.unwrap().parse().unwrap();
    assert!((1.7..2.0).contains(&present), "{found:?}");
    assert_eq!(
        findings(&data.join("hr/oasis-malf1000_T1w_1mm_brain.nii.gz")),
        Vec::<String>::new()
    );
}
