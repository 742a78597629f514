//! Images in space: volumes and their geometry, files, k-space, resampling, degradation and scores.
//!
//! No tensors and no terminal: this crate builds and tests without burn. Rooms are listed layer by layer;
//! each imports only from the layers below it (`tests/floors.rs`).
//!
//! ```
//! use voxelift_volume::baseline::Baseline;
//! use voxelift_volume::degrade::{Degradation, Operator};
//! use voxelift_volume::metrics::{EvaluateOptions, evaluate};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::Scale;
//!
//! // In place of a synthetic head, `scan::read` takes any file or folder that holds a scan.
//! let reference = head(&PhantomConfig { seed: 1, extent: [24; 3], spacing_mm: [7.0; 3] })?;
//! let degraded = Degradation::new(Operator::KSpace, Scale::isotropic(2)).apply(&reference, 1)?;
//! let psnr_db = |baseline: Baseline| -> voxelift_volume::Result<f64> {
//!     let image = baseline.apply(&degraded, reference.extent());
//!     Ok(evaluate(&reference, &image, None, &EvaluateOptions::default())?.headline().psnr_db)
//! };
//! assert!(psnr_db(Baseline::ZeroFill)? > psnr_db(Baseline::Trilinear)? + 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each room shows an example in its own documentation; whole programs are in the folder `examples/`.

#![forbid(unsafe_code)]

pub mod error;
pub mod random;
pub mod undo;

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
pub mod interleave;
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
