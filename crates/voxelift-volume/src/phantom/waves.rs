//! Smooth random fields: sums of plane waves of random direction, with exact gradients.

use crate::random::Stream;
use std::f64::consts::PI;

/// A random field of unit variance whose wavelengths lie within a fifth of one value.
pub(super) struct Waves(Vec<Four>);

/// Four waves `cos(2 pi (k . p + phase))`, `k` in cycles a millimetre, side by side for the vector units.
#[derive(Default)]
struct Four {
    k: [[f64; 4]; 3],
    phase: [f64; 4],
}

impl Waves {
    /// `4 fours` waves of about `wavelength_mm`.
    pub(super) fn new(stream: &mut Stream, fours: usize, wavelength_mm: f64) -> Self {
        let mut four = || {
            let mut four = Four::default();
            for lane in 0..4 {
                let frequency = stream.between(0.8, 1.2) / wavelength_mm;
                let direction = stream.direction();
                for (k, d) in four.k.iter_mut().zip(direction) {
                    k[lane] = frequency * d;
                }
                four.phase[lane] = stream.uniform();
            }
            four
        };
        Self((0..fours).map(|_| four()).collect())
    }

    /// The field at `p` (mm).
    pub(super) fn at(&self, p: [f64; 3]) -> f64 {
        let mut sum = [0.0; 4];
        for four in &self.0 {
            for (lane, sum) in sum.iter_mut().enumerate() {
                *sum += sin_cos_turns(four.turns(lane, p)).1;
            }
        }
        sum.iter().sum::<f64>() * self.amplitude()
    }

    /// The field at `p` (mm) and its gradient (per mm).
    pub(super) fn with_gradient(&self, p: [f64; 3]) -> (f64, [f64; 3]) {
        let (mut value, mut slope) = ([0.0; 4], [[0.0; 4]; 3]);
        for four in &self.0 {
            for lane in 0..4 {
                let (sin, cos) = sin_cos_turns(four.turns(lane, p));
                value[lane] += cos;
                for (slope, k) in slope.iter_mut().zip(&four.k) {
                    slope[lane] -= k[lane] * sin;
                }
            }
        }
        let amplitude = self.amplitude();
        let gradient = slope.map(|s| 2.0 * PI * amplitude * s.iter().sum::<f64>());
        (value.iter().sum::<f64>() * amplitude, gradient)
    }

    fn amplitude(&self) -> f64 {
        (0.5 / self.0.len() as f64).sqrt()
    }
}

impl Four {
    fn turns(&self, lane: usize, p: [f64; 3]) -> f64 {
        self.k[0][lane] * p[0] + self.k[1][lane] * p[1] + self.k[2][lane] * p[2] + self.phase[lane]
    }
}

/// Sine and cosine of `turns` full circles, to 2e-5.
///
/// Series on a half circle instead of the system's functions: several times faster in the inner loop, and the
/// same bits on every platform, so that a seed names one head everywhere.
fn sin_cos_turns(turns: f64) -> (f64, f64) {
    // Adding and subtracting 1.5 * 2^52 rounds to the nearest whole number without a library call.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = PI * (turns - ((turns + ROUND) - ROUND));
    let q = x * x;
    let sin = x * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * (1.0 - q / 72.0))));
    let cos = 1.0 - q / 2.0 * (1.0 - q / 12.0 * (1.0 - q / 30.0 * (1.0 - q / 56.0 * (1.0 - q / 90.0))));
    (2.0 * sin * cos, 1.0 - 2.0 * sin * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_agree_with_the_library() {
        for i in -500..500 {
            let turns = i as f64 * 0.0137;
            let (sin, cos) = sin_cos_turns(turns);
            let (s, c) = (2.0 * PI * turns).sin_cos();
            assert!(
                (sin - s).abs() < 2e-5 && (cos - c).abs() < 2e-5,
                "{turns}: {sin} {s}, {cos} {c}"
            );
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_field() {
        let waves = Waves::new(&mut Stream::new(3, 0), 3, 9.0);
        let p = [3.1, -2.2, 7.9];
        let (value, gradient) = waves.with_gradient(p);
        assert!((value - waves.at(p)).abs() < 1e-12);
        for axis in 0..3 {
            let step = |h: f64| {
                let mut q = p;
                q[axis] += h;
                waves.at(q)
            };
            let numeric = (step(1e-3) - step(-1e-3)) / 2e-3;
            assert!(
                (gradient[axis] - numeric).abs() < 1e-3,
                "axis {axis}: {} {numeric}",
                gradient[axis]
            );
        }
    }
}
