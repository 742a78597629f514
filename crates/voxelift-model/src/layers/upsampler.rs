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

/// The part of `x` that [`upsample`] can draw: `U D x` with `D = (U^T U)^-1 U^T`, the orthogonal projection onto what it
/// makes of all LR images, along each axis in turn. Differentiable.
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
        let factor = scale[axis];
        assert!(fine.is_multiple_of(factor), "{fine} voxels in groups of {factor}");
        let rows = projection(&lanczos_rows(fine / factor, factor), fine);
        along_axis(x, matrix(rows, fine, &device), axis)
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

/// The rows of `U (U^T U)^-1 U^T` for a matrix U of `fine` rows: its columns are made orthonormal one after another
/// (modified Gram-Schmidt, in f64), `Q Q^T`.
///
/// The columns of interpolation are shifted copies of one kernel and far from dependent: `U^T U / s` has eigenvalues from
/// 0.5 to 1.02.
fn projection(up: &[f32], fine: usize) -> Vec<f32> {
    let coarse = up.len() / fine;
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(coarse);
    for j in 0..coarse {
        let mut column: Vec<f64> = (0..fine).map(|k| f64::from(up[k * coarse + j])).collect();
        for before in &columns {
            let along = dot(before, &column);
            column.iter_mut().zip(before).for_each(|(v, b)| *v -= along * b);
        }
        let norm = dot(&column, &column).sqrt();
        column.iter_mut().for_each(|v| *v /= norm);
        columns.push(column);
    }
    let entry = |row: usize, at: usize| columns.iter().map(|column| column[row] * column[at]).sum::<f64>();
    (0..fine * fine)
        .map(|i| entry(i / fine, i % fine) as f32)
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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
