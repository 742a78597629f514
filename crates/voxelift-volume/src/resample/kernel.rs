//! Interpolation kernels: which voxels of a line count at a position between them, and how much.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::edge::Edge;

/// The most voxels of a line that one interpolated value draws on.
pub const MOST_TAPS: usize = 8;

/// How values between voxel centres are made up, the same along each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interpolation {
    /// The nearest voxel (halfway: the one with the higher index). For labels.
    Nearest,
    /// Straight lines between neighbours.
    Trilinear,
    /// A sinc windowed to four lobes; eight voxels a line, weights divided by their sum.
    Lanczos4,
    /// Cubic B-spline through the voxels (Unser et al., IEEE Trans. Signal Processing 1993).
    CubicBSpline,
}

impl Interpolation {
    /// How a line goes on beyond its ends: mirrored at the outermost voxel centres for the B-spline (its
    /// prefilter needs that), its end values repeated for the others.
    pub fn edge(self) -> Edge {
        if self == Self::CubicBSpline {
            Edge::Mirror
        } else {
            Edge::Replicate
        }
    }

    /// The voxels that count at a position: the first one's index and the weights from there on, of which the
    /// first `count` are set. For the B-spline they weigh its coefficients.
    pub(super) fn weights(self, at: Position) -> LineWeights {
        let f = at.fraction;
        let mut weights = [0.0; MOST_TAPS];
        let (reach, count) = match self {
            Self::Nearest => {
                weights[0] = 1.0;
                return LineWeights {
                    first: at.whole + i64::from(f >= 0.5),
                    weights,
                    count: 1,
                };
            }
            Self::Trilinear => {
                weights[..2].copy_from_slice(&[1.0 - f, f]);
                (0, 2)
            }
            Self::Lanczos4 => {
                weights = lanczos(f);
                (3, 8)
            }
            Self::CubicBSpline => {
                let g = 1.0 - f;
                let middle = |t: f64| (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
                weights[..4].copy_from_slice(&[g * g * g / 6.0, middle(f), middle(g), f * f * f / 6.0]);
                (1, 4)
            }
        };
        LineWeights {
            first: at.whole - reach,
            weights,
            count,
        }
    }
}

/// What [`Interpolation::weights`] says.
pub struct LineWeights {
    pub first: i64,
    pub weights: [f64; MOST_TAPS],
    pub count: usize,
}

/// An index between the voxels of a line, as a whole number and a fraction of 0 to below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub whole: i64,
    pub fraction: f64,
}

impl Position {
    /// Where voxel `k` of `m` lies on a line of `n` over the same field of view; exact, so that each phase of a
    /// whole-number scale has the same weights everywhere.
    pub fn field_of_view(k: usize, n: usize, m: usize) -> Self {
        let (k, n, m) = (k as i64, n as i64, m as i64);
        let (numerator, denominator) = ((2 * k + 1) * n - m, 2 * m);
        let fraction = numerator.rem_euclid(denominator) as f64 / denominator as f64;
        Self {
            whole: numerator.div_euclid(denominator),
            fraction,
        }
    }

    /// Any index. Within a millionth of a voxel of a centre or a midpoint it snaps to it: affines are stored as
    /// f32, and a volume put onto its own grid should stay as it is.
    pub fn at(index: f64) -> Self {
        let halves = (2.0 * index).round();
        let snapped = if (2.0 * index - halves).abs() < 2e-6 {
            halves / 2.0
        } else {
            index
        };
        Self {
            whole: snapped.floor() as i64,
            fraction: snapped - snapped.floor(),
        }
    }
}

/// The Lanczos kernel with four lobes, `sinc(x) sinc(x/4)` at `x = -3 - f, ..., 4 - f`, divided by the sum.
///
/// Up to a constant it is `sin(pi x) sin(pi x/4) / x^2`, where the first sine is `sin(pi f)` with alternating sign and
/// the second one a turn by eighths: two sines for eight weights.
fn lanczos(f: f64) -> [f64; MOST_TAPS] {
    let mut weights = [0.0; MOST_TAPS];
    if f == 0.0 {
        weights[3] = 1.0;
        return weights;
    }
    let (sin, cos) = (PI * f / 4.0).sin_cos();
    // sin(pi (k - f)/4) for k = -3, ..., 4, of which sin(pi k/4) and cos(pi k/4) are 0, 1 or r, with a sign.
    let r = FRAC_1_SQRT_2;
    let turned = [
        r * (sin - cos),
        -cos,
        -r * (sin + cos),
        -sin,
        r * (cos - sin),
        cos,
        r * (cos + sin),
        sin,
    ];
    for (i, (weight, turned)) in weights.iter_mut().zip(turned).enumerate() {
        let x = i as f64 - 3.0 - f;
        // sin(pi x) = +-sin(pi f) by the parity of k; the common factor leaves with the sum.
        let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
        *weight = sign * turned / (x * x);
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|w| w / sum)
}

