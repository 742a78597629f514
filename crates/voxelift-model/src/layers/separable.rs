//! Fixed linear maps along one axis of space: interpolation and windows as matrix products.

use burn::tensor::{Device, Tensor, TensorData};

/// The matrix with these rows, each `input` long.
///
/// # Shapes
///
/// `[rows.len() / input, input]`.
pub fn matrix(rows: Vec<f32>, input: usize, device: &Device) -> Tensor<2> {
    let output = rows.len() / input;
    Tensor::from_data(TensorData::new(rows, [output, input]), device)
}

/// Multiplies spatial axis `axis` (0, 1, 2 for Z, Y, X) by `matrix`; differentiable in `x`.
///
/// # Shapes
///
/// `matrix [output, input]`, and `x` with `input` along the axis -> `output` along it.
///
/// # Panics
///
/// If the axis is not `input` long.
pub fn along_axis(x: Tensor<5>, matrix: Tensor<2>, axis: usize) -> Tensor<5> {
    let mut shape = x.dims();
    let [output, input] = matrix.dims();
    assert!(
        shape[2 + axis] == input,
        "axis {axis} of {shape:?} does not fit the matrix {:?}",
        matrix.dims()
    );
    let before: usize = shape[..2 + axis].iter().product();
    let after: usize = shape[3 + axis..].iter().product();
    shape[2 + axis] = output;
    if after == 1 {
        return x
            .reshape([before, input])
            .matmul(matrix.transpose())
            .reshape(shape);
    }
    matrix
        .unsqueeze::<3>()
        .matmul(x.reshape([before, input, after]))
        .reshape(shape)
}
