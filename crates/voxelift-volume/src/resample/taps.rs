//! Weighted sums along lines: the form that every separable resampling takes before it runs.

use super::edge::Edge;
use super::kernel::{Interpolation, Position};
use crate::separable::along_slowest;
use crate::volume::Volume;

/// A linear map from lines of `source` voxels to lines of `target`: each result is a weighted sum over a run of
/// neighbouring voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    source: usize,
    /// Weights per result; fewer than the kernel has where the line is shorter.
    width: usize,
    /// Per result the first voxel of its run.
    first: Vec<usize>,
    /// Per result its `width` weights.
    weights: Vec<f64>,
    identity: bool,
}

impl Taps {
    /// Lines stay as they are.
    pub fn identity(n: usize) -> Self {
        Self {
            identity: true,
            ..Self::from_rows(n, n, Edge::Drop, |k| (k as i64, vec![1.0]))
        }
    }

    /// For each of `target` results the index of its first voxel, which may lie outside, and its weights; those
    /// outside are moved inside as `edge` says.
    ///
    /// # Panics
    /// When there is no voxel or no result.
    pub fn from_rows(
        source: usize,
        target: usize,
        edge: Edge,
        row: impl Fn(usize) -> (i64, Vec<f64>),
    ) -> Self {
        assert!(
            source > 0 && target > 0,
            "no line of {target} voxels can be made of one of {source}"
        );
        let rows: Vec<(usize, Vec<f64>)> = (0..target).map(|k| folded(row(k), source, edge)).collect();
        let width = rows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let mut taps = Self {
            source,
            width,
            first: Vec::new(),
            weights: Vec::new(),
            identity: false,
        };
        for (start, row) in rows {
            // A short row near the high end starts earlier, so that the run of `width` voxels fits.
            let first = start.min(source - width);
            taps.first.push(first);
            let end = taps.weights.len() + width;
            taps.weights
                .extend(std::iter::repeat_n(0.0, start - first).chain(row));
            taps.weights.resize(end, 0.0);
        }
        taps
    }

    /// Interpolation at the voxel centres of `target` voxels over the same field of view. For the B-spline the
    /// lines must hold its coefficients.
    pub fn interpolate(source: usize, target: usize, method: Interpolation) -> Self {
        if source == target {
            return Self::identity(source);
        }
        Self::from_rows(source, target, method.edge(), |k| {
            let at = method.weights(Position::field_of_view(k, source, target));
            (at.first, at.weights[..at.count].to_vec())
        })
    }

    /// Interpolation at the indices `scale * k + offset`; nothing (0) more than half a voxel beyond the ends.
    pub(super) fn along(
        source: usize,
        target: usize,
        scale: f64,
        offset: f64,
        method: Interpolation,
    ) -> Self {
        Self::from_rows(source, target, method.edge(), |k| {
            let index = scale * k as f64 + offset;
            if !within(index, source) {
                return (0, vec![0.0]);
            }
            let at = method.weights(Position::at(index));
            (at.first, at.weights[..at.count].to_vec())
        })
    }

    /// For each of `target` voxels over the same field of view the weights `kernel(d)` of the voxels at most
    /// `support` away, divided by their sum: `d` is the distance of a voxel centre from the result's.
    ///
    /// # Units
    /// `support` and `d` in voxels of the source line.
    pub fn around(
        source: usize,
        target: usize,
        support: f64,
        edge: Edge,
        kernel: impl Fn(f64) -> f64,
    ) -> Self {
        Self::from_rows(source, target, edge, |k| {
            let at = Position::field_of_view(k, source, target);
            let first = (at.fraction - support).ceil() as i64;
            let last = (at.fraction + support).floor() as i64;
            let weights: Vec<f64> = (first..=last).map(|i| kernel(i as f64 - at.fraction)).collect();
            let sum: f64 = weights.iter().sum();
            (at.whole + first, weights.into_iter().map(|w| w / sum).collect())
        })
    }

