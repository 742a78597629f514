//! Planes through a volume, the same place in the world for every volume beside it, and what is at their edges.

use voxelift_volume::{Geometry, Volume};

/// A plane of the body, along the axes of the nearest canonical orientation, shown as radiologists look at it: the
/// subject's left on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Seen from the feet, with the front of the head at the top.
    Axial,
    /// Seen from the front, with the crown at the top.
    Coronal,
    /// Seen from the subject's left, with the crown at the top and the face at the left.
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

    /// The world axes (0 left-right, 1 back-front, 2 foot-head) against the picture's columns, against its rows, and
    /// through it: the picture's left and its top are the ends of their axes, right, front or crown.
    pub fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [0, 1, 2],
            Self::Coronal => [0, 2, 1],
            Self::Sagittal => [1, 2, 0],
        }
    }
}

/// Where the subject's sides are in a picture: `R`, `L`, `A`, `P`, `S` or `I`, two of them where an axis runs obliquely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    /// Left, right, top and bottom of the picture.
    pub letters: [String; 4],
}

/// A second letter stands where an axis leans by more than 15 degrees: its sine.
const LEANS: f64 = 0.2588;

/// The letters of a direction in the world (RAS+).
fn letters(direction: [f64; 3]) -> String {
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let mut axes: Vec<usize> = (0..3).filter(|a| direction[*a].abs() > LEANS * length).collect();
    axes.sort_by(|a, b| direction[*b].abs().total_cmp(&direction[*a].abs()));
    let letter =
        |axis: &usize| [["L", "R"], ["P", "A"], ["I", "S"]][*axis][usize::from(direction[*axis] > 0.0)];
    axes.iter().take(2).map(letter).collect()
}

/// A plane's pixel grid in the world: square pixels of the finest voxel's size.
#[derive(Clone, Debug)]
pub struct Section {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// The side of a pixel.
    ///
    /// # Units
    /// Millimetres.
    pub pixel_mm: f64,
    grid: Geometry,
    axes: [(usize, bool); 3],
    pixel_in_voxels: [f64; 2],
    depth: f64,
}

impl Section {
    /// The plane through voxel `at` of a grid.
    pub fn new(grid: &Geometry, plane: Plane, at: [f64; 3]) -> Self {
        let axes = plane.axes().map(|world| voxel_axis(grid, world));
        let spacing = grid.spacing_mm();
        let pixel_mm = spacing.into_iter().fold(f64::INFINITY, f64::min);
        let pixel_in_voxels = [0, 1].map(|i| pixel_mm / spacing[axes[i].0]);
        let pixels = |i: usize| {
            (grid.extent[axes[i].0] as f64 / pixel_in_voxels[i])
                .round()
                .max(1.0) as usize
        };
        Self {
            width: pixels(0),
            height: pixels(1),
            pixel_mm,
            grid: grid.clone(),
            axes,
            pixel_in_voxels,
            depth: at[axes[2].0],
        }
    }

    /// The same pixels, where the voxel index through the plane is `depth`.
    pub fn at_depth(&self, depth: f64) -> Self {
        Self {
            depth,
            ..self.clone()
        }
    }

    /// The (fractional) voxel at the centre of a pixel.
    pub fn voxel(&self, column: usize, row: usize) -> [f64; 3] {
        // Both run from the end of their axis to its start.
        let steps = [
            self.width as f64 - column as f64 - 0.5,
            self.height as f64 - row as f64 - 0.5,
        ];
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
        voxel
    }

    /// What is at the picture's edges, from where its own pixels are in the world.
    pub fn edges(&self) -> Edges {
        let world = |column, row| self.grid.world(self.voxel(column, row));
        let (here, right, down) = (world(0, 0), world(1, 0), world(0, 1));
        let towards = |there: [f64; 3]| std::array::from_fn(|a| there[a] - here[a]);
        let away = |there: [f64; 3]| std::array::from_fn(|a| here[a] - there[a]);
        Edges {
            letters: [
                letters(away(right)),
                letters(towards(right)),
                letters(away(down)),
                letters(towards(down)),
            ],
        }
    }

    /// The volume's values on the plane, row by row from the top: nearest voxel, zero outside.
    ///
    /// The nearest voxel, so that a low resolution is seen as it is and nothing is made smooth by the picture.
    pub fn of(&self, volume: &Volume) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.width * self.height);
        for row in 0..self.height {
            for column in 0..self.width {
                let there = volume.geometry().voxel(self.grid.world(self.voxel(column, row)));
                values.push(nearest(volume, there));
            }
        }
        values
    }
}

/// The voxel axis that runs along a world axis, and whether it runs against it.
pub fn voxel_axis(grid: &Geometry, world: usize) -> (usize, bool) {
    let canonical = grid.canonical_axes();
    let axis = canonical
        .iter()
        .position(|(w, _)| *w == world)
        .expect("each world axis is given out once");
    (axis, canonical[axis].1 < 0.0)
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
