//! Floor 3 · Scores, one file a family.
//!
//! [`evaluate`] computes them all; the families can be had one by one on a [`Pair`]. Everything is summed in f64 and
//! in a fixed order, so the numbers do not depend on the number of threads.

mod evaluate;
mod fidelity;
mod multiscale;
mod protocol;
mod scores;
mod structure;
mod window;

pub use evaluate::{Detail, EvaluateOptions, default_mask, evaluate};
pub use fidelity::{DataRange, Fidelity, IntensityMatch, fidelity, least_squares_match};
pub use protocol::{Pair, Regions};
pub use scores::{MatchedScores, RegionScores, Scores};
pub use structure::{Structure, ssim, ssim_map, ssim_slice, structure};
