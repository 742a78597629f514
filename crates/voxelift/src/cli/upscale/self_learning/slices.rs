//! What made the slices of a scan: as stated, as its sidecar says, or calibrated.

use std::path::Path;

use voxelift_model::self_learning::{SliceProtocol, calibrate, gaussian};
use voxelift_volume::Volume;
use voxelift_volume::consistency::Acquired;
use voxelift_volume::degrade::Operator;
use voxelift_volume::nifti::Header;

use super::super::super::words;
use super::super::acquired;
use crate::terminal::Terminal;

/// A statement of the distance of the slices that differs by more than this share is told.
const SAME_DISTANCE: f64 = 0.02;

/// What is thick in a scan, and by which profile: as stated; as the model that is applied was learned for; as
/// `SliceThickness` in the sidecar says; or calibrated, where the scan shows it.
///
/// # Errors
/// For a scan without thick slices, and for statements that do not go with it.
pub fn protocol(
    stated: &Acquired,
    learned: Option<&SliceProtocol>,
    scan: &Volume,
    header: &Header,
    input: &Path,
    terminal: &Terminal,
) -> anyhow::Result<SliceProtocol> {
    let grid = scan.geometry();
    let beside = acquired::protocol(input, header);
    let like_distance = SliceProtocol::new(grid, gaussian(1.0), String::new())?;
    let apart_mm = like_distance.distance_mm;
    if *stated != Acquired::Auto {
        let made_by = stated.of(grid, &beside, None)?;
        let operator = made_by.operators.0[like_distance.axis];
        return Ok(SliceProtocol::new(grid, operator, made_by.because)?);
    }
    if let Some(distance_mm) = beside.distance_mm
        && (distance_mm / apart_mm - 1.0).abs() > SAME_DISTANCE
    {
        terminal.warn(format!(
            "{}: SpacingBetweenSlices is {} mm in its sidecar, but the header says that slices are {} mm apart, which is what counts; if it \
             is wrong, the whole picture is stretched along that axis",
            input.display(),
            words::number(distance_mm),
            words::number(apart_mm)
        ));
    }
    if let Some(learned) = learned {
        let because = "as the model was learned for".to_owned();
        return Ok(SliceProtocol::new(grid, learned.operator, because)?);
    }
    if let Some(thickness) = beside.thickness_mm {
        let share = thickness / apart_mm;
        let because = format!("SliceThickness {} mm in its sidecar", words::number(thickness));
        anyhow::ensure!(
            (0.2..=4.0).contains(&share),
            "{because}: slices are {} mm apart; state the profile with --acquired slice:gaussian,MM",
            words::number(apart_mm)
        );
        return Ok(SliceProtocol::new(grid, gaussian(share), because)?);
    }
    let (operator, because) = calibrated(scan, &like_distance, input, terminal);
    Ok(SliceProtocol::new(grid, operator, because)?)
}

/// The profile that the scan shows, and why it is believed; else slices as thick as they are apart.
fn calibrated(
    scan: &Volume,
    like_distance: &SliceProtocol,
    input: &Path,
    terminal: &Terminal,
) -> (Operator, String) {
    let Some(found) = calibrate(scan, like_distance) else {
        terminal.warn(format!(
            "{}: the thickness of the slices is not known, and too few of them hold the head to find it; slices as thick as they are \
             apart, {} mm, are assumed. State them with --acquired slice:gaussian,MM, or with their gap as slice:gaussian,MM,GAP",
            input.display(),
            words::number(like_distance.distance_mm)
        ));
        let because =
            "assumed: as thick as the slices are apart, since they are too few to find it".to_owned();
        return (gaussian(1.0), because);
    };
    terminal.detail(format!(
        "{}: {} fits the spectra best, misfit {:.3} ({:.3} for slices as thick as they are apart)",
        input.display(),
        found.operator,
        found.misfit,
        found.misfit_of_one
    ));
    if !found.is_believed() {
        terminal.warn(format!(
            "{}: the thickness of the slices is not known, and the scan does not show it (its axes differ by more than a slice \
             profile: misfit {:.2} of the spectra); slices as thick as they are apart, {} mm, are assumed. State them with \
             --acquired slice:gaussian,MM, or with their gap as slice:gaussian,MM,GAP",
            input.display(),
            found.misfit,
            words::number(like_distance.distance_mm)
        ));
        let because = format!(
            "assumed: as thick as the slices are apart, since the spectra show no profile, misfit {:.2}",
            found.misfit
        );
        return (gaussian(1.0), because);
    }
    let because = format!(
        "calibrated between the spectra in plane and across slices, misfit {:.2}; state it with --acquired if you know it",
        found.misfit
    );
    (found.operator, because)
}
