//! Layer 6 · Named tensors and one JSON value <-> a safetensors file, the same bytes for the same content.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use burn::tensor::TensorData;
//! use voxelift_model::tensor_file::{Format, read, write};
//!
//! let path = "bias.safetensors".as_ref();
//! let tensors = BTreeMap::from([("bias".to_owned(), TensorData::new(vec![0.5_f32, 2.0], [2]))]);
//! // The value beside the tensors is anything that can be JSON.
//! write(path, &tensors, Format::F16, &"made by hand".to_owned())?;
//! let (back, words): (_, String) = read(path)?;
//! assert_eq!((back, words.as_str()), (tensors, "made by hand"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::tensor::{DType, TensorData, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;

use crate::error::{ModelError, Result, TensorError};

/// The only metadata key: one value, so that no hash map's order reaches the file.
const KEY: &str = "voxelift";

/// The key of an object beside the tensors that holds the SHA-256 of these. Files of earlier versions have none.
const CONTENT: &str = "tensors_sha256";

/// The number format that tensors are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As they are.
    #[default]
    F32,
    /// Rounded to eleven significant bits, in half the space.
    F16,
}

impl Format {
    /// f32 tensors as they come back from a file of this format.
    ///
    /// # Errors
    /// When a value is too large for the format.
    pub fn rounded(
        self,
        tensors: BTreeMap<String, TensorData>,
    ) -> std::result::Result<BTreeMap<String, TensorData>, TensorError> {
        let there_and_back = |(name, data): (String, TensorData)| {
            let stored = self.stored(&name, &data)?.into_owned();
            Ok((name, stored.convert_dtype(DType::F32)))
        };
        tensors.into_iter().map(there_and_back).collect()
    }

    /// A tensor as it is stored; what is f32 already is not copied.
    fn stored<'a>(
        self,
        name: &str,
        data: &'a TensorData,
    ) -> std::result::Result<Cow<'a, TensorData>, TensorError> {
        assert_eq!(data.dtype(), DType::F32, "tensor {name} is not f32");
        if self == Self::F32 {
            return Ok(Cow::Borrowed(data));
        }
        match data.iter::<f32>().find(|v| !f16::from_f32(*v).is_finite()) {
            Some(value) => Err(TensorError::TooLarge {
                name: name.to_owned(),
                value,
            }),
            None => Ok(Cow::Owned(data.clone().convert_dtype(DType::F16))),
        }
    }
}

/// Writes f32 tensors in a format, and their metadata, atomically.
///
/// # Errors
/// When the file cannot be written, or a value is too large for the format.
pub fn write<T: Serialize>(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    format: Format,
    metadata: &T,
) -> Result<()> {
    let mut metadata = serde_json::to_value(metadata).expect("metadata is plain data");
    let stored = tensors
        .iter()
        .map(|(name, data)| Ok((name.as_str(), format.stored(name, data)?)))
        .collect::<std::result::Result<BTreeMap<_, _>, TensorError>>()
        .map_err(|error| {
            ModelError::model_file(
                path,
                error.to_string(),
                "weights that can be stored so; store f32",
            )
        })?;
    let dtype = match format {
        Format::F32 => Dtype::F32,
        Format::F16 => Dtype::F16,
    };
    let views = stored.iter().map(|(name, data)| {
        let view = TensorView::new(dtype, data.shape().as_slice().to_vec(), data.as_bytes());
        (*name, view.expect("the bytes fill the shape"))
    });
    if let Some(object) = metadata.as_object_mut() {
        let all = stored
            .iter()
            .map(|(name, data)| (*name, data.shape().as_slice(), data.as_bytes()));
        object.insert(CONTENT.to_owned(), content(all).into());
    }
    let metadata = HashMap::from([(KEY.to_owned(), metadata.to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|e| ModelError::model_file(path, e.to_string(), "tensors that can be stored"))?;
    Ok(write_atomically(path, true, |out| out.write_all(&bytes))?)
}

/// The SHA-256 of tensors in the order of their names, in hexadecimal digits.
fn content<'a>(tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, shape, bytes) in tensors {
        hash.update(format!("{name} {shape:?} {}\n", bytes.len()));
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`write()`] wrote, as f32.
///
/// # Errors
/// When the file cannot be read, is damaged, or was not written by this program: the message says which.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(BTreeMap<String, TensorData>, T)> {
    decode(
        &fs::read(path).map_err(|e| VolumeError::io(path, "read", e))?,
        path,
    )
}

