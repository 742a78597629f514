//! Layer 9 · One scan as two domains: a network learned from the slices of a scan, applied across them.
//!
//! A scan of thick slices shows fine voxels in plane and coarse ones across. Within a slice the fine image is known, and what
//! a thick slice would show of it can be computed: pairs to learn from. Across the slices only the coarse image is known:
//! there what was learned is applied. No pair shows the same place, so this is unpaired learning with one subject
//! (SMORE: Zhao et al., IEEE TMI 2021; ECLARE: Remedios et al., 2024).
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::self_learning::{Learned, LearningConfig, Length, Lesson, SliceProtocol, apply, gaussian, learn};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! // Slices four times as thick as the voxels within them; two steps teach hardly anything, but show the way.
//! let scan = head(&PhantomConfig { seed: 1, extent: [24, 24, 6], spacing_mm: [7.0, 7.0, 28.0] })?;
//! let protocol = SliceProtocol::new(scan.geometry(), gaussian(1.0), "stated".to_owned())?;
//! let config = LearningConfig { length: Length::Steps(2), batch: 2, ..LearningConfig::default() };
//! let ((device, _), stop) = (DeviceChoice::Cpu.open()?, AtomicBool::new(false));
//! let learned = learn(&Lesson::of(&scan, &protocol), &config, None, &device, &stop, &mut |_| Ok(()))?;
//! let Learned::Done(model) = learned else { unreachable!("nobody asked to stop") };
//! let finer = apply(&model.network, &scan, &protocol, &device, &mut |_, _| Ok(()))?.image;
//! assert_eq!(finer.geometry().spacing_mm(), [7.0; 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod across;
mod application;
mod config;
mod learning;
mod model;
mod network;
mod patch;
mod planes;
mod profile;
mod protocol;
mod self_test;
mod source;
mod start;
mod training;
mod unpaired;

pub use application::{Applied, apply, baseline};
pub use config::{DEFAULT_STEPS, LearningConfig, Length};
pub use learning::{Event, Keeping, Learned, Lesson, learn};
pub use model::{SelfCard, SelfModel};
pub use network::{NetworkConfig, SliceNetwork};
pub use profile::{Calibrated, calibrate, gaussian};
pub use protocol::{LEAST_RATIO, SliceProtocol, fine_slices, thick_axis};
pub use self_test::{CUBIC_CONSISTENT, SELF, SELF_TEST_LIMIT, SelfTest, TestScores};
pub use start::{SCALES as START_SCALES, Start, StartCard, StartNetwork};
pub use unpaired::UnpairedConfig;
