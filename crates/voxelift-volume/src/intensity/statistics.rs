//! Numbers that describe how a volume's intensities are spread.

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

/// Otsu's threshold: a histogram of 256 bins between the least and the greatest value, cut where the variance
/// between the two classes is greatest. Returned is the greatest value of the lower class, so that the upper class
/// is exactly what lies *above* it (a bin's centre, as elsewhere, would divide that bin). `None` where all values
/// are equal, absent or not finite.
///
/// Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 1979.
pub fn otsu(values: &[f32]) -> Option<f32> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low >= high {
        return None;
    }
    let (low, width) = (f64::from(low), (f64::from(high) - f64::from(low)) / BINS as f64);
    let bin_of = |value: f32| (((f64::from(value) - low) / width) as usize).min(BINS - 1);
    let mut counts = [0_u64; BINS];
    finite().for_each(|value| counts[bin_of(value)] += 1);
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
    finite().filter(|&value| bin_of(value) <= best.1).reduce(f32::max)
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
