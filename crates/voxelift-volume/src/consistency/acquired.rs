//! What made a scan: stated, or known from what goes with it; never guessed from its spectrum.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::degrade::{Operator, Operators, Profile};
use crate::error::{Result, VolumeError};
use crate::volume::Geometry;

/// Along an axis whose voxels are this many times as long as along the others, a scan was made of slices.
const THICK: f64 = 1.5;

/// Shorter voxels than this (mm) are none of a two-dimensional scan.
const THINNEST_SLICE_MM: f64 = 2.0;

/// Slices of this many times their distance are too thick or too thin to be those of a file; a scan that was resampled holds thicker
/// ones than its voxels.
const CREDIBLE: [f64; 2] = [0.05, 8.0];

/// Thickness and gap are the distance of the slices within this share.
const SAME_DISTANCE: f64 = 0.02;

/// What made a scan, as on the command line: `auto`, one operator, or three as x/y/z, where
/// `slice:PROFILE,MM[,GAP]` is in millimetres.
///
/// A slice profile alone is meant along the axis of the slices, the others being truncated: the axis whose voxels are
/// `MM + GAP` long where a gap is given, else the one with the longest voxels. The other operators are meant along each axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Acquired {
    /// As far as is known.
    #[default]
    Auto,
    /// The same along each axis; for slices, along theirs.
    All(Along),
    /// Along x, y, z.
    Each([Along; 3]),
}

/// What is stated of one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Along {
    /// An operator, in units of the scan's voxels.
    Operator(Operator),
    /// Slices.
    Slices {
        /// Their profile.
        profile: Profile,
        /// Their thickness, of a Gaussian its full width at half maximum.
        thickness_mm: f64,
        /// The gap between them; negative where they overlap.
        gap_mm: Option<f64>,
    },
}

/// What goes with a scan and says how it was made: DICOM attributes, BIDS keys, NIfTI's `dim_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Protocol {
    /// `MRAcquisitionType`.
    pub dimensions: Option<Dimensions>,
    /// `SliceThickness`.
    pub thickness_mm: Option<f64>,
    /// `SpacingBetweenSlices`, from centre to centre.
    pub distance_mm: Option<f64>,
    /// The axis of the slices.
    pub axis: Option<usize>,
}

/// How many dimensions of k-space were acquired together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimensions {
    /// Slices, one after the other.
    Two,
    /// A slab.
    Three,
}

/// What made a scan, and where that is known from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Acquisition {
    /// The operator along each axis.
    pub operators: Operators,
    /// Where the operators are known from, in words.
    pub because: String,
}

impl fmt::Display for Acquisition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.operators, self.because)
    }
}

impl Acquired {
    /// What made a scan on this grid: as stated; else as its protocol says; else `trained`, what the model that is
    /// applied was trained for; else slices where the voxels are long along one axis, as thick as these; else
    /// truncation, which is what scanners do.
    ///
    /// # Errors
    /// When slices are stated that the grid cannot be made of, here or by the protocol.
    pub fn of(
        &self,
        grid: &Geometry,
        protocol: &Protocol,
        trained: Option<Operators>,
    ) -> Result<Acquisition> {
        let spacing = grid.spacing_mm();
        let acquisition = |operators, because: String| Acquisition { operators, because };
        match self {
            Self::Auto => Ok(protocol
                .operators(&spacing)?
                .or_else(|| trained.map(|o| acquisition(o, "what the model was trained for".to_owned())))
                .or_else(|| {
                    let axis = thick_axis(&spacing)?;
                    let because = format!(
                        "voxels of {} mm along {}: slices as thick",
                        rounded(spacing[axis]),
                        NAMES[axis]
                    );
                    Some(acquisition(slices(axis, Profile::Gaussian, 1.0), because))
                })
                .unwrap_or_else(|| {
                    let because = "nothing else is known, and scanners truncate k-space".to_owned();
                    acquisition(Operators::isotropic(Operator::KSpace), because)
                })),
            Self::All(Along::Operator(operator)) => Ok(acquisition(
                Operators::isotropic(*operator),
                "as stated".to_owned(),
            )),
            Self::All(along @ Along::Slices { .. }) => {
                let axis = along.axis(&spacing)?;
                let mut operators = [Operator::KSpace; 3];
                operators[axis] = along.operator(axis, spacing[axis])?;
                let because = format!("as stated, along {}, the axis of the slices", NAMES[axis]);
                Ok(acquisition(Operators(operators), because))
            }
            Self::Each(axes) => {
                let mut operators = [Operator::KSpace; 3];
                for a in 0..3 {
                    operators[a] = axes[a].operator(a, spacing[a])?;
                }
                Ok(acquisition(Operators(operators), "as stated".to_owned()))
            }
        }
    }
}

