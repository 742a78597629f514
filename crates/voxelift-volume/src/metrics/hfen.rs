//! HFEN, the high-frequency error norm: `||LoG * x - LoG * r|| / ||LoG * r||`.
//!
//! LoG is the Laplacian of a Gaussian, sigma 1.5 voxels on 15x15x15, the sum over the axes of a Gaussian's second
//! derivative along one and the Gaussian along the others; beyond the faces the images are mirrored (half-sample).
//! The masked norm filters the whole volume and sums over the mask.
//!
//! Source: Ravishankar, Bresler, IEEE TMI 2011, there with slices and a kernel made to sum to zero; here as
//! `scipy.ndimage.gaussian_laplace(v, 1.5, radius=7)`, which it is checked against.
//!
//! Limits: sharp noise and missing detail count alike, and 1 is the score of a flat image.

use rayon::prelude::*;

use super::protocol::{Pair, Regions};
use super::window;
use crate::volume::Volume;

const SIGMA: f64 = 1.5;
const RADIUS: usize = 7;
const TAPS: usize = 2 * RADIUS + 1;

/// HFEN over the whole volume and over the mask; infinite when the reference is flat there.
pub fn hfen(pair: &Pair) -> Regions<f64> {
    let error: Vec<f32> = pair
        .image()
        .data()
        .iter()
        .zip(pair.reference().data())
        .map(|(x, r)| x - r)
        .collect();
    let error = energy(
        &Volume::new(error, pair.reference().geometry().clone()),
        pair.mask().data(),
    );
    let reference = energy(pair.reference(), pair.mask().data());
    Regions {
        whole: (error.whole / reference.whole).sqrt(),
        masked: (error.masked / reference.masked).sqrt(),
    }
}

/// The sum of squares of a volume's Laplacian of a Gaussian, plane by plane.
fn energy(volume: &Volume, mask: &[bool]) -> Regions<f64> {
    let [nx, ny, nz] = volume.extent();
    let plane = nx * ny;
    let (smooth, bend) = taps();
    let sums: Vec<Regions<f64>> = (0..nz)
        .into_par_iter()
        .map_init(
            || Planes::new(nx, ny),
            |planes, z| {
                planes.sum_over_z(volume, z, &smooth, &bend);
                let mut sums = Regions::default();
                for y in 0..ny {
                    planes.sum_over_y(y, &smooth, &bend);
                    let inside = &mask[z * plane + y * nx..][..nx];
                    for (x, &inside) in inside.iter().enumerate() {
                        let square = planes.laplacian(x, &smooth, &bend).powi(2);
                        sums.whole += square;
                        sums.masked += if inside { square } else { 0.0 };
                    }
                }
                sums
            },
        )
        .collect();
    Regions {
        whole: sums.iter().map(|s| s.whole).sum(),
        masked: sums.iter().map(|s| s.masked).sum(),
    }
}

/// A Gaussian, summing to one, and its second derivative.
fn taps() -> ([f64; TAPS], [f64; TAPS]) {
    let place = |i: usize| i as f64 - RADIUS as f64;
    let weight = |i: usize| (-0.5 * (place(i) / SIGMA).powi(2)).exp();
    let total: f64 = (0..TAPS).map(weight).sum();
    let smooth: [f64; TAPS] = std::array::from_fn(|i| weight(i) / total);
    let variance = SIGMA * SIGMA;
    let bend = std::array::from_fn(|i| smooth[i] * (place(i).powi(2) / variance - 1.0) / variance);
    (smooth, bend)
}

/// Index `i - RADIUS` of a line of `n`, mirrored at its ends.
fn mirrored(i: usize, n: usize) -> usize {
    window::mirrored(i as isize - RADIUS as isize, n)
}

/// The buffers of one worker: a plane smoothed or bent along z, and one row of it treated along y. What is bent along one
/// axis is smoothed along the others, so the two kinds that are bent already or not yet are stored side by side.
struct Planes {
    nx: usize,
    ny: usize,
    smooth: Vec<f64>,
    bent: Vec<f64>,
    /// The row with [`RADIUS`] mirrored values at both ends.
    smooth_row: Vec<f64>,
    bent_row: Vec<f64>,
}

impl Planes {
    fn new(nx: usize, ny: usize) -> Self {
        let (plane, row) = (vec![0.0; nx * ny], vec![0.0; nx + 2 * RADIUS]);
        Self {
            nx,
            ny,
            smooth: plane.clone(),
            bent: plane,
            smooth_row: row.clone(),
            bent_row: row,
        }
    }

    fn sum_over_z(&mut self, volume: &Volume, z: usize, smooth: &[f64; TAPS], bend: &[f64; TAPS]) {
        let plane = self.nx * self.ny;
        self.smooth.fill(0.0);
        self.bent.fill(0.0);
        for i in 0..TAPS {
            let from = mirrored(z + i, volume.extent()[2]) * plane;
            let sums = self.smooth.iter_mut().zip(&mut self.bent);
            for ((smoothed, bent), &v) in sums.zip(&volume.data()[from..from + plane]) {
                *smoothed += smooth[i] * f64::from(v);
                *bent += bend[i] * f64::from(v);
            }
        }
    }

    fn sum_over_y(&mut self, y: usize, smooth: &[f64; TAPS], bend: &[f64; TAPS]) {
        let nx = self.nx;
        self.smooth_row.fill(0.0);
        self.bent_row.fill(0.0);
        for i in 0..TAPS {
            let from = mirrored(y + i, self.ny) * nx;
            let source = self.smooth[from..from + nx]
                .iter()
                .zip(&self.bent[from..from + nx]);
            let sums = self.smooth_row[RADIUS..]
                .iter_mut()
                .zip(&mut self.bent_row[RADIUS..]);
            for ((smoothed, bent), (&s, &b)) in sums.zip(source) {
                *smoothed += smooth[i] * s;
                *bent += bend[i] * s + smooth[i] * b;
            }
        }
        for row in [&mut self.smooth_row, &mut self.bent_row] {
            for i in (0..RADIUS).chain(RADIUS + nx..nx + 2 * RADIUS) {
                row[i] = row[RADIUS + mirrored(i, nx)];
            }
        }
    }

    fn laplacian(&self, x: usize, smooth: &[f64; TAPS], bend: &[f64; TAPS]) -> f64 {
        let (smooth_row, bent_row) = (&self.smooth_row[x..x + TAPS], &self.bent_row[x..x + TAPS]);
        (0..TAPS)
            .map(|i| bend[i] * smooth_row[i] + smooth[i] * bent_row[i])
            .sum()
    }
}
