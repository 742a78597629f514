//! Layer 0 · Every way a configuration, a model file or a run can be wrong.
//!
//! ```
//! use std::path::Path;
//! use voxelift_model::config::Config;
//!
//! // A key that there is not is refused before any data is read; the message is one line that names the key and its line.
//! let error = Config::from_text("stepz = 100", "my.toml", Path::new("."), &[]).unwrap_err();
//! assert!(error.is_configuration());
//! assert!(error.to_string().contains("stepz"));
//! assert_eq!(error.to_string().lines().count(), 1);
//! ```

use std::path::{Path, PathBuf};

use voxelift_volume::VolumeError;
use voxelift_volume::error::one_line;

/// The result of anything that configures, trains or applies a model.
pub type Result<T> = std::result::Result<T, ModelError>;

/// What is wrong. Each message is one line that names the field, its value and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The configuration is refused before any data is read.
    #[error("configuration: {key} = {value}: {expected}")]
    Config {
        /// The dotted key.
        key: String,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The configuration is not TOML, or holds an unknown key or a wrong type.
    #[error("{origin}: {message}")]
    ConfigText {
        /// The file, or the override.
        origin: String,
        /// The parser's message, on one line.
        message: String,
    },
    /// The data cannot be trained on.
    #[error("{what}: {value}; expected {expected}")]
    Data {
        /// The file or the pool.
        what: String,
        /// What was found.
        value: String,
        /// What was expected, or what to do.
        expected: String,
    },
    /// A model file or a checkpoint is damaged or of another kind.
    #[error("{path}: {what}; expected {expected}")]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
        /// What was expected, or what to do.
        expected: String,
    },
    /// A run folder cannot be used.
    #[error("{path}: {what}")]
    Run {
        /// The folder or the file in it.
        path: PathBuf,
        /// What was found, and what to do.
        what: String,
    },
    /// The training diverged.
    #[error("step {step}: {what}")]
    Diverged {
        /// The step.
        step: u64,
        /// What was found, and what to do.
        what: String,
    },
    /// Asked to stop before there was anything to keep.
    #[error("interrupted; the same command begins again")]
    Stopped,
    /// A scan that cannot be trained on.
    #[error("{path}: {source}")]
    Scan {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// The requested device is not there.
    #[error("device {device}: {what}")]
    Device {
        /// As asked for.
        device: String,
        /// What was found, and what to do.
        what: String,
    },
    /// A volume or its file is wrong.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

impl ModelError {
    /// A [`ModelError::Config`].
    pub fn config(key: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Config {
            key: key.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// A [`ModelError::Data`].
    pub fn data(what: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Data {
            what: what.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// A [`ModelError::ModelFile`]; what the file says of itself, a tensor's name say, stays on one line.
    pub fn model_file(path: &Path, what: impl AsRef<str>, expected: impl Into<String>) -> Self {
        Self::ModelFile {
            path: path.to_owned(),
            what: one_line(what.as_ref()),
            expected: expected.into(),
        }
    }

    /// The same with the scan's file before it, where it does not name it.
    pub fn of_scan(self, path: &Path) -> Self {
        if matches!(self, Self::Stopped) || self.to_string().contains(&*path.to_string_lossy()) {
            return self;
        }
        Self::Scan {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }

    /// Whether the fault was found before any data was read (exit code 2 instead of 1).
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Config { .. } | Self::ConfigText { .. } | Self::Device { .. }
        )
    }
}

/// A value of one part's configuration that the part cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {expected}")]
pub struct InvalidSetting {
    /// The key, dotted below the part.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

impl InvalidSetting {
    /// `key = value: expected`.
    pub fn new(key: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// The same, of a table in which the key is.
    pub fn within(mut self, table: &str) -> Self {
        self.key = format!("{table}.{}", self.key);
        self
    }
}

impl From<VolumeError> for InvalidSetting {
    fn from(error: VolumeError) -> Self {
        match error {
            VolumeError::Argument {
                name,
                value,
                expected,
            } => Self::new(name, value, expected),
            other => Self::new("values", "not usable", other.to_string()),
        }
    }
}

impl From<InvalidSetting> for ModelError {
    fn from(setting: InvalidSetting) -> Self {
        Self::Config {
            key: setting.key,
            value: setting.value,
            expected: setting.expected,
        }
    }
}

/// Why named tensors are not those that a module or a file needs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// A parameter has no tensor.
    #[error("tensor {name} is missing")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// A tensor has another shape than its parameter.
    #[error("tensor {name} has shape {found:?}, the network wants {wanted:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// The tensor's shape.
        found: Vec<usize>,
        /// The parameter's shape.
        wanted: Vec<usize>,
    },
    /// A tensor has no parameter.
    #[error("tensor {name} belongs to no layer")]
    Unknown {
        /// The tensor.
        name: String,
    },
    /// An optimiser lacks a moment.
    #[error("optimiser moment {name} is missing")]
    MissingMoment {
        /// The moment.
        name: String,
    },
    /// A value is too large for f16.
    #[error("tensor {name} holds {value}, which f16 does not")]
    TooLarge {
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
    },
}