/// What the metadata of a checkpoint holds and no card does.
const OF_CHECKPOINTS: &str = "generator_times";
/// What the metadata of networks for slices hold and no card does.
const OF_SLICES: &str = "kind";

/// As [`read`], from the bytes of a file that messages call `origin`.
///
/// # Errors
/// As [`read`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8], origin: &Path) -> Result<(BTreeMap<String, TensorData>, T)> {
    let damaged = |e: safetensors::SafeTensorError| {
        ModelError::model_file(
            origin,
            format!("not a whole safetensors file ({e})"),
            "a file written by `voxelift train`",
        )
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let text = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(KEY))
        .ok_or_else(|| {
            ModelError::model_file(
                origin,
                "no voxelift card in the metadata",
                "a file written by `voxelift train`",
            )
        })?;
    let unreadable = |e: serde_json::Error| {
        ModelError::model_file(
            origin,
            format!("its card cannot be read ({e})"),
            "a file of this version of voxelift",
        )
    };
    let mut metadata: Value = serde_json::from_str(text).map_err(unreadable)?;
    let promised = metadata.as_object_mut().and_then(|object| object.remove(CONTENT));
    let other = match (metadata.get(OF_CHECKPOINTS), metadata.get(OF_SLICES)) {
        (Some(_), _) => Some([
            "a checkpoint, from which training goes on",
            "a model: model.safetensors in the folder of the run",
        ]),
        (_, Some(_)) => Some([
            "what learning from a scan itself keeps: a network for slices, or its state",
            "a model that `voxelift train` wrote; a network for slices is applied to scans and nothing else",
        ]),
        _ => None,
    };
    let metadata = serde_json::from_value(metadata).map_err(|error| match other {
        Some([what, expected]) => ModelError::model_file(origin, what, expected),
        None => unreadable(error),
    })?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    if let Some(promised) = promised {
        let views: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        let all = views
            .iter()
            .map(|(name, view)| (name.as_str(), view.shape(), view.data()));
        if promised != content(all) {
            return Err(ModelError::model_file(
                origin,
                "its weights are not what was written (SHA-256)",
                "a whole copy of the file",
            ));
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::F16 => bytes
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            other => {
                let what = format!("tensor {name} is {other:?}");
                return Err(ModelError::model_file(origin, what, "F32 or F16 tensors"));
            }
        };
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(ModelError::model_file(
                origin,
                format!("tensor {name} holds {value}"),
                "finite weights",
            ));
        }
        tensors.insert(name, TensorData::new(values, view.shape().to_vec()));
    }
    Ok((tensors, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_seen_and_a_file_without_a_hash_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        let tensors = BTreeMap::from([("w".to_owned(), TensorData::new(vec![0.1_f32, 0.2], [2]))]);
        let card = serde_json::json!({"name": "a"});
        for format in [Format::F32, Format::F16] {
            write(&path, &tensors, format, &card).expect("written");
            let (_, back): (_, Value) = read(&path).expect("whole");
            assert_eq!(back, card);
            let mut bytes = fs::read(&path).expect("a file");
            *bytes.last_mut().expect("bytes") ^= 0x02;
            let refused = decode::<Value>(&bytes, &path).expect_err("damaged").to_string();
            assert!(refused.contains("SHA-256"), "{refused}");
        }
        let card = "no object, no hash".to_owned();
        write(&path, &tensors, Format::F32, &card).expect("written");
        assert_eq!(read::<String>(&path).expect("read").1, card);
    }

    #[test]
    fn f16_comes_back_as_it_was_rounded_and_what_it_does_not_hold_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        let of = |value: f32| BTreeMap::from([("w".to_owned(), TensorData::new(vec![0.1, value], [2]))]);
        let rounded = Format::F16.rounded(of(-3.3)).expect("small values");
        assert_ne!(rounded, of(-3.3));
        write(&path, &of(-3.3), Format::F16, &7).expect("written");
        assert_eq!(read::<u32>(&path).expect("whole"), (rounded, 7));
        write(&path, &of(1e5), Format::F32, &7).expect("f32 holds it");
        for message in [
            Format::F16.rounded(of(1e5)).unwrap_err().to_string(),
            write(&path, &of(1e5), Format::F16, &7).unwrap_err().to_string(),
        ] {
            assert!(message.contains("tensor w holds 100000"), "{message}");
        }
    }
}
