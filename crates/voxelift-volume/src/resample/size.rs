//! How many voxels a grid gets when the user names a scale or a spacing.

use crate::error::{Result, VolumeError};
use crate::volume::{Geometry, Scale, Volume};

/// The most voxels along an axis that NIfTI-1 can say.
const LONGEST_AXIS: f64 = 32767.0;

/// The volume mirrored at the high end of each axis, up to the next multiple of the scale: what a
/// whole-number scale takes, so that the coarse spacing is exactly `scale` times the fine one and the outer
/// edge of voxel 0 stays. An axis of one voxel stays one. The LR extent is then [`Scale::down`] of either, for the scale
/// [`Scale::within`] the volume.
pub fn pad_to_scale(volume: &Volume, scale: Scale) -> Volume {
    let scale = scale.within(volume.extent());
    let extent = scale.up(scale.down(volume.extent()));
    if extent == volume.extent() {
        volume.clone()
    } else {
        volume.mirrored(extent)
    }
}

/// The extent that comes nearest to a spacing over the same field of view: `n * spacing / wanted`, halves
/// rounded up. The spacing that results is the field of view over it, [`Geometry::with_extent`].
///
/// # Units
/// `spacing_mm` in millimetres, along x, y, z in file order.
///
/// # Errors
/// Unless each spacing is a positive number and leaves between 1 and 32767 voxels.
pub fn extent_for_spacing(geometry: &Geometry, spacing_mm: [f64; 3]) -> Result<[usize; 3]> {
    let wrong = |expected: String| {
        VolumeError::argument("spacing", spacing_mm.map(|s| s.to_string()).join(","), expected)
    };
    let old = geometry.spacing_mm();
    let mut extent = [0; 3];
    for a in 0..3 {
        if !(spacing_mm[a].is_finite() && spacing_mm[a] > 0.0) {
            return Err(wrong("expected positive millimetres, one number or three".into()));
        }
        let fov = geometry.extent[a] as f64 * old[a];
        // Affines hold f32 numbers: a half that comes out a hair short is still a half.
        let voxels = (fov / spacing_mm[a] + 0.5 + 1e-4).floor();
        if !(1.0..=LONGEST_AXIS).contains(&voxels) {
            let axis = ["x", "y", "z"][a];
            return Err(wrong(format!(
                "{axis} would have {voxels} voxels over its {fov} mm; expected 1 to 32767"
            )));
        }
        extent[a] = voxels as usize;
    }
    Ok(extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spacing_becomes_an_extent_with_halves_rounded_up() {
        let geometry = Geometry::axis_aligned([64, 65, 60], [1.0, 1.0, f64::from(0.8_f32)]);
        assert_eq!(
            extent_for_spacing(&geometry, [2.0, 2.0, 1.2]).unwrap(),
            [32, 33, 40]
        );
        assert_eq!(
            extent_for_spacing(&geometry, [1.0, 1.0, 0.8]).unwrap(),
            [64, 65, 60]
        );
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e9] {
            let error = extent_for_spacing(&geometry, [1.0, wrong, 1.0])
                .unwrap_err()
                .to_string();
            assert!(error.contains("spacing") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn padding_mirrors_up_to_the_next_multiple_and_leaves_single_voxels() {
        let geometry = Geometry::axis_aligned([4, 5, 7], [1.0; 3]);
        let volume = Volume::new((0..140).map(|i| i as f32).collect(), geometry);
        let padded = pad_to_scale(&volume, Scale([2, 2, 3]));
        assert_eq!(padded.extent(), [4, 6, 9]);
        assert_eq!(padded.at([3, 4, 6]), 139.0);
        assert_eq!(padded.at([3, 5, 6]), 139.0, "the last row again");
        assert_eq!(padded.at([2, 5, 8]), volume.at([2, 4, 5]));
        assert_eq!(
            padded.geometry().world_from_voxel,
            volume.geometry().world_from_voxel
        );
        let slice = Volume::filled(2.0, Geometry::axis_aligned([4, 5, 1], [1.0; 3]));
        assert_eq!(pad_to_scale(&slice, Scale([2; 3])).extent(), [4, 6, 1]);
        assert_eq!(slice.mirrored([4, 5, 4]).at([3, 4, 3]), 2.0);
    }
}
