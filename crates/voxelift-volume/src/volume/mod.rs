//! Layer 1 · A volume: f32 voxels, x fastest, with their place in the world.
//!
//! ```
//! use voxelift_volume::{Geometry, Volume};
//!
//! let mut scan = Volume::filled(0.0, Geometry::axis_aligned([4, 4, 2], [1.0, 1.0, 3.0]));
//! let middle = scan.index([2, 1, 0]);
//! scan.data_mut()[middle] = 5.0;
//! assert_eq!((middle, scan.at([2, 1, 0])), (6, 5.0));
//! // Twice as many voxels over the same field of view: its outer edge stays, the centre of the first voxel moves.
//! let (coarse, fine) = (scan.geometry(), scan.geometry().with_extent([8, 8, 4]));
//! assert_eq!(fine.spacing_mm(), [0.5, 0.5, 1.5]);
//! assert_eq!(fine.world([-0.5; 3]), coarse.world([-0.5; 3]));
//! assert_eq!(fine.world([0.0; 3]), [-0.25, -0.25, -0.75]);
//! ```

mod geometry;
mod turn;

pub use geometry::{Affine, Geometry, Scale, VoxelMap};
pub(crate) use geometry::{MAX_MM, MIN_DETERMINANT, affine_fault};
pub use turn::Turn;

/// A three-dimensional image: voxels in file order (x fastest, then y, then z) and their geometry.
///
/// # Shapes
/// `data.len() == geometry.extent.iter().product()`; voxel (x, y, z) is `data[(z * ny + y) * nx + x]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    data: Vec<f32>,
    geometry: Geometry,
}

impl Volume {
    /// Puts voxels onto a grid.
    ///
    /// # Panics
    /// When the number of voxels is not that of the grid.
    pub fn new(data: Vec<f32>, geometry: Geometry) -> Self {
        assert_eq!(
            data.len(),
            geometry.voxels(),
            "{} voxels given for a grid of {:?}",
            data.len(),
            geometry.extent
        );
        Self { data, geometry }
    }

    /// A volume of one value.
    pub fn filled(value: f32, geometry: Geometry) -> Self {
        Self {
            data: vec![value; geometry.voxels()],
            geometry,
        }
    }

    /// Voxel counts along x, y, z.
    pub fn extent(&self) -> [usize; 3] {
        self.geometry.extent
    }

    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The voxels, x fastest.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The voxels, x fastest, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The one value of a volume that holds no other.
    pub fn only_value(&self) -> Option<f32> {
        let first = *self.data.first()?;
        self.data.iter().all(|v| *v == first).then_some(first)
    }

    /// The voxels themselves.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The position of voxel (x, y, z) in [`Volume::data`].
    pub fn index(&self, [x, y, z]: [usize; 3]) -> usize {
        let [nx, ny, _] = self.geometry.extent;
        (z * ny + y) * nx + x
    }

    /// The value of voxel (x, y, z).
    ///
    /// # Panics
    /// Outside the volume.
    pub fn at(&self, voxel: [usize; 3]) -> f32 {
        self.data[self.index(voxel)]
    }

    /// The same grid with every voxel changed.
    pub fn map(mut self, change: impl Fn(f32) -> f32) -> Self {
        self.data.iter_mut().for_each(|v| *v = change(*v));
        self
    }

    /// The block of `extent` voxels whose first voxel is `start`, with its place in the world.
    ///
    /// # Panics
    /// When the block leaves the volume.
    pub fn crop(&self, start: [usize; 3], extent: [usize; 3]) -> Self {
        let whole = self.extent();
        assert!(
            (0..3).all(|a| start[a] + extent[a] <= whole[a]),
            "a block of {extent:?} at {start:?} leaves a volume of {whole:?}"
        );
        let mut data = Vec::with_capacity(extent.iter().product());
        for z in start[2]..start[2] + extent[2] {
            for y in start[1]..start[1] + extent[1] {
                let row = self.index([start[0], y, z]);
                data.extend_from_slice(&self.data[row..row + extent[0]]);
            }
        }
        let map = VoxelMap {
            scale: [1.0; 3],
            offset: start.map(|s| s as f64),
        };
        Self::new(data, self.geometry.resampled(extent, &map))
    }

    /// The volume mirrored at the high end of each axis, up to `extent`; voxel 0 stays where it is. The last voxel is the first one
    /// that is repeated, so that no edge appears.
    ///
    /// # Panics
    /// When an axis would shrink.
    pub fn mirrored(&self, extent: [usize; 3]) -> Self {
        let old = self.extent();
        assert!(
            (0..3).all(|a| extent[a] >= old[a]),
            "mirroring {old:?} to {extent:?} would shrink it"
        );
        let inside = |axis: usize, i: usize| {
            let i = i % (2 * old[axis]);
            i.min(2 * old[axis] - 1 - i)
        };
        let columns: Vec<usize> = (0..extent[0]).map(|x| inside(0, x)).collect();
        let mut data = Vec::with_capacity(extent.iter().product());
        for z in 0..extent[2] {
            for y in 0..extent[1] {
                let row = &self.data[self.index([0, inside(1, y), inside(2, z)])..][..old[0]];
                data.extend(columns.iter().map(|x| row[*x]));
            }
        }
        Self::new(data, self.geometry.resampled(extent, &VoxelMap::IDENTITY))
    }

    /// The volume with zeros added at the high end of each axis, voxel 0 staying where it is.
    ///
    /// # Panics
    /// When an axis would shrink.
    pub fn padded(&self, extent: [usize; 3]) -> Self {
        let old = self.extent();
        assert!(
            (0..3).all(|a| extent[a] >= old[a]),
            "padding {old:?} to {extent:?} would shrink it"
        );
        let mut out = Self::filled(0.0, self.geometry.resampled(extent, &VoxelMap::IDENTITY));
        for z in 0..old[2] {
            for y in 0..old[1] {
                let (from, to) = (self.index([0, y, z]), out.index([0, y, z]));
                out.data[to..to + old[0]].copy_from_slice(&self.data[from..from + old[0]]);
            }
        }
        out
    }
}
