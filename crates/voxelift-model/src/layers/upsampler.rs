//! The fixed upsampler `U`: Lanczos with four lobes on the field-of-view grid; and what it cannot draw.

use burn::tensor::Tensor;
use voxelift_volume::resample::{Interpolation, Taps};

use super::{along_axis, matrix};

/// Interpolates each axis by an integer factor, keeping the field of view: HR voxel `k` sits at
/// `(k + 1/2) / scale - 1/2` LR voxels.
///
/// The taps are those of `voxelift_volume::resample`, applied as one banded matrix an axis; differentiable.
///
/// # Shapes
///
/// `[N, C, Z, Y, X]` -> `[N, C, sz Z, sy Y, sx X]`.
pub fn upsample(x: Tensor<5>, scale: [usize; 3]) -> Tensor<5> {
    let device = x.device();
    (0..3).filter(|&axis| scale[axis] > 1).fold(x, |x, axis| {
        let n = x.dims()[2 + axis];
        along_axis(x, matrix(lanczos_rows(n, scale[axis]), n, &device), axis)
    })
}

/// What the upsampled image already says of `x`: `U D x`, with `D = U^T / scale` along each axis.
///
/// `D U` is nearly the identity (a constant stays within 1 %), so that this is nearly the projection onto all that
/// [`upsample`] can draw. Differentiable.
///
/// # Shapes
///
/// `[N, C, sz Z, sy Y, sx X]` -> the same.
///
/// # Panics
///
/// When a side is no multiple of its factor.
pub fn low_pass(x: Tensor<5>, scale: [usize; 3]) -> Tensor<5> {
    let device = x.device();
    (0..3).filter(|&axis| scale[axis] > 1).fold(x, |x, axis| {
        let fine = x.dims()[2 + axis];
        assert!(
            fine.is_multiple_of(scale[axis]),
            "{fine} voxels in groups of {}",
            scale[axis]
        );
        let coarse = fine / scale[axis];
        let up = matrix(lanczos_rows(coarse, scale[axis]), coarse, &device);
        let both = up.clone().matmul(up.transpose()) / scale[axis] as f32;
        along_axis(x, both, axis)
    })
}

/// The rest, `x - U D x`: a separable high-pass, close to the part that no scan of this scale holds (the null space of
/// truncation, see `voxelift_volume::consistency`).
///
/// # Shapes
///
/// As [`low_pass`].
pub fn high_pass(x: Tensor<5>, scale: [usize; 3]) -> Tensor<5> {
    x.clone() - low_pass(x, scale)
}

fn lanczos_rows(n: usize, scale: usize) -> Vec<f32> {
    let taps = Taps::interpolate(n, n * scale, Interpolation::Lanczos4);
    let mut rows = vec![0.0; n * scale * n];
    for (k, row) in rows.chunks_exact_mut(n).enumerate() {
        for (voxel, &weight) in row[taps.run(k)].iter_mut().zip(taps.row(k)) {
            *voxel = weight as f32;
        }
    }
    rows
}
