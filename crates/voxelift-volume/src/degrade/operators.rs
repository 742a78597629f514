//! One operator per axis.

use super::operator::Operator;
use crate::error::{Result, VolumeError};
use crate::volume::Volume;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One operator per axis x, y, z.
///
/// Written as one operator for all axes, or three: `kspace/kspace/slice:box,0.8` or a list of three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Operators(pub [Operator; 3]);

impl Operators {
    /// The same operator along each axis.
    pub const fn isotropic(operator: Operator) -> Self {
        Self([operator; 3])
    }

    /// Whether every axis is plainly truncated in k-space.
    pub fn is_kspace(&self) -> bool {
        self.0 == [Operator::KSpace; 3]
    }

    /// Degrades a volume to `extent` voxels over the same field of view.
    ///
    /// # Panics
    /// Unless `1 <= extent <= volume.extent()` on each axis.
    pub fn apply(&self, volume: &Volume, extent: [usize; 3]) -> Volume {
        let mut done = None;
        for axis in 0..3 {
            let operator = self.0[axis];
            if self.0[..axis].contains(&operator) {
                continue;
            }
            // All axes of one operator at once: the others keep their extent, which leaves them alone.
            let now: &Volume = done.as_ref().unwrap_or(volume);
            let to = std::array::from_fn(|a| {
                if self.0[a] == operator {
                    extent[a]
                } else {
                    now.extent()[a]
                }
            });
            done = Some(operator.down(now, to));
        }
        done.expect("the first axis always has an operator of its own")
    }

    /// Refuses parameters outside their ranges.
    ///
    /// # Errors
    /// Naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.0.iter().try_for_each(|o| o.check().map(|_| ()))
    }
}

impl From<Operator> for Operators {
    fn from(operator: Operator) -> Self {
        Self::isotropic(operator)
    }
}

impl fmt::Display for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.0;
        if x == y && y == z {
            write!(f, "{x}")
        } else {
            write!(f, "{x}/{y}/{z}")
        }
    }
}

impl FromStr for Operators {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self> {
        let axes: Vec<Operator> = text.split('/').map(str::parse).collect::<Result<_>>()?;
        match axes[..] {
            [all] => Ok(Self([all; 3])),
            [x, y, z] => Ok(Self([x, y, z])),
            _ => Err(VolumeError::argument(
                "operator",
                text,
                "expected one operator, or three as x/y/z",
            )),
        }
    }
}

/// The form that stands in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an operator's name, as \"kspace\", or a list of three for x, y, z"
)]
enum Written {
    One(String),
    Three([String; 3]),
}

impl TryFrom<Written> for Operators {
    type Error = VolumeError;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::One(text) => text.parse(),
            Written::Three([x, y, z]) => Ok(Self([x.parse()?, y.parse()?, z.parse()?])),
        }
    }
}

impl From<Operators> for Written {
    fn from(operators: Operators) -> Self {
        let [x, y, z] = operators.0;
        if x == y && y == z {
            Self::One(x.to_string())
        } else {
            Self::Three(operators.0.map(|o| o.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operator_or_three() {
        for text in ["cubic", "kspace/kspace/box"] {
            assert_eq!(text.parse::<Operators>().unwrap().to_string(), text);
        }
        assert_eq!("box/box/box".parse::<Operators>().unwrap(), Operator::Box.into());
        assert!("kspace/box".parse::<Operators>().is_err());
    }
}
