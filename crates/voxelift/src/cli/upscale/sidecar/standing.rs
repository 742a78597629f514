//! What stands where an output is to be, and whose turn it is.

use std::path::PathBuf;

use serde_json::{Value, json};
use voxelift_model::cache;
use voxelift_volume::VolumeError;

use super::super::super::files::{self, Job};
use super::claim::Claim;
use super::{ANONYMISED, OUTPUTS, UNDER_WAY, beside, is_locked, read, refuse_existing};

/// What a batch finds where an output is to be.
enum Standing {
    /// The output, as a fresh run would write it.
    Done,
    /// Nothing.
    Free,
    /// What a killed process of the same command left, or a sidecar that lost its output: ours to write over.
    Ours,
    /// Another process is at it.
    Busy,
}

/// Whose turn an output is.
pub enum Turn {
    /// Nobody's: it is there, as a fresh run would write it.
    Done,
    /// Another process's.
    Elsewhere,
    /// Ours; what stands there may be written over.
    Ours(Claim),
}

/// Claims an output. Of a batch one that is there already is left, unless it is forced; `alone` are the files that
/// nobody may have written when the output itself is not there.
///
/// # Errors
/// When what is there may not be written over, or the sidecar cannot be written.
pub fn turn(
    job: &Job,
    how: &Value,
    batch: bool,
    waits: bool,
    force: bool,
    alone: &[PathBuf],
) -> anyhow::Result<Turn> {
    let claimed = |claim: Option<Claim>| Turn::Ours(claim.expect("only a first claim can come second"));
    if !batch || force {
        refuse_existing(&job.output, force)?;
        return Claim::new(job, how, false).map(claimed);
    }
    loop {
        match standing(job, how, waits)? {
            Standing::Done => return Ok(Turn::Done),
            Standing::Busy => return Ok(Turn::Elsewhere),
            Standing::Ours => return Claim::new(job, how, false).map(claimed),
            Standing::Free => {
                alone
                    .iter()
                    .try_for_each(|file| files::refuse_existing(file, false))?;
                if let Some(claim) = Claim::new(job, how, true)? {
                    return Ok(Turn::Ours(claim));
                }
                if !waits {
                    return Ok(Turn::Elsewhere);
                }
            }
        }
    }
}

/// What stands where the output of a job is to be; with `wait` another process's work is waited for.
///
/// # Errors
/// When there is an output that was made otherwise, changed since, or nobody knows how it was made, or a sidecar that is
/// not ours.
fn standing(job: &Job, how: &Value, wait: bool) -> anyhow::Result<Standing> {
    loop {
        let path = beside(&job.output);
        let there = read(&path)?;
        let is_under_way = there
            .as_ref()
            .is_some_and(|there| there[UNDER_WAY] == json!(true));
        if is_under_way && is_locked(&path, wait) {
            if wait {
                continue;
            }
            return Ok(Standing::Busy);
        }
        if !job.output.exists() {
            return Ok(if there.is_some() {
                Standing::Ours
            } else {
                Standing::Free
            });
        }
        let Some(there) = there else {
            return Err(VolumeError::Exists {
                path: job.output.clone(),
            }
            .into());
        };
        let output = job.output.display();
        let other = differing(how, &there);
        anyhow::ensure!(
            other.is_empty(),
            "{output}: exists, and was made with another {}; pass --force to make it anew",
            other.join(", ")
        );
        if is_under_way {
            return Ok(Standing::Ours);
        }
        let Some(outputs) = there[OUTPUTS].as_object() else {
            anyhow::bail!(
                "{output}: exists, and its sidecar does not say what it held; pass --force to make it anew"
            );
        };
        for (name, sum) in outputs {
            let file = job.output.with_file_name(name);
            let found = if file.is_file() {
                cache::content(&file).ok()
            } else {
                None
            };
            match found {
                Some(found) if json!(found) == *sum => {}
                Some(_) => anyhow::bail!(
                    "{}: exists, and is not what was written (cut, damaged or edited); pass --force to make it anew",
                    file.display()
                ),
                None => anyhow::bail!(
                    "{output}: exists, but {} beside it is gone; pass --force to make both anew",
                    file.display()
                ),
            }
        }
        return Ok(Standing::Done);
    }
}

/// The settings that differ, by their keys.
fn differing<'a>(how: &'a Value, there: &Value) -> Vec<&'a str> {
    let modes = |consistency: &Value| match consistency {
        Value::Array(frames) => frames.first().map(|frame| frame["mode"].clone()),
        one => Some(one["mode"].clone()),
    };
    let keys = how.as_object().into_iter().flatten();
    let other = keys.filter(|(key, value)| match key.as_str() {
        // Where a scan lies does not matter, what it holds does.
        "source" | "model" | ANONYMISED => false,
        "consistency" => modes(value) != modes(&there["consistency"]),
        "labels" | "like" => there[key]["sha256"] != value["sha256"],
        // An audit more than was asked for does not change the output.
        "audit" => **value == json!(true) && there[key] != json!(true),
        // What was in range needs no permission; what was not is refused without.
        "allow_out_of_range" => **value == json!(false) && there[key] == json!(true),
        key => there.get(key) != Some(value),
    });
    let word = |key: &'a str| {
        if key == "source_sha256" {
            "content of the input"
        } else {
            key
        }
    };
    let mut other: Vec<&str> = other.map(|(key, _)| word(key)).collect();
    let anonymised = |how: &Value| how[ANONYMISED] == json!(true);
    if anonymised(how) != anonymised(there) {
        other.push(ANONYMISED);
    }
    other
}

/// Whether an output is there as a fresh run would write it, by what is known before the scan was looked at.
pub fn is_done(job: &Job, how: &Value) -> bool {
    job.output.is_file() && matches!(standing(job, how, false), Ok(Standing::Done))
}
