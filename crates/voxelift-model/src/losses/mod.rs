//! Layer 6 · The losses: scalars to minimise, from tensors; they name no network.
//!
//! ```
//! use voxelift_model::batch::volume_to_tensor;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::losses::{l1, ssim_loss};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?.map(|value| value / 100.0);
//! let reference = volume_to_tensor(&scan, &DeviceChoice::Cpu.open()?.0);
//! let everywhere = reference.ones_like();
//! // An offset is an error of its own size, and hardly one of structure; half the contrast is one of structure too.
//! let (brighter, flatter) = (reference.clone() + 0.1, reference.clone() * 0.5);
//! assert!((l1(brighter, reference.clone()).into_scalar::<f32>() - 0.1).abs() < 1e-5);
//! assert!(ssim_loss(reference.clone(), reference.clone(), &everywhere).into_scalar::<f32>().abs() < 1e-4);
//! assert!(ssim_loss(flatter, reference, &everywhere).into_scalar::<f32>() > 0.1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
