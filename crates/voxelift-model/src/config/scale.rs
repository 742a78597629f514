//! The scale as it is written in a configuration.

use serde::{Deserialize, Serialize};
use voxelift_volume::Scale;

/// `scale = 2` or `scale = [2, 2, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ScaleConfig {
    /// The same factor on each axis.
    One(usize),
    /// Factors along x, y, z.
    Each([usize; 3]),
}

/// What a user may write for a scale.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a whole factor of 1 to 8, or one for each axis as [1, 1, 4]"
)]
enum GivenScale {
    One(f64),
    Each([f64; 3]),
    /// As on the command line.
    Text(String),
}

impl<'de> Deserialize<'de> for ScaleConfig {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = |given: &dyn std::fmt::Display| {
            serde::de::Error::custom(format!(
                "scale = {given}: expected a whole factor of 1 to 8, or one for each axis as [1, 1, 4]"
            ))
        };
        let whole = |factor: f64| {
            let fits = (0.0..=1000.0).contains(&factor) && factor.fract() == 0.0;
            fits.then_some(factor as usize)
        };
        match GivenScale::deserialize(from)? {
            GivenScale::One(factor) => whole(factor).map(Self::One).ok_or_else(|| wrong(&factor)),
            GivenScale::Each(factors) => {
                let [x, y, z] = factors.map(whole);
                let each = x.zip(y).zip(z).map(|((x, y), z)| Self::Each([x, y, z]));
                each.ok_or_else(|| wrong(&format!("{factors:?}")))
            }
            GivenScale::Text(text) => match Scale::parse(&text) {
                Ok(Scale([x, y, z])) if x == y && y == z => Ok(Self::One(x)),
                Ok(Scale(factors)) => Ok(Self::Each(factors)),
                Err(_) => Err(wrong(&format!("{text:?}"))),
            },
        }
    }
}

impl ScaleConfig {
    /// The factors along x, y, z.
    pub fn scale(self) -> Scale {
        match self {
            Self::One(factor) => Scale::isotropic(factor),
            Self::Each(factors) => Scale(factors),
        }
    }
}
