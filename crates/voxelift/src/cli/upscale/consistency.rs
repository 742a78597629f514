//! `--consistency`: whether what the scan measured is put back, and what that did.

use clap::ValueEnum;
use serde_json::{Value, json};
use voxelift_volume::consistency::{Acquisition, hard, residual, soft};
use voxelift_volume::{Result, Volume};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Consistency {
    /// The output stays as the method made it
    Off,
    /// What the scan measured comes back as far as its noise allows
    Soft,
    /// What the scan measured is the scan's own, to five digits
    Hard,
}

impl Consistency {
    /// The image as asked for, and in words and numbers what was done to it; nothing when it is off.
    ///
    /// # Errors
    /// When the image does not cover the scan's field of view.
    pub fn apply(
        self,
        image: Volume,
        scan: &Volume,
        acquisition: &Acquisition,
    ) -> Result<(Volume, Option<Value>)> {
        let operators = &acquisition.operators;
        let (consistent, noise) = match self {
            Self::Off => return Ok((image, None)),
            Self::Hard => (hard(&image, scan, operators)?, Value::Null),
            Self::Soft => {
                let softened = soft(&image, scan, operators)?;
                let said = json!({"noise": softened.noise, "mean_weight": softened.weight});
                (softened.image, said)
            }
        };
        let mut done = json!({
            "mode": self.name(),
            "operator": operators.to_string(),
            "residual_before": residual(&image, scan, operators)?,
            "residual_after": residual(&consistent, scan, operators)?,
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
        "{} data consistency: ||A(x) - y|| / ||y|| {:.2e} before, {:.2e} after{weight}",
        done["mode"].as_str().unwrap_or_default(),
        number("residual_before"),
        number("residual_after"),
    )
}
