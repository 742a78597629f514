//! An output under way: its sidecar says so, and is locked, until all of it is written.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde_json::{Map, Value, json};
use voxelift_model::cache;
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;
use voxelift_volume::undo::Undo;

use super::super::super::files::{self, Job};
use super::{OUTPUTS, UNDER_WAY, beside, put, tell_left_over};
use crate::terminal::Terminal;

/// An output under way. Dropped before it is done, what stood there before comes back; but for an output that is new already, which
/// the next call takes for cut off.
pub struct Claim {
    path: PathBuf,
    output: PathBuf,
    how: Value,
    before: Before,
    is_done: bool,
    /// Locked as long as it is open.
    _held: File,
    _undo: Undo,
}

impl Claim {
    /// Writes the sidecar that says so; nothing where a `first` one comes second, after another process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(job: &Job, how: &Value, first: bool) -> anyhow::Result<Option<Self>> {
        let path = beside(&job.output);
        files::make_parent(&path)?;
        let before = Before {
            sidecar: fs::read(&path).ok(),
            output: stamp(&job.output),
        };
        let mut under_way = how.clone();
        under_way[UNDER_WAY] = json!(true);
        match put(&path, &under_way, !first) {
            Err(VolumeError::Exists { .. }) if first => return Ok(None),
            written => written?,
        }
        let held = OpenOptions::new().read(true).write(true).open(&path);
        let held = held.map_err(|error| VolumeError::io(&path, "open", error))?;
        let _ = held.try_lock();
        let (sidecar, output, then) = (path.clone(), job.output.clone(), before.clone());
        Ok(Some(Self {
            path,
            output: job.output.clone(),
            how: how.clone(),
            before,
            is_done: false,
            _held: held,
            _undo: Undo::new(move || put_back(&sidecar, &output, &then)),
        }))
    }

    /// Says more of how the output was made.
    pub fn add(&mut self, key: &str, value: Value) {
        self.how[key] = value;
    }

    /// Says which files an earlier output under the same name had beside it and this one was not `written` with.
    pub fn tell_left_over(&self, written: &[PathBuf], terminal: &Terminal) {
        let before = self
            .before
            .sidecar
            .as_deref()
            .map(serde_json::from_slice::<Value>);
        if let (Some(Ok(before)), Some(output)) = (before, written.first()) {
            tell_left_over(output, &before, written, terminal);
        }
    }

    /// Says what was written, and what was done for data consistency.
    ///
    /// # Errors
    /// When a written file cannot be read again, or the sidecar cannot be written.
    pub fn done(mut self, written: &[PathBuf], consistency: &[Value]) -> anyhow::Result<()> {
        match consistency {
            [] => {}
            [one] => self.how["consistency"] = one.clone(),
            several => self.how["consistency"] = json!(several),
        }
        let mut outputs = Map::new();
        for file in written {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let sum = cache::content(file).with_context(|| file.display().to_string())?;
            outputs.insert(name, json!(sum));
        }
        self.how[OUTPUTS] = Value::Object(outputs);
        put(&self.path, &self.how, true)?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_done {
            put_back(&self.path, &self.output, &self.before);
        }
    }
}

/// What stood where an output and its sidecar go.
#[derive(Clone)]
struct Before {
    sidecar: Option<Vec<u8>>,
    output: Option<Stamp>,
}

/// What tells one file from another that took its name: length and time.
type Stamp = (u64, Option<SystemTime>);

fn stamp(path: &Path) -> Option<Stamp> {
    let there = fs::metadata(path).ok()?;
    Some((there.len(), there.modified().ok()))
}

/// A sidecar as it was. A scan that failed has said so; where this fails too, or the output is there already, the sidecar says that
/// nothing was finished.
fn put_back(sidecar: &Path, output: &Path, before: &Before) {
    if stamp(output) != before.output {
        return;
    }
    let _ = match &before.sidecar {
        Some(before) => write_atomically(sidecar, true, |out| out.write_all(before)),
        None => fs::remove_file(sidecar).map_err(|error| VolumeError::io(sidecar, "remove", error)),
    };
}
