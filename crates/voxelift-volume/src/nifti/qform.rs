//! The qform: a rotation as a quaternion, voxel sizes and a handedness, to and from an affine.

use crate::volume::{Affine, Geometry};

/// What a header stores of a qform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Qform {
    /// b, c, d of the unit quaternion; a is the non-negative rest.
    pub quatern: [f64; 3],
    /// World position of voxel 0, in mm.
    pub offset: [f64; 3],
    /// Positive voxel sizes in mm.
    pub spacing_mm: [f64; 3],
    /// +1, or -1 where the third axis is mirrored.
    pub qfac: f64,
}

/// The squared norm of a quaternion in text of six digits may be this far above 1.
const ROUNDED: f64 = 1e-4;

/// Axes that lean further than this (a cosine) towards one another do so on purpose.
const LEANING: f64 = 0.05;

/// The affine of the same voxel sizes, with its axes at right angles, that is nearest to one with a little shear; `None` where the
/// shear is no rounding.
pub fn upright(affine: &Affine) -> Option<Affine> {
    let grid = Geometry {
        extent: [1; 3],
        world_from_voxel: *affine,
    };
    let spacing = grid.spacing_mm();
    let mut r: [[f64; 3]; 3] =
        std::array::from_fn(|row| std::array::from_fn(|c| affine[row][c] / spacing[c]));
    if lean(affine) > LEANING {
        return None;
    }
    // The orthogonal factor of the polar decomposition, by Newton's iteration (Higham 1986).
    for _ in 0..20 {
        let cofactor = |i: usize, j: usize| {
            let (i1, i2, j1, j2) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            r[i1][j1] * r[i2][j2] - r[i1][j2] * r[i2][j1]
        };
        let determinant: f64 = (0..3).map(|j| r[0][j] * cofactor(0, j)).sum();
        r = std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (r[i][j] + cofactor(i, j) / determinant)));
    }
    Some(std::array::from_fn(|row| {
        let [x, y, z] = r[row];
        [x * spacing[0], y * spacing[1], z * spacing[2], affine[row][3]]
    }))
}

/// The largest cosine between two axes of an affine: 0 where they are at right angles.
pub fn lean(affine: &Affine) -> f64 {
    let column = |c: usize| affine.map(|row| row[c]);
    let dot = |p: [f64; 3], q: [f64; 3]| -> f64 { (0..3).map(|i| p[i] * q[i]).sum() };
    let cosine = |p: usize, q: usize| {
        let (p, q) = (column(p), column(q));
        (dot(p, q) / (dot(p, p) * dot(q, q)).sqrt()).abs()
    };
    cosine(0, 1).max(cosine(0, 2)).max(cosine(1, 2))
}

impl Qform {
    /// The affine (`nifti1.h`, method 2).
    ///
    /// # Errors
    /// The reason, in words, when the numbers describe no rotation. `tolerance` is how far rounding may bring
    /// b^2 + c^2 + d^2 from 1 for a half turn: nibabel's three epsilons of the stored type.
    pub fn affine(&self, tolerance: f64) -> Result<Affine, String> {
        let [b, c, d] = self.quatern;
        let numbers = self.quatern.iter().chain(&self.offset).chain(&self.spacing_mm);
        if !numbers.clone().all(|v| v.is_finite()) {
            return Err("a value that is not finite".into());
        }
        let norm = b * b + c * c + d * d;
        let a = match 1.0 - norm {
            rest if rest.abs() < tolerance => 0.0,
            // Written by tools that round to six digits: a half turn.
            rest if (-ROUNDED..0.0).contains(&rest) => 0.0,
            rest if rest < 0.0 => return Err(format!("a quaternion of squared norm {norm}, above 1")),
            rest => rest.sqrt(),
        };
        // 2 / |q|^2 in place of 2 keeps the matrix a rotation when rounding moved the norm.
        let s = 2.0 / (a * a + norm);
        let rotation = [
            [
                1.0 - s * (c * c + d * d),
                s * (b * c - a * d),
                s * (b * d + a * c),
            ],
            [
                s * (b * c + a * d),
                1.0 - s * (b * b + d * d),
                s * (c * d - a * b),
            ],
            [
                s * (b * d - a * c),
                s * (c * d + a * b),
                1.0 - s * (b * b + c * c),
            ],
        ];
        let size = [
            self.spacing_mm[0],
            self.spacing_mm[1],
            self.spacing_mm[2] * self.qfac,
        ];
        Ok(std::array::from_fn(|r| {
            let [x, y, z] = rotation[r];
            [x * size[0], y * size[1], z * size[2], self.offset[r]]
        }))
    }

