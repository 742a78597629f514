//! Planes through a volume, the same place in the world for every volume beside it.

use voxelift_volume::{Geometry, Volume};

/// A plane of the body, along the axes of the nearest canonical orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Seen with the front of the head at the top.
    Axial,
    /// Seen with the crown at the top.
    Coronal,
    /// Seen with the crown at the top and the face at the right.
    Sagittal,
}

impl Plane {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
        }
    }

    /// All three.
    pub const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    /// The world axes (0 left-right, 1 back-front, 2 foot-head) along the picture's columns, against its rows
    /// (the top is the axis's end), and through it.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [0, 1, 2],
            Self::Coronal => [0, 2, 1],
            Self::Sagittal => [1, 2, 0],
        }
    }
}

/// A plane's pixel grid in the world: square pixels of the finest voxel's size.
#[derive(Clone, Debug)]
pub struct Section {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    grid: Geometry,
    axes: [(usize, bool); 3],
    pixel_in_voxels: [f64; 2],
    depth: f64,
}

impl Section {
    /// The plane through voxel `at` of a grid. The subject's left is at the picture's left.
    pub fn new(grid: &Geometry, plane: Plane, at: [f64; 3]) -> Self {
        let canonical = grid.canonical_axes();
        let spacing = grid.spacing_mm();
        // The voxel axis that runs along a world axis, and whether it runs against it.
        let along = |world: usize| {
            let axis = canonical
                .iter()
                .position(|(w, _)| *w == world)
                .expect("each world axis is given out once");
            (axis, canonical[axis].1 < 0.0)
        };
        let axes = plane.axes().map(along);
        let pixel_mm = spacing.into_iter().fold(f64::INFINITY, f64::min);
        let pixel_in_voxels = [0, 1].map(|i| pixel_mm / spacing[axes[i].0]);
        let pixels = |i: usize| {
            (grid.extent[axes[i].0] as f64 / pixel_in_voxels[i])
                .round()
                .max(1.0) as usize
        };
        let depth = at[axes[2].0];
        Self {
            width: pixels(0),
            height: pixels(1),
            grid: grid.clone(),
            axes,
            pixel_in_voxels,
            depth,
        }
    }

    /// The volume's values on the plane, row by row from the top: nearest voxel, zero outside.
    ///
    /// The nearest voxel, so that a low resolution is seen as it is and nothing is made smooth by the picture.
    pub fn of(&self, volume: &Volume) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.width * self.height);
        for row in 0..self.height {
            for column in 0..self.width {
                // Columns run along their axis from its start, rows against theirs from its end.
                let steps = [column as f64 + 0.5, (self.height - row) as f64 - 0.5];
                let mut voxel = [0.0; 3];
                voxel[self.axes[2].0] = self.depth;
                for (i, step) in steps.into_iter().enumerate() {
                    let (axis, reversed) = self.axes[i];
                    let along = step * self.pixel_in_voxels[i] - 0.5;
                    voxel[axis] = if reversed {
                        self.grid.extent[axis] as f64 - 1.0 - along
                    } else {
                        along
                    };
                }
                let there = volume.geometry().voxel(self.grid.world(voxel));
                values.push(nearest(volume, there));
            }
        }
        values
    }
}

fn nearest(volume: &Volume, voxel: [f64; 3]) -> f32 {
    let extent = volume.extent();
    // A hair above one half, so that equal distances go the same way on every grid despite rounding.
    let index = voxel.map(|v| (v + 0.5 + 1e-6).floor());
    let inside = (0..3).all(|a| index[a] >= 0.0 && index[a] < extent[a] as f64);
    if inside {
        volume.at(index.map(|i| i as usize))
    } else {
        0.0
    }
}
