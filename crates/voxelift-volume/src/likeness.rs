//! Layer 3 · Likeness of two heads by content: whether two scans show one subject, whatever their files are called.
//!
//! Heads are compared as anatomy of about a centimetre: intensities over their peak on a 6 mm grid around the centroid,
//! less their local mean, one head moved rigidly onto the other. The four subjects of the development data who were scanned
//! twice come out at 0.968 and above; of the other pairs of twelve heads, the most alike among them, none above 0.893.
//!
//! ```
//! use voxelift_volume::likeness::{Likeness, SAME_SUBJECT};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::resample::{Interpolation, resize};
//!
//! let scan = |seed| head(&PhantomConfig { seed, extent: [32; 3], spacing_mm: [5.5; 3] });
//! let first = Likeness::of(&scan(1)?)?;
//! // The same subject in other units and on another grid, and another subject.
//! let again = resize(&scan(1)?, [40; 3], Interpolation::CubicBSpline).map(|value| 3.0 * value);
//! assert!(first.with(&Likeness::of(&again)?) > SAME_SUBJECT);
//! assert!(first.with(&Likeness::of(&scan(2)?)?) < SAME_SUBJECT);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Result;
use crate::intensity::{Mask, Normalization};
use crate::volume::Volume;

/// From here on two scans count as one subject's.
pub const SAME_SUBJECT: f64 = 0.92;

/// Voxels along each side of the grid.
const SIDE: usize = 32;
/// Their size.
const GRID_MM: f64 = 6.0;
/// Samples along each side of a grid voxel.
const SAMPLES: usize = 3;
/// Grid voxels of the box whose threefold pass gives the local mean.
const LOCAL: usize = 7;
/// As they lie ([`Likeness::at_rest`]) heads of one subject are at least this alike: others are not looked at twice.
pub const WORTH_MOVING: f64 = 0.7;
/// Rounds of the search for the motion.
const ROUNDS: usize = 6;

/// A head as the comparison sees it.
#[derive(Clone, Debug)]
pub struct Likeness {
    /// Intensity less its local mean.
    detail: Vec<f32>,
    /// Share of foreground.
    inside: Vec<f32>,
}

/// A rigid motion in grid voxels: rotations about x, y, z (radians), then a shift.
type Motion = [f64; 6];

impl Likeness {
    /// Looks at a scan.
    ///
    /// # Errors
    /// For a volume without contrast.
    pub fn of(volume: &Volume) -> Result<Self> {
        let Normalization { zero, factor: peak } = Normalization::of(volume)?;
        let mask = Mask::foreground(volume).largest_component();
        let centre = volume.geometry().world(centroid(&mask));
        let fine = SIDE * SAMPLES;
        let step = GRID_MM / SAMPLES as f64;
        // Voxel coordinates are affine in world coordinates: one corner and three steps give them all.
        let offset = |i: f64| (i - (fine as f64 - 1.0) / 2.0) * step;
        let voxel = |world: [f64; 3]| volume.geometry().voxel(world);
        let corner = voxel(centre.map(|c| c + offset(0.0)));
        let along: [[f64; 3]; 3] = std::array::from_fn(|a| {
            let mut next = centre.map(|c| c + offset(0.0));
            next[a] += step;
            let next = voxel(next);
            std::array::from_fn(|c| next[c] - corner[c])
        });
        let extent = volume.extent();
        let (mut value, mut inside) = (vec![0.0; SIDE.pow(3)], vec![0.0; SIDE.pow(3)]);
        let share = 1.0 / SAMPLES.pow(3) as f32;
        for z in 0..fine {
            for y in 0..fine {
                for x in 0..fine {
                    let at: [f64; 3] = std::array::from_fn(|c| {
                        corner[c] + x as f64 * along[0][c] + y as f64 * along[1][c] + z as f64 * along[2][c]
                    });
                    let at = at.map(f64::round);
                    if (0..3).any(|c| at[c] < 0.0 || at[c] >= extent[c] as f64) {
                        continue;
                    }
                    let from = volume.index(at.map(|c| c as usize));
                    let to = (z / SAMPLES * SIDE + y / SAMPLES) * SIDE + x / SAMPLES;
                    if mask.data()[from] {
                        inside[to] += share;
                        value[to] += share * (volume.data()[from] - zero) / peak;
                    }
                }
            }
        }
        let (value, inside) = (softened(&value), softened(&inside));
        let (smooth, weight) = (local_sum(&value), local_sum(&inside));
        let mean = smooth
            .iter()
            .zip(&weight)
            .map(|(s, w)| if *w > 0.0 { s / w } else { 0.0 });
        let detail = value
            .iter()
            .zip(&inside)
            .zip(mean)
            .map(|((v, m), mean)| v - mean * m);
        Ok(Self {
            detail: detail.collect(),
            inside,
        })
    }

