//! How a scan of thick slices is made up: which axis is thick, how many fine slices go into one, and by what profile.

use serde::{Deserialize, Serialize};
use voxelift_volume::Geometry;
use voxelift_volume::degrade::{Operator, Operators};

use crate::error::{ModelError, Result};

/// Slices less than this many times as far apart as the voxels in plane have nothing to learn from.
pub const LEAST_RATIO: f64 = 1.5;

/// More fine slices per slice than this are not made.
pub const MOST_SLICES: usize = 12;

/// Voxels in plane of a scan that teaches another may be this much longer than the fine slices of that one are apart.
const MOST_BLUR: f64 = 1.1;

/// Fine slices may be this much further apart than the voxels in plane.
const COARSER: f64 = 1.05;

/// A scan of thick slices, and what makes it one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceProtocol {
    /// The axis x, y, z (0, 1, 2) of the file across the slices.
    pub axis: usize,
    /// Voxel size along the two axes within a slice, in file order (mm).
    pub in_plane_mm: [f64; 2],
    /// From the centre of one slice to the next (mm).
    pub distance_mm: f64,
    /// Fine slices per slice.
    pub scale: usize,
    /// What made slices of the head, in units of their distance.
    #[serde(with = "as_text")]
    pub operator: Operator,
    /// Where it is known from.
    pub because: String,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use voxelift_volume::degrade::Operator;

    pub fn serialize<S: Serializer>(operator: &Operator, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(operator)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Operator, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The axis across thick slices, and its distance over the voxel size in plane.
///
/// # Errors
/// When no axis has voxels of at least `LEAST_RATIO` times the length of both others, or of too many.
pub fn thick_axis(grid: &Geometry) -> Result<usize> {
    let spacing = grid.spacing_mm();
    let axis = (0..3)
        .max_by(|a, b| spacing[*a].total_cmp(&spacing[*b]))
        .expect("three axes");
    let others = (0..3).filter(|a| *a != axis).map(|a| spacing[a]);
    let ratio = spacing[axis] / others.clone().fold(0.0, f64::max);
    let sizes = spacing.map(|mm| format!("{mm:.3}")).join(" x ");
    if ratio < LEAST_RATIO {
        return Err(ModelError::data(
            "voxels",
            format!("{sizes} mm"),
            format!(
                "one axis of at least {LEAST_RATIO} times the voxel size of both others: there is no thick axis to \
                 learn from the others for; use the method `model`"
            ),
        ));
    }
    let finest = others.fold(f64::INFINITY, f64::min);
    if spacing[axis] / finest > MOST_SLICES as f64 * COARSER {
        return Err(ModelError::data(
            "voxels",
            format!("{sizes} mm"),
            format!(
                "slices at most {MOST_SLICES} times as far apart as voxels in plane; bring the scan to coarser voxels \
                 in plane with `voxelift degrade` first"
            ),
        ));
    }
    Ok(axis)
}

/// The least whole number of fine slices per slice that makes them about as close as voxels in plane; `ratio` is the distance of the slices over
/// the size of those.
pub fn fine_slices(ratio: f64) -> usize {
    ((ratio / COARSER - 1e-6).ceil() as usize).max(2)
}

impl SliceProtocol {
    /// The protocol of a scan on this grid, whose slices `operator` made.
    ///
    /// # Errors
    /// As [`thick_axis`].
    pub fn new(grid: &Geometry, operator: Operator, because: String) -> Result<Self> {
        let axis = thick_axis(grid)?;
        let spacing = grid.spacing_mm();
        let [p, q] = in_plane(axis);
        let in_plane_mm = [spacing[p], spacing[q]];
        let finest = in_plane_mm[0].min(in_plane_mm[1]);
        Ok(Self {
            axis,
            in_plane_mm,
            distance_mm: spacing[axis],
            scale: fine_slices(spacing[axis] / finest),
            operator,
            because,
        })
    }

    /// The protocol by which slices of another scan teach what this one lacks: seen as its slices are, fine ones as close as its are made.
    ///
    /// # Errors
    /// As [`thick_axis`], and for voxels in plane that are longer than the fine slices are apart.
    pub fn taught_by(&self, grid: &Geometry) -> Result<Self> {
        let axis = thick_axis(grid)?;
        let in_plane_mm = in_plane(axis).map(|a| grid.spacing_mm()[a]);
        let longest = in_plane_mm[0].max(in_plane_mm[1]);
        if longest > MOST_BLUR * self.fine_mm() {
            return Err(ModelError::data(
                "voxels in plane",
                format!("{longest:.3} mm"),
                format!(
                    "at most {:.3} mm: slices that are less fine than those to be made cannot teach them",
                    MOST_BLUR * self.fine_mm()
                ),
            ));
        }
        Ok(Self {
            axis,
            in_plane_mm,
            ..self.clone()
        })
    }

    /// The two axes within a slice, in file order.
    pub fn in_plane(&self) -> [usize; 2] {
        in_plane(self.axis)
    }

    /// From the centre of one fine slice to the next (mm).
    pub fn fine_mm(&self) -> f64 {
        self.distance_mm / self.scale as f64
    }

    /// What made the scan, along each axis; the axes in plane keep their extent, which every operator leaves alone.
    pub fn operators(&self) -> Operators {
        self.operators_along(self.axis)
    }

    /// The same, as if the slices lay across another axis.
    pub fn operators_along(&self, axis: usize) -> Operators {
        let mut operators = [Operator::KSpace; 3];
        operators[axis] = self.operator;
        Operators(operators)
    }

    /// Voxel counts of a scan with the fine slices.
    pub fn fine_extent(&self, mut extent: [usize; 3]) -> [usize; 3] {
        extent[self.axis] *= self.scale;
        extent
    }

    /// Refuses a scan of another protocol than the one learned from.
    ///
    /// # Errors
    /// Naming the first respect in which they differ.
    pub fn check_same(&self, learned: &Self) -> Result<()> {
        let differ = |a: f64, b: f64| (a / b).ln().abs() > 0.06;
        let ratio = |p: &Self| p.distance_mm / p.in_plane_mm[0].min(p.in_plane_mm[1]);
        if self.scale != learned.scale || differ(ratio(self), ratio(learned)) {
            return Err(ModelError::data(
                "slice distance over voxel size in plane",
                format!("{:.2}", ratio(self)),
                format!(
                    "{:.2}, as the scan that the model was learned from; learn from this scan itself instead",
                    ratio(learned)
                ),
            ));
        }
        if self.operator != learned.operator {
            return Err(ModelError::data(
                "slice profile",
                self.operator,
                format!(
                    "{}, as the model was learned for; state that profile, or learn from this scan itself instead",
                    learned.operator
                ),
            ));
        }
        Ok(())
    }
}

fn in_plane(axis: usize) -> [usize; 2] {
    match axis {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(spacing: [f64; 3]) -> Result<SliceProtocol> {
        let grid = Geometry::axis_aligned([32, 32, 32], spacing);
        let operator = "slice:gaussian,1".parse().expect("an operator");
        SliceProtocol::new(&grid, operator, "stated".to_owned())
    }

    #[test]
    fn the_thick_axis_is_found_and_fine_slices_are_about_as_close_as_voxels_in_plane() {
        for (spacing, axis, scale) in [
            ([1.0, 1.0, 4.0], 2, 4),
            ([5.0, 0.9, 0.9], 0, 6),
            ([0.91, 3.0, 0.91], 1, 4),
            ([0.719, 0.719, 3.0], 2, 4),
            ([0.513, 0.513, 4.0], 2, 8),
            ([1.0, 1.0, 1.6], 2, 2),
        ] {
            let found = protocol(spacing).expect("a thick axis");
            assert_eq!((found.axis, found.scale), (axis, scale), "{spacing:?}");
        }
    }

    #[test]
    fn isotropic_scans_are_refused_with_what_to_do() {
        for spacing in [[1.0; 3], [1.0, 1.0, 1.4], [3.0, 3.0, 1.0]] {
            let error = protocol(spacing).unwrap_err().to_string();
            assert!(error.contains("use the method `model`"), "{error}");
        }
        let error = protocol([0.3, 0.3, 6.0]).unwrap_err().to_string();
        assert!(error.contains("at most"), "{error}");
    }

    #[test]
    fn a_model_is_for_scans_of_one_protocol() {
        let learned = protocol([1.0, 1.0, 4.0]).expect("thick");
        assert!(
            protocol([0.98, 0.98, 3.9])
                .expect("thick")
                .check_same(&learned)
                .is_ok()
        );
        assert!(
            protocol([1.0, 1.0, 5.0])
                .expect("thick")
                .check_same(&learned)
                .is_err()
        );
        let other = SliceProtocol {
            operator: Operator::Box,
            ..learned.clone()
        };
        assert!(
            other
                .check_same(&learned)
                .unwrap_err()
                .to_string()
                .contains("profile")
        );
    }
}
