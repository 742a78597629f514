//! Means: over space, over cells of space, over everything.

use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool3d;

/// Mean over space.
///
/// # Shapes
///
/// `[N, C, Z, Y, X]` -> `[N, C, 1, 1, 1]`.
pub fn global_mean(x: Tensor<5>) -> Tensor<5> {
    let [n, c, z, y, x_size] = x.dims();
    x.reshape([n, c, z * y * x_size])
        .mean_dim(2)
        .reshape([n, c, 1, 1, 1])
}

/// Mean over `size` cells that cover space, cell `i` of an axis of length `n` reaching from `floor(i n / size)`
/// to `ceil((i + 1) n / size)`, as PyTorch's adaptive average pool.
///
/// # Shapes
///
/// `[N, C, Z, Y, X]` -> `[N, C, size..]`.
pub fn adaptive_mean(x: Tensor<5>, size: [usize; 3]) -> Tensor<5> {
    adaptive_avg_pool3d(x, size)
}

/// Mean of all elements, the same for any number of threads.
///
/// burn's CPU backend adds more than 4 million elements in whatever order its threads finish; row by row it
/// does not.
pub fn ordered_mean<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let last = x.dims()[D - 1];
    let rows = x.shape().num_elements() / last;
    x.reshape([rows, last]).mean_dim(1).mean()
}

/// Each row divided by its L2 norm.
///
/// # Shapes
///
/// `[N, K]` -> `[N, K]`; a row of zeros stays zero.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    // The floor keeps the gradient at a zero row finite.
    let norm = (x.clone().square().sum_dim(1) + 1e-12).sqrt();
    x / norm
}
