//! File names of a batch: what is read, what is written, and what is never overwritten.

mod folder;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use voxelift_volume::files::{folder_of, refuse_devices, remove_unfinished};
use voxelift_volume::nifti::{self, Header, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::scan::{self, Scan};
use voxelift_volume::{Volume, VolumeError};

use crate::failure::usage;
use crate::terminal::Terminal;

/// One file in, one file out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Read.
    pub input: PathBuf,
    /// Written.
    pub output: PathBuf,
}

impl Job {
    /// The name of the file that is read, to be said.
    pub fn name(&self) -> Cow<'_, str> {
        self.input.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// A scan that was found, and the folder below the output's where its output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The scan.
    pub path: PathBuf,
    /// Empty but for a scan deeper in a folder that was given.
    pub within: PathBuf,
}

/// Files that are never written over, however many: each looked up at once, through links too.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    names: HashSet<PathBuf>,
}

impl Inputs {
    /// Of these files.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut inputs = Self::default();
        paths.into_iter().for_each(|path| inputs.add(path));
        inputs
    }

    /// One more.
    pub fn add(&mut self, path: &Path) {
        self.names.insert(path.to_owned());
        self.names.extend(fs::canonicalize(path));
    }

    /// Refuses an output that is one of them.
    ///
    /// # Errors
    /// When it is.
    pub fn refuse(&self, output: &Path) -> anyhow::Result<()> {
        if self.hold(output) {
            return Err(usage(format!(
                "output {}: is the input; inputs are never overwritten",
                output.display()
            )));
        }
        Ok(())
    }

    fn hold(&self, output: &Path) -> bool {
        self.names.contains(output)
            || fs::canonicalize(output).is_ok_and(|output| self.names.contains(&output))
    }
}

/// Pairs inputs with outputs: one input goes to the file `out`, or into an existing folder; a batch goes into a
/// folder, made where it is missing, each as `<stem><suffix>.nii.gz`.
///
/// # Errors
/// When two inputs would be written to one name, an output is an input, or exists already without `force`.
pub fn jobs(
    inputs: &[PathBuf],
    batch: bool,
    out: &Path,
    suffix: &str,
    force: bool,
) -> anyhow::Result<Vec<Job>> {
    let found = inputs.iter().map(|path| Found {
        path: path.clone(),
        within: PathBuf::new(),
    });
    let protected = Inputs::of(inputs.iter().map(PathBuf::as_path));
    jobs_within(&found.collect::<Vec<_>>(), &protected, batch, out, suffix, force)
}

/// As [`jobs`], each output in the folder below `out` that its scan goes with, and none of them over a `protected` file.
///
/// # Errors
/// As [`jobs`].
pub fn jobs_within(
    inputs: &[Found],
    protected: &Inputs,
    batch: bool,
    out: &Path,
    suffix: &str,
    force: bool,
) -> anyhow::Result<Vec<Job>> {
    let into_folder = batch || out.is_dir() || is_named_as_folder(out);
    if into_folder && out.exists() && !out.is_dir() {
        return Err(usage(format!(
            "-o {}: is a file; several inputs need a folder",
            out.display()
        )));
    }
    let mut jobs: Vec<Job> = Vec::with_capacity(inputs.len());
    let mut taken: HashMap<PathBuf, usize> = HashMap::with_capacity(inputs.len());
    for Found { path: input, within } in inputs {
        let name = format!("{}{suffix}.nii.gz", scan::stem(input));
        let output = if into_folder {
            out.join(within).join(name)
        } else {
            out.to_owned()
        };
        if let Some(other) = taken.insert(output.clone(), jobs.len()) {
            let (a, b) = (jobs[other].input.display(), input.display());
            return Err(usage(format!(
                "{a} and {b} would both be written to {}; rename one, or bring them to two -o folders by two calls",
                output.display()
            )));
        }
        jobs.push(Job {
            input: input.clone(),
            output,
        });
    }
    for job in &jobs {
        check_output_beside(&job.output, protected, force)?;
    }
    Ok(jobs)
}

