//! A model file, read once.

use std::path::PathBuf;

use pyo3::prelude::*;
use serde_json::json;
use voxelift_model::device::DeviceChoice;
use voxelift_model::model_file::ModelFile;
use voxelift_model::self_learning::SelfModel;

use crate::refused;

/// A model file, read once: one that was trained, or one that was learned from a scan.
#[pyclass(frozen)]
pub struct LoadedModel {
    pub kind: Kind,
}

/// What a model file holds.
pub enum Kind {
    /// A trained generator.
    Trained(ModelFile),
    /// A network for slices, learned from one scan.
    OfSlices(Box<SelfModel>),
}

#[pymethods]
impl LoadedModel {
    /// Reads a model file.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        let kind = if SelfModel::is_one(&path) {
            let (device, _) = DeviceChoice::Cpu.open().map_err(refused)?;
            Kind::OfSlices(Box::new(SelfModel::read(&path, &device).map_err(refused)?))
        } else {
            Kind::Trained(ModelFile::open(&path).map_err(refused)?)
        };
        Ok(Self { kind })
    }

    /// Its card, as JSON.
    fn card(&self) -> PyResult<String> {
        Ok(match &self.kind {
            Kind::Trained(file) => json!(file.card().map_err(refused)?).to_string(),
            Kind::OfSlices(model) => json!(model.card).to_string(),
        })
    }
}
