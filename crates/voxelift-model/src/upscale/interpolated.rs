//! Slices that their scanner interpolated: acquired in three dimensions, truncated in k-space across the slices, and brought to a finer grid.

use voxelift_volume::consistency::soft;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::kspace::truncate;
use voxelift_volume::placed::resolved_mm;
use voxelift_volume::target::Target;
use voxelift_volume::words::number;
use voxelift_volume::{Geometry, Volume};

use super::error::Result;
use crate::self_learning::{LEAST_RATIO, SliceProtocol, fine_slices, thick_axis};

/// What a scan was before its scanner interpolated along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AcquiredSlices {
    axis: usize,
    /// Voxels of slices that a whole number of voxels as fine as those in plane goes into.
    pub extent: [usize; 3],
    /// Voxels that hold all that was measured.
    measured: [usize; 3],
}

impl AcquiredSlices {
    /// Of a scan whose grid has no thick axis, but which resolves along one of them what thick slices do; none for every other scan.
    pub fn of(scan: &Volume) -> Option<Self> {
        let grid = scan.geometry();
        if thick_axis(grid).is_ok() {
            return None;
        }
        let (spacing, resolved) = (grid.spacing_mm(), resolved_mm(scan));
        // A little is often interpolated in plane too, along the phase encoding.
        let axis = (0..3).max_by(|a, b| resolved[*a].total_cmp(&resolved[*b]))?;
        let coarsest = (0..3)
            .filter(|a| *a != axis)
            .map(|a| resolved[a])
            .fold(0.0, f64::max);
        if resolved[axis] == spacing[axis] || resolved[axis] < LEAST_RATIO * coarsest {
            return None;
        }
        let field_mm = grid.extent[axis] as f64 * spacing[axis];
        let (mut extent, mut measured) = (grid.extent, grid.extent);
        measured[axis] = (field_mm / resolved[axis]).ceil() as usize;
        let slices = grid.with_extent(measured);
        thick_axis(&slices).ok().filter(|thick| *thick == axis)?;
        let finest = (0..3)
            .filter(|a| *a != axis)
            .map(|a| spacing[a])
            .fold(f64::INFINITY, f64::min);
        let distance_mm = finest * fine_slices(slices.spacing_mm()[axis] / finest) as f64;
        extent[axis] = ((field_mm / distance_mm).round() as usize).clamp(1, grid.extent[axis]);
        Some(Self {
            axis,
            extent,
            measured,
        })
    }

    /// A volume of the scan as slices.
    pub fn slices(&self, volume: &Volume) -> Volume {
        truncate(volume, self.extent)
    }

    /// How the slices were made; `file` is the grid of the scan.
    ///
    /// # Errors
    /// As [`thick_axis`].
    pub fn protocol(&self, file: &Geometry) -> Result<SliceProtocol> {
        let because = format!(
            "its scanner interpolated along {}: voxels of {} mm show nothing finer than {} mm",
            ["x", "y", "z"][self.axis],
            number(file.spacing_mm()[self.axis]),
            number(file.with_extent(self.measured).spacing_mm()[self.axis])
        );
        let slices = file.with_extent(self.extent);
        Ok(SliceProtocol::new(&slices, Operator::KSpace, because)?)
    }

    /// The grid where none is asked for: that of the scan, or a finer one where its voxels are shorter in plane.
    pub fn target(&self, file: &Geometry) -> Target {
        let mut spacing = file.spacing_mm();
        spacing[self.axis] = spacing.into_iter().fold(f64::INFINITY, f64::min);
        Target::Spacing(spacing)
    }

    /// Fine slices with what a volume of the scan measured put back, as far as its noise allows: slices of a whole number of fine ones
    /// may hold a little less of it.
    ///
    /// # Errors
    /// As [`soft`].
    pub fn put_back(&self, fine: &Volume, volume: &Volume) -> Result<Volume> {
        let measured = truncate(volume, self.measured);
        Ok(soft(fine, &measured, &Operators::isotropic(Operator::KSpace))?.image)
    }
}

#[cfg(test)]
mod tests {
    use voxelift_volume::kspace::zero_fill;
    use voxelift_volume::phantom::{PhantomConfig, head};

    use super::*;

    fn phantom() -> Volume {
        head(&PhantomConfig {
            seed: 5,
            extent: [96, 96, 96],
            spacing_mm: [2.0; 3],
        })
        .unwrap()
    }

    #[test]
    fn slices_that_were_interpolated_are_found_and_what_was_measured_comes_back() {
        let head = phantom();
        let scan = zero_fill(&truncate(&head, [96, 96, 48]), [96; 3]);
        let found = AcquiredSlices::of(&scan).expect("interpolated along z");
        assert_eq!((found.axis, found.extent), (2, [96, 96, 48]));
        assert!((48..=54).contains(&found.measured[2]), "{found:?}");
        let protocol = found.protocol(scan.geometry()).unwrap();
        assert_eq!((protocol.scale, protocol.operator), (2, Operator::KSpace));
        assert!(protocol.because.contains("interpolated along z"), "{protocol:?}");
        let Target::Spacing(target) = found.target(scan.geometry()) else {
            panic!("a spacing");
        };
        assert_eq!(target, [2.0; 3]);
        // Half of what was measured is left out, and comes back.
        let few = zero_fill(&truncate(&scan, [96, 96, 24]), [96; 3]);
        let error = |image: &Volume| -> f64 {
            let pairs = image.data().iter().zip(scan.data());
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let again = found.put_back(&few, &scan).unwrap();
        assert!(
            error(&again) < 0.05 * error(&few),
            "{} {}",
            error(&again),
            error(&few)
        );
    }

    #[test]
    fn a_little_interpolation_in_plane_does_not_hide_slices() {
        let scan = zero_fill(&truncate(&phantom(), [96, 72, 44]), [96; 3]);
        let found = AcquiredSlices::of(&scan).expect("interpolated along z");
        assert_eq!((found.axis, found.extent), (2, [96, 96, 48]));
    }

    #[test]
    fn other_scans_are_left_as_they_are() {
        let head = phantom();
        assert_eq!(AcquiredSlices::of(&head), None);
        // Two axes that were interpolated alike are no slices; and a grid with a thick axis needs no help.
        let in_plane = zero_fill(&truncate(&head, [48, 48, 96]), [96; 3]);
        assert_eq!(AcquiredSlices::of(&in_plane), None);
        assert_eq!(AcquiredSlices::of(&truncate(&head, [96, 96, 48])), None);
    }
}
