//! What an acquisition adds to resolution: receive field, motion, ghosts, noise.

use crate::kspace::{self, Complex, Spectrum};
use crate::random::Stream;
use crate::resample::{Interpolation, resample_like};
use crate::volume::{Geometry, Volume};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// An axis of a volume, in file order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The fastest one.
    X,
    /// The second.
    #[default]
    Y,
    /// The slowest.
    Z,
}

/// A head that moves while the lines of k-space are acquired one after the other along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Motion {
    /// How often it moves.
    pub events: usize,
    /// Standard deviation of a position along each axis, mm.
    pub translation_mm: f64,
    /// Standard deviation of a turn about each axis, degrees.
    pub rotation_deg: f64,
    /// The axis along which lines follow in time.
    pub axis: Axis,
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            events: 3,
            translation_mm: 1.0,
            rotation_deg: 1.0,
            axis: Axis::Y,
        }
    }
}

/// Every n-th line of k-space is weaker: faint copies of the head, shifted by an n-th of the field of view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ghosting {
    /// How many copies fill the field of view.
    pub ghosts: usize,
    /// How much of such a line is lost, 0 to 1.
    pub intensity: f64,
    /// The axis along which the copies are shifted.
    pub axis: Axis,
}

impl Default for Ghosting {
    fn default() -> Self {
        Self {
            ghosts: 4,
            intensity: 0.3,
            axis: Axis::Y,
        }
    }
}

/// The head moved by so many voxels along each axis of a grid that stays where it is, interpolated by the sinc; what leaves
/// at one face comes back at the other.
pub(super) fn shifted(volume: &Volume, voxels: f64) -> Volume {
    let mut spectrum = Spectrum::of(volume);
    spectrum.scale_by(|f| Complex::from_polar(1.0, -TAU * voxels * f.iter().sum::<f64>()));
    spectrum.into_volume(volume.geometry().clone())
}

/// Multiplies a volume by a smooth positive field whose logarithm has about the standard deviation `strength`.
pub(super) fn bias_field(volume: Volume, strength: f64, stream: &mut Stream) -> Volume {
    const WAVES: usize = 4;
    let waves: [([f64; 3], f64); WAVES] = std::array::from_fn(|_| {
        // Less than a cycle over the field of view: nothing an anatomy would have.
        let cycles = stream.between(0.3, 0.8);
        (stream.direction().map(|d| d * cycles), stream.uniform())
    });
    let amplitude = strength * (2.0 / WAVES as f64).sqrt();
    per_voxel(volume, |at, value| {
        let log: f64 = waves
            .iter()
            .map(|(k, phase)| (TAU * (k[0] * at[0] + k[1] * at[1] + k[2] * at[2] + phase)).cos())
            .sum();
        f64::from(value) * (amplitude * log).exp()
    })
}

/// The volume as its spectrum is put together from lines seen in different positions.
///
/// Positions change at random moments while the central `acquired` lines are taken; the lines beyond belong to
/// the first and last. The position at the centre of k-space is where the head counts as being.
pub(super) fn motion(volume: &Volume, motion: &Motion, acquired: usize, stream: &mut Stream) -> Volume {
    let axis = motion.axis as usize;
    let half = 0.5 * acquired as f64;
    let mut moments: Vec<f64> = (0..motion.events).map(|_| stream.between(-half, half)).collect();
    moments.sort_by(f64::total_cmp);
    let central = moments.partition_point(|&m| m <= 0.0);
    let mut spectrum = Spectrum::of(volume);
    let [nx, ny, _] = volume.extent();
    for period in (0..=motion.events).filter(|&p| p != central) {
        let [shift, turn] = [motion.translation_mm, motion.rotation_deg.to_radians()].map(|sd| {
            let [a, b] = stream.normal_pair();
            [a, b, stream.normal_pair()[0]].map(|n| n * sd)
        });
        let moved = Spectrum::of(&resample_like(
            volume,
            &moved(volume.geometry(), shift, turn),
            Interpolation::CubicBSpline,
        ));
        let in_period: Vec<bool> = (0..volume.extent()[axis])
            .map(|i| moments.partition_point(|&m| m <= spectrum.frequency(axis, i) as f64) == period)
            .collect();
        for (i, (bin, other)) in spectrum.data_mut().iter_mut().zip(moved.data()).enumerate() {
            if in_period[[i % nx, i / nx % ny, i / nx / ny][axis]] {
                *bin = *other;
            }
        }
    }
    spectrum.into_volume(volume.geometry().clone())
}

