//! The transfer function of an operator along one axis.

use std::f64::consts::TAU;

use super::operator::{FWHM_PER_SIGMA, Operator, Profile, flank};
use crate::resample::{Taps, cubic_taps, gaussian_taps, slab_taps};

/// What an operator does to a wave along one axis: `h(f) = sum_d w(d) cos(2 pi f d)` for weights `w` at distances `d`
/// from the centre of a coarse voxel, far from the ends of the line.
///
/// Where the fine voxels are no whole number of times the coarse ones, the weights depend on where a coarse voxel lies
/// between fine ones; `h` is then the mean over all its places, and the operator differs from a blur and a sampling by
/// what the places differ ([`Transfer::is_exact`]).
#[derive(Clone, Debug)]
pub struct Transfer {
    response: Response,
    exact: bool,
}

#[derive(Clone, Debug)]
enum Response {
    /// A window on k-space: half at `cutoff`, flanks `edge` wide, in units of the coarse grid's Nyquist frequency,
    /// `nyquist` in cycles per fine voxel; nothing from that frequency on.
    Window { cutoff: f64, edge: f64, nyquist: f64 },
    /// Distances in fine voxels, and weights that sum to one.
    Weights(Vec<(f64, f64)>),
}

/// The longest operator reaches sixteen coarse voxels (a Gaussian of sigma 4, cut at four sigma); two more for the
/// cubic that samples it, and two to spare.
const REACH: usize = 20;

impl Transfer {
    /// Of `operator` from lines of `fine` to lines of `coarse` voxels.
    ///
    /// # Panics
    /// Unless `1 <= coarse <= fine`.
    pub fn new(operator: Operator, fine: usize, coarse: usize) -> Self {
        assert!(
            1 <= coarse && coarse <= fine,
            "no operator brings {fine} voxels to {coarse}"
        );
        let divisor = gcd(fine, coarse);
        let (p, q) = (fine / divisor, coarse / divisor);
        let window = |cutoff, edge| Self {
            response: Response::Window {
                cutoff,
                edge,
                nyquist: 0.5 * coarse as f64 / fine as f64,
            },
            exact: true,
        };
        let weights = |taps: &dyn Fn(usize, usize) -> Taps| {
            // A line of the same ratio, so long that the coarse voxels in its middle see no end of it.
            let before = REACH.div_ceil(q);
            let lines = 2 * before + 1;
            let taps = taps(p * lines, q * lines);
            let mut weights = Vec::new();
            for row in before * q..(before + 1) * q {
                let centre = (row as f64 + 0.5) * p as f64 / q as f64 - 0.5;
                let near = taps
                    .run(row)
                    .zip(taps.row(row))
                    .filter(|(_, weight)| **weight != 0.0);
                weights.extend(near.map(|(i, weight)| (i as f64 - centre, weight / q as f64)));
            }
            Self {
                response: Response::Weights(weights),
                exact: q == 1,
            }
        };
        match operator {
            Operator::KSpace => window(1.0, 0.0),
            Operator::Window { cutoff, edge } => window(cutoff, edge),
            Operator::Cubic => weights(&cubic_taps),
            Operator::Gaussian { sigma } => weights(&|n, m| gaussian_taps(n, m, sigma)),
            Operator::Box => weights(&|n, m| slab_taps(n, m, 1.0)),
            Operator::Slice {
                profile: Profile::Gaussian,
                thickness,
            } => weights(&|n, m| gaussian_taps(n, m, thickness / FWHM_PER_SIGMA)),
            Operator::Slice {
                profile: Profile::Box,
                thickness,
            } => weights(&|n, m| slab_taps(n, m, thickness)),
        }
    }

    /// The factor of a wave.
    ///
    /// # Units
    /// `cycles` per fine voxel, 0 to 1/2.
    pub fn at(&self, cycles: f64) -> f64 {
        match &self.response {
            Response::Window {
                cutoff,
                edge,
                nyquist,
            } => {
                // The unpaired frequency, and all beyond, are not acquired.
                let share = cycles / nyquist;
                if share < 1.0 - 1e-9 {
                    flank(share, *cutoff, *edge)
                } else {
                    0.0
                }
            }
            Response::Weights(weights) => weights
                .iter()
                .map(|(distance, weight)| weight * (TAU * cycles * distance).cos())
                .sum(),
        }
    }

    /// Whether the operator is nothing but this blur and a sampling, away from the ends of lines.
    pub fn is_exact(&self) -> bool {
        self.exact
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn a_box_and_a_gaussian_are_what_they_should_be() {
        let boxed = Transfer::new(Operator::Box, 40, 10);
        assert!(boxed.is_exact());
        for f in [0.05, 0.125, 0.31] {
            let dirichlet = (4.0 * PI * f).sin() / (4.0 * (PI * f).sin());
            assert!((boxed.at(f) - dirichlet).abs() < 1e-12, "{f}: {}", boxed.at(f));
        }
        // Odd factors sample the blurred line at its voxels: the cubic leaves it alone.
        let blurred = Transfer::new(Operator::Gaussian { sigma: 0.6 }, 30, 10);
        for f in [0.05_f64, 0.1, 0.2] {
            let gaussian = (-2.0 * (PI * f * 1.8).powi(2)).exp();
            assert!((blurred.at(f) - gaussian).abs() < 1e-3, "{f}: {}", blurred.at(f));
        }
    }

    #[test]
    fn every_operator_keeps_the_mean_and_says_where_it_is_no_convolution() {
        for text in [
            "kspace",
            "window:0.8,0.2",
            "cubic",
            "gaussian:4",
            "box",
            "slice:box,0.5",
            "slice:gaussian,8",
        ] {
            let operator: Operator = text.parse().unwrap();
            for (fine, coarse) in [(64, 32), (65, 33), (60, 40), (7, 7), (5, 1)] {
                let transfer = Transfer::new(operator, fine, coarse);
                assert!((transfer.at(0.0) - 1.0).abs() < 1e-9, "{text} {fine} {coarse}");
                let convolves = fine % coarse == 0 || text.starts_with('k') || text.starts_with('w');
                assert_eq!(transfer.is_exact(), convolves, "{text} {fine} {coarse}");
            }
        }
        let kspace = Transfer::new(Operator::KSpace, 16, 8);
        assert_eq!([3.0, 4.0, 5.0].map(|k| kspace.at(k / 16.0)), [1.0, 0.0, 0.0]);
    }
}