    /// How alike two heads are: the correlation of their detail after the rigid motion that makes it greatest, at most 1.
    pub fn with(&self, other: &Self) -> f64 {
        let mut best = self.at_rest(other);
        if best < WORTH_MOVING {
            return best;
        }
        let mut motion = [0.0; 6];
        for _ in 0..ROUNDS {
            motion = self.improved(other, motion);
            if motion.iter().any(|m| m.abs() > 3.0 || !m.is_finite()) {
                break;
            }
            best = best.max(self.correlation(&moved(&other.detail, motion), &moved(&other.inside, motion)));
        }
        best
    }

    /// How alike two heads are as they lie, one centroid on the other: without the search for a motion, which is nearly all the work of [`Self::with`].
    pub fn at_rest(&self, other: &Self) -> f64 {
        self.correlation(&other.detail, &other.inside)
    }

    /// The correlation of the details, weighted by what is inside both heads.
    fn correlation(&self, detail: &[f32], inside: &[f32]) -> f64 {
        let voxels = || {
            let pairs = self.detail.iter().zip(detail);
            pairs
                .zip(self.inside.iter().zip(inside))
                .map(|((a, b), (p, q))| (f64::from(*a), f64::from(*b), f64::from(p.min(*q))))
        };
        let (w, a, b) = voxels().fold((0.0, 0.0, 0.0), |(w, x, y), (a, b, m)| {
            (w + m, x + m * a, y + m * b)
        });
        if w <= 0.0 {
            return 0.0;
        }
        let (mean_a, mean_b) = (a / w, b / w);
        let (ab, aa, bb) = voxels().fold((0.0, 0.0, 0.0), |(ab, aa, bb), (a, b, m)| {
            let (a, b) = (a - mean_a, b - mean_b);
            (ab + m * a * b, aa + m * a * a, bb + m * b * b)
        });
        if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
    }

    /// One Gauss-Newton round on the difference of the details.
    fn improved(&self, other: &Self, motion: Motion) -> Motion {
        const STEP: Motion = [0.02, 0.02, 0.02, 0.1, 0.1, 0.1];
        let (detail, inside) = (moved(&other.detail, motion), moved(&other.inside, motion));
        let slopes: Vec<Vec<f32>> = (0..6)
            .map(|k| {
                let shifted = |by: f64| {
                    let mut motion = motion;
                    motion[k] += by;
                    moved(&other.detail, motion)
                };
                let (ahead, behind) = (shifted(STEP[k]), shifted(-STEP[k]));
                let slope = |(a, b): (&f32, &f32)| (a - b) / (2.0 * STEP[k]) as f32;
                ahead.iter().zip(&behind).map(slope).collect()
            })
            .collect();
        let weight = |i: usize| f64::from(self.inside[i].min(inside[i]));
        let dot = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| -> f64 {
            (0..detail.len()).map(|i| weight(i) * a(i) * b(i)).sum()
        };
        let (mine, theirs) = (
            |i: usize| f64::from(self.detail[i]),
            |i: usize| f64::from(detail[i]),
        );
        let gain = (dot(&mine, &theirs) / dot(&theirs, &theirs)).max(0.2);
        let rest = |i: usize| mine(i) / gain - theirs(i);
        let mut system = [[0.0; 7]; 6];
        for row in 0..6 {
            let of = |i: usize| f64::from(slopes[row][i]);
            for column in 0..6 {
                system[row][column] = dot(&of, &|i| f64::from(slopes[column][i]));
            }
            system[row][6] = dot(&of, &rest);
        }
        let step = solved(system);
        std::array::from_fn(|k| motion[k] + step[k].clamp(-0.5, 0.5))
    }
}

fn centroid(mask: &Mask) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for voxel in mask.voxels() {
        sums.iter_mut().zip(voxel).for_each(|(sum, at)| *sum += at as f64);
    }
    sums.map(|sum| sum / mask.count().max(1) as f64)
}

/// A pass of (1, 4, 1)/6 along each axis: what is finer than the grid would not survive a motion.
fn softened(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    for stride in [1, SIDE, SIDE * SIDE] {
        values = (0..values.len())
            .map(|i| {
                let at = i / stride % SIDE;
                let before = if at > 0 { values[i - stride] } else { 0.0 };
                let after = if at + 1 < SIDE { values[i + stride] } else { 0.0 };
                (before + 4.0 * values[i] + after) / 6.0
            })
            .collect();
    }
    values
}

/// Three box passes along each axis.
fn local_sum(values: &[f32]) -> Vec<f32> {
    let mut values = values.to_vec();
    for stride in [1, SIDE, SIDE * SIDE] {
        for _ in 0..3 {
            values = (0..values.len())
                .map(|i| {
                    let at = i / stride % SIDE;
                    let (low, high) = (at.saturating_sub(LOCAL / 2), (at + LOCAL / 2).min(SIDE - 1));
                    (low..=high)
                        .map(|j| values[i + j * stride - at * stride])
                        .sum::<f32>()
                        / LOCAL as f32
                })
                .collect();
        }
    }
    values
}

