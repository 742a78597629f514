//! How a scanner or a script reduces a volume to fewer voxels, axis by axis.

use crate::error::{Result, VolumeError};
use crate::kspace;
use crate::resample;
use crate::volume::Volume;
use std::fmt;
use std::str::FromStr;

/// Full width at half maximum of a Gaussian over its sigma, `2 sqrt(2 ln 2)`.
pub(super) const FWHM_PER_SIGMA: f64 = 2.354_820_045_030_949;

/// A linear operator from a fine line of voxels to a coarse one over the same field of view.
///
/// An axis that keeps its extent is left as it is by every operator. Written as text in configurations, on the
/// command line and in a model's card: `kspace`, `window:0.9,0.2`, `cubic`, `gaussian:0.5`, `box`,
/// `slice:gaussian,1.2`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operator {
    /// Only the central frequencies are acquired: hard truncation.
    KSpace,
    /// Truncation with a soft or an earlier edge: full below `cutoff - edge/2`, nothing above `cutoff + edge/2`,
    /// a raised cosine between.
    Window {
        /// Where the window is a half, in units of the coarse grid's Nyquist frequency.
        cutoff: f64,
        /// The width of its flank, in the same units; 0 is a hard edge.
        edge: f64,
    },
    /// Antialiased cubic convolution.
    Cubic,
    /// A Gaussian blur, then cubic sampling.
    Gaussian {
        /// Standard deviation in coarse voxels.
        sigma: f64,
    },
    /// The mean over each coarse voxel.
    Box,
    /// Slices of one thickness at the coarse voxels' centres: below 1 they leave a gap, above 1 they overlap.
    Slice {
        /// The sensitivity across a slice.
        profile: Profile,
        /// Slice thickness (for a Gaussian its full width at half maximum) in coarse voxels.
        thickness: f64,
    },
}

/// The sensitivity across an excited slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// Even within the thickness.
    Box,
    /// A Gaussian.
    Gaussian,
}

impl Operator {
    /// The Gaussian that `gaussian` alone means: half a coarse voxel, 1.18 voxels at half maximum.
    pub const GAUSSIAN: Self = Self::Gaussian { sigma: 0.5 };

    /// The operator with its parameter times `factor`; truncation gets an earlier edge where `factor` is below 1, and what
    /// has no parameter stays.
    pub fn varied(self, factor: f64) -> Self {
        match self {
            Self::KSpace if factor < 1.0 => Self::Window {
                cutoff: factor,
                edge: 0.0,
            },
            Self::Window { cutoff, edge } => Self::Window {
                cutoff: (cutoff * factor).min(1.0),
                edge,
            },
            Self::Gaussian { sigma } => Self::Gaussian {
                sigma: sigma * factor,
            },
            Self::Slice { profile, thickness } => Self::Slice {
                profile,
                thickness: thickness * factor,
            },
            Self::KSpace | Self::Cubic | Self::Box => self,
        }
    }

    /// Degrades the volume to `extent` along the axes whose extent shrinks.
    ///
    /// # Panics
    /// Unless `1 <= extent <= volume.extent()` on each axis.
    pub(super) fn down(&self, volume: &Volume, extent: [usize; 3]) -> Volume {
        match *self {
            Self::KSpace => kspace::truncate(volume, extent),
            Self::Window { cutoff, edge } => {
                let shrinks: [bool; 3] = std::array::from_fn(|a| extent[a] < volume.extent()[a]);
                // Frequencies above the new Nyquist are gone after truncation, so the order does not matter and
                // the small grid is the cheap one.
                let window = |axis: usize, f: f64| {
                    if shrinks[axis] {
                        flank(f / 0.5, cutoff, edge)
                    } else {
                        1.0
                    }
                };
                kspace::filter(&kspace::truncate(volume, extent), window)
            }
            Self::Cubic => resample::cubic_down(volume, extent),
            Self::Gaussian { sigma } => resample::gaussian_down(volume, extent, sigma),
            Self::Box => resample::box_down(volume, extent),
            Self::Slice {
                profile: Profile::Gaussian,
                thickness,
            } => resample::gaussian_down(volume, extent, thickness / FWHM_PER_SIGMA),
            Self::Slice {
                profile: Profile::Box,
                thickness,
            } => resample::slab_down(volume, extent, thickness),
        }
    }

