//! Layer 7 · RunDir and records: the only room that knows a run folder's file names.
//!
//! ```no_run
//! use voxelift_model::run::{Record, RunDir};
//!
//! // What a training has left behind, or has written so far.
//! let run = RunDir::open("runs/first".as_ref())?;
//! for record in run.records()? {
//!     if let Record::Validation { step, scores } = record {
//!         let [psnr_db, ssim] = scores["sr"].headline();
//!         println!("step {step}: {psnr_db:.2} dB, SSIM {ssim:.3}");
//!     }
//! }
//! println!("{}", run.model().display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod record;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use voxelift_volume::VolumeError;
use voxelift_volume::files::{remove_unfinished, write_atomically};

use crate::error::{ModelError, Result};
pub use record::{Record, ValidationScores};

/// The folder of one training run.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The exported model's name in every run folder.
    pub const MODEL: &str = "model.safetensors";
    /// The name of the resolved configuration, by which a run folder is known.
    pub const CONFIG: &str = "config.toml";
    /// The name of the page that shows a run, or an evaluation in its folder.
    pub const REPORT: &str = "report.html";

    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        let run = Self {
            root: root.to_owned(),
        };
        for folder in [run.root.clone(), run.checkpoints(), run.previews()] {
            fs::create_dir_all(&folder).map_err(|e| VolumeError::io(&folder, "create the folder", e))?;
        }
        Ok(run)
    }

    /// A folder that a run has left behind.
    ///
    /// # Errors
    /// When there is no `config.toml` in it.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self {
            root: root.to_owned(),
        };
        if !run.config().is_file() {
            let what = "is not a run folder: config.toml is missing; name the folder that a training wrote";
            return Err(ModelError::Run {
                path: root.to_owned(),
                what: what.into(),
            });
        }
        Ok(run)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join(Self::CONFIG)
    }

    /// The records, one JSON object a line.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }

    /// The records of steps as a table, one row a step.
    pub fn table(&self) -> PathBuf {
        self.root.join("log.csv")
    }

    /// The exported model: the averaged generator and its card.
    pub fn model(&self) -> PathBuf {
        self.root.join(Self::MODEL)
    }

    /// The page that shows the run.
    pub fn report(&self) -> PathBuf {
        self.root.join(Self::REPORT)
    }

    /// Where checkpoints lie.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The checkpoint after `step` steps.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step:08}.safetensors"))
    }

    /// The checkpoint with the best validation score.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// Where previews lie.
    pub fn previews(&self) -> PathBuf {
        self.root.join("previews")
    }

    /// The preview after `step` steps.
    pub fn preview(&self, step: u64) -> PathBuf {
        self.previews().join(format!("step-{step:08}.png"))
    }

    /// Checkpoints by step, the newest first; `best` is not among them.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_checkpoints(&self) -> Result<Vec<(u64, PathBuf)>> {
        let folder = self.checkpoints();
        let entries = fs::read_dir(&folder).map_err(|e| VolumeError::io(&folder, "read", e))?;
        let mut found: Vec<(u64, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                let step = name
                    .strip_prefix("step-")?
                    .strip_suffix(".safetensors")?
                    .parse()
                    .ok()?;
                Some((step, path))
            })
            .collect();
        found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
        Ok(found)
    }

    /// Removes all but the newest `keep` checkpoints (`best` stays).
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn prune_checkpoints(&self, keep: usize) -> Result<()> {
        for (_, path) in self.list_checkpoints()?.into_iter().skip(keep) {
            fs::remove_file(&path).map_err(|e| VolumeError::io(&path, "remove the old checkpoint", e))?;
        }
        Ok(())
    }

    /// Takes the folder for this process until the returned lock is dropped, and removes what a killed one left half-written.
    ///
    /// # Errors
    /// When another process trains into it, the folder cannot be written, or a file in it is a link to one elsewhere.
    pub fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        for own in [&path, &self.log()] {
            refuse_link(own)?;
        }
        // Not truncated: nothing is ever read from it, and it may have become a link since it was looked at.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(|e| VolumeError::io(&path, "write", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ModelError::Run {
                    path: self.root.clone(),
                    what:
                        "another process trains into this folder; wait for it, or choose another run folder"
                            .into(),
                });
            }
            // Some network file systems cannot lock; a run there goes on without.
            Err(TryLockError::Error(_)) => {}
        }
        for folder in [self.root.clone(), self.checkpoints(), self.previews()] {
            remove_unfinished(&folder, is_own)?;
        }
        Ok(file)
    }

    /// Adds records; none of them where the disk is full.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn append(&self, records: &[Record]) -> Result<()> {
        let path = self.log();
        let mut lines = String::new();
        for record in records {
            lines.push_str(&serde_json::to_string(record).expect("a record is plain data"));
            lines.push('\n');
        }
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            let length = file.metadata()?.len();
            file.write_all(lines.as_bytes()).inspect_err(|_| {
                // A line that was cut short would spoil the next one.
                let _ = file.set_len(length);
            })
        };
        Ok(write().map_err(|e| VolumeError::io(&path, "append to", e))?)
    }

    /// Writes the steps' records as a table: a column a term, empty where a step had none.
    ///
    /// # Errors
    /// When the log cannot be read or the table cannot be written.
    pub fn write_table(&self) -> Result<()> {
        let records = self.records()?;
        let mut names = BTreeSet::new();
        for record in &records {
            if let Record::Step { terms, .. } = record {
                names.extend(terms.keys());
            }
        }
        write_atomically(&self.table(), true, |out| {
            write!(out, "step,seconds,waiting,learning_rate")?;
            names.iter().try_for_each(|name| write!(out, ",{name}"))?;
            writeln!(out)?;
            for record in &records {
                if let Record::Step {
                    step,
                    seconds,
                    waiting,
                    learning_rate,
                    terms,
                } = record
                {
                    write!(out, "{step},{seconds},{waiting},{learning_rate}")?;
                    for name in &names {
                        match terms.get(*name) {
                            Some(value) => write!(out, ",{value}")?,
                            None => write!(out, ",")?,
                        }
                    }
                    writeln!(out)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The records, in order; lines that are none (a torn last one, damaged bytes) are left out.
    ///
    /// # Errors
    /// When the log cannot be read; a run without one has no records.
    pub fn records(&self) -> Result<Vec<Record>> {
        let lines = self.log_lines()?;
        Ok(lines.into_iter().filter_map(|(_, record)| record).collect())
    }

    /// The lines of the log as they stand there, each with the record that it holds.
    fn log_lines(&self) -> Result<Vec<(Vec<u8>, Option<Record>)>> {
        let path = self.log();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let bytes = fs::read(&path).map_err(|e| VolumeError::io(&path, "read", e))?;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let lines = lines.map(|line| {
            // A line without its end was cut short, even where it reads as a record.
            let whole = line.ends_with(b"\n");
            let record = if whole {
                serde_json::from_slice(line).ok()
            } else {
                None
            };
            (line.to_vec(), record)
        });
        Ok(lines.collect())
    }

    /// Forgets the records after `step`, which a resumed run writes again, and lines that are no records; what stays keeps its
    /// bytes. Returns how many damaged lines there were beside a torn last one.
    ///
    /// # Errors
    /// When the log cannot be rewritten.
    pub fn rewind_log(&self, step: u64) -> Result<usize> {
        let lines = self.log_lines()?;
        let stays = |record: &Option<Record>| record.as_ref().is_some_and(|record| record.step() <= step);
        if lines.iter().all(|(_, record)| stays(record)) {
            return Ok(0);
        }
        let damaged = lines
            .iter()
            .filter(|(line, record)| record.is_none() && line.ends_with(b"\n"))
            .count();
        write_atomically(&self.log(), true, |out| {
            let remaining = lines.iter().filter(|(_, record)| stays(record));
            remaining
                .map(|(line, _)| line)
                .try_for_each(|line| out.write_all(line))
        })?;
        Ok(damaged)
    }
}

/// A file of a run folder is the folder's own: what a link leads to would be written into.
fn refuse_link(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(ModelError::Run {
            path: path.to_owned(),
            what: "is a link, and a run writes into its own files only; remove the link, or choose another run folder".into(),
        }),
        _ => Ok(()),
    }
}

/// Whether a run writes a file of this name, so that an unfinished one is its own.
fn is_own(name: &str) -> bool {
    let fixed = [
        "config.toml",
        "findings.toml",
        "log.jsonl",
        "log.csv",
        "report.html",
        RunDir::MODEL,
        "best.safetensors",
    ];
    let numbered = name.strip_prefix("step-").and_then(|rest| rest.split_once('.'));
    fixed.contains(&name)
        || numbered.is_some_and(|(step, kind)| {
            step.bytes().all(|digit| digit.is_ascii_digit()) && ["safetensors", "png"].contains(&kind)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn step(step: u64) -> Record {
        Record::Step {
            step,
            seconds: 0.1,
            waiting: 0.0,
            learning_rate: 1e-3,
            terms: BTreeMap::from([("cycle".to_owned(), f64::NAN)]),
        }
    }

    #[test]
    fn damaged_and_torn_lines_are_left_out_and_the_others_keep_their_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunDir::create(folder.path()).expect("a run");
        run.append(&[step(1), step(2)]).expect("written");
        let whole = fs::read(run.log()).expect("a log");
        let damaged = [&whole[..], b"\xff\xfe{}\n", &whole, b"{\"kind\":\"step\""].concat();
        fs::write(run.log(), damaged).expect("written");
        let read = run.records().expect("records");
        assert_eq!(read.len(), 4);
        let Record::Step { terms, .. } = &read[0] else {
            panic!("{read:?}")
        };
        assert!(terms["cycle"].is_nan(), "what was no number is none again");
        assert_eq!(run.rewind_log(2).expect("rewound"), 1);
        assert_eq!(fs::read(run.log()).expect("a log"), [&whole[..], &whole].concat());
        // What is appended next stands on a line of its own.
        run.append(&[step(3)]).expect("written");
        assert_eq!(run.records().expect("records").len(), 5);
        // A last line without its end was cut short, even where it reads as a record.
        let bytes = fs::read(run.log()).expect("a log");
        fs::write(run.log(), &bytes[..bytes.len() - 1]).expect("written");
        assert_eq!(run.records().expect("records").len(), 4);
        assert_eq!(run.rewind_log(3).expect("rewound"), 0);
        run.append(&[step(3)]).expect("written");
        assert_eq!(run.records().expect("records").len(), 5);
        assert_eq!(run.rewind_log(1).expect("rewound"), 0);
        assert_eq!(run.records().expect("records").len(), 2);
    }

    #[test]
    fn a_score_that_is_no_number_keeps_its_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = RunDir::create(folder.path()).expect("a run");
        let scores = ValidationScores {
            psnr_db: f64::NAN,
            ssim: 0.5,
            masked_psnr_db: f64::INFINITY,
            masked_ssim: 0.5,
            brain_psnr_db: f64::NAN,
            brain_ssim: 0.25,
        };
        let record = Record::Validation {
            step: 1,
            scores: BTreeMap::from([("sr".to_owned(), scores)]),
        };
        run.append(&[record]).expect("written");
        let read = run.records().expect("records");
        let [Record::Validation { scores, .. }] = &read[..] else {
            panic!("{read:?}")
        };
        let read = scores["sr"];
        assert!(read.psnr_db.is_nan() && read.masked_psnr_db.is_nan() && read.brain_ssim == 0.25);
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_run_folder_cost_nobody_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (run, foreign) = (folder.path().join("run"), folder.path().join("foreign"));
        fs::create_dir_all(&foreign).expect("a folder");
        fs::create_dir_all(&run).expect("a folder");
        fs::write(foreign.join("thesis.txt"), "years of work").expect("written");
        fs::write(foreign.join(".film.mkv.abc123.part"), "a download").expect("written");
        fs::write(foreign.join(".step-00000010.safetensors.abc123.part"), "half").expect("written");
        std::os::unix::fs::symlink(&foreign, run.join("checkpoints")).expect("a link");
        let run = RunDir::create(&run).expect("a run");
        for name in [".lock", "log.jsonl"] {
            let link = run.root().join(name);
            std::os::unix::fs::symlink(foreign.join("thesis.txt"), &link).expect("a link");
            let message = run.lock().expect_err("a link").to_string();
            assert!(
                message.contains(name) && message.contains("is a link"),
                "{message}"
            );
            fs::remove_file(link).expect("removed");
        }
        drop(run.lock().expect("a lock"));
        let thesis = fs::read_to_string(foreign.join("thesis.txt")).expect("still there");
        assert_eq!(thesis, "years of work");
        assert!(foreign.join(".film.mkv.abc123.part").is_file());
        assert!(!foreign.join(".step-00000010.safetensors.abc123.part").exists());
    }
}
