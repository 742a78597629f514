//! Numbers that describe how a volume's intensities are spread.

use crate::volume::Volume;

/// A scan holds more values than this, a label map seldom as many.
const FEW: usize = 64;

/// Bins of the histogram behind [`otsu`].
const BINS: usize = 256;

/// The value below which `percent` of the values lie, interpolated linearly between neighbours in order (as
/// NumPy does); `None` without values. The values are reordered. NaN counts as larger than everything.
///
/// # Panics
/// Unless `0 <= percent <= 100`.
pub fn percentile(values: &mut [f32], percent: f64) -> Option<f64> {
    assert!((0.0..=100.0).contains(&percent), "{percent} is no percentage");
    let last = values.len().checked_sub(1)?;
    let rank = percent / 100.0 * last as f64;
    let below = rank.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    Some(f64::from(low) + (f64::from(high) - f64::from(low)) * (rank - below as f64))
}

/// How many different values a volume holds, where they are few and whole, as in a mask or a label map and in no scan.
pub fn label_values(volume: &Volume) -> Option<usize> {
    let mut values: Vec<u32> = Vec::new();
    for value in volume.data() {
        if value.fract() != 0.0 {
            return None;
        }
        if let Err(place) = values.binary_search(&value.to_bits()) {
            if values.len() == FEW {
                return None;
            }
            values.insert(place, value.to_bits());
        }
    }
    // A tiny volume has few voxels to begin with, and a blank one is none.
    (volume.data().len() > 32 * FEW && values.len() > 1).then_some(values.len())
}

/// Otsu's threshold: a histogram of 256 bins between the least and the greatest value (hot voxels aside, see
/// `without_spikes`), cut where the variance between the two classes is greatest. Returned is the greatest value of the lower class, so that the upper class
/// is exactly what lies *above* it (a bin's centre, as elsewhere, would divide that bin). `None` where all values
/// are equal, absent or not finite.
///
/// Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 1979.
pub fn otsu(values: &[f32]) -> Option<f32> {
    let (low, high) = without_spikes(values)?;
    let width = (high - low) / BINS as f64;
    // A cast saturates: what lies below the range falls into the first bin.
    let bin_of = |value: f32| (((f64::from(value) - low) / width) as usize).min(BINS - 1);
    // Of each bin how many values it holds, and the greatest. Neighbours often share a bin, and would wait for one another.
    let mut bins = [[(0_u64, f32::NEG_INFINITY); BINS]; LANES];
    for values in values.chunks(LANES) {
        for (bins, value) in bins.iter_mut().zip(values).filter(|(_, value)| value.is_finite()) {
            let (count, most) = &mut bins[bin_of(*value)];
            *count += 1;
            *most = most.max(*value);
        }
    }
    let counts: [u64; BINS] = std::array::from_fn(|bin| bins.iter().map(|bins| bins[bin].0).sum());
    let centre = |bin: usize| low + (bin as f64 + 0.5) * width;
    let total: f64 = counts.iter().map(|&c| c as f64).sum();
    let sum: f64 = counts
        .iter()
        .enumerate()
        .map(|(bin, &c)| c as f64 * centre(bin))
        .sum();
    let (mut count_below, mut sum_below) = (0.0, 0.0);
    let mut best = (f64::NEG_INFINITY, 0);
    for (bin, &count) in counts[..BINS - 1].iter().enumerate() {
        count_below += count as f64;
        sum_below += count as f64 * centre(bin);
        let count_above = total - count_below;
        let distance = sum_below / count_below - (sum - sum_below) / count_above;
        let between = count_below * count_above * distance * distance;
        if between > best.0 {
            best = (between, bin);
        }
    }
    let below = bins.iter().flat_map(|bins| &bins[..=best.1]);
    let below = below.filter(|(count, _)| *count > 0).map(|(_, most)| *most);
    below.reduce(f32::max)
}

/// Values looked at side by side.
const LANES: usize = 8;

