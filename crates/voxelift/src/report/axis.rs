//! The numbers along the side of a chart.

/// A side of a chart with round ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    step: f64,
}

impl Axis {
    /// From the least to the greatest of the values, with room where they are the same.
    pub fn over(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| {
            [l.min(v), h.max(v)]
        });
        let room = if high - low > 1e-12 * high.abs().max(low.abs()) {
            0.0
        } else {
            low.abs().max(1.0) * 0.05
        };
        let (low, high) = (low - room, high + room);
        Self {
            low,
            high,
            step: step(high - low, ticks),
        }
    }

    /// Longer at both ends, to its next ticks.
    pub fn to_ticks(self) -> Self {
        Self {
            low: (self.low / self.step + 1e-6).floor() * self.step,
            high: (self.high / self.step - 1e-6).ceil() * self.step,
            ..self
        }
    }

    /// How far along it a value lies: 0 at its beginning, 1 at its end.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Its round values.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-6).ceil();
        let last = (self.high / self.step + 1e-6).floor();
        (0..=(last - first).max(0.0) as usize)
            .map(|i| (first + i as f64) * self.step)
            .collect()
    }

    /// A tick with as many digits as neighbours need to differ.
    pub fn label(&self, tick: f64) -> String {
        let power = (self.step.log10() + 1e-9).floor();
        if power < -4.0 {
            return match tick {
                0.0 => "0".to_owned(),
                tick => format!("{tick:.1e}"),
            };
        }
        let digits = (-power).max(0.0) as usize;
        let text = format!("{tick:.digits$}");
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            "0".to_owned()
        } else {
            text.replace('-', "\u{2212}")
        }
    }
}

/// 1, 2 or 5 times a power of ten, for about `count` ticks.
fn step(width: f64, count: usize) -> f64 {
    let rough = width / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|f| f * power >= rough * 0.999)
        .unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(low: f64, high: f64) -> Axis {
        Axis::over([low, high].into_iter(), 5)
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(over(0.0, 10.0).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(over(28.4, 30.1).ticks(), [28.5, 29.0, 29.5, 30.0]);
        let wide = over(28.4, 30.1).to_ticks();
        assert_eq!((wide.low, wide.high, wide.share(29.25)), (28.0, 30.5, 0.5));
    }

    #[test]
    fn no_two_ticks_have_one_label() {
        for high in [1e-7, 0.003, 0.27, 0.31, 0.625, 1.0, 7.0, 99.0, 640.0, 20_000.0] {
            for ticks in 3..9 {
                for low in [0.0, -high / 3.0, high / 2.0] {
                    let axis = Axis::over([low, high].into_iter(), ticks);
                    let labels: Vec<String> = axis.ticks().iter().map(|t| axis.label(*t)).collect();
                    let mut distinct = labels.clone();
                    distinct.dedup();
                    assert_eq!(labels, distinct, "{low} to {high}, {ticks}");
                    assert!(
                        axis.ticks().len() <= ticks + 1,
                        "{low} to {high}, {ticks}: {labels:?}"
                    );
                }
            }
        }
        let fine = over(0.0, 0.31);
        let labels: Vec<String> = fine.ticks().iter().map(|t| fine.label(*t)).collect();
        assert_eq!(labels, ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(over(-1.0, 1.0).label(-0.5), "\u{2212}0.5");
        assert_eq!(over(0.0, 6000.0).label(2000.0), "2000");
    }

    #[test]
    fn one_value_has_an_axis_too() {
        let axis = over(3.0, 3.0);
        assert!(axis.low < 3.0 && axis.high > 3.0 && !axis.ticks().is_empty());
    }
}