/// Cubic convolution with `a = -1/2` (Keys, IEEE Trans. ASSP 1981), nil from 2 on.
pub fn keys_cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        1.0 + x * x * (1.5 * x - 2.5)
    } else if x < 2.0 {
        2.0 + x * (-4.0 + x * (2.5 - 0.5 * x))
    } else {
        0.0
    }
}

/// The eight weights of one phase of a whole-number enlargement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhaseWeights {
    /// The LR index of the first weight, relative to the LR voxel that holds the HR voxel: -4 or -3.
    pub first: isize,
    /// The weights of eight LR voxels in a row; they sum to one.
    pub weights: [f64; 8],
}

/// The weights of Lanczos-4 for a whole-number scale: HR voxel `scale * j + phase` is the sum over `t` of
/// `weights[t] * lr[j + first + t]`, indices beyond the ends of the line clamped to them. The numbers are those
/// of [`resize`](super::resize) with [`Interpolation::Lanczos4`].
///
/// # Shapes
/// One entry a phase, `scale` in all.
///
/// # Panics
/// When the scale is 0.
pub fn lanczos_weights(scale: usize) -> Vec<PhaseWeights> {
    assert!(scale > 0, "a scale of 0 has no phases");
    (0..scale)
        .map(|phase| {
            let LineWeights { first, weights, .. } =
                Interpolation::Lanczos4.weights(Position::field_of_view(phase, 1, scale));
            PhaseWeights {
                first: first as isize,
                weights,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMOOTH: [Interpolation; 3] = [
        Interpolation::Trilinear,
        Interpolation::Lanczos4,
        Interpolation::CubicBSpline,
    ];

    #[test]
    fn weights_sum_to_one_and_mirror() {
        for method in SMOOTH {
            for i in 1..20 {
                let f = f64::from(i) / 20.0;
                let w = method.weights(Position {
                    whole: 0,
                    fraction: f,
                });
                let sum: f64 = w.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-14, "{method:?} {f}: {sum}");
                let mut back = method
                    .weights(Position {
                        whole: 0,
                        fraction: 1.0 - f,
                    })
                    .weights[..w.count]
                    .to_vec();
                back.reverse();
                assert!(
                    back.iter().zip(w.weights).all(|(a, b)| (a - b).abs() < 1e-14),
                    "{method:?} {f}"
                );
            }
        }
    }

    #[test]
    fn phases_of_scale_two_lie_a_quarter_voxel_beside_the_centre() {
        assert_eq!(
            Position::field_of_view(0, 1, 2),
            Position {
                whole: -1,
                fraction: 0.75
            }
        );
        assert_eq!(
            Position::field_of_view(1, 1, 2),
            Position {
                whole: 0,
                fraction: 0.25
            }
        );
        let phases = lanczos_weights(2);
        assert_eq!([phases[0].first, phases[1].first], [-4, -3]);
        let sinc = |x: f64| (PI * x).sin() / (PI * x);
        let kernel: Vec<f64> = (-3..=4)
            .map(|k| f64::from(k) - 0.25)
            .map(|x| sinc(x) * sinc(x / 4.0))
            .collect();
        let sum: f64 = kernel.iter().sum();
        for (got, expected) in phases[1].weights.iter().zip(&kernel) {
            assert!((got - expected / sum).abs() < 1e-15, "{got} {}", expected / sum);
        }
        assert!((phases[0].weights[4] - phases[1].weights[3]).abs() < 1e-15);
    }

    #[test]
    fn the_middle_phase_of_an_odd_scale_is_the_voxel_itself() {
        let middle = lanczos_weights(3)[1];
        assert_eq!(
            middle,
            PhaseWeights {
                first: -3,
                weights: [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
            }
        );
    }

    #[test]
    fn positions_snap_to_centres_and_midpoints() {
        assert_eq!(
            Position::at(2.999_999_9),
            Position {
                whole: 3,
                fraction: 0.0
            }
        );
        assert_eq!(
            Position::at(-0.500_000_1),
            Position {
                whole: -1,
                fraction: 0.5
            }
        );
        assert_eq!(
            Position::at(1.25),
            Position {
                whole: 1,
                fraction: 0.25
            }
        );
    }

    #[test]
    fn keys_cubic_is_one_at_zero_and_smooth_at_one() {
        assert_eq!(
            [keys_cubic(0.0), keys_cubic(1.0), keys_cubic(-2.0)],
            [1.0, 0.0, 0.0]
        );
        assert_eq!(keys_cubic(0.5), 0.5625);
        assert_eq!(keys_cubic(1.5), -0.0625);
    }
}
