//! Where voxels are: extent, affine, and how resampling moves them.

use crate::error::{Result, VolumeError};

/// The upper three rows of a 4x4 matrix from voxel indices to world millimetres (RAS+).
pub type Affine = [[f64; 4]; 3];

/// The smallest |determinant|, in mm^3, with which an affine can be inverted.
pub(crate) const MIN_DETERMINANT: f64 = 1e-9;

/// The smallest share of a box of the same edges that the axes span: less is a plane, once rounded to f32.
const MIN_SPAN: f64 = 1e-5;

/// No scan is a thousand kilometres away; squares of such numbers still are finite, in f32 too.
pub(crate) const MAX_MM: f64 = 1e9;

/// Why an affine cannot be used: its value in words, and what was expected.
pub(crate) fn affine_fault(affine: &Affine) -> Option<(String, &'static str)> {
    let within = |value: &f64| value.is_finite() && value.abs() <= MAX_MM;
    if !affine.iter().flatten().all(within) {
        return Some((format!("{affine:?}"), "finite numbers up to 1e9 mm"));
    }
    let world_from_voxel = *affine;
    let grid = Geometry {
        extent: [1; 3],
        world_from_voxel,
    };
    let (determinant, edges) = (grid.determinant().abs(), grid.spacing_mm());
    let inverts = determinant > MIN_DETERMINANT && determinant > MIN_SPAN * edges.iter().product::<f64>();
    (!inverts).then(|| {
        let value = format!("{affine:?} of determinant {determinant:e}");
        (
            value,
            "a determinant of more than 1e-9 mm^3, and axes that do not lie in a plane",
        )
    })
}

/// A grid in space: how many voxels, and where each one's centre is.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Voxel counts along x, y, z (file order, x fastest).
    pub extent: [usize; 3],
    /// World position (mm, RAS+) of a voxel index; integer indices are voxel centres.
    pub world_from_voxel: Affine,
}

impl Geometry {
    /// An axis-aligned grid with its centre of voxel 0 at the world's origin.
    pub fn axis_aligned(extent: [usize; 3], spacing_mm: [f64; 3]) -> Self {
        let mut world_from_voxel = [[0.0; 4]; 3];
        for axis in 0..3 {
            world_from_voxel[axis][axis] = spacing_mm[axis];
        }
        Self {
            extent,
            world_from_voxel,
        }
    }

    /// How many voxels.
    pub fn voxels(&self) -> usize {
        self.extent.iter().product()
    }

    /// Distance between neighbouring voxel centres along x, y, z.
    ///
    /// # Units
    /// Millimetres.
    pub fn spacing_mm(&self) -> [f64; 3] {
        let a = &self.world_from_voxel;
        std::array::from_fn(|c| (a[0][c].powi(2) + a[1][c].powi(2) + a[2][c].powi(2)).sqrt())
    }

    /// Determinant of the 3x3 part: negative for left-handed storage.
    ///
    /// # Units
    /// Cubic millimetres.
    pub fn determinant(&self) -> f64 {
        let a = &self.world_from_voxel;
        a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
            + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0])
    }

    /// World position of a (fractional) voxel index.
    ///
    /// # Units
    /// Millimetres.
    pub fn world(&self, voxel: [f64; 3]) -> [f64; 3] {
        self.world_from_voxel
            .map(|r| r[0] * voxel[0] + r[1] * voxel[1] + r[2] * voxel[2] + r[3])
    }

    /// The (fractional) voxel index of a world position: the inverse of [`Geometry::world`].
    ///
    /// # Panics
    /// When the affine is singular; files with such an affine are refused on reading.
    pub fn voxel(&self, world_mm: [f64; 3]) -> [f64; 3] {
        let a = &self.world_from_voxel;
        let det = self.determinant();
        assert!(det.abs() > 0.0, "the affine {a:?} is singular");
        let d: [f64; 3] = std::array::from_fn(|r| world_mm[r] - a[r][3]);
        let cofactor = |r: usize, c: usize| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1]
        };
        std::array::from_fn(|c| (0..3).map(|r| cofactor(r, c) * d[r]).sum::<f64>() / det)
    }

    /// The grid after resampling: `extent` voxels, voxel `k` at this grid's index `map(k)`.
    pub fn resampled(&self, extent: [usize; 3], map: &VoxelMap) -> Self {
        Self {
            extent,
            world_from_voxel: map.applied_to(&self.world_from_voxel),
        }
    }

    /// The grid of `extent` voxels over the same field of view (outer edges unchanged).
    pub fn with_extent(&self, extent: [usize; 3]) -> Self {
        self.resampled(extent, &VoxelMap::field_of_view(self.extent, extent))
    }

    /// For each voxel axis the world axis (0 = x, 1 = y, 2 = z) it runs along most closely, and its sign:
    /// the nearest canonical orientation. Each world axis is given out once.
    pub fn canonical_axes(&self) -> [(usize, f64); 3] {
        let spacing = self.spacing_mm();
        let direction = |row: usize, col: usize| self.world_from_voxel[row][col] / spacing[col];
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let alignment = |p: &[usize; 3]| (0..3).map(|c| direction(p[c], c).abs()).sum::<f64>();
        let best = permutations
            .into_iter()
            .max_by(|a, b| alignment(a).total_cmp(&alignment(b)));
        let best = best.expect("six permutations");
        std::array::from_fn(|c| (best[c], direction(best[c], c).signum()))
    }
}

/// A separable map between voxel indices: `old = scale * new + offset`, per axis x, y, z.
///
/// Every resampling in the project is described by one of these, so that the affine, the sform and the qform
/// of a header all move by the same rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoxelMap {
    /// Old voxels per new voxel.
    pub scale: [f64; 3],
    /// Old index of the new voxel 0.
    pub offset: [f64; 3],
}

