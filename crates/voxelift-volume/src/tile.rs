//! Layer 3 · Overlapping tiles, weights summing to one.
//!
//! ```
//! use voxelift_volume::Scale;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::tile::TilePlan;
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! let plan = TilePlan::new(scan.extent(), [8; 3], [2; 3])?;
//! assert_eq!(plan.count(), 27);
//! let mut blend = plan.blend(Scale::isotropic(1));
//! for tile in plan.tiles() {
//!     // Here a network would make something of the tile. Left as they are, tiles give back the scan without a seam.
//!     blend.add(&tile, scan.crop(tile.start, tile.extent).data());
//! }
//! let whole = blend.finish(scan.geometry().clone());
//! assert!(whole.data().iter().zip(scan.data()).all(|(a, b)| (a - b).abs() < 1e-3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::f64::consts::FRAC_PI_2;

use rayon::prelude::*;

use crate::error::{Result, VolumeError};
use crate::volume::{Geometry, Scale, Volume};

/// How a volume is cut into overlapping tiles of one size: along each axis as many as needed, as short as their number
/// allows, evenly spread, the first at the low end and the last at the high end. An axis shorter than a tile gets one tile of
/// its own length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TilePlan {
    extent: [usize; 3],
    tile: [usize; 3],
    /// Per axis where its tiles start.
    starts: [Vec<usize>; 3],
}

/// A block of the (LR) volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its number, from 0, in the order of [`TilePlan::tiles`].
    pub index: usize,
    /// Its first voxel.
    pub start: [usize; 3],
    /// Its voxel counts, the same for every tile of a plan.
    pub extent: [usize; 3],
}

impl TilePlan {
    /// As few tiles of at most `tile` voxels as share at least `overlap` voxels with the next one.
    ///
    /// # Errors
    /// Unless `overlap < tile` on each axis.
    ///
    /// # Panics
    /// When the volume has no voxels.
    pub fn new(extent: [usize; 3], tile: [usize; 3], overlap: [usize; 3]) -> Result<Self> {
        assert!(
            extent.iter().all(|n| *n > 0),
            "no tiles for a volume of {extent:?}"
        );
        if let Some(a) = (0..3).find(|&a| tile[a] <= overlap[a]) {
            let expected = format!("expected more than the overlap of {} voxels", overlap[a]);
            return Err(VolumeError::argument("tile", tile[a], expected));
        }
        let tile = std::array::from_fn(|a| shortest(extent[a], tile[a], overlap[a]));
        Ok(Self {
            extent,
            tile,
            starts: std::array::from_fn(|a| starts(extent[a], tile[a], overlap[a])),
        })
    }

    /// How many tiles.
    pub fn count(&self) -> usize {
        self.starts.iter().map(Vec::len).product()
    }

    /// The extent of every tile.
    pub fn tile_extent(&self) -> [usize; 3] {
        self.tile
    }

    /// The tiles, x fastest.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = Tile> {
        (0..self.count()).map(|index| {
            let places = self.places(index);
            Tile {
                index,
                start: [0, 1, 2].map(|a| self.starts[a][places[a]]),
                extent: self.tile,
            }
        })
    }

    /// Which tile along each axis a tile is.
    fn places(&self, index: usize) -> [usize; 3] {
        let [nx, ny] = [self.starts[0].len(), self.starts[1].len()];
        [index % nx, index / nx % ny, index / (nx * ny)]
    }

    /// An empty volume of `scale` times the extent, to be filled by blending tiles.
    pub fn blend(&self, scale: Scale) -> Blend {
        let windows = [0, 1, 2].map(|a| windows(self.extent[a], self.tile[a], &self.starts[a], scale.0[a]));
        let data = vec![0.0; scale.up(self.extent).iter().product()];
        Blend {
            plan: self.clone(),
            scale,
            windows,
            data,
            added: 0,
        }
    }
}

/// A volume made of tiles. A tile's weight falls like a squared cosine towards the edges that it shares with
/// others; the weights of all tiles at a voxel sum to one.
#[derive(Clone, Debug)]
pub struct Blend {
    plan: TilePlan,
    scale: Scale,
    /// Per axis and place along it the weights of that tile's HR voxels. Tiles lie on a grid: where the weights
    /// along each axis sum to one, their products do.
    windows: [Vec<Vec<f64>>; 3],
    data: Vec<f32>,
    added: usize,
}

