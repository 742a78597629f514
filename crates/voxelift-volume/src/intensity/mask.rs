//! Which voxels count.

use super::background::masked_value;
use super::statistics::otsu;
use crate::volume::Volume;

/// The share of the other voxels above Otsu's threshold from which they are what was left by masking. Seen: masked heads 0.80 and
/// more; a head of which ringing fills the slices while others are exactly 0, 0.28 (`docs/decisions/0007`).
const SHOWING_SHARE: f64 = 0.75;

/// A subset of a volume's voxels.
///
/// # Shapes
/// One truth value a voxel, x fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    extent: [usize; 3],
    data: Vec<bool>,
}

impl Mask {
    /// Puts truth values onto a grid.
    ///
    /// # Panics
    /// When their number is not that of the grid's voxels.
    pub fn new(data: Vec<bool>, extent: [usize; 3]) -> Self {
        assert_eq!(
            data.len(),
            extent.iter().product::<usize>(),
            "{} truth values for a grid of {extent:?}",
            data.len()
        );
        Self { extent, data }
    }

    /// The voxels above a threshold.
    pub fn above(volume: &Volume, threshold: f32) -> Self {
        Self::new(
            volume.data().iter().map(|v| *v > threshold).collect(),
            volume.extent(),
        )
    }

    /// The voxels above Otsu's threshold; none in a volume of one value.
    pub fn otsu(volume: &Volume) -> Self {
        Self::above(volume, otsu(volume.data()).unwrap_or(f32::INFINITY))
    }

    /// The foreground: where at least a fifth of the volume has one exact value (0, or what a shift made of it) and at least three
    /// quarters of the others lie above Otsu's threshold, it was masked, and they are the foreground; else what lies above
    /// Otsu's threshold.
    pub fn foreground(volume: &Volume) -> Self {
        let Some(threshold) = otsu(volume.data()) else {
            return Self::above(volume, f32::INFINITY);
        };
        let otsu = Self::above(volume, threshold);
        let Some(outside) = masked_value(volume.data()).filter(|outside| *outside <= threshold) else {
            return otsu;
        };
        let inside = volume.data().iter().map(|v| *v != outside).collect();
        let masked = Self::new(inside, volume.extent());
        if otsu.count() as f64 >= SHOWING_SHARE * masked.count() as f64 {
            masked
        } else {
            otsu
        }
    }

    /// Voxel counts along x, y, z.
    pub fn extent(&self) -> [usize; 3] {
        self.extent
    }

    /// The truth values, x fastest.
    pub fn data(&self) -> &[bool] {
        &self.data
    }

    /// The voxels inside, x fastest.
    pub fn voxels(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let [nx, ny, _] = self.extent;
        let inside = self.data.iter().enumerate().filter(|(_, inside)| **inside);
        inside.map(move |(voxel, _)| [voxel % nx, voxel / nx % ny, voxel / (nx * ny)])
    }

    /// How many voxels are inside.
    pub fn count(&self) -> usize {
        self.data.iter().filter(|inside| **inside).count()
    }

    /// The largest set of voxels connected through their faces; of two equally large ones the first.
    pub fn largest_component(&self) -> Self {
        let mut seen = vec![false; self.data.len()];
        let mut largest = Vec::new();
        for seed in 0..self.data.len() {
            if !self.data[seed] || seen[seed] {
                continue;
            }
            seen[seed] = true;
            // The voxels from `next` on still have to hand the flood to their neighbours.
            let mut component = vec![seed];
            let mut next = 0;
            while let Some(&voxel) = component.get(next) {
                next += 1;
                for neighbour in self.neighbours(voxel) {
                    if self.data[neighbour] && !seen[neighbour] {
                        seen[neighbour] = true;
                        component.push(neighbour);
                    }
                }
            }
            if component.len() > largest.len() {
                largest = component;
            }
        }
        let mut data = vec![false; self.data.len()];
        largest.into_iter().for_each(|voxel| data[voxel] = true);
        Self {
            extent: self.extent,
            data,
        }
    }

