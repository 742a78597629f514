//! Layer 5 · Conv, linear, norms, fixed resamplers and pools on `[N,C,Z,Y,X]`.
//!
//! ```
//! use burn::tensor::Tensor;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::layers::{Activation, Conv, ConvConfig, Init, high_pass, upsample};
//!
//! let (device, _) = DeviceChoice::Cpu.open()?;
//! // Weights come from a seed and the network's name, in the order in which its layers are made.
//! let conv = Conv::new(ConvConfig::new(1, 4, [3; 3]), &mut Init::new(1, "example"), &device);
//! let image = Tensor::<5>::ones([1, 1, 4, 5, 6], &device);
//! assert_eq!(conv.forward(image.clone(), Activation::Relu).dims(), [1, 4, 4, 5, 6]);
//! // What the upsampler draws holds nothing of what no scan of this scale can hold.
//! let fine = upsample(image, [2; 3]);
//! assert_eq!(fine.dims(), [1, 1, 8, 10, 12]);
//! assert!(high_pass(fine, [2; 3]).abs().max().into_scalar::<f32>() < 1e-4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod conv;
mod gaussian;
mod init;
mod linear;
mod measurement;
mod norm;
mod pool;
mod separable;
mod upsampler;

pub use conv::{Conv, ConvConfig, LEAKY_SLOPE};
pub use gaussian::gaussian_window;
pub use init::Init;
pub use linear::Linear;
pub use measurement::Measurement;
pub use norm::{Norm, NormKind};
pub use pool::{adaptive_mean, global_mean, ordered_mean, unit_rows};
pub use separable::{along_axis, matrix};
pub use upsampler::{high_pass, low_pass, upsample};
pub use voxelift_conv::Activation;
