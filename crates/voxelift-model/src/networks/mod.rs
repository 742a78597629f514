//! Layer 6 · The networks: encoder, SR decoder, LR decoder, discriminators, projection heads.
//!
//! ```
//! use burn::tensor::Tensor;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::networks::GeneratorConfig;
//!
//! let (device, _) = DeviceChoice::Cpu.open()?;
//! // HR voxels per LR voxel along z, y, x; sizes as in `small`, but tiny.
//! let config = GeneratorConfig { scale: [1, 2, 2], ..GeneratorConfig::tiny() };
//! config.check()?;
//! let generator = config.init(1, &device);
//! let scan = Tensor::<5>::ones([1, 1, 4, 6, 5], &device);
//! assert_eq!(generator.encode(scan.clone()).dims(), [1, 8, 4, 6, 5]);
//! assert_eq!(generator.forward(scan).dims(), [1, 1, 4, 12, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod discriminator;
mod encoder;
mod generator;
mod lr_decoder;
mod projection;
mod rcan;
mod sr_decoder;

pub use discriminator::{Discriminator, DiscriminatorConfig, Discriminators};
pub use encoder::Encoder;
pub use generator::{Generator, GeneratorConfig, NullSpace, PLACED_CHANNELS, PLACED_STEP};
pub use lr_decoder::LrDecoder;
pub use projection::{Embedding, ProjectionConfig, ProjectionHead, draw_positions};
pub use rcan::{ChannelAttention, Rcab, ResidualGroup};
pub use sr_decoder::SrDecoder;