/// The least and the greatest finite value; infinite where there is none.
pub(super) fn range(values: &[f32]) -> [f32; 2] {
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    for values in values.chunks(LANES) {
        for ((low, high), value) in low.iter_mut().zip(&mut high).zip(values) {
            let is_finite = value.is_finite();
            *low = if is_finite && *value < *low { *value } else { *low };
            *high = if is_finite && *value > *high {
                *value
            } else {
                *high
            };
        }
    }
    [
        low.into_iter().fold(f32::INFINITY, f32::min),
        high.into_iter().fold(f32::NEG_INFINITY, f32::max),
    ]
}

/// So many values at most stand for all of them.
const SAMPLE: usize = 1 << 18;

/// Finite values, evenly taken: all of a small volume, some hundred thousand of a large one.
pub(super) fn sample(values: &[f32]) -> Vec<f32> {
    // Odd, so that rows of even length do not give their first voxels only.
    let step = (values.len() / SAMPLE) | 1;
    values
        .iter()
        .copied()
        .step_by(step)
        .filter(|v| v.is_finite())
        .collect()
}

/// The value that occurs most often; of two the smaller. The values are put in order.
pub(super) fn most_frequent(values: &mut [f32]) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let runs = values.chunk_by(|a, b| a == b);
    let longest = runs.fold(None, |best: Option<&[f32]>, run| match best {
        Some(best) if best.len() >= run.len() => Some(best),
        _ => Some(run),
    });
    longest.map(|run| run[0])
}

/// Least and greatest value, without what lies further beyond the middle 99.8 % than four times their width: a hot voxel a
/// hundred times as bright as the head would leave the whole head in one bin. `None` where all values are equal or absent.
fn without_spikes(values: &[f32]) -> Option<(f64, f64)> {
    const SHARE: f64 = 0.1;
    const REACH: f64 = 4.0;
    let [low, high] = range(values);
    if low >= high {
        return None;
    }
    let (low, high) = (f64::from(low), f64::from(high));
    let mut some = sample(values);
    let (Some(p), Some(q)) = (percentile(&mut some, SHARE), percentile(&mut some, 100.0 - SHARE)) else {
        return Some((low, high));
    };
    let reach = REACH * (q - p);
    Some(if reach > 0.0 {
        (low.max(p - reach), high.min(q + reach))
    } else {
        (low, high)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_as_numpy_does() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        for (percent, expected) in [(0.0, 1.0), (50.0, 2.5), (90.0, 3.7), (100.0, 4.0)] {
            let got = percentile(&mut values, percent).unwrap();
            assert!((got - expected).abs() < 1e-12, "{percent}: {got}");
        }
        assert_eq!(percentile(&mut [], 50.0), None);
    }

    #[test]
    fn a_hot_voxel_does_not_move_otsus_threshold() {
        let mut values: Vec<f32> = (0..9000)
            .map(|i| if i % 3 == 0 { 100.0 } else { (i % 7) as f32 })
            .collect();
        assert_eq!(otsu(&values), Some(6.0));
        for spike in [1e4, 1e9, 3e38, -1e5, -3e38] {
            values[4000] = spike;
            assert_eq!(otsu(&values), Some(6.0), "{spike}");
        }
    }

    #[test]
    fn the_most_frequent_value_is_found() {
        assert_eq!(most_frequent(&mut [2.0, 1.0, 2.0, -1.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(most_frequent(&mut [3.0, 1.0]), Some(1.0));
        assert_eq!(most_frequent(&mut []), None);
    }

    #[test]
    fn otsu_separates_two_heaps_and_gives_up_on_one_value() {
        let values: Vec<f32> = (0..100)
            .map(|i| {
                if i < 60 {
                    (i % 7) as f32
                } else {
                    100.0 + (i % 5) as f32
                }
            })
            .collect();
        let threshold = otsu(&values).unwrap();
        assert_eq!(threshold, 6.0);
        assert_eq!(otsu(&[3.0; 10]), None);
        assert_eq!(otsu(&[]), None);
        assert_eq!(otsu(&[f32::NAN, 1.0]), None);
    }
}
