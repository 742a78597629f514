//! The tiles of some volumes: two voxels on each axis, or on y and x, walked x fastest.

use std::ops::Range;

use super::Tiling;
use crate::grid::Places;

/// Tiles of 2x2x2 or 1x2x2 outputs over `[N,Z,Y,X]`; the last of an axis of odd size is half outside.
pub(super) struct Tiles {
    /// `[z, y, x]` in voxels.
    size: [usize; 3],
    /// `[n, z, y, x]` in tiles.
    count: [usize; 4],
    /// Voxels of a tile along z, 2 or 1.
    depth: usize,
}

/// Tiles that lie side by side along x.
pub(super) struct Row {
    /// Place in the block of its first tile.
    pub at: usize,
    pub tiles: usize,
    n: usize,
    /// First voxel `[z, y, x]` of the first tile.
    origin: [usize; 3],
}

impl Tiles {
    pub fn new(tiling: Tiling, batch: usize, size: [usize; 3]) -> Self {
        let depth = tiling.depth();
        let [z, y, x] = size;
        Self {
            size,
            count: [batch, z.div_ceil(depth), y.div_ceil(2), x.div_ceil(2)],
            depth,
        }
    }

    pub fn total(&self) -> usize {
        self.count.iter().product()
    }

    /// The rows that the tiles `first..end` are made of.
    pub fn rows(&self, first: usize, end: usize) -> impl Iterator<Item = Row> + '_ {
        let [_, depth, height, width] = self.count;
        let mut rank = first;
        std::iter::from_fn(move || {
            if rank >= end {
                return None;
            }
            let (x, line) = (rank % width, rank / width);
            let row = Row {
                at: rank - first,
                tiles: (width - x).min(end - rank),
                n: line / height / depth,
                origin: [self.depth * (line / height % depth), 2 * (line % height), 2 * x],
            };
            rank += row.tiles;
            Some(row)
        })
    }

    /// Where the voxel left of a row of tiles would lie in each of the 16 lines `[z][y]` that they read; none where
    /// the line lies outside and is zero.
    pub fn inputs(&self, row: &Row, places: &Places) -> [Option<isize>; 16] {
        let [n, z, y, x] = places.step;
        std::array::from_fn(|line| {
            // A square reads the lines of its own z alone.
            let depth = match self.depth {
                1 if line < 4 => row.origin[0],
                1 => usize::MAX,
                _ => (row.origin[0] + line / 4).wrapping_sub(1),
            };
            let height = (row.origin[1] + line % 4).wrapping_sub(1);
            let inside = depth < self.size[0] && height < self.size[1];
            let at = || places.base + row.n * n + depth * z + height * y + row.origin[2] * x;
            inside.then(|| at() as isize - x as isize)
        })
    }

    /// The columns that a row of tiles reads, counted from the voxel left of it, as far as they lie inside.
    pub fn columns(&self, row: &Row) -> Range<usize> {
        let left = usize::from(row.origin[2] == 0);
        left..self.size[2] + 1 - row.origin[2]
    }

    /// Where the four lines `[z][y]` of outputs of a row of tiles begin; none where one lies outside.
    pub fn outputs(&self, row: &Row, places: &Places) -> Outputs {
        let [n, z, y, x] = places.step;
        let lines = std::array::from_fn(|line| {
            let (depth, height) = (row.origin[0] + line / 2, row.origin[1] + line % 2);
            let inside = line / 2 < self.depth && depth < self.size[0] && height < self.size[1];
            inside.then(|| places.base + row.n * n + depth * z + height * y + row.origin[2] * x)
        });
        Outputs {
            lines,
            step: x,
            columns: self.size[2] - row.origin[2],
        }
    }
}

/// Output voxels of a row of tiles.
pub(super) struct Outputs {
    lines: [Option<usize>; 4],
    step: usize,
    /// Up to the end of the volume.
    columns: usize,
}

impl Outputs {
    /// Places of the 8 voxels `[z][y][x]` of one tile; none where it lies outside.
    #[inline]
    pub fn voxels(&self, tile: usize) -> [Option<usize>; 8] {
        let [a, b, c, d] = self.lines;
        let at = |line: Option<usize>, x: usize| {
            line.filter(|_| 2 * tile + x < self.columns)
                .map(|line| line + (2 * tile + x) * self.step)
        };
        [
            at(a, 0),
            at(a, 1),
            at(b, 0),
            at(b, 1),
            at(c, 0),
            at(c, 1),
            at(d, 0),
            at(d, 1),
        ]
    }
}
