//! The prefilter of the cubic B-spline: from voxels to the coefficients of the spline through them.

use crate::separable::along_slowest;
use crate::volume::Volume;

/// Coefficients of lines mirrored at their end voxels' centres: one causal and one anticausal recursion.
///
/// Unser, Aldroubi, Eden, *B-spline signal processing*, IEEE Trans. Signal Processing 1993; start values as in
/// Thevenaz, Blu, Unser, *Interpolation revisited*, IEEE TMI 2000, summed exactly.
pub struct Prefilter {
    /// The weight of each voxel in the causal recursion's start value.
    start: Vec<f64>,
}

impl Prefilter {
    /// The recursion's pole, `sqrt(3) - 2`.
    const POLE: f64 = -0.267_949_192_431_122_7;

    /// For lines of `n` voxels.
    pub fn new(n: usize) -> Self {
        let (z, last) = (Self::POLE, n as i32 - 1);
        let period = 1.0 - z.powi(2 * last);
        let weight = |k: i32| match k {
            0 => 1.0 / period,
            k if k == last => z.powi(k) / period,
            // Far from the start both powers vanish beside the first; as denormal numbers they would only cost time.
            k if k > 60 => 0.0,
            k => (z.powi(k) + z.powi(2 * last - k)) / period,
        };
        Self {
            start: (0..=last).map(weight).collect(),
        }
    }

    /// Replaces a line by its coefficients.
    pub fn apply(&self, line: &mut [f64]) {
        let z = Self::POLE;
        let last = line.len() - 1;
        if last == 0 {
            return;
        }
        let mut c: f64 = line
            .iter()
            .zip(&self.start)
            .map(|(value, weight)| value * weight)
            .sum();
        line[0] = c;
        for value in &mut line[1..] {
            c = *value + z * c;
            *value = c;
        }
        c = (z * line[last - 1] + line[last]) * z / (z * z - 1.0);
        // The filter's gain, (1 - z)(1 - 1/z) = 6.
        line[last] = 6.0 * c;
        for value in line[..last].iter_mut().rev() {
            c = z * (c - *value);
            *value = 6.0 * c;
        }
    }
}

/// The volume's spline coefficients along the axes that have a filter; its values along the others.
pub fn coefficients(volume: &Volume, filters: [Option<Prefilter>; 3]) -> Vec<f64> {
    let mut data: Vec<f64> = volume.data().iter().map(|&v| v.into()).collect();
    let mut extent = volume.extent();
    for filter in filters.iter().rev() {
        let n = extent[2];
        data = along_slowest(
            &data,
            extent,
            n,
            || (),
            |(), lines, out| {
                out.copy_from_slice(lines);
                if let Some(filter) = filter {
                    out.chunks_exact_mut(n).for_each(|line| filter.apply(line));
                }
            },
        );
        extent = [n, extent[0], extent[1]];
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spline_passes_through_the_voxels() {
        for n in [1, 2, 3, 7, 150] {
            let line: Vec<f64> = (0..n).map(|i| ((i * i) as f64).sin() * 10.0).collect();
            let mut c = line.clone();
            Prefilter::new(n).apply(&mut c);
            for i in 0..n {
                let mirrored = |j: i64| {
                    let last = n as i64 - 1;
                    let j = if last == 0 { 0 } else { j.rem_euclid(2 * last) };
                    c[j.min(2 * last - j) as usize]
                };
                let i = i as i64;
                let value = (mirrored(i - 1) + 4.0 * mirrored(i) + mirrored(i + 1)) / 6.0;
                assert!((value - line[i as usize]).abs() < 1e-12, "{n} {i}: {value}");
            }
        }
    }
}
