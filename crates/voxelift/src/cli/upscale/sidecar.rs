//! The JSON file beside an output: from what and how it was made, and what it holds.
//!
//! It is written twice. Before the work it says that an output is under way, and is locked as long as the process lives:
//! another batch passes over the scan, and after a kill the next one makes it anew. After the work it holds the hashes of
//! everything that was written, so that "there already" is said of nothing else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};
use voxelift_model::cache;
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;
use voxelift_volume::nifti::{ReadOptions, WriteOptions};

use super::super::files::{self, Job};
use crate::terminal::Terminal;

/// The key that says that the work is under way, or was cut off.
const UNDER_WAY: &str = "under_way";
/// The key that says that free text was dropped.
pub(super) const ANONYMISED: &str = "anonymise";
/// The key of what was written: file names and their SHA-256.
const OUTPUTS: &str = "outputs";

/// Its name.
pub fn beside(output: &Path) -> PathBuf {
    output.with_file_name(format!("{}.json", files::stem(output)))
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
pub(super) enum Turn {
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
pub(super) fn turn(
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

/// Whether an output is there as a fresh run would write it, by what is known before the scan was looked at.
pub(super) fn is_done(job: &Job, how: &Value) -> bool {
    job.output.is_file() && matches!(standing(job, how, false), Ok(Standing::Done))
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

/// An output under way. Dropped before it is done, what stood there before comes back.
pub(super) struct Claim {
    path: PathBuf,
    how: Value,
    before: Option<Vec<u8>>,
    is_done: bool,
    /// Locked as long as it is open.
    _held: File,
}

impl Claim {
    /// Writes the sidecar that says so; nothing where a `first` one comes second, after another process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(job: &Job, how: &Value, first: bool) -> anyhow::Result<Option<Self>> {
        let path = beside(&job.output);
        files::make_parent(&path)?;
        let before = fs::read(&path).ok();
        let mut under_way = how.clone();
        under_way[UNDER_WAY] = json!(true);
        match put(&path, &under_way, !first) {
            Err(VolumeError::Exists { .. }) if first => return Ok(None),
            written => written?,
        }
        let held = OpenOptions::new().read(true).write(true).open(&path);
        let held = held.map_err(|error| VolumeError::io(&path, "open", error))?;
        let _ = held.try_lock();
        Ok(Some(Self {
            path,
            how: how.clone(),
            before,
            is_done: false,
            _held: held,
        }))
    }

    /// Says more of how the output was made.
    pub fn add(&mut self, key: &str, value: Value) {
        self.how[key] = value;
    }

    /// Says which files an earlier output under the same name had beside it and this one was not `written` with.
    pub fn tell_left_over(&self, written: &[PathBuf], terminal: &Terminal) {
        let before = self.before.as_deref().map(serde_json::from_slice::<Value>);
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
        if self.is_done {
            return;
        }
        // A scan that failed has said so; where this fails too, the sidecar says that nothing was finished.
        let _ = match &self.before {
            Some(before) => write_atomically(&self.path, true, |out| out.write_all(before)),
            None => fs::remove_file(&self.path).map_err(|error| VolumeError::io(&self.path, "remove", error)),
        };
    }
}

fn put(path: &Path, what: &Value, force: bool) -> Result<(), VolumeError> {
    let text = serde_json::to_string_pretty(what).expect("plain data");
    write_atomically(path, force, |out| writeln!(out, "{text}"))
}
