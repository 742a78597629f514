//! The JSON file beside an output: how it was made.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use voxelift_volume::files::write_atomically;

use super::super::files::{self, Job};
use super::method::Method;

/// Its name.
pub fn beside(output: &Path) -> PathBuf {
    output.with_file_name(format!("{}.json", files::stem(output)))
}

/// Writes it: for a model always, for zero-filling where data consistency was asked for. What needs nothing but the
/// command has none.
///
/// # Errors
/// When it cannot be written.
pub fn write(method: &Method, job: &Job, consistency: &[Value], force: bool) -> anyhow::Result<()> {
    let Some(mut how) = method.sidecar() else {
        return Ok(());
    };
    if consistency.is_empty() && !matches!(method, Method::Model(_)) {
        return Ok(());
    }
    how["source"] = json!(job.input);
    how["voxelift"] = json!(env!("CARGO_PKG_VERSION"));
    how["consistency"] = match consistency {
        [] => json!({"mode": "off"}),
        [one] => one.clone(),
        several => json!(several),
    };
    let text = serde_json::to_string_pretty(&how)?;
    write_atomically(&beside(&job.output), force, |out| writeln!(out, "{text}"))?;
    Ok(())
}
