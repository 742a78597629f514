//! Floor 6 · Named tensors and one JSON value <-> a safetensors file, the same bytes for the same content.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;

use crate::error::{ModelError, Result};

/// The only metadata key: one value, so that no hash map's order reaches the file.
const KEY: &str = "voxelift";

/// Writes f32 tensors and their metadata, atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write<T: Serialize>(path: &Path, tensors: &BTreeMap<String, TensorData>, metadata: &T) -> Result<()> {
    let metadata = serde_json::to_value(metadata)
        .expect("metadata is plain data")
        .to_string();
    let views = tensors.iter().map(|(name, data)| {
        assert_eq!(data.dtype(), DType::F32, "tensor {name} is not f32");
        let view = TensorView::new(Dtype::F32, data.shape().as_slice().to_vec(), data.as_bytes());
        (name.as_str(), view.expect("the bytes fill the shape"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), metadata)]);
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|e| ModelError::model_file(path, e.to_string(), "tensors that can be stored"))?;
    Ok(write_atomically(path, true, |out| out.write_all(&bytes))?)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the file cannot be read, is damaged, or was not written by this program: the message says which.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(BTreeMap<String, TensorData>, T)> {
    let bytes = fs::read(path).map_err(|e| VolumeError::io(path, "read", e))?;
    let damaged = |e: safetensors::SafeTensorError| {
        ModelError::model_file(
            path,
            format!("not a whole safetensors file ({e})"),
            "a file written by `voxelift train`",
        )
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let text = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(KEY))
        .ok_or_else(|| {
            ModelError::model_file(
                path,
                "no voxelift card in the metadata",
                "a file written by `voxelift train`",
            )
        })?;
    let metadata = serde_json::from_str(text).map_err(|e| {
        ModelError::model_file(
            path,
            format!("its card cannot be read ({e})"),
            "a file of this version of voxelift",
        )
    })?;
    let mut tensors = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(damaged)?.tensors() {
        if view.dtype() != Dtype::F32 {
            let what = format!("tensor {name} is {:?}", view.dtype());
            return Err(ModelError::model_file(path, what, "F32 tensors"));
        }
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(ModelError::model_file(
                path,
                format!("tensor {name} holds {value}"),
                "finite weights",
            ));
        }
        tensors.insert(name, TensorData::new(values, view.shape().to_vec()));
    }
    Ok((tensors, metadata))
}