    /// The qform of an affine without shear; `None` where it has shear (relative to 1e-5), which no
    /// qform can hold.
    pub fn from_affine(affine: &Affine) -> Option<Self> {
        let grid = Geometry {
            extent: [1; 3],
            world_from_voxel: *affine,
        };
        let spacing_mm = grid.spacing_mm();
        let qfac = grid.determinant().signum();
        let sign = [1.0, 1.0, qfac];
        let r: [[f64; 3]; 3] =
            std::array::from_fn(|row| std::array::from_fn(|c| affine[row][c] / spacing_mm[c] * sign[c]));
        let dot = |p: usize, q: usize| (0..3).map(|row| r[row][p] * r[row][q]).sum::<f64>();
        if [(0, 1), (0, 2), (1, 2)]
            .into_iter()
            .any(|(p, q)| dot(p, q).abs() > 1e-5)
        {
            return None;
        }

        // The largest of the four components is found from the diagonal, the others by dividing by it.
        let [xx, yy, zz] = [r[0][0], r[1][1], r[2][2]];
        let squares = [
            1.0 + xx + yy + zz,
            1.0 + xx - yy - zz,
            1.0 - xx + yy - zz,
            1.0 - xx - yy + zz,
        ];
        let largest = (1..4).fold(0, |best, i| if squares[i] > squares[best] { i } else { best });
        let twice = squares[largest].sqrt();
        let [p, q, s] = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
        let [u, v, w] = [r[1][0] + r[0][1], r[0][2] + r[2][0], r[2][1] + r[1][2]];
        let products = match largest {
            0 => [twice * twice, p, q, s],
            1 => [p, twice * twice, u, v],
            2 => [q, u, twice * twice, w],
            _ => [s, v, w, twice * twice],
        };
        let [a, b, c, d] = products.map(|product| product / (2.0 * twice));
        let up = if a < 0.0 { -1.0 } else { 1.0 };
        let offset = std::array::from_fn(|row| affine[row][3]);
        Some(Self {
            quatern: [b * up, c * up, d * up],
            offset,
            spacing_mm,
            qfac,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quaternion and its affine, through the affine and back.
    fn there_and_back(quatern: [f64; 3], qfac: f64) {
        let q = Qform {
            quatern,
            offset: [1.0, -2.0, 3.0],
            spacing_mm: [0.5, 1.0, 2.5],
            qfac,
        };
        let affine = q.affine(1e-15).unwrap();
        let again = Qform::from_affine(&affine).unwrap();
        let back = again.affine(1e-12).unwrap();
        for (left, right) in affine.iter().flatten().zip(back.iter().flatten()) {
            assert!((left - right).abs() < 1e-7, "{q:?}\n{again:?}");
        }
        assert_eq!(again.qfac, qfac);
    }

    #[test]
    fn every_kind_of_rotation_survives() {
        let half = 0.5_f64.sqrt();
        for quatern in [
            [0.0; 3],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.5, -0.5, -0.5],
            [half, half, 0.0],
            [0.1, 0.2, -0.3],
            [-0.9, 0.3, 0.1],
            [0.02, 0.99, 0.1],
        ] {
            there_and_back(quatern, 1.0);
            there_and_back(quatern, -1.0);
        }
    }

    #[test]
    fn a_quarter_turn_about_z_sends_x_to_y() {
        let quatern = [0.0, 0.0, 0.5_f64.sqrt()];
        let q = Qform {
            quatern,
            offset: [0.0; 3],
            spacing_mm: [2.0, 3.0, 4.0],
            qfac: -1.0,
        };
        let affine = q.affine(1e-6).unwrap();
        let expected = [[0.0, -3.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 0.0, -4.0, 0.0]];
        for (left, right) in affine.iter().flatten().zip(expected.iter().flatten()) {
            assert!((left - right).abs() < 1e-12, "{affine:?}");
        }
    }

    #[test]
    fn shear_is_no_qform() {
        let sheared = [[1.0, 0.01, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        assert_eq!(Qform::from_affine(&sheared), None);
    }

    #[test]
    fn a_little_shear_is_taken_back_and_much_is_not() {
        let sheared = [
            [1.0, 3e-3, 0.0, 5.0],
            [0.0, 1.0, 0.0, -6.0],
            [0.0, 0.0, -1.2, 7.0],
        ];
        assert!((lean(&sheared) - 3e-3).abs() < 1e-6);
        let upright_one = upright(&sheared).unwrap();
        assert!(lean(&upright_one) < 1e-12 && Qform::from_affine(&upright_one).is_some());
        for (a, b) in upright_one.iter().flatten().zip(sheared.iter().flatten()) {
            assert!((a - b).abs() < 2e-3, "{upright_one:?}");
        }
        assert_eq!(
            upright(&[[1.0, 0.3, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]),
            None
        );
    }

    #[test]
    fn a_norm_rounded_above_one_is_a_half_turn() {
        let q = Qform {
            quatern: [1.0 + 5e-7, 0.0, 0.0],
            offset: [0.0; 3],
            spacing_mm: [1.0; 3],
            qfac: 1.0,
        };
        let affine = q.affine(3.0 * f64::from(f32::EPSILON)).unwrap();
        let expected = [[1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]];
        for (a, b) in affine.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a - b).abs() < 1e-9, "{affine:?}");
        }
    }

    #[test]
    fn no_rotation_is_said_so() {
        let mut q = Qform {
            quatern: [0.9, 0.9, 0.0],
            offset: [0.0; 3],
            spacing_mm: [1.0; 3],
            qfac: 1.0,
        };
        assert!(q.affine(1e-6).unwrap_err().contains("above 1"));
        q.quatern = [f64::NAN, 0.0, 0.0];
        assert!(q.affine(1e-6).unwrap_err().contains("not finite"));
    }
}
