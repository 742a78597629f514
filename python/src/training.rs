//! Training from a configuration, with a callback.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use serde_json::json;
use voxelift_model::config::{Config, Resolved};
use voxelift_model::device::DeviceChoice;
use voxelift_model::error::ModelError;
use voxelift_model::run::RunDir;
use voxelift_model::train::{Event, Outcome, prepare, train as train_run};

use crate::refused;

/// Trains as `voxelift train` does, into a run folder, from where it stands. `callback` hears each record as JSON and warnings and notes as text; what
/// it answers `False` to is the last step. Returns the model's file, or nothing where training was stopped.
#[pyfunction]
#[pyo3(signature = (config, is_text, run, set, callback, device))]
pub fn train(
    py: Python<'_>,
    config: String,
    is_text: bool,
    run: PathBuf,
    set: Vec<String>,
    callback: Option<Py<PyAny>>,
    device: &str,
) -> PyResult<Option<PathBuf>> {
    let device = device.parse::<DeviceChoice>().map_err(refused)?;
    let stop = AtomicBool::new(false);
    let mut failed = None;
    let mut tell = |kind: &str, text: String| {
        let answer = Python::attach(|py| -> PyResult<bool> {
            py.check_signals()?;
            let Some(callback) = &callback else {
                return Ok(true);
            };
            let answer = callback.call1(py, (kind, text))?;
            Ok(answer.is_none(py) || answer.extract::<bool>(py).unwrap_or(true))
        });
        match answer {
            Ok(true) => {}
            Ok(false) => stop.store(true, Ordering::Relaxed),
            Err(error) => {
                failed.get_or_insert(error);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let outcome = py.detach(|| -> Result<Option<PathBuf>, ModelError> {
        let Resolved { config, .. } = match is_text {
            true => Config::from_text(&config, "config", Path::new("."), &set)?,
            false => Config::load(Path::new(&config), &set)?,
        };
        let prepared = prepare(&config, &mut |note| tell("note", note))?;
        let (device, _) = device.open()?;
        let run = RunDir::create(&run)?;
        let outcome = train_run(&config, &run, &prepared, &device, &stop, &mut |event| {
            match event {
                Event::Record(record) => tell("record", json!(record).to_string()),
                Event::Note(note) => tell("note", note),
                Event::Warning(warning) => tell("warning", warning),
                _ => {}
            }
            Ok(())
        })?;
        Ok((outcome == Outcome::Done).then(|| run.model()))
    });
    match failed {
        Some(error) => Err(error),
        None => outcome.map_err(refused),
    }
}
