//! The fixed upsampler `U`: Lanczos with four lobes on the field-of-view grid.

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
