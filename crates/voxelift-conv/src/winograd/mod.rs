//! Floor 7 · Winograd's minimal filtering F(2x2x2, 3x3x3): 64 products a tile of 8 voxels, where a direct convolution has 216.
//!
//! Per axis, a tile of two outputs `y` reads four inputs `d` through three taps `g` (Lavin and Gray, CVPR 2016):
//! `y = A^T [(G g) (B^T d)]` with
//!
//! ```text
//! B^T = 1  0 -1  0     G = 1    0    0      A^T = 1  1  1  0
//!       0  1  1  0         1/2  1/2  1/2          0  1 -1 -1
//!       0 -1  1  0         1/2 -1/2  1/2
//!       0  1  0 -1         0    0    1
//! ```
//!
//! Rounding: relative RMS error against f64 between 32 channels 2.7e-7 in all three passes, where the direct sums have
//! 5.0e-7 (output, input gradient) and 1.9e-7 (weight gradient); `conv/tests.rs` holds it to that order.
//!
//! The three axes nest. Between the transforms stand 64 small matrix products, one a *frequency*, over the channels.
//! A task takes [`BLOCK_TILES`] tiles through all three stages while they are in the second-level cache.

mod forward;
mod gradient;
mod tiles;
mod weights;

use crate::problem::Problem;

pub(crate) use forward::{Map, run};
pub(crate) use gradient::weight_gradient;

/// Points of a transformed tile.
const FREQUENCIES: usize = 64;

/// Tiles that pass the stages together: two rounds of the widest matrix kernel.
const BLOCK_TILES: usize = 28;

/// Values from one frequency of a block to the next: a cache line more than they fill, or else all frequencies of a
/// tile would fall into a few sets of the cache.
fn pitch(channels: usize) -> usize {
    (BLOCK_TILES * channels).next_multiple_of(32) + 16
}

/// Whether the transforms are paid for by the products saved, from one number of channels to another.
pub(crate) fn pays(problem: &Problem) -> bool {
    let channels = |count: usize| count >= 16 && count.is_multiple_of(8);
    problem.kernel == [3; 3]
        && problem.stride == [1; 3]
        && channels(problem.channels_in)
        && channels(problem.channels_out)
        // A tile of one voxel is half empty on each axis.
        && problem.input.iter().all(|&size| size >= 4)
}
