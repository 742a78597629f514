//! Layer 3 · Scores, one file a family.
//!
//! [`evaluate`] computes them all; the families can be computed one by one on a [`Pair`]. Everything is summed in f64 and
//! in a fixed order, so the numbers do not depend on the number of threads.
//!
//! ```
//! use voxelift_volume::metrics::{EvaluateOptions, Score, evaluate};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let reference = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! // An image that is wrong by a hundredth of the reference's range everywhere.
//! let (low, high) = reference.data().iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
//! let image = reference.clone().map(|value| value + 0.01 * (high - low));
//! let scores = evaluate(&reference, &image, None, &EvaluateOptions::default())?;
//! let psnr = Score::Psnr.of(&scores.whole).expect("a finite score");
//! assert!((psnr - 40.0).abs() < 1e-3);
//! // An offset is all there is between the two, and a match of the intensities removes it.
//! assert!(scores.whole.matched.psnr_db > 100.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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

pub use evaluate::{
    Detail, EVALUATION_BYTES, EvaluateOptions, brain_mask, default_mask, evaluate, map_on, mask_on,
};
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
