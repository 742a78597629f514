//! FSIM: similarity of phase congruency and of gradients, where either image has features.
//!
//! Phase congruency is high where the Fourier components of a neighbourhood agree in phase, at lines and edges
//! whatever their contrast. Four orientations, each with log-Gabor filters of four scales (wavelengths 6, 12, 24, 48
//! pixels), sum to `PC = sum_o max(energy_o - T_o, 0) / sum of amplitudes`, `T_o` being what noise alone would give.
//! With `S = (2 a b + T) / (a^2 + b^2 + T)` for PC (T = 0.85) and for Scharr gradients (T = 160),
//!
//! ```text
//! FSIM = sum S_pc S_g max(PC_r, PC_x) / sum max(PC_r, PC_x)
//! ```
//!
//! Source: Zhang, Zhang, Mou, Zhang, *FSIM: a feature similarity index for image quality assessment*, IEEE TIP 2011;
//! Kovesi's phase congruency, *Videre* 1999. Intensities 0 to 255, slices of 384 pixels and more averaged down
//! first. Checked against PyPI `piq` (`fsim(chromatic=False)`), whose frequency grid for odd sides runs to 1/2
//! inclusively.

use std::f64::consts::{LN_2, PI};

use super::plane::{Plane, similarity};
use crate::kspace::{Complex, PlaneTransform, signed_frequency};

const SCALES: usize = 4;
const ORIENTATIONS: usize = 4;
const FINEST_WAVELENGTH: f64 = 6.0;
/// Width of a log-Gabor filter: the ratio of the Gaussian's sigma to the centre frequency.
const SIGMA_F: f64 = 0.55;
/// Angle between orientations over the sigma of the angular Gaussian.
const DELTA_THETA: f64 = 1.2;
/// The low-pass filter that rounds off the corners of the frequency plane.
const CUTOFF: f64 = 0.45;
const CUTOFF_ORDER: i32 = 15;
/// The noise threshold lies this many standard deviations above the noise's mean energy.
const NOISE_DEVIATIONS: f64 = 2.0;
/// How much that overestimates the noise of this measure (Kovesi).
const NOISE_EXCESS: f64 = 1.7;
const T_CONGRUENCY: f64 = 0.85;
const T_GRADIENT: f64 = 160.0;

/// FSIM of slices of one size.
pub(super) struct Fsim {
    /// How many pixels are averaged to one along each side.
    pooling: usize,
    transform: PlaneTransform,
    orientations: Vec<Orientation>,
}

/// The filters of one orientation, finest scale first, and what white noise becomes under them.
struct Orientation {
    /// Transfer functions, laid out as the transform's spectra.
    filters: [Vec<f64>; SCALES],
    /// Sum of squares of the finest filter's transfer function.
    finest_power: f64,
    /// `2 sum A_i^2 + 4 sum_{i<j} A_i A_j` over the filters' impulse responses.
    noise_gain: f64,
}

impl Fsim {
    /// For slices of `width` times `height` pixels.
    pub fn new(width: usize, height: usize) -> Self {
        let pooling = ((width.min(height) as f64 / 256.0).round_ties_even() as usize).max(1);
        let (width, height) = (width / pooling, height / pooling);
        let transform = PlaneTransform::new(width, height);
        let orientations = (0..ORIENTATIONS)
            .map(|o| Orientation::new(o, width, height, &transform))
            .collect();
        Self {
            pooling,
            transform,
            orientations,
        }
    }

    /// FSIM of a slice with intensities 0 to 255, up to 1 (alike).
    pub fn score(&self, reference: &Plane, image: &Plane) -> f64 {
        let (r, x) = (reference.pooled(self.pooling), image.pooled(self.pooling));
        let (congruency_r, congruency_x) = (self.congruency(&r), self.congruency(&x));
        let gradient = |plane: &Plane| plane.gradient_magnitude(3.0 / 16.0, 10.0 / 16.0).data;
        let gradients = gradient(&r).into_iter().zip(gradient(&x));
        let (mut weighted, mut total) = (0.0, 0.0);
        for ((pr, px), (gr, gx)) in congruency_r.into_iter().zip(congruency_x).zip(gradients) {
            let weight = pr.max(px);
            weighted += similarity(gr, gx, T_GRADIENT) * similarity(pr, px, T_CONGRUENCY) * weight;
            total += weight;
        }
        // Where neither image has a feature there is nothing to tell them apart.
        if total > 0.0 { weighted / total } else { 1.0 }
    }