    /// First `inner`, then these, as one map.
    ///
    /// # Panics
    /// When the inner map's lines are not what these take.
    pub fn after(&self, inner: &Self) -> Self {
        let (made, taken) = (inner.target(), self.source);
        assert_eq!(
            made, taken,
            "taps for lines of {taken} voxels after taps that make {made}"
        );
        Self::from_rows(inner.source, self.target(), Edge::Drop, |k| {
            let run = self.run(k);
            let start = run.clone().map(|i| inner.first[i]).min().unwrap_or(0);
            let end = run
                .clone()
                .map(|i| inner.first[i] + inner.width)
                .max()
                .unwrap_or(0);
            let mut row = vec![0.0; end - start];
            for (i, weight) in run.zip(self.row(k)) {
                for (sum, inner_weight) in row[inner.first[i] - start..].iter_mut().zip(inner.row(i)) {
                    *sum += weight * inner_weight;
                }
            }
            (start as i64, row)
        })
    }

    /// Voxels of the lines taken.
    pub fn source(&self) -> usize {
        self.source
    }

    /// Voxels of the lines made.
    pub fn target(&self) -> usize {
        self.first.len()
    }

    /// The voxels that result `k` draws on.
    pub fn run(&self, k: usize) -> std::ops::Range<usize> {
        self.first[k]..self.first[k] + self.width
    }

    /// The weights of the voxels of [`Taps::run`].
    pub fn row(&self, k: usize) -> &[f64] {
        &self.weights[k * self.width..][..self.width]
    }

    /// Treats the lines that lie one after the other in `lines`.
    fn treat<T: Copy + Into<f64>>(&self, lines: &[T], out: &mut [f64]) {
        if self.identity {
            out.iter_mut()
                .zip(lines)
                .for_each(|(out, &value)| *out = value.into());
            return;
        }
        for (line, out) in lines
            .chunks_exact(self.source)
            .zip(out.chunks_exact_mut(self.target()))
        {
            let rows = self.first.iter().zip(self.weights.chunks_exact(self.width));
            for ((&first, row), out) in rows.zip(out) {
                let run = &line[first..first + self.width];
                *out = run
                    .iter()
                    .zip(row)
                    .map(|(&value, weight)| weight * value.into())
                    .sum();
            }
        }
    }
}

/// Whether an index lies in the field of view of a line of `n` voxels, give or take rounding.
pub fn within(index: f64, n: usize) -> bool {
    (-0.500_001..=n as f64 - 0.499_999).contains(&index)
}

/// A row with the weights beyond the ends moved inside, and nothing but the voxels it needs.
fn folded((first, weights): (i64, Vec<f64>), n: usize, edge: Edge) -> (usize, Vec<f64>) {
    let places: Vec<Option<usize>> = (0..weights.len())
        .map(|t| edge.inside(first + t as i64, n))
        .collect();
    let (Some(start), Some(end)) = (places.iter().flatten().min(), places.iter().flatten().max()) else {
        return (0, vec![0.0]);
    };
    let mut row = vec![0.0; end - start + 1];
    let (mut inside, mut all) = (0.0, 0.0);
    for (place, weight) in places.iter().zip(&weights) {
        all += weight;
        if let Some(place) = place {
            inside += weight;
            row[place - start] += weight;
        }
    }
    if inside != all {
        row.iter_mut().for_each(|w| *w *= all / inside);
    }
    (*start, row)
}

/// Applies one set of taps per axis x, y, z; the result covers the same field of view.
///
/// # Panics
/// When the taps are not made for the volume's extent.
pub fn apply(volume: &Volume, taps: &[Taps; 3]) -> Volume {
    let geometry = volume.geometry().with_extent([0, 1, 2].map(|a| taps[a].target()));
    Volume::new(sampled(volume.data(), volume.extent(), taps), geometry)
}

/// The voxels that one set of taps per axis makes of an array.
pub fn sampled<T>(data: &[T], extent: [usize; 3], taps: &[Taps; 3]) -> Vec<f32>
where
    T: Copy + Default + Send + Sync + Into<f64>,
{
    let [x, y, z] = taps;
    let source = [x.source, y.source, z.source];
    assert_eq!(
        extent, source,
        "a volume of {extent:?} voxels, but taps for {source:?}"
    );
    let [nx, ny, _] = extent;
    let made = along_slowest(
        data,
        extent,
        z.target(),
        || (),
        |(), lines, out| z.treat(lines, out),
    );
    let made = along_slowest(
        &made,
        [z.target(), nx, ny],
        y.target(),
        || (),
        |(), lines, out| y.treat(lines, out),
    );
    let turned = [y.target(), z.target(), nx];
    let made: Vec<f64> = along_slowest(
        &made,
        turned,
        x.target(),
        || (),
        |(), lines, out| x.treat(lines, out),
    );
    made.into_iter().map(|v| v as f32).collect()
}
