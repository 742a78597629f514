//! `--consistency`: whether the scan's own k-space is put back, and what that did.

use clap::ValueEnum;
use serde_json::{Value, json};
use voxelift_volume::consistency::{hard, soft};
use voxelift_volume::metrics::data_consistency;
use voxelift_volume::{Result, Volume};

use super::method::Method;
use crate::failure::usage;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consistency {
    /// The answer stays as the method made it
    Off,
    /// The scan's frequencies come back as far as its noise allows
    Soft,
    /// The scan's frequencies are the scan's own, to the last digit
    Hard,
}

impl Consistency {
    /// # Errors
    /// When something is to be put back, and nothing says that the scan was made by k-space truncation.
    pub fn check(self, method: &Method) -> anyhow::Result<()> {
        if self == Self::Off {
            return Ok(());
        }
        method.known_truncation().map_err(|instead| {
            usage(format!(
                "--consistency {}: needs k-space truncation as the known operator, but {instead}; leave it out",
                self.name()
            ))
        })
    }

    /// The image as asked for, and in words and numbers what was done to it; nothing when it is off.
    ///
    /// # Errors
    /// When the image does not cover the scan's field of view.
    pub fn apply(self, image: Volume, scan: &Volume) -> Result<(Volume, Option<Value>)> {
        let (consistent, noise) = match self {
            Self::Off => return Ok((image, None)),
            Self::Hard => (hard(&image, scan)?, Value::Null),
            Self::Soft => {
                let softened = soft(&image, scan)?;
                let said = json!({"noise": softened.noise, "mean_weight": softened.weight});
                (softened.image, said)
            }
        };
        let mut done = json!({
            "mode": self.name(),
            "operator": "kspace",
            "residual_before": data_consistency(&image, scan)?,
            "residual_after": data_consistency(&consistent, scan)?,
        });
        if let (Some(done), Some(noise)) = (done.as_object_mut(), noise.as_object()) {
            done.extend(noise.clone());
        }
        Ok((consistent, Some(done)))
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// What was done, in a line.
pub fn told(done: &Value) -> String {
    let number = |key: &str| done[key].as_f64().unwrap_or(f64::NAN);
    let weight = done["mean_weight"]
        .as_f64()
        .map_or_else(String::new, |weight| format!(", mean weight {weight:.3}"));
    format!(
        "{} data consistency: ||D(x) - y|| / ||y|| {:.2e} before, {:.2e} after{weight}",
        done["mode"].as_str().unwrap_or_default(),
        number("residual_before"),
        number("residual_after"),
    )
}