const NAMES: [&str; 3] = ["x", "y", "z"];

/// Rounded to three decimals.
fn rounded(mm: f64) -> f64 {
    (mm * 1000.0).round() / 1000.0
}

/// Slices along one axis, in units of their distance; the other axes truncated.
fn slices(axis: usize, profile: Profile, thickness: f64) -> Operators {
    let mut operators = [Operator::KSpace; 3];
    operators[axis] = Operator::Slice { profile, thickness };
    Operators(operators)
}

/// The axis along which voxels are much longer than along both others.
fn thick_axis(spacing: &[f64; 3]) -> Option<usize> {
    (0..3).find(|&a| {
        let others = (0..3).filter(|&b| b != a).map(|b| spacing[b]).fold(0.0, f64::max);
        spacing[a] >= THINNEST_SLICE_MM && spacing[a] >= THICK * others
    })
}

impl Along {
    /// The axis of stated slices.
    fn axis(&self, spacing: &[f64; 3]) -> Result<usize> {
        let longest = spacing.iter().copied().fold(0.0, f64::max);
        let distance = match self {
            Self::Slices {
                thickness_mm,
                gap_mm: Some(gap),
                ..
            } => thickness_mm + gap,
            Self::Slices { gap_mm: None, .. } | Self::Operator(_) => longest,
        };
        let near = |a: &usize| (spacing[*a] - distance).abs() <= SAME_DISTANCE * distance;
        let mut axes = (0..3).filter(near);
        match (axes.next(), axes.next()) {
            (Some(axis), None) => Ok(axis),
            (found, _) => {
                let how_many = if found.is_none() { "none is" } else { "several are" };
                let expected = format!(
                    "expected voxels of {} mm along one axis, the distance of the slices, but of {}, {}, {} mm {how_many} that \
                     long; give three operators as x/y/z",
                    rounded(distance),
                    rounded(spacing[0]),
                    rounded(spacing[1]),
                    rounded(spacing[2])
                );
                Err(VolumeError::argument("acquired", self, expected))
            }
        }
    }

    /// The operator along an axis of voxels of `spacing` mm.
    fn operator(&self, axis: usize, spacing: f64) -> Result<Operator> {
        let (profile, thickness_mm) = match *self {
            Self::Operator(operator) => return Ok(operator),
            Self::Slices {
                profile,
                thickness_mm,
                gap_mm,
            } => {
                let distance = thickness_mm + gap_mm.unwrap_or(0.0);
                if gap_mm.is_some() && (distance - spacing).abs() > SAME_DISTANCE * spacing {
                    let expected = format!(
                        "thickness and gap are {} mm, but the slices are {} mm apart along {}",
                        rounded(distance),
                        rounded(spacing),
                        NAMES[axis]
                    );
                    return Err(VolumeError::argument("acquired", self, expected));
                }
                (profile, thickness_mm)
            }
        };
        let operator = Operator::Slice {
            profile,
            thickness: thickness_mm / spacing,
        };
        Operators::isotropic(operator).check().map_err(|_| {
            let expected = format!(
                "expected 0.05 to 8 times the distance of the slices, {} mm along {}",
                rounded(spacing),
                NAMES[axis]
            );
            VolumeError::argument("acquired", self, expected)
        })?;
        Ok(operator)
    }
}

