//! Layer 5 · The finer grid that is asked for, and how a finer volume comes onto it.
//!
//! ```
//! use voxelift_volume::Geometry;
//! use voxelift_volume::target::Target;
//!
//! let scan = Geometry::axis_aligned([32, 32, 8], [1.0, 1.0, 4.0]);
//! let grid = Target::Spacing([1.0; 3]).grid(&scan)?;
//! assert_eq!(grid.extent, [32; 3]);
//! // The field of view is kept to its outer edges.
//! assert_eq!(grid.world([-0.5; 3]), scan.world([-0.5; 3]));
//! assert_eq!(grid.world([31.5; 3]), scan.world([31.5, 31.5, 7.5]));
//! // No axis is made coarser.
//! assert!(Target::Spacing([2.0, 2.0, 1.0]).grid(&scan).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::error::{Result, VolumeError};
use crate::kspace;
use crate::nifti::Header;
use crate::placed::{default_target, resolved_mm};
use crate::resample::{Interpolation, extent_for_spacing, resample_like};
use crate::volume::{Geometry, Scale, Volume, VoxelMap};
use crate::words::number;

/// The grid that is asked for.
#[derive(Clone, Debug)]
pub enum Target {
    /// So many voxels per voxel.
    Scale(Scale),
    /// This voxel size (mm), or the nearest that divides the field of view.
    Spacing([f64; 3]),
    /// The grid of another file.
    Like(Box<Header>),
    /// 1 mm or the finest that the scan resolves, see [`default_target`].
    Finest,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(scale) => write!(f, "scale {scale}"),
            Self::Spacing([x, y, z]) => write!(f, "spacing {x},{y},{z} mm"),
            Self::Like(reference) => {
                let grid = reference.geometry();
                write!(f, "like {:?} {:?}", grid.extent, grid.world_from_voxel)
            }
            Self::Finest => write!(f, "the finest that the scan resolves"),
        }
    }
}

/// Voxels this close to one another, in voxels, are the same.
const SAME_PLACE: f64 = 1e-3;

impl Target {
    /// The grid itself.
    ///
    /// # Errors
    /// When the target is coarser than the input along an axis, or lies elsewhere.
    pub fn grid(&self, input: &Geometry) -> Result<Geometry> {
        if let Self::Like(reference) = self
            && in_common(input, &reference.geometry()) == 0.0
        {
            let value = "a grid outside the scan's field of view".to_owned();
            let expected = "one that lies where the scan does; compare both with `voxelift info`";
            return Err(VolumeError::argument("like", value, expected));
        }
        let extent = self.extent(input)?;
        Ok(match self {
            Self::Scale(_) | Self::Spacing(_) | Self::Finest => input.with_extent(extent),
            Self::Like(reference) => reference.geometry(),
        })
    }

    /// A warning where the grid has little in common with the input.
    pub fn little_in_common(&self, input: &Geometry) -> Option<String> {
        let Self::Like(reference) = self else {
            return None;
        };
        let share = in_common(input, &reference.geometry());
        (share < LITTLE).then(|| {
            format!(
                "has only {:.0} % of the smaller field of view in common with the grid that was asked for; the rest of the output is empty",
                100.0 * share
            )
        })
    }

    /// The target of one scan by its first volume, and whether its voxels are halved because they were as fine as the target
    /// already; only [`Target::Finest`] depends on it.
    pub fn settled(&self, first: &Volume) -> (Self, bool) {
        if !matches!(self, Self::Finest) {
            return (self.clone(), false);
        }
        let chosen = default_target(first.geometry(), resolved_mm(first));
        let grid = first.geometry().with_extent(chosen.extent);
        (Self::Spacing(grid.spacing_mm()), chosen.halved)
    }

    /// How many voxels over the input's field of view come nearest to it.
    ///
    /// # Errors
    /// When the target is coarser than the input along an axis.
    pub fn extent(&self, input: &Geometry) -> Result<[usize; 3]> {
        let extent = match self {
            Self::Scale(scale) => scale.up(input.extent),
            Self::Spacing(spacing_mm) => extent_for_spacing(input, *spacing_mm)?,
            Self::Like(reference) => extent_for_spacing(input, spacing_along(input, &reference.geometry()))?,
            Self::Finest => default_target(input, input.spacing_mm()).extent,
        };
        if let Some(a) = (0..3).find(|a| extent[*a] < input.extent[*a]) {
            let (axis, found) = (["x", "y", "z"][a], number(input.spacing_mm()[a]));
            let spacing = number(input.spacing_mm()[a] * input.extent[a] as f64 / extent[a] as f64);
            let expected = format!(
                "coarser than the input's {found} mm along {axis}; `voxelift degrade` makes coarser grids"
            );
            return Err(VolumeError::argument("spacing", spacing, expected));
        }
        Ok(extent)
    }

    /// A finer volume on [`Target::grid`], and in words how it got there when it is more than leaving out whole voxels
    /// or adding zeros.
    pub fn placed(&self, fine: Volume, grid: &Geometry) -> (Volume, Option<&'static str>) {
        // A model may make finer voxels than asked for: what the grid cannot hold is cut off in k-space.
        let fine = match self {
            Self::Spacing(_) => {
                let common = std::array::from_fn(|a| fine.extent()[a].min(grid.extent[a]));
                kspace::truncate(&fine, common)
            }
            Self::Scale(_) | Self::Like(_) | Self::Finest => fine,
        };
        if grid == fine.geometry() {
            (fine, None)
        } else if on_voxels(fine.geometry(), grid) {
            (resample_like(&fine, grid, Interpolation::Nearest), None)
        } else {
            let how =
                "the voxels asked for lie between those that were made; a cubic B-spline interpolated them";
            (resample_like(&fine, grid, Interpolation::CubicBSpline), Some(how))
        }
    }