impl VoxelMap {
    /// Nothing moves.
    pub const IDENTITY: Self = Self {
        scale: [1.0; 3],
        offset: [0.0; 3],
    };

    /// The field-of-view rule: `old + 1/2 = (new + 1/2) * from / to`, so that the outer edges stay.
    pub fn field_of_view(from: [usize; 3], to: [usize; 3]) -> Self {
        let scale: [f64; 3] = std::array::from_fn(|a| from[a] as f64 / to[a] as f64);
        Self {
            scale,
            offset: scale.map(|s| (s - 1.0) / 2.0),
        }
    }

    /// The old index of a new index.
    pub fn old(&self, new: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|a| self.scale[a] * new[a] + self.offset[a])
    }

    /// `self` after `next`: from the indices of the last grid to those of the first.
    pub fn then(&self, next: &VoxelMap) -> Self {
        Self {
            scale: std::array::from_fn(|a| self.scale[a] * next.scale[a]),
            offset: std::array::from_fn(|a| self.scale[a] * next.offset[a] + self.offset[a]),
        }
    }

    /// An affine of the old grid, moved to the new one.
    pub fn applied_to(&self, affine: &Affine) -> Affine {
        affine.map(|row| {
            let shift: f64 = (0..3).map(|c| row[c] * self.offset[c]).sum();
            [
                row[0] * self.scale[0],
                row[1] * self.scale[1],
                row[2] * self.scale[2],
                row[3] + shift,
            ]
        })
    }
}

/// A whole-number factor per axis x, y, z: HR voxels per LR voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scale(pub [usize; 3]);

impl Scale {
    /// The same factor on each axis.
    pub fn isotropic(factor: usize) -> Self {
        Self([factor; 3])
    }

    /// Reads `2` or `2,2,1` (x,y,z in file order).
    ///
    /// # Errors
    /// Unless there are one or three whole numbers between 1 and 16.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            VolumeError::argument(
                "scale",
                text,
                "expected one whole number or three, 1 to 16, as 2 or 2,2,1",
            )
        };
        let factors = text
            .split(',')
            .map(|f| f.trim().parse().ok().filter(|f| (1..=16).contains(f)));
        match factors
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(wrong)?
            .as_slice()
        {
            [f] => Ok(Self([*f; 3])),
            [x, y, z] => Ok(Self([*x, *y, *z])),
            _ => Err(wrong()),
        }
    }

    /// The factors that a volume takes: an axis of one voxel stays, since nothing says what lies beside it.
    pub fn within(&self, extent: [usize; 3]) -> Self {
        Self(std::array::from_fn(
            |a| if extent[a] == 1 { 1 } else { self.0[a] },
        ))
    }

    /// The HR extent over an LR extent.
    pub fn up(&self, lr: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|a| lr[a] * self.0[a])
    }

    /// The LR extent that covers an HR extent: `ceil(N / s)` per axis.
    pub fn down(&self, hr: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|a| hr[a].div_ceil(self.0[a]))
    }
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [x, y, z] = self.0;
        if x == y && y == z {
            write!(f, "{x}")
        } else {
            write!(f, "{x},{y},{z}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oblique() -> Geometry {
        Geometry {
            extent: [9, 8, 7],
            world_from_voxel: [
                [-0.9, 0.1, 0.2, 12.0],
                [0.15, 1.1, -0.3, -7.0],
                [0.05, 0.2, 2.0, 3.0],
            ],
        }
    }

    #[test]
    fn voxel_inverts_world() {
        let g = oblique();
        let there = g.voxel(g.world([1.5, -2.0, 6.25]));
        for (a, b) in there.iter().zip([1.5, -2.0, 6.25]) {
            assert!((a - b).abs() < 1e-12, "{there:?}");
        }
    }

    #[test]
    fn resampling_keeps_the_outer_corners() {
        let g = oblique();
        for to in [[18, 16, 14], [27, 24, 21], [14, 11, 13], [5, 4, 4]] {
            let h = g.with_extent(to);
            for corner in 0..8 {
                let edge = |extent: [usize; 3]| -> [f64; 3] {
                    std::array::from_fn(|a| {
                        if corner >> a & 1 == 1 {
                            extent[a] as f64 - 0.5
                        } else {
                            -0.5
                        }
                    })
                };
                let (p, q) = (g.world(edge(g.extent)), h.world(edge(h.extent)));
                assert!((0..3).all(|a| (p[a] - q[a]).abs() < 1e-9), "{p:?} {q:?}");
            }
        }
    }

    #[test]
    fn canonical_axes_of_a_permuted_left_handed_grid() {
        let g = Geometry {
            extent: [4, 5, 6],
            world_from_voxel: [[0.1, 0.0, -2.0, 0.0], [1.0, 0.1, 0.0, 0.0], [0.0, 3.0, 0.1, 0.0]],
        };
        assert_eq!(g.canonical_axes(), [(1, 1.0), (2, 1.0), (0, -1.0)]);
    }

    #[test]
    fn maps_compose() {
        let (first, second) = (
            VoxelMap::field_of_view([8; 3], [4; 3]),
            VoxelMap::field_of_view([4; 3], [12; 3]),
        );
        let both = first.then(&second);
        assert_eq!(both.old([5.0; 3]), first.old(second.old([5.0; 3])));
    }

    #[test]
    fn scale_reads_one_or_three_factors() {
        assert_eq!(Scale::parse("2").unwrap(), Scale([2; 3]));
        assert_eq!(Scale::parse("2, 2,1").unwrap(), Scale([2, 2, 1]));
        for wrong in ["", "0", "2,2", "x", "2,2,2,2", "-1", "99"] {
            assert!(Scale::parse(wrong).is_err(), "{wrong}");
        }
    }
}