    fn congruency(&self, plane: &Plane) -> Vec<f64> {
        let spectrum = self
            .transform
            .forward(plane.data.iter().map(|&v| Complex::from(v)).collect());
        let mut energy = vec![f64::EPSILON; plane.data.len()];
        let mut amplitude = energy.clone();
        for orientation in &self.orientations {
            let responses = orientation.filters.each_ref().map(|filter| {
                self.transform
                    .inverse(spectrum.iter().zip(filter).map(|(s, f)| s * f).collect())
            });
            let threshold = orientation.noise_threshold(&responses[0]);
            for (i, (energy, amplitude)) in energy.iter_mut().zip(&mut amplitude).enumerate() {
                let here = responses.each_ref().map(|r| r[i]);
                let sum: Complex<f64> = here.iter().sum();
                // The mean phase of this orientation; each response adds what it has along it, less what across.
                let mean = sum / (magnitude(&sum) + f64::EPSILON);
                let along = |e: &Complex<f64>| {
                    e.re * mean.re + e.im * mean.im - (e.re * mean.im - e.im * mean.re).abs()
                };
                *energy += (here.iter().map(along).sum::<f64>() - threshold).max(0.0);
                *amplitude += here.iter().map(magnitude).sum::<f64>();
            }
        }
        energy.into_iter().zip(amplitude).map(|(e, a)| e / a).collect()
    }
}

impl Orientation {
    fn new(index: usize, width: usize, height: usize, transform: &PlaneTransform) -> Self {
        let angle = index as f64 * PI / ORIENTATIONS as f64;
        let sigma = PI / (ORIENTATIONS as f64 * DELTA_THETA);
        let mut filters = [(); SCALES].map(|()| Vec::with_capacity(width * height));
        for x in 0..width {
            for y in 0..height {
                // The reference implementation's first axis runs along the rows' index.
                let (fy, fx) = (frequency(height, y), frequency(width, x));
                let radius = fy.hypot(fx);
                let theta = (-fx).atan2(fy);
                let (sine, cosine) = (theta - angle).sin_cos();
                let spread = (-0.5 * (sine.atan2(cosine) / sigma).powi(2)).exp();
                let low_pass = 1.0 / (1.0 + (radius / CUTOFF).powi(2 * CUTOFF_ORDER));
                for (scale, filter) in filters.iter_mut().enumerate() {
                    let wavelength = FINEST_WAVELENGTH * f64::from(1 << scale);
                    let distance = (radius * wavelength).ln() / SIGMA_F.ln();
                    let gabor = if radius > 0.0 {
                        (-0.5 * distance * distance).exp()
                    } else {
                        0.0
                    };
                    filter.push(gabor * low_pass * spread);
                }
            }
        }
        let finest_power = filters[0].iter().map(|f| f * f).sum();
        let noise_gain = noise_gain(&filters, transform);
        Self {
            filters,
            finest_power,
            noise_gain,
        }
    }

    /// What the energy of noise alone stays below: its level is read off the median response of the finest filter.
    fn noise_threshold(&self, finest: &[Complex<f64>]) -> f64 {
        let mut power: Vec<f64> = finest.iter().map(Complex::norm_sqr).collect();
        let lower_median = (power.len() - 1) / 2;
        let (_, &mut median, _) = power.select_nth_unstable_by(lower_median, f64::total_cmp);
        let noise_power = median / LN_2 / self.finest_power;
        let rayleigh = (noise_power * self.noise_gain / 2.0).sqrt();
        let mean = rayleigh * (PI / 2.0).sqrt();
        let deviation = ((2.0 - PI / 2.0) * rayleigh * rayleigh).sqrt();
        (mean + NOISE_DEVIATIONS * deviation) / NOISE_EXCESS
    }
}

fn noise_gain(filters: &[Vec<f64>; SCALES], transform: &PlaneTransform) -> f64 {
    let pixels = filters[0].len() as f64;
    let impulse = filters.each_ref().map(|filter| {
        let response = transform.inverse(filter.iter().map(|&f| Complex::from(f)).collect());
        response
            .into_iter()
            .map(|v| v.re * pixels.sqrt())
            .collect::<Vec<f64>>()
    });
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut gain = 0.0;
    for (i, a) in impulse.iter().enumerate() {
        gain += 2.0 * dot(a, a);
        gain += impulse[i + 1..].iter().map(|b| 4.0 * dot(a, b)).sum::<f64>();
    }
    gain
}

/// Without `hypot`'s care for overflow, which costs more than all the rest.
fn magnitude(value: &Complex<f64>) -> f64 {
    value.norm_sqr().sqrt()
}

/// Cycles per pixel of a bin; for odd lengths stretched so that the outermost bins stand at 1/2.
fn frequency(length: usize, bin: usize) -> f64 {
    let span = if length.is_multiple_of(2) {
        length
    } else {
        length.max(2) - 1
    };
    signed_frequency(length, bin) as f64 / span as f64
}
