//! What a run has cost: seconds from its log, memory as it was watched.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use voxelift_model::run::{Record, RunDir};
use voxelift_volume::files::write_atomically;

/// What a training run has cost. A figure that nobody has taken is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Steps done.
    pub steps: u64,
    /// In steps alone, all parts of an interrupted run together.
    pub training_seconds: Option<f64>,
    /// Median over the steps.
    pub step_seconds: Option<f64>,
    /// From start to end of the processes that trained it, reading the scans and validation included.
    pub wall_seconds: Option<f64>,
    /// The most that one of these processes had in memory.
    pub peak_memory_bytes: Option<u64>,
}

/// What was watched of the processes behind a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    wall_seconds: f64,
    peak_memory_bytes: Option<u64>,
}

impl Watched {
    /// Adds a process to what is kept of those before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(folder: &Path, wall_seconds: f64, peak_memory_bytes: Option<u64>) -> anyhow::Result<()> {
        let before = Self::read(folder).unwrap_or_default();
        let now = Self {
            wall_seconds: before.wall_seconds + wall_seconds,
            peak_memory_bytes: before.peak_memory_bytes.max(peak_memory_bytes),
        };
        let text = serde_json::to_string(&now)?;
        Ok(write_atomically(&path(folder), true, |out| {
            writeln!(out, "{text}")
        })?)
    }

    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path(folder)).ok()?).ok()
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("cost.json")
}

impl Cost {
    /// Of the run in a folder, as far as it is known there.
    pub fn of(folder: &Path) -> Self {
        let records = RunDir::open(folder).and_then(|run| run.records());
        let mut seconds: Vec<f64> = records
            .unwrap_or_default()
            .iter()
            .filter_map(|record| match record {
                Record::Step { seconds, .. } => Some(*seconds),
                Record::Validation { .. } => None,
            })
            .collect();
        let total = (!seconds.is_empty()).then(|| seconds.iter().sum());
        seconds.sort_by(f64::total_cmp);
        let watched = Watched::read(folder);
        Self {
            steps: seconds.len() as u64,
            training_seconds: total,
            step_seconds: median(&seconds),
            wall_seconds: watched.map(|w| w.wall_seconds),
            peak_memory_bytes: watched.and_then(|w| w.peak_memory_bytes),
        }
    }
}

/// Of numbers in ascending order.
fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (
        sorted.get(sorted.len().wrapping_sub(1) / 2)?,
        sorted.get(sorted.len() / 2)?,
    );
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_interrupted_run_are_added_and_the_larger_memory_counts() {
        assert_eq!(Cost::of(Path::new("nowhere")), Cost::default());
        let folder = tempfile::tempdir().unwrap();
        Watched::add(folder.path(), 2.0, Some(7)).unwrap();
        Watched::add(folder.path(), 3.5, Some(5)).unwrap();
        Watched::add(folder.path(), 1.0, None).unwrap();
        let cost = Cost::of(folder.path());
        assert_eq!((cost.wall_seconds, cost.peak_memory_bytes), (Some(6.5), Some(7)));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!([median(&[]), median(&[5.0])], [None, Some(5.0)]);
    }
}
