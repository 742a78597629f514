//! Planes across the slices, as the network will be given them: coarse images that nobody has seen finer.

use std::ops::Range;

use voxelift_volume::Volume;
use voxelift_volume::intensity::Mask;
use voxelift_volume::random::Stream;

use super::patch::{PatchSize, share_inside, with_foreground};
use super::planes::Planes;
use super::protocol::SliceProtocol;

/// The planes of a scan that hold the thick axis, cut along both axes within a slice.
#[derive(Clone, Debug)]
pub struct Across {
    directions: Vec<Direction>,
    /// Slices that are kept out.
    held_out: Range<usize>,
}

/// The planes that lie across one axis within a slice.
#[derive(Clone, Debug)]
struct Direction {
    /// `[plane][slice][column]`.
    planes: Planes,
    /// Foreground of `planes`.
    inside: Vec<bool>,
}

impl Across {
    /// The planes of a normalised scan; patches leave out the slices `held_out`.
    pub fn new(scan: &Volume, protocol: &SliceProtocol, held_out: &Range<usize>) -> Self {
        let [p, q] = protocol.in_plane();
        let foreground = Mask::foreground(scan);
        let inside = foreground
            .data()
            .iter()
            .map(|inside| f32::from(*inside))
            .collect();
        let inside = Volume::new(inside, scan.geometry().clone());
        let directions = [[p, q], [q, p]].map(|[plane, column]| {
            let order = [plane, protocol.axis, column];
            Direction {
                planes: Planes::of(scan, order),
                inside: Planes::of(&inside, order).data.iter().map(|v| *v > 0.5).collect(),
            }
        });
        Self {
            directions: directions.into(),
            held_out: held_out.clone(),
        }
    }

    /// Rows and columns of a patch: those of `size`, or fewer where the scan, or what is left beside the slices kept out, is small.
    pub fn patch_shape(&self, size: PatchSize) -> [usize; 2] {
        let shapes = self.directions.iter().map(|d| d.planes.shape);
        let slices = self.directions[0].planes.shape[1];
        let run = self.held_out.start.max(slices - self.held_out.end);
        let columns = shapes.map(|s| s[2]).min().unwrap_or(0);
        [size.rows.min(run), size.columns.min(columns)]
    }

    /// `size.batch` patches, one after the other, `rows x columns` each.
    pub fn draw(&self, size: PatchSize, least_foreground: f64, mut stream: Stream) -> Vec<f32> {
        let [rows, columns] = self.patch_shape(size);
        let slices = self.directions[0].planes.shape[1];
        let first_rows: Vec<usize> = (0..=slices - rows)
            .filter(|first| first + rows <= self.held_out.start || *first >= self.held_out.end)
            .collect();
        let mut patches = Vec::with_capacity(size.batch * rows * columns);
        for number in 0..size.batch {
            let Direction { planes, inside } = &self.directions[number % self.directions.len()];
            let [count, _, width] = planes.shape;
            let [flip_rows, flip_columns] = [stream.uniform() < 0.5, stream.uniform() < 0.5];
            let draw = |stream: &mut Stream| {
                [
                    stream.below(count),
                    first_rows[stream.below(first_rows.len())],
                    stream.below(width - columns + 1),
                ]
            };
            let share = |place| share_inside(inside, planes.shape, place, [rows, columns]);
            let [plane, row, column] = with_foreground(&mut stream, least_foreground, draw, share);
            for i in 0..rows {
                let i = if flip_rows { rows - 1 - i } else { i };
                let begin = patches.len();
                patches.extend_from_slice(&planes.row(plane, row + i)[column..column + columns]);
                if flip_columns {
                    patches[begin..].reverse();
                }
            }
        }
        patches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_learning::gaussian;
    use voxelift_volume::Geometry;

    /// Each voxel says its slice, so that a patch says which slices it shows.
    #[test]
    fn patches_lie_across_the_slices_and_leave_out_those_kept_out() {
        let grid = Geometry::axis_aligned([20, 24, 16], [1.0, 1.0, 4.0]);
        let data = (0..20 * 24 * 16)
            .map(|i| 100.0 + (i / (20 * 24)) as f32)
            .collect();
        let scan = Volume::new(data, grid.clone());
        let protocol = SliceProtocol::new(&grid, gaussian(1.0), "stated".to_owned()).expect("thick");
        let across = Across::new(&scan, &protocol, &(6..8));
        let size = PatchSize {
            rows: 12,
            columns: 64,
            batch: 9,
        };
        // Eight slices lie above the two that are kept out, six below.
        assert_eq!(across.patch_shape(size), [8, 20]);
        let patches = across.draw(size, 0.25, Stream::new(1, 2));
        assert_eq!(patches.len(), 9 * 8 * 20);
        for patch in patches.chunks(8 * 20) {
            let rows: Vec<f32> = patch.chunks(20).map(|row| row[0]).collect();
            assert!(
                patch.chunks(20).all(|row| row.iter().all(|v| *v == row[0])),
                "one slice a row"
            );
            let mut sorted = rows.clone();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(
                sorted,
                (8..16).map(|slice| 100.0 + slice as f32).collect::<Vec<_>>()
            );
            assert!(
                rows == sorted || rows.iter().rev().eq(sorted.iter()),
                "next to each other"
            );
        }
        assert_eq!(patches, across.draw(size, 0.25, Stream::new(1, 2)));
        assert_ne!(patches, across.draw(size, 0.25, Stream::new(1, 3)));
    }
}
