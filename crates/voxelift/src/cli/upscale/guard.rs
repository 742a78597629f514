//! Whether the output of a network is one that its input can explain.

use voxelift_volume::Volume;
use voxelift_volume::intensity::explained;

use crate::terminal::Terminal;

/// Warns of voxels that leave the input's range by more than its width; `allowed` says whether that is allowed, where there is a choice.
///
/// # Errors
/// When voxels are not finite, or lie ten times the width of the input's range beyond it and that is not allowed.
pub fn check(
    output: &Volume,
    input: &Volume,
    allowed: Option<bool>,
    name: &str,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let found = explained(output, input)?;
    if found.beyond > 0 {
        let ([least, most], [low, high]) = (found.range, found.input);
        let said = format!(
            "{} of {} output voxels lie far beyond what the input can explain: {least} to {most} from {low} to {high}",
            found.beyond,
            output.data().len()
        );
        let or = if allowed.is_some() {
            ", or pass --allow-out-of-range"
        } else {
            ""
        };
        anyhow::ensure!(
            allowed == Some(true) || !found.absurd,
            "{said}; the model does not fit the scan: try one of the interpolating methods{or}"
        );
        terminal.warn(format!("{name}: {said}"));
    }
    Ok(())
}
