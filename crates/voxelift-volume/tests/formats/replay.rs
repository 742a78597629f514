//! Every input that a fuzzer broke something with, kept under `tests/fuzz_artifacts/<target>/`.

use std::fs;
use std::path::Path;

use voxelift_volume::nifti::{self, ReadOptions, WriteOptions};
use voxelift_volume::scan;

#[test]
fn what_broke_once_is_refused_or_read() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_artifacts");
    let folder = tempfile::tempdir().unwrap();
    let mut replayed = 0;
    for (target, name) in [("nifti", "a.nii"), ("mgh", "a.mgh"), ("gzip", "a.nii.gz")] {
        let Ok(entries) = fs::read_dir(artifacts.join(target)) else {
            continue;
        };
        for entry in entries {
            let path = folder.path().join(name);
            fs::copy(entry.unwrap().path(), &path).unwrap();
            let Ok(image) = scan::read(&path, &ReadOptions::default()) else {
                continue;
            };
            let options = WriteOptions {
                force: true,
                ..WriteOptions::default()
            };
            let out = folder.path().join("written.nii");
            nifti::write(&out, &image, &options).unwrap();
            nifti::read(&out, &ReadOptions::default()).unwrap();
            replayed += 1;
        }
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", artifacts.display());
}
