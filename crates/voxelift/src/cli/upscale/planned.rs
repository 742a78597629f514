//! Options of the contract that nothing stands behind yet: refused, so that none is ignored in silence.

use std::path::PathBuf;

use clap::Args;

use crate::failure::usage;

#[derive(Debug, Args)]
pub struct PlannedArguments {
    #[arg(long, hide = true)]
    labels: Option<PathBuf>,
    #[arg(long, hide = true)]
    tile: Option<String>,
    #[arg(long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    ensemble: bool,
    #[arg(long, hide = true)]
    consistency: Option<String>,
    #[arg(long, hide = true)]
    audit: bool,
    #[arg(long, hide = true)]
    device: Option<String>,
    #[arg(long, hide = true)]
    allow_out_of_range: bool,
}

impl PlannedArguments {
    /// # Errors
    /// When one of them is given with a meaning other than what happens anyway.
    pub fn refuse(&self) -> anyhow::Result<()> {
        let asked = [
            ("--labels", self.labels.is_some()),
            ("--tile", self.tile.is_some()),
            ("--memory", self.memory.is_some()),
            ("--ensemble", self.ensemble),
            ("--consistency", self.consistency.as_ref().is_some_and(|c| c != "off")),
            ("--audit", self.audit),
            ("--device", self.device.as_ref().is_some_and(|d| d != "auto" && d != "cpu")),
            ("--allow-out-of-range", self.allow_out_of_range),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((name, _)) => Err(usage(format!("{name} is not built yet; leave it out"))),
            None => Ok(()),
        }
    }
}
