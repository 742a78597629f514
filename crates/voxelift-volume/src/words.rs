//! Layer 2 · How grids, sizes and counts are written for readers.
//!
//! ```
//! use voxelift_volume::{Geometry, words};
//!
//! let grid = Geometry::axis_aligned([182, 218, 36], [1.0, 1.0, 4.5]);
//! assert_eq!(words::grid(&grid), "182 x 218 x 36 voxels of 1 x 1 x 4.5 mm");
//! // x runs to the right, y to the front, z upwards.
//! assert_eq!(words::orientation(&grid), "RAS");
//! assert_eq!(words::counted(1, "scan"), "1 scan");
//! assert_eq!(words::counted(3, "scan"), "3 scans");
//! ```

use crate::volume::Geometry;

/// `182 x 218 x 182 voxels of 1 x 1 x 1 mm`.
pub fn grid(geometry: &Geometry) -> String {
    let extent = geometry.extent.map(|n| n.to_string()).join(" x ");
    format!("{extent} voxels of {}", millimetres(geometry.spacing_mm()))
}

/// `1 x 1 x 0.868 mm`.
pub fn millimetres(sizes: [f64; 3]) -> String {
    format!("{} mm", sizes.map(number).join(" x "))
}

/// At most four digits behind the point, without zeros at the end.
pub fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The direction in which x, y and z run, nearest to the body's axes: `RAS`, `LPI`, ...
pub fn orientation(geometry: &Geometry) -> String {
    let letters = [['L', 'R'], ['P', 'A'], ['I', 'S']];
    geometry
        .canonical_axes()
        .iter()
        .map(|(world, sign)| letters[*world][usize::from(*sign > 0.0)])
        .collect()
}

/// A count with its noun: 1 group, 2 groups.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// An amount of memory, rounded up, so that what is asked for fits: `512M`.
pub fn mebibytes(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_read_like_sentences() {
        let mut geometry = Geometry::axis_aligned([182, 218, 10], [1.0, 0.868, 2.5]);
        assert_eq!(grid(&geometry), "182 x 218 x 10 voxels of 1 x 0.868 x 2.5 mm");
        assert_eq!(orientation(&geometry), "RAS");
        geometry.world_from_voxel = [[0.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]];
        assert_eq!(orientation(&geometry), "PSL");
        assert_eq!(
            [number(-0.00001), number(1.0), number(0.12345)],
            ["0", "1", "0.1235"].map(String::from)
        );
    }
}
