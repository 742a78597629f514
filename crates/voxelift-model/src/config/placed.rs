//! What a placed model learns from.

use serde::{Deserialize, Serialize};
use voxelift_volume::degrade::Degradation;
use voxelift_volume::synthesis::SynthesisConfig;

use crate::acquisition::AcquisitionConfig;
use crate::error::InvalidSetting;

/// Where the pairs of a placed model come from: label maps that are painted, and the HR scans of the run under other
/// intensities, each acquired at random and placed on its own grid again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacedConfig {
    /// Pairs that patches are drawn from at a time.
    pub slots: usize,
    /// Steps after which the oldest of them is replaced.
    pub every: u64,
    /// Label maps to paint, as globs.
    pub labels: Vec<String>,
    /// Share of pairs that are painted; the rest are of `data.hr`.
    pub label_share: f64,
    /// Share of the pairs of real scans with other intensities in the same order.
    pub monotone: f64,
    /// Share of the pairs of real scans with other intensities in any order.
    pub any_order: f64,
    /// Scans that are made coarser along some axes only, since they hold less than their grid along the others.
    pub axes: Vec<AxesOf>,
    /// How scans are acquired.
    pub acquisition: AcquisitionConfig,
    /// How label maps are painted.
    pub synthesis: SynthesisConfig,
    /// How the validation scans are degraded, each in each of these ways.
    pub watch: Vec<Degradation>,
}

/// Along which axes some scans may be made coarser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxesOf {
    /// Scans whose file names start so.
    pub name: String,
    /// Axes x, y, z.
    pub axes: [bool; 3],
}

impl Default for PlacedConfig {
    fn default() -> Self {
        Self {
            slots: 24,
            every: 12,
            labels: Vec::new(),
            label_share: 0.6,
            monotone: 0.3,
            any_order: 0.3,
            axes: Vec::new(),
            acquisition: AcquisitionConfig::default(),
            synthesis: SynthesisConfig::default(),
            watch: vec![Degradation::default()],
        }
    }
}

impl PlacedConfig {
    /// Refuses settings outside their ranges: the key, its value, what was expected.
    ///
    /// # Errors
    /// The first wrong one.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if self.slots == 0 || self.slots > 4096 {
            return Err(InvalidSetting::new(
                "slots",
                self.slots,
                "expected 1 to 4096 pairs",
            ));
        }
        if self.every == 0 {
            return Err(InvalidSetting::new(
                "every",
                self.every,
                "expected at least 1 step",
            ));
        }
        for (key, share) in [
            ("label_share", self.label_share),
            ("monotone", self.monotone),
            ("any_order", self.any_order),
            ("monotone + any_order", self.monotone + self.any_order),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(InvalidSetting::new(key, share, "expected 0 to 1"));
            }
        }
        if self.labels.is_empty() && self.label_share > 0.0 {
            return Err(InvalidSetting::new(
                "label_share",
                self.label_share,
                "needs labels, globs of label maps",
            ));
        }
        if let Some(axes) = self.axes.iter().find(|of| of.axes == [false; 3]) {
            return Err(InvalidSetting::new(
                "axes",
                &axes.name,
                "expected at least one axis",
            ));
        }
        self.acquisition
            .check()
            .map_err(|error| error.within("acquisition"))?;
        self.synthesis
            .check()
            .map_err(|error| InvalidSetting::from(error).within("synthesis"))?;
        for degradation in &self.watch {
            degradation
                .check()
                .map_err(|error| InvalidSetting::from(error).within("watch"))?;
        }
        Ok(())
    }
}
