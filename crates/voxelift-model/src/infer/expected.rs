//! What a model may be expected to do for a scan, measured on the scan itself.

use voxelift_volume::expected::{Expected, Trial};

use super::{SuperResolver, UpscaleOptions};
use crate::error::Result;

impl SuperResolver {
    /// What the network gains over the best baseline on a scan that was degraded once more.
    ///
    /// # Errors
    /// When the scan cannot be normalised.
    pub fn expected(&self, trial: &Trial, tile: Option<usize>) -> Result<Option<Expected>> {
        let options = UpscaleOptions {
            tile,
            ensemble: false,
        };
        let (scan, resolved) = (trial.scan(), trial.resolved_mm());
        let image = self.onto(scan, trial.extent(), resolved, &options, &mut |_, _| {})?;
        Ok(trial.expected(&image)?)
    }
}
