//! Floor 3 · Scores, one file a family.

mod fidelity;
mod protocol;
mod structure;
mod window;

pub use fidelity::{DataRange, Fidelity, IntensityMatch, fidelity, least_squares_match};
pub use protocol::{Pair, Regions};
pub use structure::{Structure, ssim, ssim_map, ssim_slice, structure};