/// The scans that are meant, and whether they are a batch: a folder stands for the image files in it and in the folders below,
/// however many; a folder that holds DICOM files and no image file is one scan.
///
/// # Errors
/// When a folder cannot be listed or holds no scan, or the outputs would go into it: the next call would take them for scans.
pub fn scans(inputs: &[PathBuf], out: &Path, terminal: &Terminal) -> anyhow::Result<(Vec<Found>, bool)> {
    let (mut scans, mut batch) = (Vec::new(), inputs.len() > 1);
    for input in inputs {
        if !input.is_dir() {
            if !batch && let Err(error) = fs::symlink_metadata(input) {
                return Err(VolumeError::io(input, "open", error).into());
            }
            scans.push(Found {
                path: input.clone(),
                within: PathBuf::new(),
            });
            continue;
        }
        let inside = folder::scans(input, out, terminal)?;
        let is_series = matches!(inside.as_slice(), [one] if one.path == *input);
        if inside.is_empty() {
            anyhow::bail!(
                "{}: holds no scan: no NIfTI, MGH or MGZ file and no DICOM series, in the folders below neither",
                input.display()
            );
        }
        if same_file(input, out) {
            return Err(usage(format!(
                "-o {}: is the folder of the scans; name another",
                out.display()
            )));
        }
        batch |= !is_series;
        scans.extend(inside);
    }
    Ok((scans, batch))
}

/// Whether a name ends as one of a folder does: `out/`, there or not.
fn is_named_as_folder(out: &Path) -> bool {
    out.as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|last| std::path::is_separator(char::from(*last)))
}

/// Removes what killed processes left half-written of these outputs and of what goes with them (`beside` one).
///
/// # Errors
/// When such a file cannot be removed.
pub fn sweep(jobs: &[Job], beside: impl Fn(&Path) -> Vec<PathBuf>) -> anyhow::Result<()> {
    let mut folders: HashMap<&Path, HashSet<OsString>> = HashMap::new();
    for job in jobs {
        let names = folders.entry(folder_of(&job.output)).or_default();
        let all = beside(&job.output).into_iter().chain([job.output.clone()]);
        names.extend(all.filter_map(|path| path.file_name().map(ToOwned::to_owned)));
    }
    for (folder, names) in folders {
        if folder.is_dir() {
            remove_unfinished(folder, |name| names.contains(OsStr::new(name)))?;
        }
    }
    Ok(())
}

/// Refuses a name that is no NIfTI name, an output that is one of the inputs, and an existing one without `force`.
///
/// # Errors
/// As said.
pub fn check_output(output: &Path, inputs: &[PathBuf], force: bool) -> anyhow::Result<()> {
    check_output_beside(output, &Inputs::of(inputs.iter().map(PathBuf::as_path)), force)
}

/// As [`check_output`], for many inputs.
///
/// # Errors
/// As [`check_output`].
pub fn check_output_beside(output: &Path, inputs: &Inputs, force: bool) -> anyhow::Result<()> {
    let name = output
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if !(name.ends_with(".nii") || name.ends_with(".nii.gz")) {
        return Err(usage(format!(
            "output {}: expected a name ending in .nii or .nii.gz",
            output.display()
        )));
    }
    inputs.refuse(output)?;
    refuse_existing(output, force)
}

/// # Errors
/// When `output` exists and `force` is not given.
pub fn refuse_existing(output: &Path, force: bool) -> anyhow::Result<()> {
    if output.is_dir() {
        return Err(usage(format!("output {}: is a folder", output.display())));
    }
    refuse_devices(output)?;
    if output.exists() && !force {
        return Err(VolumeError::Exists {
            path: output.to_owned(),
        }
        .into());
    }
    Ok(())
}

/// Refuses a link that leads nowhere, with what it leads to.
///
/// # Errors
/// When the file is such a link.
pub fn refuse_dangling(path: &Path) -> anyhow::Result<()> {
    let Ok(target) = fs::read_link(path) else {
        return Ok(());
    };
    if path.exists() {
        return Ok(());
    }
    let annexed = target.components().any(|part| part.as_os_str() == "annex");
    let advice = if annexed {
        "its content was not fetched: `datalad get` or `git annex get` it"
    } else {
        "bring back the file, or remove the link"
    };
    anyhow::bail!(
        "{}: is a link to {}, which is not there; {advice}",
        path.display(),
        target.display()
    )
}