impl Blend {
    /// Adds the next tile's HR voxels, x fastest. Tiles come in the plan's order, so that sums are the same in
    /// every run.
    ///
    /// # Panics
    /// When it is another tile's turn or the voxels are not as many as the tile has.
    pub fn add(&mut self, tile: &Tile, hr: &[f32]) {
        assert_eq!(
            tile.index, self.added,
            "tile {} comes before tile {}",
            self.added, tile.index
        );
        let [tx, ty, tz] = self.scale.up(self.plan.tile);
        assert_eq!(
            hr.len(),
            tx * ty * tz,
            "{} voxels for a tile of {:?}",
            hr.len(),
            [tx, ty, tz]
        );
        let [nx, ny, _] = self.scale.up(self.plan.extent);
        let [x0, y0, z0] = self.scale.up(tile.start);
        let places = self.plan.places(tile.index);
        let [wx, wy, wz] = [0, 1, 2].map(|a| &self.windows[a][places[a]]);
        let slices = self
            .data
            .par_chunks_exact_mut(nx * ny)
            .skip(z0)
            .zip(hr.par_chunks_exact(tx * ty))
            .zip(wz);
        slices.for_each(|((out, hr), wz)| {
            let rows = out.chunks_exact_mut(nx).skip(y0).zip(hr.chunks_exact(tx)).zip(wy);
            for ((out, hr), wy) in rows {
                for ((out, value), wx) in out[x0..].iter_mut().zip(hr).zip(wx) {
                    *out += (wz * wy * wx * f64::from(*value)) as f32;
                }
            }
        });
        self.added += 1;
    }

    /// The finished volume on its grid.
    ///
    /// # Panics
    /// When a tile is missing or the grid has another extent.
    pub fn finish(self, geometry: Geometry) -> Volume {
        assert_eq!(
            self.added,
            self.plan.count(),
            "{} of {} tiles were added",
            self.added,
            self.plan.count()
        );
        assert_eq!(
            geometry.extent,
            self.scale.up(self.plan.extent),
            "the grid of another volume"
        );
        Volume::new(self.data, geometry)
    }
}

/// How many tiles lie along an axis, less one.
fn steps(extent: usize, tile: usize, overlap: usize) -> usize {
    extent.saturating_sub(tile).div_ceil(tile - overlap)
}

/// The length, even where it can be, of the shortest tiles that are no more along an axis than tiles of `tile` voxels.
fn shortest(extent: usize, tile: usize, overlap: usize) -> usize {
    let steps = steps(extent, tile, overlap);
    let shortest = (extent + steps * overlap).div_ceil(steps + 1);
    shortest.next_multiple_of(2).min(tile).min(extent)
}

/// Where the tiles of an axis start: evenly spread, rounded.
fn starts(extent: usize, tile: usize, overlap: usize) -> Vec<usize> {
    let (steps, room) = (steps(extent, tile, overlap), extent.saturating_sub(tile));
    (0..=steps)
        .map(|i| (2 * i * room + steps) / (2 * steps).max(1))
        .collect()
}

