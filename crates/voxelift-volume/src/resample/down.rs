//! Fewer voxels over the same field of view, with kernels that average what no longer fits.

use super::edge::Edge;
use super::kernel::keys_cubic;
use super::taps::{Taps, apply};
use crate::volume::Volume;

/// Standard deviations after which the Gaussian is cut.
const GAUSSIAN_REACH: f64 = 4.0;

/// Antialiased cubic: Keys' kernel (`a = -1/2`) stretched by the factor `n/m`, as in MATLAB's `imresize` and
/// Pillow. Weights beyond the ends of a line are dropped and the others renormalised (as Pillow does).
///
/// # Panics
/// Unless `1 <= m <= n` on each axis.
pub fn cubic_down(volume: &Volume, extent: [usize; 3]) -> Volume {
    down(volume, extent, cubic_taps)
}

/// The weights of [`cubic_down`] along one axis, from `n` to `m` voxels.
pub fn cubic_taps(n: usize, m: usize) -> Taps {
    let factor = n as f64 / m as f64;
    Taps::around(n, m, 2.0 * factor, Edge::Drop, |d| keys_cubic(d / factor))
}

/// The mean over each new voxel; old voxels that it covers in part count in part.
///
/// # Panics
/// Unless `1 <= m <= n` on each axis.
pub fn box_down(volume: &Volume, extent: [usize; 3]) -> Volume {
    slab_down(volume, extent, 1.0)
}

/// The mean over a slab about the centre of each new voxel, `thickness` new voxels thick.
///
/// # Panics
/// Unless `1 <= m <= n` on each axis.
pub fn slab_down(volume: &Volume, extent: [usize; 3], thickness: f64) -> Volume {
    down(volume, extent, |n, m| slab_taps(n, m, thickness))
}

/// The weights of [`slab_down`] along one axis, from `n` to `m` voxels.
pub fn slab_taps(n: usize, m: usize, thickness: f64) -> Taps {
    let half = 0.5 * thickness * n as f64 / m as f64;
    let overlap = |d: f64| ((d + 0.5).min(half) - (d - 0.5).max(-half)).max(0.0);
    Taps::around(n, m, half + 0.5, Edge::Drop, overlap)
}

/// A Gaussian blur, sampled at the new voxel centres by cubic convolution (Keys, `a = -1/2`).
///
/// The cubic only reads the blurred volume between its voxels, it is not stretched: the transfer function is the
/// Gaussian's, so that `sigma` alone says how soft the result is. End values repeat beyond the ends of a line; the
/// Gaussian is cut at four standard deviations. An axis that keeps its extent is neither blurred nor changed.
///
/// # Units
/// `sigma` in voxels of the *new* grid (0.5 is a full width at half maximum of 1.18 LR voxels).
///
/// # Panics
/// Unless `1 <= m <= n` on each axis and `sigma` is finite and not negative.
pub fn gaussian_down(volume: &Volume, extent: [usize; 3], sigma: f64) -> Volume {
    assert!(sigma.is_finite() && sigma >= 0.0, "a Gaussian of sigma {sigma}");
    down(volume, extent, |n, m| gaussian_taps(n, m, sigma))
}

/// The weights of [`gaussian_down`] along one axis, from `n` to `m` voxels.
pub fn gaussian_taps(n: usize, m: usize, sigma: f64) -> Taps {
    let cubic = Taps::around(n, m, 2.0, Edge::Replicate, keys_cubic);
    let sigma = sigma * n as f64 / m as f64;
    if sigma == 0.0 {
        return cubic;
    }
    let gaussian = |d: f64| (-0.5 * (d / sigma).powi(2)).exp();
    let reach = (GAUSSIAN_REACH * sigma).ceil();
    cubic.after(&Taps::around(n, n, reach, Edge::Replicate, gaussian))
}

/// Applies `taps(n, m)` along each axis that shrinks.
fn down(volume: &Volume, extent: [usize; 3], taps: impl Fn(usize, usize) -> Taps) -> Volume {
    let n = volume.extent();
    assert!(
        (0..3).all(|a| 1 <= extent[a] && extent[a] <= n[a]),
        "cannot bring {n:?} down to {extent:?}"
    );
    let axis = |a: usize| {
        if n[a] == extent[a] {
            Taps::identity(n[a])
        } else {
            taps(n[a], extent[a])
        }
    };
    apply(volume, &[axis(0), axis(1), axis(2)])
}
