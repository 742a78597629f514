//! The methods that need no training, which every table stands on.

use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::default_mask;
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Result, Volume, kspace};

/// A method that needs no training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Zeros around the measured k-space: the floor to beat on k-space-truncated scans.
    ZeroFill,
    /// By a kernel.
    Interpolated(Interpolation),
    /// One of these, then the Gaussian that brings it nearest to the truth, scan by scan: what smoothing could do at best, which
    /// nobody without the truth can choose.
    Smoothed(Unsmoothed),
}

/// What may be smoothed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsmoothed {
    /// See [`Floor::ZeroFill`].
    ZeroFill,
    /// Cubic B-spline.
    Cubic,
    /// Straight lines.
    Trilinear,
}

/// The floors of every table, the one to beat first.
pub const FLOORS: [Floor; 4] = [
    Floor::ZeroFill,
    Floor::Interpolated(Interpolation::Lanczos4),
    Floor::Interpolated(Interpolation::CubicBSpline),
    Floor::Interpolated(Interpolation::Trilinear),
];

/// Those that a study adds with `smoothed_floors = true`.
pub const SMOOTHED: [Floor; 3] = [
    Floor::Smoothed(Unsmoothed::ZeroFill),
    Floor::Smoothed(Unsmoothed::Cubic),
    Floor::Smoothed(Unsmoothed::Trilinear),
];

/// Standard deviations that are looked through, in voxels of the truth: none to this many.
const MOST: f64 = 1.6;
/// Halvings of that range by the golden ratio: to a hundredth of a voxel.
const SECTIONS: usize = 11;

impl Floor {
    /// As it is called in the tables, and but for the smoothed ones as `upscale --method` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroFill => "zero-fill",
            Self::Interpolated(Interpolation::Lanczos4) => "lanczos",
            Self::Interpolated(Interpolation::CubicBSpline) => "cubic",
            Self::Interpolated(Interpolation::Trilinear) => "trilinear",
            Self::Interpolated(Interpolation::Nearest) => "nearest",
            Self::Smoothed(Unsmoothed::ZeroFill) => "zero-fill-smoothed",
            Self::Smoothed(Unsmoothed::Cubic) => "cubic-smoothed",
            Self::Smoothed(Unsmoothed::Trilinear) => "trilinear-smoothed",
        }
    }

    /// The finer volume; only the smoothed floors look at the truth.
    ///
    /// # Errors
    /// When the truth has no contrast.
    pub fn apply(self, lr: &Volume, extent: [usize; 3], truth: &Volume) -> Result<Volume> {
        Ok(match self {
            Self::ZeroFill => kspace::zero_fill(lr, extent),
            Self::Interpolated(method) => resize(lr, extent, method),
            Self::Smoothed(of) => {
                let of = match of {
                    Unsmoothed::ZeroFill => Self::ZeroFill,
                    Unsmoothed::Cubic => Self::Interpolated(Interpolation::CubicBSpline),
                    Unsmoothed::Trilinear => Self::Interpolated(Interpolation::Trilinear),
                };
                best_smoothed(&of.apply(lr, extent, truth)?, truth)?
            }
        })
    }
}

/// The image under the Gaussian that leaves the least squared error in the truth's mask.
fn best_smoothed(image: &Volume, truth: &Volume) -> Result<Volume> {
    let (mask, _) = default_mask(truth)?;
    let error = |sigma: f64| squared_error(&smoothed(image, sigma), truth, &mask);
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.0, MOST);
    let mut inner = [high - ratio * (high - low), low + ratio * (high - low)];
    let mut errors = inner.map(error);
    for _ in 0..SECTIONS {
        if errors[0] <= errors[1] {
            high = inner[1];
            inner = [high - ratio * (high - low), inner[0]];
            errors = [error(inner[0]), errors[0]];
        } else {
            low = inner[0];
            inner = [inner[1], low + ratio * (high - low)];
            errors = [errors[1], error(inner[1])];
        }
    }
    let best = smoothed(image, (low + high) / 2.0);
    // No smoothing at all lies on the edge of the range.
    let better = squared_error(&best, truth, &mask) < squared_error(image, truth, &mask);
    Ok(if better { best } else { image.clone() })
}

/// Under a Gaussian of standard deviation `sigma` in voxels: `exp(-2 (pi sigma f)^2)` of each frequency f.
fn smoothed(image: &Volume, sigma: f64) -> Volume {
    kspace::filter(image, |_, f| {
        (-2.0 * (std::f64::consts::PI * sigma * f).powi(2)).exp()
    })
}

fn squared_error(image: &Volume, truth: &Volume, mask: &Mask) -> f64 {
    // Upscaling may have added voxels at the high end.
    let image = image.crop([0; 3], truth.extent());
    let voxels = image.data().iter().zip(truth.data()).zip(mask.data());
    voxels
        .filter(|(_, inside)| **inside)
        .map(|((a, b), _)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::degrade::Degradation;
    use voxelift_volume::phantom::{PhantomConfig, head};

    #[test]
    fn smoothing_is_chosen_by_the_truth() {
        let truth = head(&PhantomConfig {
            seed: 1,
            extent: [40, 44, 38],
            spacing_mm: [4.0; 3],
        })
        .expect("a phantom");
        let blurred = smoothed(&truth, 0.8);
        let back = best_smoothed(&truth, &blurred).expect("contrast");
        let off = |a: &Volume, b: &Volume| {
            let differences = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs());
            differences.fold(0.0, f32::max) / b.data().iter().copied().fold(0.0, f32::max)
        };
        assert!(off(&back, &blurred) < 0.01, "{}", off(&back, &blurred));
        assert_eq!(best_smoothed(&truth, &truth).expect("contrast"), truth);

        let error = |noise: f64, floor: Floor| {
            let degradation = Degradation {
                noise,
                ..Degradation::default()
            };
            let lr = degradation.apply(&truth, 3).expect("an LR scan");
            let image = floor.apply(&lr, truth.extent(), &truth).expect("an image");
            squared_error(&image, &truth, &default_mask(&truth).expect("contrast").0)
        };
        let gain =
            |noise| error(noise, Floor::ZeroFill) / error(noise, Floor::Smoothed(Unsmoothed::ZeroFill));
        assert!(
            gain(0.1) > 1.05 && gain(0.0) < 1.02,
            "{} {}",
            gain(0.1),
            gain(0.0)
        );
    }
}
