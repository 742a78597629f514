//! Thin bright vessels: what lies far above the 99.5th percentile of a brain, and must never be clipped.

use super::anatomy::Anatomy;
use super::shapes::{Rod, dot, length, minus};
use crate::random::Stream;
use crate::volume::Geometry;

/// Rods end to end, mm.
pub(super) struct Vessels(Vec<Rod>);

/// The large arteries of one side in adult mm: carotid to middle cerebral along the lateral fissure, anterior
/// cerebral around the corpus callosum.
const ARTERIES: [&[[f64; 3]]; 2] = [
    &[
        [5.0, 6.0, -27.0],
        [10.0, 9.0, -20.0],
        [22.0, 10.0, -13.0],
        [33.0, 6.0, -7.5],
        [37.0, -10.0, -2.0],
        [44.0, -28.0, 3.0],
        [55.0, -38.0, 8.0],
    ],
    &[
        [8.0, 9.0, -20.0],
        [2.0, 20.0, -16.0],
        [2.0, 36.0, -2.0],
        [2.0, 40.0, 12.0],
        [2.0, 28.0, 28.0],
        [2.0, 6.0, 34.0],
        [2.0, -16.0, 36.0],
    ],
];
/// Vessels over the surface of an adult's brain.
const SURFACE_VESSELS: f64 = 26.0;
const STEP_MM: f64 = 2.0;

impl Vessels {
    pub(super) fn new(stream: &mut Stream, anatomy: &Anatomy) -> Self {
        let mut rods = Vec::new();
        let thickness = anatomy.size.sqrt();
        for side in [-1.0, 1.0] {
            for course in ARTERIES {
                let wander = 1.2;
                let points: Vec<[f64; 3]> = course
                    .iter()
                    .map(|p| {
                        [side * p[0], p[1], p[2]]
                            .map(|v| (v + stream.between(-wander, wander)) * anatomy.size)
                    })
                    .collect();
                join(&mut rods, &points, [1.15 * thickness, 0.55 * thickness]);
            }
        }
        let count = (SURFACE_VESSELS * anatomy.size).ceil() as usize;
        for _ in 0..count {
            let points = surface_walk(stream, anatomy);
            let radius = stream.between(0.45, 0.85) * thickness;
            join(&mut rods, &points, [radius, 0.5 * radius]);
        }
        Self(rods)
    }

    /// The share of each voxel that vessels fill.
    pub(super) fn coverage(&self, geometry: &Geometry) -> Vec<f32> {
        let extent = geometry.extent;
        let spacing = geometry.spacing_mm();
        let size = spacing.iter().sum::<f64>() / 3.0;
        let mut covered = vec![0f32; geometry.voxels()];
        for rod in &self.0 {
            let reach = rod.radii[0].max(rod.radii[1]) + size;
            let corner = |sign: f64, pick: fn(f64, f64) -> f64| {
                let end = std::array::from_fn(|a| pick(rod.ends[0][a], rod.ends[1][a]) + sign * reach);
                geometry.voxel(end)
            };
            let (low, high) = (corner(-1.0, f64::min), corner(1.0, f64::max));
            let range = |a: usize| {
                low[a].ceil().max(0.0) as usize..(high[a].floor() + 1.0).clamp(0.0, extent[a] as f64) as usize
            };
            for z in range(2) {
                for y in range(1) {
                    for x in range(0) {
                        let voxel = &mut covered[(z * extent[1] + y) * extent[0] + x];
                        *voxel = voxel
                            .max(share(rod, geometry.world([x as f64, y as f64, z as f64]), spacing) as f32);
                    }
                }
            }
        }
        covered
    }
}

/// The share of the voxel around `p` inside `rod`: four samples an axis, for a vessel is thinner than a voxel.
fn share(rod: &Rod, p: [f64; 3], spacing: [f64; 3]) -> f64 {
    const SAMPLES: usize = 4;
    let mut inside = 0.0;
    for sample in 0..SAMPLES.pow(3) {
        let place = [
            sample % SAMPLES,
            sample / SAMPLES % SAMPLES,
            sample / SAMPLES / SAMPLES,
        ];
        let q = std::array::from_fn(|a| p[a] + ((place[a] as f64 + 0.5) / SAMPLES as f64 - 0.5) * spacing[a]);
        inside += (0.5 + rod.depth(q) * SAMPLES as f64 / spacing[0]).clamp(0.0, 1.0);
    }
    inside / SAMPLES.pow(3) as f64
}

/// Rods through `points`, the radius going evenly from the first to the last.
fn join(rods: &mut Vec<Rod>, points: &[[f64; 3]], [first, last]: [f64; 2]) {
    let pieces = points.len().saturating_sub(1).max(1) as f64;
    for (i, ends) in points.windows(2).enumerate() {
        let radius = |i: usize| first + (last - first) * i as f64 / pieces;
        rods.push(Rod {
            ends: [ends[0], ends[1]],
            radii: [radius(i), radius(i + 1)],
        });
    }
}

/// A wandering course just under the cerebrum's surface.
fn surface_walk(stream: &mut Stream, anatomy: &Anatomy) -> Vec<[f64; 3]> {
    let depth = |p: [f64; 3]| anatomy.cerebrum_depth_mm(p, &anatomy.place(p));
    let upward = |p: [f64; 3]| -> [f64; 3] {
        let gradient = std::array::from_fn(|a| {
            let mut q = p;
            q[a] += 0.5;
            depth(q) - depth(p)
        });
        let steepness = length(gradient).max(1e-9);
        gradient.map(|g| -g / steepness)
    };
    let start = stream.direction();
    let [mut inside, mut outside] = [0.0, 120.0 * anatomy.size];
    for _ in 0..30 {
        let middle = 0.5 * (inside + outside);
        if depth(start.map(|d| d * middle)) > 0.0 {
            inside = middle
        } else {
            outside = middle
        }
    }
    let mut p = start.map(|d| d * inside);
    let mut heading = stream.direction();
    let steps = stream.between(12.0, 34.0) as usize;
    let mut points = Vec::with_capacity(steps);
    for _ in 0..steps {
        let normal = upward(p);
        // Kept at a depth of about half a millimetre, where fluid or the pia is.
        let lift = depth(p) - 0.4;
        p = std::array::from_fn(|a| p[a] + lift * normal[a]);
        points.push(p);
        let turn = stream.direction();
        let wander: [f64; 3] = std::array::from_fn(|a| heading[a] + 0.6 * turn[a]);
        let tangent = minus(wander, normal.map(|n| n * dot(wander, normal)));
        let speed = length(tangent).max(1e-9);
        heading = tangent.map(|t| t / speed);
        p = std::array::from_fn(|a| p[a] + STEP_MM * heading[a]);
    }
    points
}
