//! Floor 7 · RunDir and records: the only room that knows a run folder's file names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;

use crate::error::{ModelError, Result};

/// One line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// One optimisation step.
    Step {
        /// Steps done, counting this one.
        step: u64,
        /// Wall time of this step.
        seconds: f64,
        /// Of these, spent waiting for data.
        #[serde(default)]
        waiting: f64,
        /// The optimiser's rate.
        learning_rate: f64,
        /// One entry a loss term, unweighted.
        terms: BTreeMap<String, f64>,
    },
    /// The averaged model against the floors on the validation heads.
    Validation {
        /// Steps done.
        step: u64,
        /// `sr` and each floor.
        scores: BTreeMap<String, ValidationScores>,
    },
}

impl Record {
    /// Steps done when it was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step { step, .. } | Self::Validation { step, .. } => *step,
        }
    }
}

/// Mean scores over the validation heads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationScores {
    /// Peak signal-to-noise ratio over the whole volume, L = max - min of the reference.
    pub psnr_db: f64,
    /// Structural similarity over the whole volume.
    pub ssim: f64,
    /// The same inside the brain mask.
    pub masked_psnr_db: f64,
    /// The same inside the brain mask.
    pub masked_ssim: f64,
}

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
            let what = "is not a run folder: config.toml is missing; name the folder given to `train --run`";
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

    /// Takes the folder for this process until the answer is dropped, and removes what a killed one left half-written.
    ///
    /// # Errors
    /// When another process trains into it, or the folder cannot be written.
    pub fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let file = File::create(&path).map_err(|e| VolumeError::io(&path, "write", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ModelError::Run {
                    path: self.root.clone(),
                    what:
                        "another process trains into this folder; wait for it, or give another --run folder"
                            .into(),
                });
            }
            // Some network file systems cannot lock; a run there goes on without.
            Err(TryLockError::Error(_)) => {}
        }
        for folder in [self.root.clone(), self.checkpoints(), self.previews()] {
            let entries = fs::read_dir(&folder).map_err(|e| VolumeError::io(&folder, "read", e))?;
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with('.') && name.ends_with(".part") {
                    fs::remove_file(&path)
                        .map_err(|e| VolumeError::io(&path, "remove the unfinished file", e))?;
                }
            }
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

    /// The records, in order; a torn last line is left out.
    ///
    /// # Errors
    /// When the log cannot be read; a run without one has no records.
    pub fn records(&self) -> Result<Vec<Record>> {
        let path = self.log();
        if !path.exists() {
            return Ok(Vec::new());
        }
        let file = File::open(&path).map_err(|e| VolumeError::io(&path, "read", e))?;
        let mut records = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|e| VolumeError::io(&path, "read", e))?;
            if let Ok(record) = serde_json::from_str(&line) {
                records.push(record);
            }
        }
        Ok(records)
    }

    /// Forgets the records after `step`: a resumed run writes them again.
    ///
    /// # Errors
    /// When the log cannot be rewritten.
    pub fn rewind_log(&self, step: u64) -> Result<()> {
        let records = self.records()?;
        if records.iter().all(|record| record.step() <= step) {
            return Ok(());
        }
        write_atomically(&self.log(), true, |out| {
            for record in records.iter().filter(|record| record.step() <= step) {
                serde_json::to_writer(&mut *out, record)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        Ok(())
    }
}
