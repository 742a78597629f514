//! Layer 6 · The losses: scalars to minimise, from tensors; they name no network.

mod adversarial;
mod config;
mod contrastive;
mod reconstruction;
mod ssim;
mod terms;

pub use adversarial::{FAKE, HALFWAY, REAL, discriminator_loss, score_loss};
pub use config::{ContrastiveBackward, LossConfig, Routing};
pub use contrastive::{contrastive, mean_cosines};
pub use reconstruction::{l1, measurement, null_space, reconstruction};
pub use ssim::{foreground, ssim_loss};
pub use terms::LossTerms;
