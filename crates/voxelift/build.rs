//! What `--version` says beside the number: the commit that the program was built from.

// Cargo reads a build script's stdout.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let git = |arguments: &[&str]| {
        let said = Command::new("git")
            .arg("-C")
            .arg(&root)
            .args(arguments)
            .output()
            .ok()?;
        let text = said
            .status
            .success()
            .then(|| String::from_utf8(said.stdout).ok())??;
        Some(text.trim().to_owned())
    };
    // An unpacked archive within somebody else's repository has not that one's commit.
    let is_own = git(&["rev-parse", "--show-toplevel"]).is_some_and(
        |top| matches!((Path::new(&top).canonicalize(), root.canonicalize()), (Ok(a), Ok(b)) if a == b),
    );
    let commit = is_own
        .then(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .flatten();
    // A file that is not there would make every call build anew.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).map(|log| root.join(log));
    if let Some(log) = log.filter(|log| is_own && log.is_file()) {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=VOXELIFT_COMMIT={commit}");
}
