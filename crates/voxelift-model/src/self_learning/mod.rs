//! Layer 9 · One scan as two domains: a network learned from the slices of a scan, applied across them.
//!
//! A scan of thick slices shows fine voxels in plane and coarse ones across. Within a slice the fine image is known, and what
//! a thick slice would show of it can be computed: pairs to learn from. Across the slices only the coarse image is known:
//! there what was learned is applied. No pair shows the same place, so this is unpaired learning with one subject
//! (SMORE: Zhao et al., IEEE TMI 2021; ECLARE: Remedios et al., 2024).

mod application;
mod config;
mod learning;
mod model;
mod network;
mod planes;
mod profile;
mod protocol;
mod self_test;
mod source;
mod start;
mod training;

pub use application::{Applied, apply, baseline};
pub use config::{DEFAULT_STEPS, LearningConfig, Length};
pub use learning::{Event, Keeping, Learned, learn, state_key};
pub use model::{SelfCard, SelfModel};
pub use network::{NetworkConfig, SliceNetwork};
pub use profile::{Calibrated, calibrate, gaussian};
pub use protocol::{SliceProtocol, thick_axis};
pub use self_test::{CUBIC_CONSISTENT, SELF, SELF_TEST_LIMIT, SelfTest, TestScores};
pub use start::{SCALES as START_SCALES, Start, StartCard, StartNetwork};
