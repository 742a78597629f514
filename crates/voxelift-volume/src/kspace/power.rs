//! The mean power spectrum of a volume's lines along one axis.

use rayon::prelude::*;
use rustfft::{FftPlanner, num_complex::Complex};

use crate::volume::Volume;

/// The power at each frequency along `axis`, over all lines in that direction, each under a Hann taper.
///
/// White noise of variance `v` has the power `v` in every bin.
///
/// # Shapes
/// `n / 2 + 1` bins; bin `k` is the frequency `k / n`.
///
/// # Units
/// Cycles per voxel; squared intensities.
pub fn mean_power(volume: &Volume, axis: usize) -> Vec<f64> {
    let extent = volume.extent();
    let stride = [1, extent[0], extent[0] * extent[1]];
    let (across, beyond) = ([1, 0, 0][axis], [2, 2, 1][axis]);
    let n = extent[axis];
    let taper: Vec<f64> = (0..n)
        .map(|i| (std::f64::consts::PI * (i as f64 + 0.5) / n as f64).sin().powi(2))
        .collect();
    let transform = FftPlanner::new().plan_fft_forward(n);
    let slab = |j: usize| -> Vec<f64> {
        let mut power = vec![0.0; n];
        let mut line = vec![Complex::default(); n];
        let mut scratch = vec![Complex::default(); transform.get_inplace_scratch_len()];
        for i in (0..extent[across]).step_by(2) {
            // Two real lines as one complex one: the power at k and -k is then that of both.
            let first = i * stride[across] + j * stride[beyond];
            let second = (i + 1 < extent[across]).then_some(first + stride[across]);
            for (x, value) in line.iter_mut().enumerate() {
                let at = |start: usize| taper[x] * f64::from(volume.data()[start + x * stride[axis]]);
                *value = Complex::new(at(first), second.map_or(0.0, at));
            }
            transform.process_with_scratch(&mut line, &mut scratch);
            power
                .iter_mut()
                .zip(&line)
                .for_each(|(sum, bin)| *sum += bin.norm_sqr());
        }
        power
    };
    let slabs: Vec<Vec<f64>> = (0..extent[beyond]).into_par_iter().map(slab).collect();
    let lines = (extent[across] * extent[beyond]) as f64;
    let weight = taper.iter().map(|w| w * w).sum::<f64>() * lines;
    let total = |k: usize| {
        slabs
            .iter()
            .map(|slab| 0.5 * (slab[k] + slab[(n - k) % n]))
            .sum::<f64>()
    };
    (0..=n / 2).map(|k| total(k) / weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::volume::Geometry;

    #[test]
    fn white_noise_has_its_variance_and_a_wave_its_frequency() {
        let geometry = Geometry::axis_aligned([31, 24, 20], [1.0; 3]);
        let mut stream = Stream::new(1, 0);
        let noise = (0..geometry.voxels())
            .map(|_| (0.3 * stream.normal_pair()[0]) as f32)
            .collect();
        let noise = Volume::new(noise, geometry.clone());
        let wave = |axis: usize, cycles: f64| {
            let mut volume = noise.clone();
            for (i, v) in volume.data_mut().iter_mut().enumerate() {
                let at = [i % 31, i / 31 % 24, i / 744][axis] as f64;
                *v += (2.0 * (std::f64::consts::TAU * cycles * at / [31.0, 24.0, 20.0][axis]).cos()) as f32;
            }
            volume
        };
        for axis in 0..3 {
            let power = mean_power(&noise, axis);
            assert_eq!(power.len(), [16, 13, 11][axis]);
            assert!(power.iter().all(|p| (p / 0.09 - 1.0).abs() < 0.35), "{power:?}");
            let power = mean_power(&wave(axis, 6.0), axis);
            let largest = (0..power.len()).max_by(|&a, &b| power[a].total_cmp(&power[b]));
            assert_eq!(largest, Some(6));
            assert!((mean_power(&wave((axis + 1) % 3, 6.0), axis)[6] - 0.09).abs() < 0.04);
        }
    }
}
