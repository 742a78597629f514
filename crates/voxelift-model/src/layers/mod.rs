//! Layer 5 · Conv, linear, norms, fixed resamplers and pools on `[N,C,Z,Y,X]`.

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
