//! The whole spectrum of a volume, for those who look at it or change it bin by bin.

use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftPlanner};

use crate::separable::along_slowest;
use crate::volume::{Geometry, Volume};

/// The signed frequency of a transform's bin: 0, 1, ..., then the negative ones; for an even length the
/// unpaired bin is `-length/2`.
///
/// # Units
/// Cycles per line; divide by `length` for cycles per voxel.
pub fn signed_frequency(length: usize, index: usize) -> i64 {
    let positive = index < length.div_ceil(2);
    if positive {
        index as i64
    } else {
        index as i64 - length as i64
    }
}

/// Along x, y, z, the place of a spectrum's `rank`-th bin in memory.
pub fn bin_at(extent: [usize; 3], rank: usize) -> [usize; 3] {
    let [nx, ny, _] = extent;
    [rank % nx, rank / nx % ny, rank / (nx * ny)]
}

/// The three-dimensional discrete Fourier transform of a volume, unnormalised:
/// `X(k) = sum over voxels of v(r) exp(-2 pi i k.r/n)`, with `r` counted from the centre of voxel 0.
///
/// # Shapes
/// As the volume, x fastest; along each axis the bins 0, 1, ..., -2, -1 ([`Spectrum::frequency`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    extent: [usize; 3],
    data: Vec<Complex<f64>>,
}

impl Spectrum {
    /// The spectrum of a volume.
    pub fn of(volume: &Volume) -> Self {
        let extent = volume.extent();
        let values: Vec<Complex<f64>> = volume
            .data()
            .iter()
            .map(|&v| Complex::from(f64::from(v)))
            .collect();
        Self {
            extent,
            data: transformed(values, extent, FftDirection::Forward),
        }
    }

    /// The real part of the inverse transform.
    ///
    /// # Panics
    /// When the grid has another extent.
    pub fn into_volume(self, geometry: Geometry) -> Volume {
        assert_eq!(
            self.extent, geometry.extent,
            "a spectrum of another extent than its grid"
        );
        let share = 1.0 / self.data.len() as f64;
        let data = transformed(self.data, self.extent, FftDirection::Inverse);
        Volume::new(
            data.into_iter().map(|v| (v.re * share) as f32).collect(),
            geometry,
        )
    }

    /// Bins along x, y, z.
    pub fn extent(&self) -> [usize; 3] {
        self.extent
    }

    /// The bins, x fastest.
    pub fn data(&self) -> &[Complex<f64>] {
        &self.data
    }

    /// The bins, to be changed in place. A real volume needs `X(-k)` to be the conjugate of `X(k)`.
    pub fn data_mut(&mut self) -> &mut [Complex<f64>] {
        &mut self.data
    }

    /// The signed frequency of the bin at `index` along `axis`: see [`signed_frequency`].
    pub fn frequency(&self, axis: usize, index: usize) -> i64 {
        signed_frequency(self.extent[axis], index)
    }

    /// The same in cycles per voxel, from -1/2 to below 1/2.
    pub fn cycles_per_voxel(&self, axis: usize, index: usize) -> f64 {
        self.frequency(axis, index) as f64 / self.extent[axis] as f64
    }

    /// Multiplies each bin by `factor` of its frequency along x, y, z, in cycles per voxel.
    pub fn scale_by(&mut self, factor: impl Fn([f64; 3]) -> Complex<f64> + Sync) {
        let [nx, ny, nz] = self.extent;
        let cycles = |n: usize, index: usize| signed_frequency(n, index) as f64 / n as f64;
        self.data.par_chunks_mut(nx).enumerate().for_each(|(row, bins)| {
            let (fy, fz) = (cycles(ny, row % ny), cycles(nz, row / ny));
            for (x, bin) in bins.iter_mut().enumerate() {
                *bin *= factor([cycles(nx, x), fy, fz]);
            }
        });
    }
}

/// The unnormalised transform along all three axes.
pub(super) fn transformed(
    mut data: Vec<Complex<f64>>,
    extent: [usize; 3],
    direction: FftDirection,
) -> Vec<Complex<f64>> {
    let mut planner = FftPlanner::new();
    let mut turned = extent;
    for axis in [2, 1, 0] {
        let fft = planner.plan_fft(extent[axis], direction);
        data = along_slowest(
            &data,
            turned,
            extent[axis],
            || vec![Complex::default(); fft.get_inplace_scratch_len()],
            |scratch, lines, out| {
                out.copy_from_slice(lines);
                fft.process_with_scratch(out, scratch);
            },
        );
        turned = [extent[axis], turned[0], turned[1]];
    }
    data
}
