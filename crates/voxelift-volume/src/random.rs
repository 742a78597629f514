//! Layer 0 · Random streams: reproducible draws addressed by a seed and a stream number.
//!
//! ```
//! use voxelift_volume::random::Stream;
//!
//! let noise = Stream::new(7, 0).normal_pair();
//! // The same seed and number draw the same again, another number something else.
//! assert_eq!(Stream::new(7, 0).normal_pair(), noise);
//! assert_ne!(Stream::new(7, 1).normal_pair(), noise);
//! // A subject drawn from a pool of twelve.
//! assert!(Stream::new(7, 2).below(12) < 12);
//! ```

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random draws. The same seed and number give the same draws on every machine, and streams of
/// different numbers are independent: work shared among threads takes one stream a piece, never one together.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Stream `number` of `seed`.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self(rng)
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number below `n`, each as likely as the others to within 2^-53.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "a draw among none");
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    /// Two independent standard normal draws (Box and Muller).
    pub fn normal_pair(&mut self) -> [f64; 2] {
        // 1 - u is in (0, 1]: its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        [radius * cos, radius * sin]
    }

    /// A direction, uniform on the unit sphere.
    pub fn direction(&mut self) -> [f64; 3] {
        let z = self.between(-1.0, 1.0);
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        let r = (1.0 - z * z).sqrt();
        [r * cos, r * sin, z]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_addressed_by_seed_and_number() {
        let draw = |seed, number| Stream::new(seed, number).uniform();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut stream = Stream::new(7, 0);
        let draws: Vec<f64> = (0..50_000).flat_map(|_| stream.normal_pair()).collect();
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n;
        let kurtosis = draws.iter().map(|d| (d - mean).powi(4)).sum::<f64>() / n / variance.powi(2);
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
        assert!((kurtosis - 3.0).abs() < 0.1, "{kurtosis}");
    }
}
