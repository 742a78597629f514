//! Floor 2 · Interpolation on the field-of-view grid.
//!
//! Voxel `k` of `m` over a line of `n` lies at index `(n/m)(k + 1/2) - 1/2`: the outer edges stay. Interpolation
//! goes up or sideways ([`resize`], [`resample_like`]); the way down needs a kernel that averages
//! ([`cubic_down`], [`box_down`], [`gaussian_down`]).

mod down;
mod kernel;
mod like;
mod size;
mod spline;
mod taps;

pub use down::{box_down, cubic_down, gaussian_down};
pub use kernel::{Interpolation, PhaseWeights, lanczos_weights};
pub use like::resample_like;
pub use size::{extent_for_spacing, pad_to_scale};
pub use taps::{Edge, Taps, apply};

use crate::volume::Volume;
use spline::Prefilter;

/// The volume on a grid of `extent` voxels over the same field of view, by interpolation.
///
/// Nothing is averaged: on a coarser grid fine detail aliases. Beyond the outermost voxel centres lines go on as
/// [`Interpolation::edge`] says. An axis that keeps its extent is untouched, bit for bit.
///
/// # Panics
/// When an extent is 0.
pub fn resize(volume: &Volume, extent: [usize; 3], method: Interpolation) -> Volume {
    let from = volume.extent();
    let taps = std::array::from_fn(|a| Taps::interpolate(from[a], extent[a], method));
    let geometry = volume.geometry().with_extent(extent);
    if method == Interpolation::CubicBSpline {
        let filters = std::array::from_fn(|a| (from[a] != extent[a]).then(|| Prefilter::new(from[a])));
        Volume::new(
            taps::sampled(&spline::coefficients(volume, filters), from, &taps),
            geometry,
        )
    } else {
        Volume::new(taps::sampled(volume.data(), from, &taps), geometry)
    }
}
