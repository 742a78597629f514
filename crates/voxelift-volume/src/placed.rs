//! Layer 4 · A scan on the finer grid that it is wanted on, and what of that grid's frequencies it holds.
//!
//! ```
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::placed::{place, resolved_mm, thick_axes, unmeasured};
//!
//! // A scan of thick slices, on the grid that is as fine across the slices as within them.
//! let scan = head(&PhantomConfig { seed: 1, extent: [20, 20, 5], spacing_mm: [8.0, 8.0, 32.0] })?;
//! assert_eq!(thick_axes(scan.geometry().spacing_mm()), [false, false, true]);
//! let placed = place(&scan, [20; 3]);
//! assert_eq!(placed.geometry().spacing_mm(), [8.0; 3]);
//! // Three quarters of the frequencies across the slices were not measured.
//! assert_eq!(unmeasured(resolved_mm(&scan), [8.0; 3]), [0.0, 0.0, 0.75]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::kspace::{truncate, zero_fill};
use crate::resample::{Interpolation, resize};
use crate::resolution::resolution;
use crate::volume::{Geometry, Volume};

/// An axis with voxels this many times those of the finest one is one of slices.
const THICK: f64 = 2.0;

/// The scan on a grid of `extent` voxels over its field of view: zero-filled along axes as fine as its finest, by Lanczos-4
/// along those of thick slices, where the head reaches the outermost ones and the sinc would carry it round to the other end.
///
/// # Panics
/// Unless `extent` is at least the scan's on each axis.
pub fn place(scan: &Volume, extent: [usize; 3]) -> Volume {
    let thick = thick_axes(scan.geometry().spacing_mm());
    let from = scan.extent();
    let filled = std::array::from_fn(|a| if thick[a] { from[a] } else { extent[a] });
    resize(&zero_fill(scan, filled), extent, Interpolation::Lanczos4)
}

/// What a scan resolves along x, y, z: its spacing, or more where its scanner interpolated.
///
/// # Units
/// Millimetres.
pub fn resolved_mm(scan: &Volume) -> [f64; 3] {
    resolution(scan).map(|axis| match axis.present_mm {
        Some(present) if axis.is_interpolated() => present,
        _ => axis.spacing_mm,
    })
}

/// The scan in voxels as large as what it resolves: where its scanner interpolated, what it acquired.
///
/// # Units
/// `resolved_mm` in millimetres along x, y, z, as [`resolved_mm`] finds it.
pub fn held(scan: &Volume, resolved_mm: [f64; 3]) -> Volume {
    let (n, spacing) = (scan.extent(), scan.geometry().spacing_mm());
    let few = std::array::from_fn(|a| {
        let share = (spacing[a] / resolved_mm[a]).min(1.0);
        ((n[a] as f64 * share).round() as usize).clamp(1, n[a])
    });
    if few == n {
        scan.clone()
    } else {
        truncate(scan, few)
    }
}

/// Which axes are those of slices.
pub fn thick_axes(spacing_mm: [f64; 3]) -> [bool; 3] {
    let finest = spacing_mm.iter().copied().fold(f64::INFINITY, f64::min);
    // Two exact multiples of a decimal fraction may differ in their last digits.
    spacing_mm.map(|mm| mm >= (THICK - 1e-6) * finest)
}

/// The axis across the slices, where one axis alone is one of slices: of two coarse axes neither is.
pub fn slice_axis(spacing_mm: [f64; 3]) -> Option<usize> {
    let thick = thick_axes(spacing_mm);
    let mut axes = (0..3).filter(|a| thick[*a]);
    match (axes.next(), axes.next()) {
        (Some(axis), None) => Some(axis),
        _ => None,
    }
}

/// The coarsest voxels of a grid that is chosen without being asked for, mm.
const COARSEST_MM: f64 = 1.0;
/// A scan whose voxels are within this factor of the target is there already.
const THERE: f64 = 1.1;

/// The grid that a scan is brought to where none is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DefaultTarget {
    /// Voxels along x, y, z over the scan's field of view.
    pub extent: [usize; 3],
    /// Whether the scan was as fine already, and its voxels are halved.
    pub halved: bool,
}

