//! Intensities as greys.

use voxelift_volume::Volume;

/// The intensities shown as black and as white; what lies beyond is clipped in the picture only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Shown as black.
    pub black: f32,
    /// Shown as white.
    pub white: f32,
}

/// Below zero by less than this share of white is ringing, which is shown as black.
const RINGING: f32 = 0.05;

impl Window {
    /// Zero to the 99.8th percentile of what is above zero: bright vessels saturate, tissue keeps its contrast. Where
    /// intensities go well below zero (a scan of mean 0), black is their 0.2nd percentile.
    pub fn of(volume: &Volume) -> Self {
        let finite = || volume.data().iter().copied().filter(|v| v.is_finite());
        let white = percentile(finite().filter(|v| *v > 0.0).collect(), 998);
        let low = percentile(finite().collect(), 2).unwrap_or(0.0);
        let white = white.unwrap_or(if low < 0.0 { 0.0 } else { 1.0 });
        Self {
            black: if low < -RINGING * white { low } else { 0.0 },
            white,
        }
    }

    /// As wide below zero as above it, to the largest magnitudes.
    pub fn around_zero(map: &Volume) -> Self {
        let magnitudes = map.data().iter().map(|v| v.abs());
        let above = magnitudes.filter(|v| v.is_finite() && *v > 0.0).collect();
        let white = percentile(above, 998).unwrap_or(1.0);
        Self { black: -white, white }
    }

    /// From black, 0, to white, 255.
    pub fn grey(self, value: f32) -> u8 {
        let share = (value - self.black) / (self.white - self.black).max(f32::MIN_POSITIVE);
        (share.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}

/// The value that so many thousandths lie below.
fn percentile(mut values: Vec<f32>, thousandths: usize) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let at = (values.len() - 1) * thousandths / 1000;
    let (_, value, _) = values.select_nth_unstable_by(at, f32::total_cmp);
    Some(*value)
}

/// Three digits are enough to read a window.
pub fn short(value: f32) -> String {
    match value.abs() {
        v if v == 0.0 || v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// A round length that fills at most a third of `width`: 1, 2 or 5 times a power of ten.
pub fn bar_mm(width: f64) -> f64 {
    let most = width / 3.0;
    let power = 10f64.powf(most.log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|f| f * power <= most * 1.0001);
    factor.unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Geometry;

    #[test]
    fn a_window_maps_black_and_white_and_clips() {
        let window = Window {
            black: 1.0,
            white: 3.0,
        };
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, 9.0].map(|v| window.grey(v)),
            [0, 0, 128, 255, 255]
        );
    }

    #[test]
    fn a_scan_around_zero_is_not_half_black_and_ringing_is() {
        let ramp = |from: f32, to: f32| {
            let data = (0..1000).map(|i| from + (to - from) * i as f32 / 999.0).collect();
            Window::of(&Volume::new(data, Geometry::axis_aligned([10; 3], [1.0; 3])))
        };
        let scored = ramp(-2.0, 3.0);
        assert!(scored.black < -1.9 && scored.white > 2.9, "{scored:?}");
        assert_eq!(ramp(-0.02, 1.0).black, 0.0);
        let below = ramp(-5.0, -1.0);
        assert!(below.black < -4.9 && below.white == 0.0, "{below:?}");
    }

    #[test]
    fn scale_bars_have_round_lengths() {
        assert_eq!([160.0, 61.0, 29.0, 3.0].map(bar_mm), [50.0, 20.0, 5.0, 1.0]);
    }
}
