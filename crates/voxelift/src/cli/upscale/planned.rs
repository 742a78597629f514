//! Options of the contract that nothing stands behind yet: refused, so that none is ignored in silence.

use clap::Args;

use crate::failure::usage;

#[derive(Debug, Args)]
pub struct PlannedArguments {
    #[arg(long, hide = true)]
    memory: Option<String>,
}

impl PlannedArguments {
    /// # Errors
    /// When one of them is given.
    pub fn refuse(&self) -> anyhow::Result<()> {
        match self.memory {
            Some(_) => Err(usage("--memory is not built yet; leave it out")),
            None => Ok(()),
        }
    }
}
