//! Layer 7 · Winograd's minimal filtering F(2x2x2, 3x3x3): 64 products a tile of 8 voxels, where a direct convolution has 216.
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
//! The axes nest, three for 3x3x3 taps and two for 1x3x3. Between the transforms stand 64 or 16 small matrix products, one a *frequency*, over the channels.
//! A task takes [`BLOCK_TILES`] tiles through all three stages while they are in the second-level cache.

mod forward;
mod gradient;
mod tiles;
mod weights;

use crate::contracts::GatherFn;
use crate::kernels::{Block, Half, Transforms};
use crate::problem::Problem;

pub(crate) use forward::{Map, run};
pub(crate) use gradient::weight_gradient;

/// The shape of the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tiling {
    /// Two voxels along each axis, for kernels of 3x3x3 taps.
    Cube,
    /// Two along y and x, for kernels of 1x3x3: F(2x2, 3x3), 16 products a tile of 4 voxels, where a direct convolution has 36.
    Square,
}

impl Tiling {
    fn of(kernel: [usize; 3]) -> Option<Self> {
        match kernel {
            [3, 3, 3] => Some(Self::Cube),
            [1, 3, 3] => Some(Self::Square),
            _ => None,
        }
    }

    /// Points of a transformed tile.
    const fn frequencies(self) -> usize {
        match self {
            Self::Cube => 64,
            Self::Square => 16,
        }
    }

    /// Voxels of a tile along z.
    fn depth(self) -> usize {
        match self {
            Self::Cube => 2,
            Self::Square => 1,
        }
    }

    fn transforms(self, block: &Block) -> Transforms {
        match self {
            Self::Cube => block.cube,
            Self::Square => block.square,
        }
    }

    fn half_gather(self, half: Half) -> GatherFn {
        match self {
            Self::Cube => half.gather_cube,
            Self::Square => half.gather_square,
        }
    }
}

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
    Tiling::of(problem.kernel).is_some()
        && problem.stride == [1; 3]
        && channels(problem.channels_in)
        && channels(problem.channels_out)
        // A tile of one voxel is half empty on each axis.
        && (0..3).all(|axis| problem.kernel[axis] == 1 || problem.input[axis] >= 4)
}
