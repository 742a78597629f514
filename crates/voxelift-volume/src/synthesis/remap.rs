//! Other intensities for a real scan.

use crate::error::Result;
use crate::intensity::foreground_peak;
use crate::random::Stream;
use crate::volume::Volume;

/// Knots at 0, 1/6, ... 1 and beyond, in units of the foreground's 99.5th percentile.
const KNOTS: usize = 8;
const STEP: f64 = 1.0 / 6.0;

/// A function of intensity, straight between random knots; nothing stays nothing, and what is brighter than the last knot
/// goes on as there.
#[derive(Clone, Debug, PartialEq)]
pub struct Remap {
    knots: [f64; KNOTS],
    rises: bool,
}

impl Remap {
    /// Brighter stays brighter.
    pub fn monotone(stream: &mut Stream) -> Self {
        let steps: [f64; KNOTS - 1] = std::array::from_fn(|_| stream.between(0.1, 1.0).powi(2));
        let sum: f64 = steps.iter().sum();
        let mut knots = [0.0; KNOTS];
        for k in 1..KNOTS {
            knots[k] = knots[k - 1] + steps[k - 1] / sum;
        }
        Self { knots, rises: true }
    }

    /// Any tissue may become the brightest: another contrast.
    pub fn any(stream: &mut Stream) -> Self {
        let mut knots = std::array::from_fn(|_| stream.between(0.05, 1.0));
        knots[0] = 0.0;
        Self { knots, rises: false }
    }

    /// The scan with other intensities, in its own units.
    ///
    /// # Errors
    /// When it has no foreground.
    pub fn apply(&self, scan: Volume) -> Result<Volume> {
        let peak = f64::from(foreground_peak(&scan)?);
        Ok(scan.map(|v| (self.at(f64::from(v) / peak) * peak) as f32))
    }

    fn at(&self, value: f64) -> f64 {
        // Ringing is negative in places: it goes on as just above zero.
        let place = value / STEP;
        let last = KNOTS - 1;
        let k = place.max(0.0).floor().min((last - 1) as f64) as usize;
        let slope = self.knots[k + 1] - self.knots[k];
        if place > last as f64 && !self.rises {
            return self.knots[last];
        }
        self.knots[k] + (place - k as f64) * slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monotone_map_rises_and_any_other_may_fall() {
        let falls = |remap: &Remap| {
            (0..200).any(|i| remap.at(0.01 * f64::from(i) + 0.01) < remap.at(0.01 * f64::from(i)))
        };
        let drawn = |i| Stream::new(4, i);
        assert!((0..50).all(|i| !falls(&Remap::monotone(&mut drawn(i)))));
        assert!((0..50).filter(|i| falls(&Remap::any(&mut drawn(*i)))).count() > 45);
        for i in 0..50 {
            assert_eq!(Remap::any(&mut drawn(i)).at(0.0), 0.0);
            assert_eq!(Remap::monotone(&mut drawn(i)).at(0.0), 0.0);
        }
    }

    #[test]
    fn knots_are_met() {
        let remap = Remap::any(&mut Stream::new(1, 1));
        for (k, value) in remap.knots.iter().enumerate() {
            assert!((remap.at(k as f64 * STEP) - value).abs() < 1e-12);
        }
        assert_eq!(remap.at(5.0), remap.knots[KNOTS - 1]);
    }
}