impl Protocol {
    /// Nothing where the protocol says nothing. A thickness alone is that of slices where voxels are long along one axis.
    fn operators(&self, spacing: &[f64; 3]) -> Result<Option<Acquisition>> {
        let of_slices = self
            .thickness_mm
            .and(thick_axis(spacing))
            .map(|_| Dimensions::Two);
        match self.dimensions.or(of_slices) {
            None => Ok(None),
            Some(Dimensions::Three) => Ok(Some(Acquisition {
                operators: Operators::isotropic(Operator::KSpace),
                because: "a three-dimensional acquisition, says its protocol".to_owned(),
            })),
            Some(Dimensions::Two) => {
                let distance = self.distance_mm.or(self.thickness_mm);
                let as_long =
                    |a: &usize| distance.is_some_and(|d| (spacing[*a] - d).abs() <= SAME_DISTANCE * d);
                let axis = self
                    .axis
                    .or_else(|| thick_axis(spacing))
                    .or_else(|| (0..3).rev().find(as_long));
                let Some(axis) = axis else {
                    return Ok(None);
                };
                let thickness = self.thickness_mm.filter(|t| *t > 0.0).unwrap_or(spacing[axis]);
                let share = thickness / spacing[axis];
                if !(CREDIBLE[0]..=CREDIBLE[1]).contains(&share) {
                    return Err(VolumeError::Thickness {
                        thickness_mm: thickness,
                        apart_mm: spacing[axis],
                        credible: CREDIBLE,
                    });
                }
                let because = format!(
                    "slices {} mm thick and {} mm apart along {}, says its protocol",
                    rounded(thickness),
                    rounded(spacing[axis]),
                    NAMES[axis]
                );
                Ok(Some(Acquisition {
                    operators: slices(axis, Profile::Gaussian, share),
                    because,
                }))
            }
        }
    }
}

impl fmt::Display for Along {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(operator) => write!(f, "{operator}"),
            Self::Slices {
                profile,
                thickness_mm,
                gap_mm,
            } => {
                let profile = match profile {
                    Profile::Box => "box",
                    Profile::Gaussian => "gaussian",
                };
                write!(f, "slice:{profile},{thickness_mm}")?;
                gap_mm.map_or(Ok(()), |gap| write!(f, ",{gap}"))
            }
        }
    }
}

impl fmt::Display for Acquired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::All(along) => write!(f, "{along}"),
            Self::Each([x, y, z]) => write!(f, "{x}/{y}/{z}"),
        }
    }
}

impl FromStr for Along {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let expected = "expected auto, or kspace, window:CUTOFF,EDGE, cubic, gaussian:SIGMA, box, slice:gaussian,MM[,GAP] or \
                            slice:box,MM[,GAP], or three of them as x/y/z";
            VolumeError::argument("acquired", text, expected)
        };
        let Some(slices) = text.trim().strip_prefix("slice:") else {
            return text.parse().map(Self::Operator).map_err(|_| wrong());
        };
        let parts: Vec<&str> = slices.split(',').map(str::trim).collect();
        let (profile, lengths) = parts.split_first().ok_or_else(wrong)?;
        let profile = match *profile {
            "gaussian" => Profile::Gaussian,
            "box" => Profile::Box,
            _ => return Err(wrong()),
        };
        let lengths: Vec<f64> = lengths
            .iter()
            .map(|mm| mm.parse().ok().filter(|mm: &f64| mm.is_finite()))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let (thickness_mm, gap_mm) = match lengths[..] {
            [thickness] => (thickness, None),
            [thickness, gap] => (thickness, Some(gap)),
            _ => return Err(wrong()),
        };
        if thickness_mm <= 0.0 || thickness_mm + gap_mm.unwrap_or(0.0) <= 0.0 {
            let expected = "expected a thickness above 0 mm, and more than 0 mm from slice to slice";
            return Err(VolumeError::argument("acquired", text, expected));
        }
        Ok(Self::Slices {
            profile,
            thickness_mm,
            gap_mm,
        })
    }
}

