//! Layer 3 · Scores, one file a family.
//!
//! [`evaluate`] computes them all; the families can be computed one by one on a [`Pair`]. Everything is summed in f64 and
//! in a fixed order, so the numbers do not depend on the number of threads.

mod evaluate;
mod fidelity;
mod hfen;
mod multiscale;
mod number;
mod perceptual;
mod protocol;
mod score;
mod scores;
mod sets;
mod shells;
mod similarity;
mod spectral;
mod statistics;
mod structure;
mod taper;
mod tissue;
mod window;

pub use evaluate::{Detail, EVALUATION_BYTES, EvaluateOptions, brain_mask, default_mask, evaluate, mask_on};
pub use fidelity::{DataRange, Fidelity, IntensityMatch, fidelity, least_squares_match};
pub use hfen::hfen;
pub use perceptual::{Perceptual, perceptual};
pub use protocol::{Pair, Regions};
pub use score::{Direction, Score};
pub use scores::{MatchedScores, RegionScores, Scores};
pub use sets::{SetMember, SetScores, set_scores};
pub use spectral::{
    BeyondNyquist, ShellCorrelation, check_field_of_view, data_consistency, shell_correlation,
};
pub use statistics::{
    BOOTSTRAP_SEED, PairedDifference, Summary, by_subject, crossed_interval, paired, summarize,
};
pub use structure::{Structure, ssim, ssim_map, ssim_slice, structure};
pub(crate) use taper::Taper;
pub use tissue::{ClassAgreement, Mixture, label_agreement, tissue_agreement};
