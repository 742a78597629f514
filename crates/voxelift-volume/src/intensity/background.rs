//! Where a scan's intensities begin: the level of the background that they stand on.

use super::statistics::{most_frequent, otsu, percentile, range, sample};
use crate::error::{Result, VolumeError};
use crate::volume::Volume;

/// The share of the voxels from which one exact value counts as what a mask left.
const MASKED_SHARE: f64 = 0.2;
/// A level up to here (of what lies between it and the peak) is taken for 0: ringing and rounding.
const NO_LEVEL: f64 = 0.03;
/// What spreads further than this is no background: half of air with Rician noise of 15 % lies within it.
const WIDEST: f64 = 0.15;
/// A positive level is an offset where the values spread less than this, and less than a third of the level itself; the noise of
/// air in a magnitude image spreads as far as its own level lies above 0.
const NARROW: f64 = 0.05;
/// Values this far below the background cannot be ringing.
const DEEP: f64 = 0.2;
/// More than this share of the voxels that are not background lie there in phase maps, real parts and differences.
const DEEP_SHARE: f64 = 0.05;

/// The share of the voxels from which the least or the greatest value may be a fill value.
const FILL_SHARE: f64 = 0.002;
/// A fill value above the others lies this many times as far from them as they spread.
const FILL_ABOVE: f64 = 8.0;
/// One below others that begin at 0 or above lies this many times as far below 0 as they reach above it; where they have air of their
/// own at 0, this share of what they spread is enough.
const FILL_BELOW: f64 = 2.0;
const FILL_BELOW_AIR: f64 = 0.5;
/// Air: so much of the voxels in the lowest tenth of what they spread.
const AIR_SHARE: f64 = 0.2;
/// Values that begin no further from 0 than this share of what they spread begin at 0.
const AT_ZERO: f64 = 0.05;

/// The background of a scan.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Background {
    /// Its value.
    level: f32,
    /// How far half of it spreads; 0 where it has one exact value.
    width: f64,
}

impl Background {
    /// What a mask left, else the middle of the shortest interval that holds half of all voxels, where that is narrow beside `peak`
    /// and dark, else half of the voxels up to Otsu's threshold; none for a volume of one value.
    fn of(volume: &Volume, peak: f64) -> Option<Self> {
        let threshold = otsu(volume.data())?;
        if let Some(level) = masked_value(volume.data()).filter(|level| *level <= threshold) {
            return Some(Self { level, width: 0.0 });
        }
        let mut values = sample(volume.data());
        values.sort_unstable_by(f32::total_cmp);
        let all = Self::shortest_half(&values)?;
        // Half of a real part may be darker than its air, which lies at 0 all the same.
        let at_zero = f64::from(all.level).abs() <= NO_LEVEL * peak;
        if (all.level <= threshold || at_zero) && all.width <= WIDEST * (peak - f64::from(all.level)) {
            return Some(all);
        }
        let dark = values.partition_point(|v| *v <= threshold);
        Self::shortest_half(&values[..dark])
    }

    /// The median of the shortest interval that holds half of the values, which are in order.
    fn shortest_half(values: &[f32]) -> Option<Self> {
        let half = values.len().div_ceil(2);
        let width = |first: usize| f64::from(values[first + half - 1]) - f64::from(values[first]);
        let starts = 0..values.len().checked_sub(half)? + usize::from(half > 0);
        let first = starts.min_by(|&a, &b| width(a).total_cmp(&width(b)))?;
        Some(Self {
            level: values[first + half / 2],
            width: width(first),
        })
    }
}

/// The value that at least a fifth of the voxels have exactly: 0 where 0 is one such, else the most frequent.
pub(super) fn masked_value(data: &[f32]) -> Option<f32> {
    let masked = |value: f32| {
        let count = data.iter().filter(|v| **v == value).count();
        count as f64 >= MASKED_SHARE * data.len() as f64
    };
    if masked(0.0) {
        return Some(0.0);
    }
    most_frequent(&mut sample(data)).filter(|value| masked(*value))
}

