//! Layer 2 · Discrete Fourier transform, truncation and zero-filling on the field-of-view grid.
//!
//! Truncation to the central frequencies is what a scanner does that acquires fewer of them, and zero-filling
//! is what it does to show the result on a finer grid. Both keep the field of view (the outer edges of the
//! volume), not the centre of voxel 0: voxel `j` of `m` over a line of `n` lies at index
//! `(n/m)(j + 1/2) - 1/2`, and the half-voxel in it is a phase ramp on the spectrum. Leaving it out moves the
//! picture by half an HR voxel, which costs 5 dB on a head.
//!
//! ```
//! use voxelift_volume::kspace::{truncate, zero_fill};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! // Along an axis of an odd number of voxels, each frequency has its partner.
//! let scan = head(&PhantomConfig { seed: 1, extent: [15; 3], spacing_mm: [10.0; 3] })?;
//! // A finer grid without anything new on it; truncation to the frequencies that were there gives back the scan.
//! let finer = zero_fill(&scan, [30; 3]);
//! let again = truncate(&finer, scan.extent());
//! assert!(again.data().iter().zip(scan.data()).all(|(a, b)| (a - b).abs() < 1e-3));
//! // The field of view is kept, so the first voxel's centre moves by half a fine voxel.
//! assert_eq!(finer.geometry().world([0.5; 3]), scan.geometry().world([0.0; 3]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod line;
mod pair;
mod plane;
mod power;
mod sampling;
mod shells;
mod spectrum;

pub use pair::SpectrumPair;
pub use plane::PlaneTransform;
pub use power::mean_power;
pub use rustfft::num_complex::Complex;
pub use sampling::{AxisSampling, Boundary, Coefficients, Sampling};
pub use shells::{ShellGrid, is_measured};
pub use spectrum::{Spectrum, bin_at, signed_frequency};

use crate::separable::along_slowest;
use crate::volume::Volume;
use line::Line;

/// Keeps the central frequencies of each axis: `volume` as acquired on a coarser grid over the same field of
/// view.
///
/// With `n` voxels in and `m` out along an axis, bin `k` of the spectrum is multiplied by
/// `exp(i pi k (n - m) / (n m))`; for even `m` the unpaired bin `-m/2` is dropped. The mean is kept. The result
/// is the real part, never the magnitude: ringing is negative in places. An axis with `m = n` is untouched,
/// bit for bit.
///
/// # Panics
/// Unless `1 <= m <= n` on each axis.
pub fn truncate(volume: &Volume, extent: [usize; 3]) -> Volume {
    let n = volume.extent();
    assert!(
        (0..3).all(|a| 1 <= extent[a] && extent[a] <= n[a]),
        "cannot truncate {n:?} to {extent:?}"
    );
    let lines = std::array::from_fn(|a| Line::resize(n[a], extent[a]));
    along_axes(volume, &lines)
}

/// Places the spectrum on a finer grid over the same field of view: sinc interpolation, the conjugate of
/// [`truncate`].
///
/// For an even `n` the unpaired bin `-n/2` is halved onto `+-n/2`, each with its own phase, so that the result
/// is real and passes through the values of the line it came from. `truncate(&zero_fill(y, big), small) = y`
/// for every `y` without unpaired bins. An axis with `m = n` is untouched, bit for bit.
///
/// # Panics
/// Unless `m >= n` on each axis.
pub fn zero_fill(volume: &Volume, extent: [usize; 3]) -> Volume {
    let n = volume.extent();
    assert!(
        (0..3).all(|a| extent[a] >= n[a]),
        "cannot zero-fill {n:?} to {extent:?}"
    );
    let lines = std::array::from_fn(|a| Line::resize(n[a], extent[a]));
    along_axes(volume, &lines)
}

/// Multiplies the spectrum by a separable, real and even window: `window(axis, f)` for frequencies `f` of 0 to
/// 1/2, the product over the axes being the transfer function.
///
/// # Units
/// `f` in cycles per voxel of `volume`.
pub fn filter(volume: &Volume, window: impl Fn(usize, f64) -> f64) -> Volume {
    let n = volume.extent();
    let lines = std::array::from_fn(|a| Line::filter(n[a], |f| window(a, f)));
    along_axes(volume, &lines)
}

/// Applies one line operator per axis x, y, z.
fn along_axes(volume: &Volume, [x, y, z]: &[Line; 3]) -> Volume {
    if [x, y, z].iter().all(|line| line.is_identity()) {
        return volume.clone();
    }
    let [nx, ny, _] = volume.extent();
    let data = along_slowest(
        volume.data(),
        volume.extent(),
        z.target(),
        || z.scratch(),
        |s, l, o| z.apply(s, l, o),
    );
    let data = along_slowest(
        &data,
        [z.target(), nx, ny],
        y.target(),
        || y.scratch(),
        |s, l, o| y.apply(s, l, o),
    );
    let turned = [y.target(), z.target(), nx];
    let data: Vec<f64> = along_slowest(
        &data,
        turned,
        x.target(),
        || x.scratch(),
        |s, l, o| x.apply(s, l, o),
    );
    let geometry = volume
        .geometry()
        .with_extent([x.target(), y.target(), z.target()]);
    Volume::new(data.into_iter().map(|v| v as f32).collect(), geometry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    fn texture(extent: [usize; 3]) -> Volume {
        let geometry = Geometry::axis_aligned(extent, [1.0; 3]);
        let data = (0..geometry.voxels())
            .map(|i| ((i * 2_654_435_761) % 1000) as f32 / 1000.0)
            .collect();
        Volume::new(data, geometry)
    }

    #[test]
    fn truncation_and_zero_filling_keep_the_mean_and_the_voxels() {
        let volume = texture([9, 10, 6]);
        let mean = |v: &Volume| v.data().iter().map(|&x| f64::from(x)).sum::<f64>() / v.data().len() as f64;
        for made in [truncate(&volume, [5, 10, 4]), zero_fill(&volume, [12, 15, 7])] {
            assert!(
                (mean(&made) - mean(&volume)).abs() < 1e-7,
                "{} {}",
                mean(&made),
                mean(&volume)
            );
        }
        // An odd factor has the old voxels among the new ones.
        let fine = zero_fill(&volume, [27, 30, 18]);
        for voxel in [[0, 0, 0], [4, 7, 3], [8, 9, 5]] {
            let (new, old) = (fine.at(voxel.map(|i| 3 * i + 1)), volume.at(voxel));
            assert!((new - old).abs() < 1e-6, "{new} {old} at {voxel:?}");
        }
    }

    #[test]
    fn the_spectrum_comes_back_and_filters_as_the_lines_do() {
        let volume = texture([6, 9, 10]);
        let mut spectrum = Spectrum::of(&volume);
        let again = spectrum.clone().into_volume(volume.geometry().clone());
        assert!(
            again
                .data()
                .iter()
                .zip(volume.data())
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );

        let window = |axis: usize, f: f64| (-(axis as f64 + 1.0) * 4.0 * f * f).exp();
        spectrum.scale_by(|f| Complex::from((0..3).map(|a| window(a, f[a].abs())).product::<f64>()));
        let whole = spectrum.into_volume(volume.geometry().clone());
        let lines = filter(&volume, window);
        assert!(
            whole
                .data()
                .iter()
                .zip(lines.data())
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
    }
}
