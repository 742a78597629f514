//! The methods that need no training, which every table stands on.

use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Volume, kspace};

/// A method that needs no training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Zeros around the measured k-space: the floor to beat on k-space-truncated scans.
    ZeroFill,
    /// By a kernel.
    Interpolated(Interpolation),
}

/// The floors of every table, the one to beat first.
pub const FLOORS: [Floor; 4] = [
    Floor::ZeroFill,
    Floor::Interpolated(Interpolation::Lanczos4),
    Floor::Interpolated(Interpolation::CubicBSpline),
    Floor::Interpolated(Interpolation::Trilinear),
];

impl Floor {
    /// As it is called in the tables, and as `upscale --method` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroFill => "zero-fill",
            Self::Interpolated(Interpolation::Lanczos4) => "lanczos",
            Self::Interpolated(Interpolation::CubicBSpline) => "cubic",
            Self::Interpolated(Interpolation::Trilinear) => "trilinear",
            Self::Interpolated(Interpolation::Nearest) => "nearest",
        }
    }

    /// The finer volume.
    pub fn apply(self, lr: &Volume, extent: [usize; 3]) -> Volume {
        match self {
            Self::ZeroFill => kspace::zero_fill(lr, extent),
            Self::Interpolated(method) => resize(lr, extent, method),
        }
    }
}
