//! Whether what a scan measured is put back into an image, and what that did.

use std::fmt;

use serde::Serialize;

use super::{Acquisition, Comparison, NoiseLevel, residual};
use crate::error::Result;
use crate::volume::Volume;

/// Whether what a scan measured is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The image stays as it is.
    Off,
    /// What the scan measured comes back as far as its noise allows, see [`soft`](super::soft).
    Soft,
    /// What the scan measured is the scan's own, see [`hard`](super::hard).
    Hard,
}

/// What was done for data consistency, in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// How it was put back.
    pub mode: Mode,
    /// The operator A that made the scan.
    pub operator: String,
    /// `||A(x) - y|| / ||y||` of the image as it came.
    pub residual_before: f64,
    /// The same of the image as it is now.
    pub residual_after: f64,
    /// The scan's noise, where it was taken into account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseLevel>,
    /// The mean weight of what was put back: 1 is hard, 0 leaves the image as it is.
    #[serde(rename = "mean_weight", skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Soft, Self::Hard];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }

    /// The image with what its scan measured put back as asked for, and what that did; nothing when it is off.
    ///
    /// # Errors
    /// When the image does not cover the scan's field of view.
    pub fn apply(
        self,
        image: Volume,
        scan: &Volume,
        acquisition: &Acquisition,
    ) -> Result<(Volume, Option<Agreement>)> {
        if self == Self::Off {
            return Ok((image, None));
        }
        let operators = &acquisition.operators;
        let comparison = Comparison::of(&image, scan, operators)?;
        let residual_before = comparison.residual();
        let (consistent, noise, weight) = match self {
            Self::Off | Self::Hard => (comparison.hard(), None, None),
            Self::Soft => {
                let softened = comparison.soft(NoiseLevel::of(scan));
                (softened.image, Some(softened.noise), Some(softened.weight))
            }
        };
        let agreement = Agreement {
            mode: self,
            operator: operators.to_string(),
            residual_before,
            residual_after: residual(&consistent, scan, operators)?,
            noise,
            weight,
        };
        Ok((consistent, Some(agreement)))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} data consistency: ||A(x) - y|| / ||y|| {:.2e} before, {:.2e} after",
            self.mode.name(),
            self.residual_before,
            self.residual_after
        )?;
        match self.weight {
            Some(weight) => write!(f, ", mean weight {weight:.3}"),
            None => Ok(()),
        }
    }
}
