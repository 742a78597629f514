//! Every input that a fuzzer broke something with, kept under `tests/fuzz_artifacts/<target>/`, and what the fuzzers ask.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/fuzz_targets/attempt.rs"]
#[allow(dead_code)]
mod attempt;

#[test]
fn what_broke_once_is_refused_or_read() {
    let artifacts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_artifacts");
    let mut replayed = 0;
    for (target, name) in [("nifti", "a.nii"), ("mgh", "a.mgh"), ("gzip", "a.nii.gz")] {
        for entry in fs::read_dir(artifacts.join(target)).into_iter().flatten() {
            attempt::attempt(name, &fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "{} is empty", artifacts.display());
}
