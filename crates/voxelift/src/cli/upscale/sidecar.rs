//! The JSON file beside an output: how it was made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;

use super::super::files::{self, Job};
use super::Plan;
use super::consistency::Consistency;
use super::method::Method;
use super::target::Target;

/// Its name.
pub fn beside(output: &Path) -> PathBuf {
    output.with_file_name(format!("{}.json", files::stem(output)))
}

/// What an output depends on, as its sidecar tells it: for a model always, for zero-filling where data consistency is asked
/// for. What needs nothing but the command has none.
pub(super) fn described(plan: &Plan, target: &Target, job: &Job, tile: Option<usize>) -> Option<Value> {
    let mut how = plan.method.sidecar(tile)?;
    if plan.consistency == Consistency::Off && !matches!(plan.method, Method::Model(_)) {
        return None;
    }
    how["source"] = json!(job.input);
    how["target"] = json!(target.to_string());
    how["voxelift"] = json!(env!("CARGO_PKG_VERSION"));
    how["consistency"] = json!({"mode": plan.consistency.name()});
    Some(how)
}

/// Whether the output of a job is there and was made as `how` says. A sidecar that lost its output is removed.
///
/// # Errors
/// When there is an output that was made otherwise, or nobody knows how.
pub fn is_done(job: &Job, how: Option<&Value>) -> anyhow::Result<bool> {
    let path = beside(&job.output);
    let text = fs::read(&path).ok();
    let there: Option<Value> = text.and_then(|text| serde_json::from_slice(&text).ok());
    let there = there.filter(|there| there.get("voxelift").is_some());
    if !job.output.exists() {
        if there.is_some() {
            fs::remove_file(&path).map_err(|error| VolumeError::io(&path, "remove", error))?;
        }
        return Ok(false);
    }
    let (Some(how), Some(there)) = (how, there) else {
        return Err(VolumeError::Exists {
            path: job.output.clone(),
        }
        .into());
    };
    let modes = |consistency: &Value| match consistency {
        Value::Array(frames) => frames.first().map(|frame| frame["mode"].clone()),
        one => Some(one["mode"].clone()),
    };
    let keys = how.as_object().into_iter().flatten();
    let other = keys.filter(|(key, value)| match key.as_str() {
        "consistency" => modes(value) != modes(&there["consistency"]),
        key => there.get(key) != Some(value),
    });
    let other: Vec<&str> = other.map(|(key, _)| key.as_str()).collect();
    anyhow::ensure!(
        other.is_empty(),
        "{}: exists, and was made with another {}; pass --force to make it anew",
        job.output.display(),
        other.join(", ")
    );
    Ok(true)
}

/// Writes it, with what was done for data consistency.
///
/// # Errors
/// When it cannot be written.
pub fn write(mut how: Value, job: &Job, consistency: &[Value], force: bool) -> anyhow::Result<()> {
    match consistency {
        [] => {}
        [one] => how["consistency"] = one.clone(),
        several => how["consistency"] = json!(several),
    }
    let text = serde_json::to_string_pretty(&how)?;
    write_atomically(&beside(&job.output), force, |out| writeln!(out, "{text}"))?;
    Ok(())
}
