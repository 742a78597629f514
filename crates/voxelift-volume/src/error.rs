//! Layer 0 · Every way a volume or its file can be wrong, with the offending values.
//!
//! ```
//! use voxelift_volume::{Scale, VolumeError};
//!
//! // What is wrong comes back as a value: which argument, what it was, what was expected.
//! let error = Scale::parse("2,2").unwrap_err();
//! assert!(matches!(&error, VolumeError::Argument { name: "scale", value, .. } if value == "2,2"));
//! // As a message it is one line, ready to be shown.
//! assert_eq!(error.to_string(), "scale = 2,2: expected one whole number or three, 1 to 16, as 2 or 2,2,1");
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// The result of anything that touches a volume or its file.
pub type Result<T> = std::result::Result<T, VolumeError>;

/// What is wrong with a volume, its file or a request about it. Each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The operating system refused.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb phrase: "read", "write", "rename the finished file".
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The thickness that a sidecar states does not go with the distance of the slices.
    #[error(
        "SliceThickness {thickness_mm} mm in its sidecar: its slices are {apart_mm} mm apart, and only {} to {} times that is believed; mend the \
         sidecar, or state what made the scan",
        credible[0],
        credible[1]
    )]
    Thickness {
        /// As the sidecar states it.
        thickness_mm: f64,
        /// The distance of the slices.
        apart_mm: f64,
        /// Least and most thickness, over that distance.
        credible: [f64; 2],
    },
    /// A file's content is malformed: which field, its value, what was expected.
    #[error("{path}: {field} is {value}; expected {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The header field or part of the file.
        field: String,
        /// What is there.
        value: String,
        /// What should be there, or what to do.
        expected: String,
    },
    /// A file is well-formed but of a kind that is not read.
    #[error("{path}: {what} is not supported: {advice}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The kind, named.
        what: String,
        /// What to do instead.
        advice: String,
    },
    /// A file holds more voxels than may be read.
    #[error(
        "{path}: {field} is {extent:?} in {frames} volume(s); expected at most {most} voxels, unless more are allowed"
    )]
    TooManyVoxels {
        /// The file or the folder.
        path: PathBuf,
        /// The header fields that hold the counts.
        field: String,
        /// Voxel counts along x, y, z.
        extent: [usize; 3],
        /// Volumes in the file.
        frames: usize,
        /// The most that may be read.
        most: u64,
    },
    /// A small compressed file claims to hold a large volume.
    #[error(
        "{path}: voxel data is {bytes} bytes from a file of {stored}, {} times as many; expected less than {most} times for a volume \
         of {voxels} voxels, unless so many voxels are allowed explicitly",
        bytes / (*stored).max(1)
    )]
    TooDense {
        /// The file.
        path: PathBuf,
        /// Bytes of its voxels, unpacked.
        bytes: u64,
        /// Bytes of the file.
        stored: u64,
        /// Bytes of voxels that one byte of a file may stand for.
        most: u64,
        /// Voxels of the volume.
        voxels: usize,
    },
    /// Voxels that are no numbers, where these are refused.
    #[error(
        "{path}: voxel data is not finite, or beyond float32, at {count} places; expected finite values, unless zero may take their place"
    )]
    NotFinite {
        /// The file or the folder.
        path: PathBuf,
        /// Voxels of this kind.
        count: u64,
    },
    /// A file that would be overwritten.
    #[error("{path}: already exists; choose another name, or allow overwriting")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Values inside a volume that the operation cannot take.
    #[error("{what}: {value}; expected {expected}")]
    Content {
        /// The volume or quantity.
        what: String,
        /// The offending value.
        value: String,
        /// What was expected, or what to do.
        expected: String,
    },
    /// An argument outside its range.
    #[error("{name} = {value}: {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// Two volumes that should share a grid and do not.
    #[error("the grids differ in {field}: {left} against {right}; {advice}")]
    GridMismatch {
        /// Extent, spacing or origin.
        field: &'static str,
        /// The first volume's value.
        left: String,
        /// The second volume's value.
        right: String,
        /// What to do.
        advice: String,
    },
    /// One subject in two roles.
    #[error(
        "subject {subject} is in two roles: {first} and {second}; a subject belongs to one role only; where two data sets number their subjects alike, give the files of one of them other names"
    )]
    SubjectInTwoRoles {
        /// The subject.
        subject: String,
        /// The first role (and file).
        first: String,
        /// The second role (and file).
        second: String,
    },
}

impl VolumeError {
    /// An [`VolumeError::Io`] for `path`.
    pub fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    /// An [`VolumeError::Malformed`]: what `field` of `path` is, and what it should be.
    pub fn malformed(
        path: &Path,
        field: impl Into<String>,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        let (path, field) = (path.to_owned(), field.into());
        Self::Malformed {
            path,
            field,
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// An [`VolumeError::Unsupported`].
    pub fn unsupported(path: &Path, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// An [`VolumeError::Argument`].
    pub fn argument(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Argument {
            name,
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// The same error, with the name of its file.
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Content {
                what,
                value,
                expected,
            } => Self::Content {
                what: format!("{}: {what}", path.display()),
                value,
                expected,
            },
            other => other,
        }
    }

    /// An [`VolumeError::Content`].
    pub fn content(what: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Content {
            what: what.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}

/// A message with its lines behind each other.
pub fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