/// The weights of each tile's HR voxels along an axis.
fn windows(extent: usize, tile: usize, starts: &[usize], scale: usize) -> Vec<Vec<f64>> {
    let length = tile * scale;
    // A quarter of a squared sine's period over the HR voxels shared with a neighbour, never quite 0.
    let ramp = |t: usize, shared: usize| {
        if t < shared {
            (FRAC_PI_2 * (t as f64 + 0.5) / shared as f64).sin().powi(2)
        } else {
            1.0
        }
    };
    let shared = |i: usize| (starts[i] + tile).saturating_sub(starts[i + 1]) * scale;
    let mut windows: Vec<Vec<f64>> = (0..starts.len())
        .map(|i| {
            let low = if i > 0 { shared(i - 1) } else { 0 };
            let high = if i + 1 < starts.len() { shared(i) } else { 0 };
            (0..length)
                .map(|t| ramp(t, low) * ramp(length - 1 - t, high))
                .collect()
        })
        .collect();
    // Two neighbours' ramps already sum to one; where a third tile reaches in they do not.
    let mut sums = vec![0.0; extent * scale];
    for (window, start) in windows.iter().zip(starts) {
        sums[start * scale..]
            .iter_mut()
            .zip(window)
            .for_each(|(sum, weight)| *sum += weight);
    }
    for (window, start) in windows.iter_mut().zip(starts) {
        window
            .iter_mut()
            .zip(&sums[start * scale..])
            .for_each(|(weight, sum)| *weight /= sum);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_spread_evenly_and_share_at_least_the_overlap() {
        assert_eq!(starts(10, 4, 1), [0, 3, 6]);
        assert_eq!(starts(11, 4, 1), [0, 2, 5, 7]);
        assert_eq!(starts(4, 4, 1), [0]);
        assert_eq!(starts(3, 4, 1), [0]);
        for (extent, tile, overlap) in [(5, 4, 3), (97, 24, 8), (25, 24, 0), (181, 32, 12), (100, 7, 6)] {
            let starts = starts(extent, tile, overlap);
            assert_eq!(
                (starts[0], *starts.last().unwrap()),
                (0, extent - tile),
                "{extent} {tile} {overlap}"
            );
            assert!(
                starts
                    .windows(2)
                    .all(|w| w[0] < w[1] && w[0] + tile >= w[1] + overlap),
                "{starts:?}"
            );
        }
    }

    #[test]
    fn blending_what_was_cut_reproduces_it() {
        for (extent, tile, overlap) in [
            ([13, 10, 9], [5, 4, 10], [2, 3, 0]),
            ([7, 3, 12], [24, 24, 8], [8, 8, 6]),
            ([20, 1, 6], [6, 1, 3], [5, 0, 2]),
            ([4, 9, 6], [4, 3, 2], [0, 0, 0]),
        ] {
            let scale = Scale([2, 1, 3]);
            let grid = Geometry::axis_aligned(extent, [1.0; 3]).with_extent(scale.up(extent));
            let values = (0..grid.voxels())
                .map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.3)
                .collect();
            let hr = Volume::new(values, grid);
            let plan = TilePlan::new(extent, tile, overlap).unwrap();
            let mut blend = plan.blend(scale);
            for tile in plan.tiles() {
                blend.add(&tile, hr.crop(scale.up(tile.start), scale.up(tile.extent)).data());
            }
            let again = blend.finish(hr.geometry().clone());
            for (a, b) in again.data().iter().zip(hr.data()) {
                assert!(
                    (a - b).abs() < 1e-6,
                    "{a} {b} for {extent:?} in tiles of {tile:?}"
                );
            }
        }
    }

    #[test]
    fn two_tiles_blend_smoothly() {
        // Tiles of 4 over 6 voxels, sharing two: the left one all 0, the right one all 1.
        let plan = TilePlan::new([6, 1, 1], [4, 1, 1], [2, 0, 0]).unwrap();
        let mut blend = plan.blend(Scale([1, 1, 1]));
        for (tile, value) in plan.tiles().zip([0.0, 1.0]) {
            blend.add(&tile, &[value; 4]);
        }
        let volume = blend.finish(Geometry::axis_aligned([6, 1, 1], [1.0; 3]));
        let rise = (FRAC_PI_2 / 4.0).sin().powi(2) as f32;
        for (got, expected) in volume.data().iter().zip([0.0, 0.0, rise, 1.0 - rise, 1.0, 1.0]) {
            assert!((got - expected).abs() < 1e-6, "{:?}", volume.data());
        }
    }

    #[test]
    fn tiles_are_as_short_as_their_number_allows() {
        let plan = TilePlan::new([80, 99, 82], [48; 3], [12; 3]).unwrap();
        assert_eq!((plan.count(), plan.tile_extent()), (12, [46, 42, 48]));
        // No longer than asked for, nor than the volume, even where it could be.
        let plan = TilePlan::new([9, 14, 3], [7, 20, 3], [5, 0, 2]).unwrap();
        assert_eq!((plan.count(), plan.tile_extent()), (2, [7, 14, 3]));
    }

    #[test]
    fn a_tile_within_its_overlap_is_refused() {
        let error = TilePlan::new([9, 9, 9], [4, 8, 8], [4, 4, 4])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "tile = 4: expected more than the overlap of 4 voxels");
    }

    #[test]
    #[should_panic(expected = "tile 0 comes before tile 1")]
    fn tiles_come_in_order() {
        let plan = TilePlan::new([6, 1, 1], [4, 1, 1], [2, 0, 0]).unwrap();
        let second = plan.tiles().nth(1).unwrap();
        plan.blend(Scale::isotropic(1)).add(&second, &[0.0; 4]);
    }
}