    /// The mask grown by `steps` voxels through faces: everything at most `steps` away in city-block distance.
    pub fn dilated(&self, steps: usize) -> Self {
        let mut data = self.data.clone();
        let mut rim: Vec<usize> = (0..data.len()).filter(|&voxel| data[voxel]).collect();
        for _ in 0..steps {
            let mut next = Vec::new();
            for voxel in rim {
                for neighbour in self.neighbours(voxel) {
                    if !data[neighbour] {
                        data[neighbour] = true;
                        next.push(neighbour);
                    }
                }
            }
            rim = next;
        }
        Self {
            extent: self.extent,
            data,
        }
    }

    /// The up to six voxels that share a face with one.
    fn neighbours(&self, voxel: usize) -> impl Iterator<Item = usize> {
        let [nx, ny, nz] = self.extent;
        let at = [voxel % nx, voxel / nx % ny, voxel / (nx * ny)];
        [(at[0], nx, 1), (at[1], ny, nx), (at[2], nz, nx * ny)]
            .into_iter()
            .flat_map(move |(i, n, stride)| {
                let before = (i > 0).then(|| voxel - stride);
                before.into_iter().chain((i + 1 < n).then(|| voxel + stride))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    fn drawn(rows: &[&str]) -> Mask {
        let data = rows
            .iter()
            .flat_map(|row| row.chars().map(|c| c == '#'))
            .collect();
        Mask::new(data, [rows[0].len(), rows.len(), 1])
    }

    #[test]
    fn the_largest_component_does_not_cross_corners() {
        let mask = drawn(&["##...", "##...", "..###", "..#..", "#...."]);
        let expected = drawn(&["##...", "##...", ".....", ".....", "....."]);
        assert_eq!(
            mask.largest_component(),
            expected,
            "two of four voxels: the first wins"
        );
        let joined = drawn(&["##...", "##...", ".####", "..#..", "#...."]);
        assert_eq!(
            joined.largest_component(),
            drawn(&["##...", "##...", ".####", "..#..", "....."])
        );
    }

    #[test]
    fn dilation_grows_a_diamond() {
        let mask = drawn(&[".....", ".....", "..#..", ".....", "....."]);
        assert_eq!(
            mask.dilated(2),
            drawn(&["..#..", ".###.", "#####", ".###.", "..#.."])
        );
        assert_eq!(mask.dilated(0), mask);
        assert_eq!(
            drawn(&["#..."]).dilated(1),
            drawn(&["##.."]),
            "no wrapping around"
        );
    }

    #[test]
    fn the_foreground_rule_turns_at_a_fifth_of_zeros() {
        let volume = |zeros: usize| {
            let data = (0..100).map(|i| {
                if i < zeros {
                    0.0
                } else {
                    1.0 + 9.0 * f32::from(u8::from(i >= 30))
                }
            });
            Volume::new(data.collect(), Geometry::axis_aligned([10, 10, 1], [1.0; 3]))
        };
        assert_eq!(Mask::foreground(&volume(20)).count(), 80);
        assert_eq!(
            Mask::foreground(&volume(19)).count(),
            70,
            "Otsu: only the bright ones"
        );
    }

    #[test]
    fn what_rings_beside_slices_of_zeros_is_no_foreground() {
        let data = (0..100).map(|i| match i {
            0..30 => 0.0,
            30..80 => 0.01,
            _ => 1.0,
        });
        let volume = Volume::new(data.collect(), Geometry::axis_aligned([10, 10, 1], [1.0; 3]));
        assert_eq!(Mask::foreground(&volume).count(), 20);
    }

    #[test]
    fn a_volume_of_one_value_has_no_otsu_mask() {
        let flat = Volume::filled(3.0, Geometry::axis_aligned([2, 2, 2], [1.0; 3]));
        assert_eq!(Mask::otsu(&flat).count(), 0);
    }
}
