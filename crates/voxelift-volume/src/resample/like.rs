//! A volume on another volume's grid, whatever its orientation.

use rayon::prelude::*;

use super::edge::Edge;
use super::kernel::{Interpolation, LineWeights, MOST_TAPS, Position};
use super::spline::{Prefilter, coefficients};
use super::taps::{Taps, sampled, within};
use crate::volume::{Geometry, Volume};

/// The volume at the voxel centres of `target`, by their place in the world; 0 outside its field of view.
///
/// Nothing is averaged: on a coarser grid fine detail aliases. Edges as in [`resize`](super::resize).
pub fn resample_like(volume: &Volume, target: &Geometry, method: Interpolation) -> Volume {
    let map = IndexMap::between(volume.geometry(), target);
    let extent = volume.extent();
    if method == Interpolation::CubicBSpline {
        let coefficients = coefficients(volume, extent.map(|n| Some(Prefilter::new(n))));
        interpolated(&coefficients, extent, target, &map, method)
    } else {
        interpolated(volume.data(), extent, target, &map, method)
    }
}

/// From voxel indices of the target grid to those of the source: `origin + x * step[0] + y * step[1] + z * step[2]`.
struct IndexMap {
    origin: [f64; 3],
    step: [[f64; 3]; 3],
}

impl IndexMap {
    fn between(source: &Geometry, target: &Geometry) -> Self {
        let origin = source.voxel(target.world([0.0; 3]));
        let step = std::array::from_fn(|axis| {
            let mut one = [0.0; 3];
            one[axis] = 1.0;
            let there = source.voxel(target.world(one));
            std::array::from_fn(|a| there[a] - origin[a])
        });
        Self { origin, step }
    }

    /// Whether the axes of both grids run along one another: to a millionth of a voxel over the whole target.
    fn is_separable(&self, extent: [usize; 3]) -> bool {
        (0..3)
            .all(|axis| (0..3).all(|a| a == axis || self.step[axis][a].abs() * (extent[axis] as f64) < 1e-6))
    }

    fn source(&self, [x, y, z]: [usize; 3]) -> [f64; 3] {
        let ([x, y, z], Self { origin, step }) = ([x as f64, y as f64, z as f64], self);
        std::array::from_fn(|a| origin[a] + x * step[0][a] + y * step[1][a] + z * step[2][a])
    }
}

fn interpolated<T>(
    data: &[T],
    extent: [usize; 3],
    target: &Geometry,
    map: &IndexMap,
    method: Interpolation,
) -> Volume
where
    T: Copy + Default + Send + Sync + Into<f64>,
{
    let to = target.extent;
    if map.is_separable(to) {
        let taps =
            std::array::from_fn(|a| Taps::along(extent[a], to[a], map.step[a][a], map.origin[a], method));
        return Volume::new(sampled(data, extent, &taps), target.clone());
    }
    let mut out = vec![0.0; target.voxels()];
    out.par_chunks_mut(to[0]).enumerate().for_each(|(row, out)| {
        let (y, z) = (row % to[1], row / to[1]);
        for (x, out) in out.iter_mut().enumerate() {
            let index = map.source([x, y, z]);
            if (0..3).all(|a| within(index[a], extent[a])) {
                *out = value(
                    data,
                    extent,
                    index.map(|i| method.weights(Position::at(i))),
                    method.edge(),
                ) as f32;
            }
        }
    });
    Volume::new(out, target.clone())
}

/// The weighted sum over the block of voxels that `weights` names per axis.
fn value<T: Copy + Into<f64>>(
    data: &[T],
    [nx, ny, nz]: [usize; 3],
    weights: [LineWeights; 3],
    edge: Edge,
) -> f64 {
    let [x, y, z] = &weights;
    let place = |along: &LineWeights, t: usize, n: usize| edge.inside(along.first + t as i64, n).unwrap_or(0);
    // Rows are added up before x is weighed: eight independent sums instead of a chain.
    let mut line = [0.0; MOST_TAPS];
    let first = usize::try_from(x.first)
        .ok()
        .filter(|first| first + x.count <= nx);
    for tz in 0..z.count {
        let plane = place(z, tz, nz) * ny;
        for ty in 0..y.count {
            let weight = z.weights[tz] * y.weights[ty];
            let row = &data[(plane + place(y, ty, ny)) * nx..][..nx];
            match first {
                Some(first) => {
                    let run = &row[first..first + x.count];
                    line.iter_mut()
                        .zip(run)
                        .for_each(|(sum, &value)| *sum += weight * value.into());
                }
                None => (0..x.count).for_each(|t| line[t] += weight * row[place(x, t, nx)].into()),
            }
        }
    }
    line.iter()
        .zip(&x.weights)
        .map(|(sum, weight)| sum * weight)
        .sum()
}
