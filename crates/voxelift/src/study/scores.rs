//! Scores that are kept beside a model or a baseline, so that they are computed once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use voxelift_model::scoring::CaseScores;
use voxelift_volume::files::write_atomically;
use voxelift_volume::metrics::SetScores;

/// The scores of one method, by test set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    tests: BTreeMap<String, TestScores>,
}

/// The scores of one method on one test set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestScores {
    /// Everything that they depend on.
    pub of: Value,
    /// In the order of the test set.
    pub scans: Vec<ScanScores>,
    /// Of the images against the references as two sets.
    pub set: Option<SetScores>,
}

/// The scores of one scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScanScores {
    /// The name of its file.
    pub scan: String,
    /// Whose head it is.
    pub person: String,
    /// How long the image took to be made.
    pub seconds: f64,
    /// As `evaluate --json` writes them, with data consistency and the classes.
    pub scores: CaseScores,
}

impl Kept {
    /// What is kept in a folder; nothing where it cannot be read.
    pub fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(path(folder)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The scores on a test set, unless something that they depend on has changed.
    pub fn get(&self, test: &str, of: &Value) -> Option<&TestScores> {
        self.tests.get(test).filter(|scores| scores.of == *of)
    }

    /// Adds the scores on a test set to what is kept in a folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(folder: &Path, test: &str, scores: TestScores) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut kept = Self::read(folder);
        kept.tests.insert(test.to_owned(), scores);
        let text = serde_json::to_string(&kept)?;
        Ok(write_atomically(&path(folder), true, |out| {
            writeln!(out, "{text}")
        })?)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("tests.json")
}
