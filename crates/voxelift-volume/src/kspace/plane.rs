//! Transforms of single planes, for those who treat a volume slice by slice.

use std::sync::Arc;

use rustfft::{Fft, FftPlanner, num_complex::Complex};

/// The two-dimensional discrete Fourier transform of planes of one size. Planned once, then used on any thread.
pub struct PlaneTransform {
    width: usize,
    height: usize,
    /// Forward and inverse, along rows and along columns.
    rows: [Arc<dyn Fft<f64>>; 2],
    columns: [Arc<dyn Fft<f64>>; 2],
}

impl PlaneTransform {
    /// For planes of `width` times `height` values.
    pub fn new(width: usize, height: usize) -> Self {
        let mut planner = FftPlanner::new();
        let mut both = |n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        Self {
            width,
            height,
            rows: both(width),
            columns: both(height),
        }
    }

    /// The unnormalised spectrum of a plane.
    ///
    /// # Shapes
    /// The plane is `[height][width]`, its spectrum the other way round, `[width][height]`, which saves turning it
    /// back.
    pub fn forward(&self, mut plane: Vec<Complex<f64>>) -> Vec<Complex<f64>> {
        self.rows[0].process(&mut plane);
        let mut turned = transposed(&plane, self.width);
        self.columns[0].process(&mut turned);
        turned
    }

    /// The plane of a spectrum: the inverse of [`PlaneTransform::forward`], shapes included.
    pub fn inverse(&self, mut spectrum: Vec<Complex<f64>>) -> Vec<Complex<f64>> {
        self.columns[1].process(&mut spectrum);
        let mut plane = transposed(&spectrum, self.height);
        self.rows[1].process(&mut plane);
        let share = 1.0 / (self.width * self.height) as f64;
        plane.iter_mut().for_each(|v| *v *= share);
        plane
    }
}

/// Rows become columns; in square blocks, so that neither side strides through the cache.
fn transposed(plane: &[Complex<f64>], width: usize) -> Vec<Complex<f64>> {
    const BLOCK: usize = 16;
    let height = plane.len() / width;
    let mut turned = vec![Complex::default(); plane.len()];
    for y0 in (0..height).step_by(BLOCK) {
        for x0 in (0..width).step_by(BLOCK) {
            for y in y0..height.min(y0 + BLOCK) {
                for x in x0..width.min(x0 + BLOCK) {
                    turned[x * height + y] = plane[y * width + x];
                }
            }
        }
    }
    turned
}