    pub(super) fn check(self) -> Result<Self> {
        let within = |name: &'static str, value: f64, low: f64, high: f64| {
            // Written so that NaN is refused as well.
            if value >= low && value <= high {
                return Ok(());
            }
            let expected = format!("expected {low} to {high} in \"{self}\"");
            Err(VolumeError::argument(name, value, expected))
        };
        match self {
            Self::KSpace | Self::Cubic | Self::Box => {}
            Self::Window { cutoff, edge } => {
                within("cutoff", cutoff, 0.1, 2.0)?;
                within("edge", edge, 0.0, 2.0)?;
            }
            Self::Gaussian { sigma } => within("sigma", sigma, 0.0, 4.0)?,
            Self::Slice { thickness, .. } => within("thickness", thickness, 0.05, 8.0)?,
        }
        Ok(self)
    }
}

/// 1 below `cutoff - edge/2`, 0 above `cutoff + edge/2`, half a cosine between.
pub(super) fn flank(u: f64, cutoff: f64, edge: f64) -> f64 {
    if edge == 0.0 {
        return if u <= cutoff { 1.0 } else { 0.0 };
    }
    let t = ((u - cutoff) / edge + 0.5).clamp(0.0, 1.0);
    0.5 * (1.0 + (std::f64::consts::PI * t).cos())
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KSpace => write!(f, "kspace"),
            Self::Window { cutoff, edge } => write!(f, "window:{cutoff},{edge}"),
            Self::Cubic => write!(f, "cubic"),
            Self::Gaussian { sigma } => write!(f, "gaussian:{sigma}"),
            Self::Box => write!(f, "box"),
            Self::Slice {
                profile: Profile::Box,
                thickness,
            } => write!(f, "slice:box,{thickness}"),
            Self::Slice {
                profile: Profile::Gaussian,
                thickness,
            } => write!(f, "slice:gaussian,{thickness}"),
        }
    }
}

impl FromStr for Operator {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let expected = "expected kspace, window:CUTOFF,EDGE, cubic, gaussian:SIGMA, box, slice:box,THICKNESS or \
                            slice:gaussian,THICKNESS";
            VolumeError::argument("operator", text, expected)
        };
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        let (name, rest) = text
            .trim()
            .split_once(':')
            .map_or((text.trim(), None), |(n, r)| (n, Some(r)));
        let pair = rest.and_then(|r| r.split_once(','));
        let operator = match (name, rest, pair) {
            ("kspace", None, _) => Self::KSpace,
            ("cubic", None, _) => Self::Cubic,
            ("box", None, _) => Self::Box,
            ("gaussian", None, _) => Self::GAUSSIAN,
            ("gaussian", Some(sigma), None) => Self::Gaussian {
                sigma: number(sigma)?,
            },
            ("window", _, Some((cutoff, edge))) => Self::Window {
                cutoff: number(cutoff)?,
                edge: number(edge)?,
            },
            ("slice", _, Some((profile, thickness))) => {
                let profile = match profile.trim() {
                    "box" => Profile::Box,
                    "gaussian" => Profile::Gaussian,
                    _ => return Err(wrong()),
                };
                Self::Slice {
                    profile,
                    thickness: number(thickness)?,
                }
            }
            _ => return Err(wrong()),
        };
        operator.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_operator_are_the_same_thing() {
        for text in [
            "kspace",
            "window:0.9,0.2",
            "cubic",
            "gaussian:0.7",
            "box",
            "slice:box,0.8",
            "slice:gaussian,1.2",
        ] {
            assert_eq!(text.parse::<Operator>().unwrap().to_string(), text);
        }
        assert_eq!("gaussian".parse::<Operator>().unwrap(), Operator::GAUSSIAN);
        for wrong in [
            "",
            "sinc",
            "kspace:1",
            "window:0.9",
            "gaussian:",
            "gaussian:-1",
            "gaussian:nan",
            "slice:hat,1",
        ] {
            let error = wrong.parse::<Operator>().unwrap_err().to_string();
            assert!(error.contains("expected"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_window_is_half_at_its_cutoff() {
        assert_eq!([0.5, 0.8, 1.1].map(|u| flank(u, 0.8, 0.0)), [1.0, 1.0, 0.0]);
        let soft = [0.69, 0.8, 0.91].map(|u| flank(u, 0.8, 0.2));
        assert_eq!((soft[0], soft[2]), (1.0, 0.0));
        assert!((soft[1] - 0.5).abs() < 1e-12, "{soft:?}");
    }
}
