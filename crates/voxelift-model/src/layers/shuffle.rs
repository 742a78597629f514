//! Channels into sub-voxels.

use burn::tensor::Tensor;

/// Moves channel `c sz sy sx + (dz sy + dy) sx + dx` to sub-voxel `(dz, dy, dx)` of channel `c`: the pixel
/// shuffle of Shi et al. (CVPR 2016) in three dimensions.
///
/// # Shapes
///
/// `[N, C sz sy sx, Z, Y, X]` -> `[N, C, sz Z, sy Y, sx X]`.
///
/// # Panics
///
/// If the channels are not a multiple of `sz sy sx`.
pub fn voxel_shuffle(x: Tensor<5>, [sz, sy, sx]: [usize; 3]) -> Tensor<5> {
    let [n, channels, z, y, x_size] = x.dims();
    let c = channels / (sz * sy * sx);
    assert!(
        c * sz * sy * sx == channels,
        "{:?} cannot be shuffled by {:?}",
        x.dims(),
        [sz, sy, sx]
    );
    x.reshape([n, c, sz, sy, sx, z, y, x_size])
        .permute([0, 1, 5, 2, 6, 3, 7, 4]) // [n, c, z, sz, y, sy, x, sx]
        .reshape([n, c, z * sz, y * sy, x_size * sx])
}
