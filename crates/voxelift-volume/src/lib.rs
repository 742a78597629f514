//! Images in space: volumes and their geometry, files, k-space, resampling, degradation and scores.
//!
//! No tensors and no terminal: this crate builds and tests without burn. Rooms are listed layer by layer;
//! each imports only from the layers below it (`tests/floors.rs`).

#![forbid(unsafe_code)]

pub mod error;
pub mod random;

pub mod files;
mod separable;
mod stored;
pub mod volume;

pub mod intensity;
pub mod kspace;
pub mod nifti;
pub mod phantom;
pub mod resample;
pub mod words;

pub mod appearance;
pub mod cohort;
pub mod degrade;
#[cfg(feature = "dicom")]
pub mod dicom;
pub mod likeness;
pub mod metrics;
pub mod mgh;
pub mod resolution;
pub mod synthesis;
pub mod tile;

pub mod baseline;
pub mod calibration;
pub mod consistency;
pub mod placed;
pub mod portrait;
pub mod scan;

pub mod audit;
pub mod doctor;
pub mod expected;
pub mod sidecars;
pub mod target;

pub use error::{Result, VolumeError};
pub use volume::{Geometry, Scale, Turn, Volume, VoxelMap};
