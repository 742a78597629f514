//! Python beside the tests: found where it has what a reference needs, and run.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The interpreter that can import these modules.
pub fn python(modules: &str) -> Option<&'static str> {
    let works = |python: &&str| {
        let probe = Command::new(python)
            .args(["-c", &format!("import {modules}")])
            .output();
        probe.is_ok_and(|output| output.status.success())
    };
    ["python3", "python"].into_iter().find(works)
}

/// Says why a test did not look.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// Runs a script of `scripts/reference` on a folder.
///
/// # Panics
/// Where it does not end well, with what it said.
pub fn run(python: &str, script: &str, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scripts/reference")
        .join(script);
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
