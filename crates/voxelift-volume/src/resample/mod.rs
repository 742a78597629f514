//! Layer 2 · Interpolation on the field-of-view grid.
//!
//! Voxel `k` of `m` over a line of `n` lies at index `(n/m)(k + 1/2) - 1/2`: the outer edges stay. Interpolation
//! goes up or sideways ([`resize`], [`resample_like`]); fewer voxels need a kernel that averages
//! ([`cubic_down`], [`box_down`], [`gaussian_down`]).
//!
//! ```
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::resample::{Interpolation, box_down, resample_like, resize};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! let finer = resize(&scan, [32; 3], Interpolation::CubicBSpline);
//! assert_eq!(finer.geometry().world([-0.5; 3]), scan.geometry().world([-0.5; 3]));
//! // On the grid of another volume: the same values at the same places.
//! let like = resample_like(&scan, finer.geometry(), Interpolation::CubicBSpline);
//! assert!(like.data().iter().zip(finer.data()).all(|(a, b)| (a - b).abs() < 1e-3));
//! // Fewer voxels are means over those that they cover, so the mean of all stays.
//! let mean = |v: &voxelift_volume::Volume| v.data().iter().sum::<f32>() / v.data().len() as f32;
//! assert!((mean(&box_down(&scan, [8; 3])) - mean(&scan)).abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod down;
mod edge;
mod kernel;
mod like;
mod size;
mod spline;
mod taps;

pub use down::{box_down, cubic_down, cubic_taps, gaussian_down, gaussian_taps, slab_down, slab_taps};
pub use edge::Edge;
pub use kernel::{Interpolation, PhaseWeights, lanczos_weights};
pub use like::resample_like;
pub use size::{extent_for_spacing, pad_to_scale};
pub use taps::{Taps, apply};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    fn texture(extent: [usize; 3]) -> Volume {
        let geometry = Geometry::axis_aligned(extent, [1.0; 3]);
        let data = (0..geometry.voxels())
            .map(|i| ((i * 2_654_435_761) % 1000) as f32 / 1000.0)
            .collect();
        Volume::new(data, geometry)
    }

    #[test]
    fn lanczos_weights_are_those_of_resize() {
        let volume = texture([11, 3, 2]);
        for scale in [1, 2, 3, 4] {
            let fine = resize(&volume, [11 * scale, 3, 2], Interpolation::Lanczos4);
            for (phase, at) in lanczos_weights(scale).iter().enumerate() {
                for j in 0..11 {
                    let clamped = |t: usize| (j as isize + at.first + t as isize).clamp(0, 10) as usize;
                    let value: f64 = (0..8)
                        .map(|t| at.weights[t] * f64::from(volume.at([clamped(t), 1, 1])))
                        .sum();
                    let got = f64::from(fine.at([scale * j + phase, 1, 1]));
                    assert!(
                        (value - got).abs() < 1e-6,
                        "scale {scale}, phase {phase}, voxel {j}: {value} {got}"
                    );
                }
            }
        }
    }

    #[test]
    fn outside_the_field_of_view_there_is_nothing() {
        let volume = Volume::filled(1.0, Geometry::axis_aligned([4, 4, 4], [1.0; 3]));
        for sheared in [0.0, 1e-3] {
            let mut target = Geometry::axis_aligned([8, 8, 8], [1.0; 3]);
            target.world_from_voxel[0][3] = -2.0;
            target.world_from_voxel[0][1] = sheared;
            let made = resample_like(&volume, &target, Interpolation::Trilinear);
            let row: Vec<f32> = (0..8).map(|x| made.at([x, 1, 1])).collect();
            assert_eq!(row, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
            assert_eq!(made.at([3, 4, 1]), 0.0);
        }
    }
}