/// The values at the moved grid's places, trilinear; 0 beyond the grid.
fn moved(values: &[f32], [rx, ry, rz, dx, dy, dz]: Motion) -> Vec<f32> {
    let ((sx, cx), (sy, cy), (sz, cz)) = (rx.sin_cos(), ry.sin_cos(), rz.sin_cos());
    let turn = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
        [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
    ];
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let shift = [dx, dy, dz];
    let mut out = Vec::with_capacity(values.len());
    for i in 0..values.len() {
        let from = [i % SIDE, i / SIDE % SIDE, i / (SIDE * SIDE)].map(|c| c as f64 - middle);
        let at: [f64; 3] =
            std::array::from_fn(|r| (0..3).map(|c| turn[r][c] * from[c]).sum::<f64>() + middle + shift[r]);
        let low = at.map(f64::floor);
        if (0..3).any(|c| low[c] < 0.0 || low[c] + 1.0 >= SIDE as f64) {
            out.push(0.0);
            continue;
        }
        let part: [f32; 3] = std::array::from_fn(|c| (at[c] - low[c]) as f32);
        let first = (low[2] as usize * SIDE + low[1] as usize) * SIDE + low[0] as usize;
        let row = |start: usize| values[start] * (1.0 - part[0]) + values[start + 1] * part[0];
        let plane = |start: usize| row(start) * (1.0 - part[1]) + row(start + SIDE) * part[1];
        out.push(plane(first) * (1.0 - part[2]) + plane(first + SIDE * SIDE) * part[2]);
    }
    out
}

/// Gaussian elimination with pivots; a direction without weight does not move.
fn solved(mut system: [[f64; 7]; 6]) -> [f64; 6] {
    let size = (0..6).map(|i| system[i][i]).sum::<f64>();
    for (i, row) in system.iter_mut().enumerate() {
        row[i] += 1e-6 * size + f64::MIN_POSITIVE;
    }
    for column in 0..6 {
        let pivot = (column..6)
            .max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))
            .expect("a row");
        system.swap(column, pivot);
        for row in 0..6 {
            if row != column {
                let factor = system[row][column] / system[column][column];
                let above = system[column];
                (column..7).for_each(|c| system[row][c] -= factor * above[c]);
            }
        }
    }
    std::array::from_fn(|i| system[i][6] / system[i][i])
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::nifti::{self, ReadOptions};
    use crate::phantom::{PhantomConfig, head};
    use crate::resample::{Interpolation, resize};

    fn oasis(folder: &str, number: u32) -> Option<Likeness> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let path = root
            .join(folder)
            .join(format!("hr/oasis-malf{number}_T1w_1mm_brain.nii.gz"));
        if !path.exists() {
            writeln!(std::io::stderr(), "skipped: no shared data").expect("a standard error");
            return None;
        }
        let image = nifti::read(&path, &ReadOptions::default()).expect("a head");
        Some(Likeness::of(&image.into_single().expect("one volume")).expect("contrast"))
    }

    #[test]
    fn subjects_scanned_twice_are_recognised_and_nobody_else() {
        let scans = [
            ("val", 1003),
            ("val", 1023),
            ("train", 1005),
            ("train", 1025),
            ("train", 1018),
            ("train", 1038),
            ("train", 1019),
            ("train", 1039),
            // Those who are most like one another without being one subject.
            ("train", 1015),
            ("train", 1110),
            ("train", 1002),
            ("train", 1013),
        ];
        let mut heads = Vec::new();
        for (folder, number) in scans {
            let Some(head) = oasis(folder, number) else { return };
            heads.push(head);
        }
        let (mut least, mut greatest) = ((f64::INFINITY, 0, 0), (0.0, 0, 0));
        for i in 0..heads.len() {
            for j in 0..i {
                let found = (heads[i].with(&heads[j]), scans[i].1, scans[j].1);
                if i < 8 && i == j + 1 && i % 2 == 1 {
                    least = if found.0 < least.0 { found } else { least };
                } else {
                    greatest = if found.0 > greatest.0 { found } else { greatest };
                }
            }
        }
        assert!(
            least.0 > SAME_SUBJECT + 0.02 && greatest.0 < SAME_SUBJECT - 0.02,
            "one subject at least {least:.3?}, two subjects at most {greatest:.3?}"
        );
    }

    #[test]
    fn a_head_is_itself_on_another_grid_and_not_another_phantom() {
        let phantom = |seed| {
            head(&PhantomConfig {
                seed,
                extent: [64, 72, 64],
                spacing_mm: [2.5; 3],
            })
            .expect("a phantom")
        };
        let whole = phantom(1);
        let coarse = resize(&whole, [40, 45, 40], Interpolation::Trilinear);
        let likeness = |v: &Volume| Likeness::of(v).expect("contrast");
        let same = likeness(&whole).with(&likeness(&coarse));
        let others: Vec<f64> = (2..6)
            .map(|seed| likeness(&whole).with(&likeness(&phantom(seed))))
            .collect();
        assert!(
            others.iter().all(|other| *other < SAME_SUBJECT),
            "itself {same:.3}, others {others:.3?}"
        );
        assert!(same > SAME_SUBJECT, "itself {same:.3}, others {others:.3?}");
    }
}