/// Voxels of 1 mm, or of the finest that the scan resolves, on each axis; half of that where the scan is as fine already. No axis
/// gets fewer voxels than it has.
///
/// # Units
/// `resolved_mm` in millimetres along x, y, z: the spacing, or more where the scanner interpolated.
pub fn default_target(geometry: &Geometry, resolved_mm: [f64; 3]) -> DefaultTarget {
    let finest = resolved_mm.iter().copied().fold(f64::INFINITY, f64::min);
    let wanted = finest.min(COARSEST_MM);
    // A slice alone stays one.
    let halved = (0..3)
        .filter(|a| geometry.extent[*a] > 1)
        .all(|a| resolved_mm[a] <= THERE * wanted);
    let wanted = if halved { 0.5 * finest } else { wanted };
    let spacing = geometry.spacing_mm();
    let extent = std::array::from_fn(|a| match geometry.extent[a] {
        1 => 1,
        n => ((n as f64 * spacing[a] / wanted + 0.5 + 1e-4).floor() as usize).max(n),
    });
    DefaultTarget { extent, halved }
}

/// The share of a grid's frequencies along each axis that a scan resolving `resolved_mm` does not hold: `1 - target / resolved`,
/// and nothing where it resolves as much.
pub fn unmeasured(resolved_mm: [f64; 3], target_mm: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|a| (1.0 - target_mm[a] / resolved_mm[a]).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    fn ramp(extent: [usize; 3], spacing_mm: [f64; 3]) -> Volume {
        let geometry = Geometry::axis_aligned(extent, spacing_mm);
        let value = |i: usize| (i / (extent[0] * extent[1])) as f32;
        Volume::new((0..geometry.voxels()).map(value).collect(), geometry)
    }

    #[test]
    fn a_cube_of_voxels_is_zero_filled_and_slices_are_not() {
        let cube = ramp([8, 8, 8], [2.0; 3]);
        assert_eq!(place(&cube, [13, 16, 16]), zero_fill(&cube, [13, 16, 16]));
        let slices = ramp([8, 8, 8], [1.0, 1.0, 4.0]);
        let placed = place(&slices, [8, 8, 32]);
        assert_eq!(placed, resize(&slices, [8, 8, 32], Interpolation::Lanczos4));
        // The ramp's lowest end is not pulled up by its other one.
        assert!(placed.at([3, 3, 0]) < 0.1 && zero_fill(&slices, [8, 8, 32]).at([3, 3, 0]) > 0.5);
    }

    #[test]
    fn the_default_grid_is_isotropic_and_never_coarser() {
        let of =
            |extent, spacing, resolved| default_target(&Geometry::axis_aligned(extent, spacing), resolved);
        let whole = [2.0; 3];
        assert_eq!(of([91, 109, 91], whole, whole).extent, [182, 218, 182]);
        let thick = [0.5, 0.5, 4.0];
        assert_eq!(of([64, 64, 10], thick, thick).extent, [64, 64, 80]);
        let fine = of([10, 10, 10], [1.0; 3], [1.0; 3]);
        assert_eq!((fine.extent, fine.halved), ([20; 3], true));
        // Interpolated along z: 1.8 mm in voxels of 1 mm.
        let soft = of([100, 100, 87], [0.87, 0.87, 1.0], [0.87, 0.87, 1.8]);
        assert_eq!((soft.extent, soft.halved), ([100, 100, 100], false));
        // Interpolated in plane: the grid stays as fine as it is.
        let soft = of([256, 256, 40], [0.5, 0.5, 4.0], [1.0, 1.0, 4.0]);
        assert_eq!(soft.extent, [256, 256, 160]);
        assert_eq!(
            of([64, 64, 1], [2.0, 2.0, 5.0], [2.0, 2.0, 5.0]).extent,
            [128, 128, 1]
        );
    }

    #[test]
    fn what_was_not_acquired_is_a_share_of_the_grid() {
        assert_eq!(unmeasured([2.0, 1.0, 0.8], [1.0, 1.0, 1.0]), [0.5, 0.0, 0.0]);
    }
}
