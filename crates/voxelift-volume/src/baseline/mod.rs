//! Layer 4 · The baselines: ways to a finer volume that need no training, which every method has to beat.
//!
//! ```
//! use voxelift_volume::baseline::Baseline;
//! use voxelift_volume::kspace::truncate;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let reference = head(&PhantomConfig { seed: 1, extent: [32; 3], spacing_mm: [5.0; 3] })?;
//! let degraded = truncate(&reference, [16; 3]);
//! let error = |baseline: Baseline| -> f32 {
//!     let image = baseline.apply(&degraded, reference.extent());
//!     image.data().iter().zip(reference.data()).map(|(a, b)| (a - b).powi(2)).sum()
//! };
//! // Where k-space was truncated, zero-filling is the baseline to beat.
//! assert!(Baseline::ALL.into_iter().all(|baseline| error(Baseline::ZeroFill) <= error(baseline)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod smoothed;

use std::fmt;
use std::str::FromStr;

use crate::error::{Result, VolumeError};
use crate::kspace;
use crate::resample::{Interpolation, resize};
use crate::volume::Volume;

/// A method that needs no training. A new one is added here alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Baseline {
    /// Zeros around the measured k-space: the one to beat on k-space-truncated scans.
    ZeroFill,
    /// A sinc windowed to four lobes.
    Lanczos,
    /// Cubic B-spline.
    CubicBSpline,
    /// Straight lines between voxels.
    Trilinear,
}

impl Baseline {
    /// Every baseline in the order of the tables, the one to beat first.
    pub const ALL: [Self; 4] = [Self::ZeroFill, Self::Lanczos, Self::CubicBSpline, Self::Trilinear];

    /// Its name on the command line, in tables and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroFill => "zero-fill",
            Self::Lanczos => "lanczos",
            Self::CubicBSpline => "cubic",
            Self::Trilinear => "trilinear",
        }
    }

    /// What it is, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::ZeroFill => {
                "Zeros around the measured k-space: sinc interpolation, the baseline to beat on truncated scans"
            }
            Self::Lanczos => "A sinc windowed to four lobes",
            Self::CubicBSpline => "Cubic B-spline",
            Self::Trilinear => "Straight lines between voxels",
        }
    }

    /// Whether it takes the scan for the central part of k-space and keeps it as it was measured.
    pub fn keeps_kspace(self) -> bool {
        self == Self::ZeroFill
    }

    /// The volume on a grid of `extent` voxels over the same field of view.
    ///
    /// # Panics
    /// When an extent is 0, or of zero-filling when one is smaller than the volume's.
    pub fn apply(self, volume: &Volume, extent: [usize; 3]) -> Volume {
        match self {
            Self::ZeroFill => kspace::zero_fill(volume, extent),
            Self::Lanczos => resize(volume, extent, Interpolation::Lanczos4),
            Self::CubicBSpline => resize(volume, extent, Interpolation::CubicBSpline),
            Self::Trilinear => resize(volume, extent, Interpolation::Trilinear),
        }
    }

    /// As [`Baseline::apply`], then under the Gaussian that brings it nearest to the reference: what smoothing could do at
    /// best, which cannot be chosen without the reference.
    ///
    /// # Errors
    /// When the reference has no contrast.
    ///
    /// # Panics
    /// As [`Baseline::apply`].
    pub fn apply_smoothed(self, volume: &Volume, extent: [usize; 3], reference: &Volume) -> Result<Volume> {
        smoothed::nearest_to(&self.apply(volume, extent), reference)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Baseline {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|baseline| baseline.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            VolumeError::argument("baseline", text, format!("expected one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_baselines() {
        for baseline in Baseline::ALL {
            assert_eq!(baseline.name().parse::<Baseline>().unwrap(), baseline);
        }
        let error = "sinc".parse::<Baseline>().unwrap_err().to_string();
        assert!(
            error.contains("sinc") && error.contains("zero-fill, lanczos"),
            "{error}"
        );
    }
}