    /// The header that goes with the grid.
    pub fn header(&self, input: &Header, grid: &Geometry) -> Header {
        match self {
            Self::Like(reference) => input.moved_onto(reference),
            _ => input.resampled(grid.extent, &VoxelMap::field_of_view(input.extent, grid.extent)),
        }
    }
}

/// Volumes that share less than this of the smaller one are doubtful.
const LITTLE: f64 = 0.25;
/// Points along each axis that are looked at for [`in_common`].
const POINTS: usize = 24;

/// The share of the smaller field of view, of two grids, that lies in the other, by points in its voxels.
fn in_common(a: &Geometry, b: &Geometry) -> f64 {
    let share = |of: &Geometry, within: &Geometry| {
        let at = |axis: usize, i: usize| (i as f64 + 0.5) / POINTS as f64 * of.extent[axis] as f64 - 0.5;
        let mut inside = 0;
        for k in 0..POINTS {
            for j in 0..POINTS {
                for i in 0..POINTS {
                    let voxel = within.voxel(of.world([at(0, i), at(1, j), at(2, k)]));
                    let is_in = |axis: usize| {
                        (-0.5 - SAME_PLACE..within.extent[axis] as f64 - 0.5 + SAME_PLACE)
                            .contains(&voxel[axis])
                    };
                    inside += usize::from((0..3).all(is_in));
                }
            }
        }
        inside as f64 / POINTS.pow(3) as f64
    };
    share(a, b).max(share(b, a))
}

/// For each voxel axis of `input` the voxel size of `reference` along the axis that runs most nearly with it.
fn spacing_along(input: &Geometry, reference: &Geometry) -> [f64; 3] {
    let (axes, other) = (input.canonical_axes(), reference.canonical_axes());
    let spacing = reference.spacing_mm();
    axes.map(|(world, _)| {
        let axis = other
            .iter()
            .position(|(w, _)| *w == world)
            .expect("each world axis is given out once");
        spacing[axis]
    })
}

/// Whether every voxel centre of `grid` is a voxel centre of `fine` or of its continuation beyond the edges.
fn on_voxels(fine: &Geometry, grid: &Geometry) -> bool {
    let place = |voxel: [f64; 3]| fine.voxel(grid.world(voxel));
    let origin = place([0.0; 3]);
    let whole = |v: f64, tolerance: f64| (v - v.round()).abs() <= tolerance;
    let steps_whole = (0..3).all(|axis| {
        let mut one = [0.0; 3];
        one[axis] = 1.0;
        let there = place(one);
        (0..3).all(|a| whole(there[a] - origin[a], SAME_PLACE / grid.extent[axis] as f64))
    });
    steps_whole && origin.iter().all(|v| whole(*v, SAME_PLACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(geometry: &Geometry) -> Target {
        Target::Like(Box::new(Header::new(geometry)))
    }

    #[test]
    fn a_reference_of_odd_size_is_reached_by_dropping_whole_voxels() {
        let hr = Geometry::axis_aligned([5, 4, 3], [1.0; 3]);
        let mut lr = Geometry::axis_aligned([6, 4, 4], [1.0; 3]).with_extent([3, 2, 2]);
        lr.extent = [3, 2, 2];
        let target = like(&hr);
        let extent = target.extent(&lr).unwrap();
        assert_eq!(extent, [6, 4, 4]);
        let mut fine = Volume::filled(0.0, lr.with_extent(extent));
        fine.data_mut()
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = i as f32);
        let (placed, note) = target.placed(fine.clone(), &hr);
        assert_eq!((placed.geometry(), note), (&hr, None));
        assert_eq!(placed.data(), fine.crop([0; 3], [5, 4, 3]).data(), "bit for bit");
    }

    #[test]
    fn a_reference_stored_otherwise_is_reached_by_reordering() {
        let fine = Geometry::axis_aligned([4, 3, 2], [1.0; 3]);
        let turned = Geometry {
            extent: [2, 4, 3],
            world_from_voxel: [[0.0, -1.0, 0.0, 3.0], [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
        };
        assert!(on_voxels(&fine, &turned));
        assert_eq!(like(&turned).extent(&fine).unwrap(), fine.extent);
    }

    #[test]
    fn half_a_voxel_is_interpolated_and_said() {
        let fine = Geometry::axis_aligned([8; 3], [1.0; 3]);
        let mut shifted = fine.clone();
        shifted.world_from_voxel[1][3] = 0.5;
        let (placed, note) = like(&shifted).placed(Volume::filled(2.0, fine), &shifted);
        assert!(note.is_some() && (placed.at([3, 3, 3]) - 2.0).abs() < 1e-5);
    }

    #[test]
    fn a_volume_finer_than_the_spacing_asked_for_is_cut_off_in_k_space() {
        let input = Geometry::axis_aligned([8; 3], [2.0; 3]);
        let target = Target::Spacing([1.5, 1.0, 0.5]);
        let grid = target.grid(&input).unwrap();
        assert_eq!(grid.extent, [11, 16, 32]);
        let (placed, _) = target.placed(Volume::filled(3.0, input.with_extent([16; 3])), &grid);
        assert_eq!(placed.geometry(), &grid);
        assert!(placed.data().iter().all(|v| (v - 3.0).abs() < 1e-4));
    }

    #[test]
    fn a_coarser_target_is_refused_with_the_axis() {
        let input = Geometry::axis_aligned([8; 3], [1.0; 3]);
        let error = Target::Spacing([1.0, 1.0, 2.0])
            .extent(&input)
            .unwrap_err()
            .to_string();
        assert!(error.contains("along z"), "{error}");
    }
}
