//! The real scan in the program: nobody needs data of their own to see what a model does.

use std::io::Cursor;

use voxelift_volume::{Geometry, Volume};

/// Where it comes from.
pub const CREDIT: &str = "rordenlab/niimath-bitmap, CC0";

/// Axial slices one below the other, as `scripts/demo_head.py` made them.
const SLICES: &[u8] = include_bytes!("../../../assets/head-1mm/slices.png");
const EXTENT: [usize; 3] = [148, 180, 148];
const SPACING_MM: f64 = 1.0;
/// Of the first voxel, in mm.
const ORIGIN: [f64; 3] = [-73.9, -75.02, -69.65];
/// Units of the original scan that a grey stands for.
const UNITS: f32 = 3.0;

/// A skull-stripped T1-weighted brain of 1 mm, which no model in the program was trained on.
///
/// # Panics
/// When the picture in the program is damaged.
pub fn real_brain() -> Volume {
    let mut reader = png::Decoder::new(Cursor::new(SLICES))
        .read_info()
        .expect("the program's own PNG");
    let mut greys = vec![0; reader.output_buffer_size().expect("the size of a small picture")];
    reader.next_frame(&mut greys).expect("the program's own PNG");
    let mut geometry = Geometry::axis_aligned(EXTENT, [SPACING_MM; 3]);
    for (row, origin) in geometry.world_from_voxel.iter_mut().zip(ORIGIN) {
        row[3] = origin;
    }
    Volume::new(
        greys.into_iter().map(|grey| UNITS * f32::from(grey)).collect(),
        geometry,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brain_lies_in_air_with_its_parts_where_they_belong() {
        let brain = real_brain();
        let at = |x: usize, y: usize, z: usize| brain.data()[x + EXTENT[0] * (y + EXTENT[1] * z)];
        // Air all around, and a third of the box is brain.
        for [x, y, z] in [
            [0, 90, 74],
            [147, 90, 74],
            [74, 0, 74],
            [74, 179, 74],
            [74, 90, 0],
            [74, 90, 147],
        ] {
            assert_eq!(at(x, y, z), 0.0, "{x} {y} {z}");
        }
        let inside = brain.data().iter().filter(|value| **value > 0.0).count() as f64;
        assert!(
            (0.3..0.45).contains(&(inside / brain.data().len() as f64)),
            "{inside}"
        );
        // The lower half is further back than the upper one: the cerebellum is behind, the frontal lobe in front and above.
        let mean_y = |slices: std::ops::Range<usize>| {
            let (mut sum, mut count) = (0.0, 0.0);
            for z in slices {
                for y in 0..EXTENT[1] {
                    let bright = (0..EXTENT[0]).filter(|x| at(*x, y, z) > 0.0).count() as f64;
                    (sum, count) = (sum + bright * y as f64, count + bright);
                }
            }
            sum / count
        };
        assert!(
            mean_y(5..30) + 5.0 < mean_y(60..90),
            "{} {}",
            mean_y(5..30),
            mean_y(60..90)
        );
    }
}
