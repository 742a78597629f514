//! The JSON file beside an output: from what and how it was made, and what it holds.
//!
//! It is written twice. Before the work it says that an output is under way, and is locked as long as the process lives:
//! another batch passes over the scan, and after a kill the next one makes it anew. After the work it holds the hashes of
//! everything that was written, so that "there already" is said of nothing else.

mod claim;
mod standing;

use std::fs::{self, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use voxelift_model::cache;
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;
use voxelift_volume::nifti::{ReadOptions, WriteOptions};
use voxelift_volume::scan;

use super::super::files::{self, Job};
use crate::terminal::Terminal;
pub(super) use standing::{Turn, is_done, turn};

/// The key that says that the work is under way, or was cut off.
const UNDER_WAY: &str = "under_way";
/// The key that says that free text was dropped.
pub(super) const ANONYMISED: &str = "anonymise";
/// The key of what was written: file names and their SHA-256.
const OUTPUTS: &str = "outputs";

/// Its name.
pub fn beside(output: &Path) -> PathBuf {
    output.with_file_name(format!("{}.json", scan::stem(output)))
}

/// Leaves the names of files without the folders that they lie in, which may name somebody.
pub(super) fn without_folders(how: &mut Value) {
    let names = ["/source", "/labels/file", "/like/file"];
    for name in names {
        if let Some(path) = how.pointer_mut(name)
            && let Some(short) = path.as_str().and_then(|path| Path::new(path).file_name())
        {
            *path = json!(short.to_string_lossy());
        }
    }
}

/// What every output depends on beside its method: the content of the files and how they are read and written.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn of_files(
    mut how: Value,
    job: &Job,
    read: &ReadOptions,
    write: &WriteOptions,
    audit: bool,
    [labels, like]: [&Option<PathBuf>; 2],
) -> anyhow::Result<Value> {
    how["source"] = json!(job.input.to_string_lossy());
    how["source_sha256"] = json!(cache::content(&job.input)?);
    how["voxelift"] = json!(env!("CARGO_PKG_VERSION"));
    how["dtype"] = json!(format!("{:?}", write.dtype).to_lowercase());
    how["nan"] = json!(format!("{:?}", read.nan).to_lowercase());
    how["audit"] = json!(audit);
    for (key, file) in [("labels", labels), ("like", like)] {
        if let Some(file) = file {
            how[key] = json!({"file": file.to_string_lossy(), "sha256": cache::content(file)?});
        }
    }
    Ok(how)
}

/// The sidecar of this path; none where there is none.
///
/// # Errors
/// When there is a file that this program did not write.
fn read(path: &Path) -> anyhow::Result<Option<Value>> {
    let Ok(text) = fs::read(path) else {
        return Ok(None);
    };
    let there: Option<Value> = serde_json::from_slice(&text).ok();
    let there = there.filter(|there| there.get("voxelift").is_some());
    let foreign = || {
        VolumeError::Argument {
        name: "output",
        value: path.display().to_string(),
        expected: "exists and is not of voxelift's making, so that it is never written over; give the output another name".into(),
    }
    };
    Ok(Some(there.ok_or_else(foreign)?))
}

/// What the sidecar of a finished output says; nothing where there is none, or its work was cut off.
pub fn finished(output: &Path) -> Option<Value> {
    let there = read(&beside(output)).ok()??;
    (output.is_file() && there[UNDER_WAY] != json!(true) && there[OUTPUTS].is_object()).then_some(there)
}

/// Refuses an output whose sidecar would replace a file that this program did not write, or, without `force`, one that it wrote
/// and finished.
///
/// # Errors
/// As said.
pub fn refuse_existing(output: &Path, force: bool) -> anyhow::Result<()> {
    let path = beside(output);
    match read(&path)? {
        Some(there) if there[UNDER_WAY] == json!(true) && !is_locked(&path, false) => Ok(()),
        _ => files::refuse_existing(&path, force),
    }
}

/// Removes the sidecar of an earlier output under the same name, which says nothing true of a new one without a sidecar; one of
/// another program stays, and so does one that another process holds. What else was written beside the earlier output is told.
///
/// # Errors
/// When it cannot be removed.
pub fn forget(output: &Path, terminal: &Terminal) -> anyhow::Result<()> {
    let path = beside(output);
    let Ok(Some(there)) = read(&path) else {
        return Ok(());
    };
    if is_locked(&path, false) {
        return Ok(());
    }
    tell_left_over(output, &there, &[output.to_owned()], terminal);
    fs::remove_file(&path).map_err(|error| VolumeError::io(&path, "remove", error))?;
    Ok(())
}

/// Says which files an earlier output under the same name had beside it, that the new one was not `written` with.
fn tell_left_over(output: &Path, there: &Value, written: &[PathBuf], terminal: &Terminal) {
    for name in there[OUTPUTS]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        let file = output.with_file_name(name);
        if !written.contains(&file) && file.is_file() {
            terminal.warn(format!(
                "{}: goes with an earlier {}; make it anew, or remove it",
                file.display(),
                output.display()
            ));
        }
    }
}

/// Whether another process holds a sidecar; with `wait` only after it was let go.
fn is_locked(path: &Path, wait: bool) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else {
        return false;
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            if wait {
                let _ = file.lock();
            }
            true
        }
        // Some network file systems cannot lock.
        Ok(()) | Err(TryLockError::Error(_)) => false,
    }
}

fn put(path: &Path, what: &Value, force: bool) -> Result<(), VolumeError> {
    let text = serde_json::to_string_pretty(what).expect("plain data");
    write_atomically(path, force, |out| writeln!(out, "{text}"))
}