/// The grid shifted (mm) and turned (radians, about x, then y, then z) about the middle of its field of view.
fn moved(geometry: &Geometry, shift: [f64; 3], turn: [f64; 3]) -> Geometry {
    let middle = geometry.world(geometry.extent.map(|n| 0.5 * (n as f64 - 1.0)));
    let mut out = geometry.clone();
    for column in 0..4 {
        let mut v: [f64; 3] = std::array::from_fn(|r| geometry.world_from_voxel[r][column]);
        if column == 3 {
            v = std::array::from_fn(|r| v[r] - middle[r]);
        }
        for (axis, angle) in turn.into_iter().enumerate() {
            let (sin, cos) = angle.sin_cos();
            let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
            (v[a], v[b]) = (cos * v[a] - sin * v[b], sin * v[a] + cos * v[b]);
        }
        for row in 0..3 {
            let offset = if column == 3 {
                middle[row] + shift[row]
            } else {
                0.0
            };
            out.world_from_voxel[row][column] = v[row] + offset;
        }
    }
    out
}

/// Weakens every `ghosts`-th line of k-space but the central one, which keeps the mean.
pub(super) fn ghosting(volume: &Volume, ghosting: &Ghosting) -> Volume {
    let axis = ghosting.axis as usize;
    let n = volume.extent()[axis] as f64;
    kspace::filter(volume, |a, f| {
        let line = (f * n).round() as usize;
        if a == axis && line > 0 && line.is_multiple_of(ghosting.ghosts) {
            1.0 - ghosting.intensity
        } else {
            1.0
        }
    })
}

/// Rician noise on a magnitude image: `sqrt((x + n1)^2 + n2^2)`, both normal with standard deviation `sigma`.
///
/// For the noise of a patch: one stream, drawn in the order of the voxels.
pub fn rician(voxels: &mut [f32], sigma: f64, stream: &mut Stream) {
    for voxel in voxels {
        let [n1, n2] = stream.normal_pair();
        let (re, im) = (f64::from(*voxel) + sigma * n1, sigma * n2);
        *voxel = (re * re + im * im).sqrt() as f32;
    }
}

/// [`rician`] on a whole volume, slice by slice, each with its own stream from `first_stream` on.
pub(super) fn rician_volume(mut volume: Volume, sigma: f64, seed: u64, first_stream: u64) -> Volume {
    let [nx, ny, _] = volume.extent();
    volume
        .data_mut()
        .par_chunks_mut(nx * ny)
        .enumerate()
        .for_each(|(z, slice)| rician(slice, sigma, &mut Stream::new(seed, first_stream + z as u64)));
    volume
}

/// Changes each voxel by its place in the field of view (0 to 1 along each axis).
fn per_voxel(mut volume: Volume, change: impl Fn([f64; 3], f32) -> f64 + Sync) -> Volume {
    let [nx, ny, nz] = volume.extent();
    volume
        .data_mut()
        .par_chunks_mut(nx)
        .enumerate()
        .for_each(|(row, voxels)| {
            let (y, z) = ((row % ny) as f64 + 0.5, (row / ny) as f64 + 0.5);
            for (x, voxel) in voxels.iter_mut().enumerate() {
                let at = [(x as f64 + 0.5) / nx as f64, y / ny as f64, z / nz as f64];
                *voxel = change(at, *voxel) as f32;
            }
        });
    volume
}