/// A value that tools set where nothing was measured, in words: many voxels hold it exactly, and all others lie far from it.
pub fn fill_value(volume: &Volume) -> Option<String> {
    let data = volume.data();
    let [least, most] = range(data);
    // 0 is what a mask leaves.
    let ends = [(least, "below"), (most, "above")];
    let ends = ends
        .into_iter()
        .filter(|(end, side)| *end != 0.0 && (*side == "above" || *end < 0.0));
    ends.into_iter().find_map(|(end, side)| {
        let held = data.iter().filter(|v| **v == end).count();
        if (held as f64) < FILL_SHARE * data.len() as f64 {
            return None;
        }
        let mut rest: Vec<f32> = data.iter().copied().filter(|v| *v != end).collect();
        let low = percentile(&mut rest, 0.5)?;
        let high = percentile(&mut rest, 99.5)?;
        let spread = high - low;
        let end = f64::from(end);
        let air = || {
            let dark = rest
                .iter()
                .filter(|v| f64::from(**v) <= low + 0.1 * spread)
                .count();
            low.abs() <= AT_ZERO * spread && dark as f64 >= AIR_SHARE * rest.len() as f64
        };
        let found = match side {
            _ if spread <= 0.0 => false,
            "above" => end - high > FILL_ABOVE * spread,
            _ => {
                let far = low >= -AT_ZERO * spread && -end > FILL_BELOW * high;
                far || (low - end > FILL_BELOW_AIR * spread && air())
            }
        };
        found.then(|| {
            let share = 100.0 * held as f64 / data.len() as f64;
            format!("{share:.1} % of the voxels hold exactly {end}, far {side} all others ({low} to {high})")
        })
    })
}

/// The value that stands for "no signal": 0, or the background's level where that is an offset: of a z-scored scan, a shifted one,
/// CT-like air at -1000.
///
/// # Errors
/// For values that run far below their background, or below 0 without one: a phase map, a real part, a difference, a scan
/// normalised within a mask. Nothing says where their signal begins. For a fill value too, which is no level of the scan's.
pub(super) fn zero(volume: &Volume, peak: f64) -> Result<f32> {
    if let Some(value) = fill_value(volume) {
        let expected =
            "no fill value where nothing was measured; set these voxels to the level of the scan's air first";
        return Err(VolumeError::content("intensities", value, expected));
    }
    let background = Background::of(volume, peak);
    let zero = background.map_or(0.0, |Background { level, width }| {
        let span = peak - f64::from(level);
        let off = f64::from(level).abs() > NO_LEVEL * span;
        let narrow = width < NARROW * span && width < f64::from(level) / 3.0;
        let offset = off && width <= WIDEST * span && (level < 0.0 || narrow);
        if offset { level } else { 0.0 }
    });
    let span = peak - f64::from(zero);
    if span <= 0.0 {
        return Ok(zero);
    }
    let limit = f64::from(zero) - DEEP * span;
    let level = background.map_or(0.0, |background| background.level);
    let others = volume.data().iter().filter(|v| **v != level);
    let (deep, count) = others.fold((0_usize, 0_usize), |(deep, count), v| {
        (deep + usize::from(f64::from(*v) < limit), count + 1)
    });
    if deep as f64 > DEEP_SHARE * count as f64 {
        let least = volume.data().iter().copied().fold(f32::INFINITY, f32::min);
        let value = format!(
            "{:.0} % of the voxels lie far below the background ({zero}), down to {least}",
            100.0 * deep as f64 / count as f64
        );
        let expected = "a magnitude image, in which nothing is darker than air: no phase, real or difference image, and none \
                        normalised within a mask; shift the values within the mask above the background first";
        return Err(VolumeError::content("intensities", value, expected));
    }
    Ok(zero)
}
