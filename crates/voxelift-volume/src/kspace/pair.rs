//! The spectra of two volumes from one transform.

use rustfft::FftDirection;
use rustfft::num_complex::Complex;

use super::spectrum::transformed;
use crate::volume::Volume;

/// The three-dimensional discrete Fourier transforms of two volumes on one grid, as [`Spectrum`](super::Spectrum)
/// defines them, in half the time and memory of two: one volume is transformed as the other's imaginary part, and
/// the symmetry of real signals separates them again.
pub struct SpectrumPair {
    extent: [usize; 3],
    data: Vec<Complex<f64>>,
}

impl SpectrumPair {
    /// The spectra of two volumes.
    ///
    /// # Panics
    /// When their extents differ.
    pub fn of(first: &Volume, second: &Volume) -> Self {
        let extent = first.extent();
        assert_eq!(
            extent,
            second.extent(),
            "the spectra of two volumes of different size"
        );
        let values = first.data().iter().zip(second.data());
        let values = values
            .map(|(&a, &b)| Complex::new(f64::from(a), f64::from(b)))
            .collect();
        Self {
            extent,
            data: transformed(values, extent, FftDirection::Forward),
        }
    }

    /// Bins along x, y, z.
    pub fn extent(&self) -> [usize; 3] {
        self.extent
    }

    /// Both spectra at one bin, each axis in the order 0, 1, ..., -2, -1.
    pub fn bins(&self, bin: [usize; 3]) -> [Complex<f64>; 2] {
        let [nx, ny, _] = self.extent;
        let at = |[x, y, z]: [usize; 3]| self.data[(z * ny + y) * nx + x];
        let opposite = std::array::from_fn(|a| if bin[a] == 0 { 0 } else { self.extent[a] - bin[a] });
        let (here, there) = (at(bin), at(opposite).conj());
        let (sum, difference) = (here + there, here - there);
        [sum * 0.5, Complex::new(difference.im, -difference.re) * 0.5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kspace::Spectrum;
    use crate::volume::Geometry;

    #[test]
    fn a_pair_holds_the_spectra_of_both() {
        let extent = [6, 5, 4];
        let volume = |step: usize| {
            let data = (0..120).map(|i| ((i * step) % 31) as f32).collect();
            Volume::new(data, Geometry::axis_aligned(extent, [1.0; 3]))
        };
        let (first, second) = (volume(7), volume(11));
        let both = SpectrumPair::of(&first, &second);
        let alone = [Spectrum::of(&first), Spectrum::of(&second)];
        for i in 0..120 {
            let bins = both.bins([i % 6, i / 6 % 5, i / 30]);
            for (bin, alone) in bins.iter().zip(&alone) {
                assert!(
                    (bin - alone.data()[i]).norm() < 1e-9,
                    "bin {i}: {bin} {}",
                    alone.data()[i]
                );
            }
        }
    }
}
