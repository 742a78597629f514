//! Options of the contract that nothing stands behind yet: refused, so that none is ignored in silence.

use clap::Args;

use crate::failure::usage;

#[derive(Debug, Args)]
pub struct PlannedArguments {
    #[arg(long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true)]
    consistency: Option<String>,
    #[arg(long, hide = true)]
    audit: bool,
}

impl PlannedArguments {
    /// # Errors
    /// When one of them is given with a meaning other than what happens anyway.
    pub fn refuse(&self) -> anyhow::Result<()> {
        let asked = [
            ("--memory", self.memory.is_some()),
            (
                "--consistency",
                self.consistency.as_ref().is_some_and(|c| c != "off"),
            ),
            ("--audit", self.audit),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((name, _)) => Err(usage(format!("{name} is not built yet; leave it out"))),
            None => Ok(()),
        }
    }
}
