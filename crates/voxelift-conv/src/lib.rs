//! Convolution in three dimensions for [burn](https://burn.dev): our own kernels on the CPU, burn's on every other backend.
//!
//! A direct convolution on channels-last data with zeros around it: some voxels by some output channels stay
//! in registers while all taps pass (`kernels`). The same kernels give the input gradient (`direct`), a
//! second kind the weight gradient (`weight_gradient`). Kernels of 3x3x3 taps between 16 channels and more take
//! Winograd's way in all three passes, with a third of the products (`winograd`); `passes` decides. Results do not
//! depend on the number of threads: every output value is one task's own sum, and weight gradients are summed over
//! fixed parts in order.
//!
//! On the CPU the ops return tensors of the logical shape `[N,C,Z,Y,X]` whose memory is channels-last, and
//! read both orders: a chain of them converts nothing. All `unsafe` code of the project is in this crate, which knows
//! nothing of images.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use voxelift_conv::{Activation, conv3d};
//!
//! let device = Device::flex();
//! let (x, weight) = (Tensor::<5>::ones([1, 1, 4, 4, 4], &device), Tensor::<5>::ones([2, 1, 3, 3, 3], &device));
//! let y = conv3d(x, weight, None, [1; 3], Activation::Relu);
//! assert_eq!(y.dims(), [1, 2, 4, 4, 4]);
//! // A voxel inside sums 27 ones.
//! assert_eq!(y.slice([0..1, 0..1, 1..2, 1..2, 1..2]).into_scalar::<f32>(), 27.0);
//! ```

mod activation;
mod attention;
mod buffer;
mod composed;
mod contracts;
mod direct;
mod extension;
mod grid;
#[cfg(target_arch = "x86_64")]
mod half_lanes;
mod halves;
mod kernels;
mod lanes;
mod layout;
mod loops;
mod memory;
mod norm;
mod ops;
mod passes;
mod peak;
mod problem;
mod product_format;
mod rcab;
#[cfg(target_arch = "x86_64")]
mod rounding;
mod sweep;
mod tile_loops;
mod tracked;
mod weight_gradient;
mod winograd;

#[cfg(test)]
mod tests;

pub use activation::{Activation, Affine};
pub use kernels::without_avx512;
pub use norm::Statistics;
pub use ops::{conv3d, conv3d_add, conv3d_shuffle, conv3d_upsample, normalised, rcab, voxel_shuffle};
pub use peak::fma_peak;
pub use product_format::{ProductFormat, computing_in};