impl FromStr for Acquired {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let axes: Vec<Along> = text.split('/').map(str::parse).collect::<Result<_>>()?;
        match axes[..] {
            [all] => Ok(Self::All(all)),
            [x, y, z] => Ok(Self::Each([x, y, z])),
            _ => Err(VolumeError::argument(
                "acquired",
                text,
                "expected one operator, or three as x/y/z",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(spacing: [f64; 3]) -> Geometry {
        Geometry::axis_aligned([32, 32, 20], spacing)
    }

    fn of(text: &str, spacing: [f64; 3]) -> Result<String> {
        let acquired: Acquired = text.parse()?;
        assert_eq!(acquired.to_string(), text);
        let found = acquired.of(&grid(spacing), &Protocol::default(), None)?;
        Ok(found.operators.to_string())
    }

    #[test]
    fn what_is_stated_is_taken_and_slices_find_their_axis() {
        assert_eq!(of("window:0.9,0.2", [1.0; 3]).unwrap(), "window:0.9,0.2");
        assert_eq!(
            of("slice:gaussian,4", [0.9, 0.9, 5.0]).unwrap(),
            "kspace/kspace/slice:gaussian,0.8"
        );
        assert_eq!(
            of("slice:box,4,1", [5.0, 0.9, 0.9]).unwrap(),
            "slice:box,0.8/kspace/kspace"
        );
        assert_eq!(
            of("kspace/box/slice:box,3", [1.0, 1.0, 2.0]).unwrap(),
            "kspace/box/slice:box,1.5"
        );
        for (text, spacing, words) in [
            ("slice:gaussian,4", [2.0; 3], "several are"),
            ("slice:gaussian,4,1", [0.9, 0.9, 4.0], "none is"),
            (
                "kspace/kspace/slice:box,4,1",
                [1.0, 1.0, 4.0],
                "4 mm apart along z",
            ),
            ("slice:box,90", [1.0, 1.0, 4.0], "0.05 to 8 times"),
        ] {
            let error = of(text, spacing).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        for wrong in [
            "",
            "kspace/box",
            "slice:gaussian",
            "slice:hat,2",
            "slice:box,0",
            "slice:box,2,-3",
            "slice:box,nan",
            "Auto",
        ] {
            let error = wrong.parse::<Acquired>().unwrap_err().to_string();
            assert!(error.starts_with("acquired") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn auto_believes_the_protocol_then_the_model_then_the_voxels() {
        let thick = grid([0.9, 0.9, 4.0]);
        let of = |grid: &Geometry, protocol, trained| {
            let found = Acquired::Auto.of(grid, &protocol, trained).unwrap();
            (found.operators.to_string(), found.because)
        };
        let none = Protocol::default();
        assert_eq!(of(&thick, none, None).0, "kspace/kspace/slice:gaussian,1");
        assert_eq!(of(&grid([2.0; 3]), none, None).0, "kspace");
        // Long voxels of a three-dimensional scan, and voxels too short for slices.
        assert_eq!(of(&grid([0.5, 0.5, 1.2]), none, None).0, "kspace");
        assert_eq!(of(&grid([1.0, 1.0, 1.4]), none, None).0, "kspace");
        let three = Protocol {
            dimensions: Some(Dimensions::Three),
            ..none
        };
        assert_eq!(of(&thick, three, Some(Operator::Box.into())).0, "kspace");
        assert_eq!(of(&thick, none, Some(Operator::Box.into())).0, "box");
        let two = Protocol {
            dimensions: Some(Dimensions::Two),
            thickness_mm: Some(3.0),
            ..none
        };
        let (operators, because) = of(&thick, two, None);
        assert_eq!(operators, "kspace/kspace/slice:gaussian,0.75");
        assert!(because.contains("3 mm thick and 4 mm apart along z"), "{because}");
        // A thickness alone is believed where there are slices, and only there.
        let alone = Protocol {
            dimensions: None,
            ..two
        };
        assert_eq!(of(&thick, alone, None).0, operators);
        assert_eq!(of(&thick, alone, Some(Operator::Box.into())).0, operators);
        assert_eq!(of(&grid([2.0; 3]), alone, None).0, "kspace");
        // One in metres is of no slice of this file.
        for thickness_mm in [Some(0.003), Some(3000.0)] {
            let wrong = Protocol { thickness_mm, ..two };
            let refused = Acquired::Auto.of(&thick, &wrong, None).unwrap_err().to_string();
            assert!(
                refused.contains("0.05 to 8 times") && refused.contains("slices are 4 mm apart"),
                "{refused}"
            );
        }
    }
}