/// Reads a file and says what was odd about it.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path, options: &ReadOptions, terminal: &Terminal) -> anyhow::Result<NiftiImage> {
    let image = scan::read(path, options)?;
    tell(&image.warnings, path, terminal);
    Ok(image)
}

/// As [`read`], with at most one volume in memory.
///
/// # Errors
/// When any of it cannot be read.
pub fn open(path: &Path, options: &ReadOptions, terminal: &Terminal) -> anyhow::Result<Scan> {
    let scan = scan::open(path, options)?;
    tell(&scan.warnings, path, terminal);
    Ok(scan)
}

fn tell(warnings: &[String], path: &Path, terminal: &Terminal) {
    warnings
        .iter()
        .for_each(|warning| terminal.warn(format!("{}: {warning}", path.display())));
}

/// Writes a file, making its folder, and says when the type could not hold every value.
///
/// # Errors
/// When a volume cannot be made, or the file not be written.
pub fn write(
    path: &Path,
    header: &Header,
    frames: impl IntoIterator<Item = anyhow::Result<Volume>>,
    options: &WriteOptions,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    make_parent(path)?;
    let report = nifti::write_frames(path, header, frames, options)?;
    if report.clamped > 0 {
        let (path, count, kind) = (path.display(), report.clamped, report.datatype);
        terminal.warn(format!(
            "{path}: {count} voxels beyond the range of {kind} were set to its nearest value"
        ));
    }
    Ok(())
}

/// Makes the folder that a file will be written to.
///
/// # Errors
/// When that is not possible.
pub fn make_parent(output: &Path) -> anyhow::Result<()> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent).map_err(|error| VolumeError::io(parent, "create the folder", error))?;
    }
    Ok(())
}

/// Whether both names lead to the same file, through links too.
pub fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::message;

    fn outputs(inputs: &[&str], out: &Path, force: bool) -> Result<Vec<PathBuf>, String> {
        let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        let jobs = jobs(&inputs, inputs.len() > 1, out, "_sr", force).map_err(|error| message(&error))?;
        Ok(jobs.into_iter().map(|job| job.output).collect())
    }

    #[test]
    fn one_input_goes_to_a_file_or_into_a_folder_and_several_into_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(
            outputs(&["x/a.nii"], &at.join("b.nii"), false).unwrap(),
            [at.join("b.nii")]
        );
        assert_eq!(
            outputs(&["x/a.nii"], at, false).unwrap(),
            [at.join("a_sr.nii.gz")]
        );
        let slash = at.join("later/");
        assert_eq!(
            outputs(&["x/a.nii"], &slash, false).unwrap(),
            [at.join("later/a_sr.nii.gz")]
        );
        let new = at.join("new");
        let both = outputs(&["a.nii", "b.nii.gz"], &new, false).unwrap();
        assert_eq!(both, [new.join("a_sr.nii.gz"), new.join("b_sr.nii.gz")]);
    }

    #[test]
    fn clashes_inputs_and_existing_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let there = at.join("there.nii");
        fs::write(&there, "x").unwrap();
        let there_text = there.to_str().unwrap();
        let refusals = [
            (outputs(&["a/s.nii", "b/s.nii.gz"], at, false), "both be written"),
            (
                outputs(&["a.nii", "b.nii"], &there, false),
                "several inputs need a folder",
            ),
            (outputs(&["a.nii"], &there, false), "--force"),
            (outputs(&["a.nii"], &at.join("b.png"), false), ".nii.gz"),
            (outputs(&[there_text], &there, true), "never overwritten"),
            (
                outputs(&[there_text], &at.join(".").join("there.nii"), true),
                "never overwritten",
            ),
        ];
        for (result, expected) in refusals {
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(outputs(&["a.nii"], &there, true).is_ok());
    }

    #[test]
    fn twenty_thousand_scans_are_paired_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let inputs: Vec<PathBuf> = (0..20_000)
            .map(|i| folder.path().join(format!("s{i}.nii")))
            .collect();
        let begin = std::time::Instant::now();
        let jobs = jobs(&inputs, true, &folder.path().join("out"), "_sr", true).unwrap();
        assert_eq!(jobs.len(), inputs.len());
        // Pair by pair it took minutes.
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }
}
