//! What made the slices of a scan: as stated, as what goes with the scan says, or calibrated.

use voxelift_volume::consistency::{Acquired, Dimensions, Protocol};
use voxelift_volume::degrade::Operator;
use voxelift_volume::words::number;
use voxelift_volume::{Volume, VolumeError};

use super::error::Result;
use super::event::{Doubt, Event};
use crate::self_learning::{SliceProtocol, calibrate, gaussian};

/// A statement of the distance of the slices that differs by more than this share raises a doubt.
const SAME_DISTANCE: f64 = 0.02;

/// Slices of this many times their distance are too thick or too thin to be real.
const CREDIBLE: [f64; 2] = [0.2, 4.0];

/// What is thick in a scan, and by which profile: as stated; as the model that is applied was learned for; truncated in k-space, where
/// what is beside the scan says that it was acquired in three dimensions; as the thickness there says; or calibrated, where the scan shows
/// it.
///
/// # Errors
/// For a scan without thick slices, and for statements that do not go with it.
pub fn protocol(
    stated: &Acquired,
    learned: Option<&SliceProtocol>,
    scan: &Volume,
    beside: &Protocol,
    hear: &mut dyn FnMut(Event),
) -> Result<SliceProtocol> {
    let grid = scan.geometry();
    let like_distance = SliceProtocol::new(grid, gaussian(1.0), String::new())?;
    let apart_mm = like_distance.distance_mm;
    if *stated != Acquired::Auto {
        let made_by = stated.of(grid, beside, None)?;
        let operator = made_by.operators.0[like_distance.axis];
        return Ok(SliceProtocol::new(grid, operator, made_by.because)?);
    }
    if let Some(stated_mm) = beside.distance_mm
        && (stated_mm / apart_mm - 1.0).abs() > SAME_DISTANCE
    {
        hear(Event::Doubt(Doubt::Distance { stated_mm, apart_mm }));
    }
    if let Some(learned) = learned {
        let because = "as the model was learned for".to_owned();
        return Ok(SliceProtocol::new(grid, learned.operator, because)?);
    }
    if beside.dimensions == Some(Dimensions::Three) {
        let because = "a three-dimensional acquisition, says its protocol".to_owned();
        return Ok(SliceProtocol::new(grid, Operator::KSpace, because)?);
    }
    if let Some(thickness_mm) = beside.thickness_mm {
        let share = thickness_mm / apart_mm;
        if !(CREDIBLE[0]..=CREDIBLE[1]).contains(&share) {
            return Err(VolumeError::Thickness {
                thickness_mm,
                apart_mm,
                credible: CREDIBLE,
            }
            .into());
        }
        let because = format!("SliceThickness {} mm in its sidecar", number(thickness_mm));
        return Ok(SliceProtocol::new(grid, gaussian(share), because)?);
    }
    let (operator, because) = calibrated(scan, &like_distance, hear);
    Ok(SliceProtocol::new(grid, operator, because)?)
}

/// The profile that the scan shows, and why it is used; else slices as thick as they are apart.
fn calibrated(
    scan: &Volume,
    like_distance: &SliceProtocol,
    hear: &mut dyn FnMut(Event),
) -> (Operator, String) {
    let apart_mm = like_distance.distance_mm;
    let Some(found) = calibrate(scan, like_distance) else {
        hear(Event::Doubt(Doubt::TooFewSlices { apart_mm }));
        let because =
            "assumed: as thick as the slices are apart, since they are too few to find it".to_owned();
        return (gaussian(1.0), because);
    };
    hear(Event::Detail(format!(
        "{} fits the spectra best, misfit {:.3} ({:.3} for slices as thick as they are apart)",
        found.operator, found.misfit, found.misfit_of_one
    )));
    if !found.is_believed() {
        let misfit = found.misfit;
        hear(Event::Doubt(Doubt::NoProfile { misfit, apart_mm }));
        let because = format!(
            "assumed: as thick as the slices are apart, since the spectra show no profile, misfit {misfit:.2}"
        );
        return (gaussian(1.0), because);
    }
    let because = format!(
        "calibrated between the spectra in plane and across slices, misfit {:.2}; state it if you know it",
        found.misfit
    );
    (found.operator, because)
}

#[cfg(test)]
mod tests {
    use voxelift_volume::degrade::{Operators, Profile};
    use voxelift_volume::phantom::{PhantomConfig, head};

    use super::*;

    #[test]
    fn a_three_dimensional_acquisition_is_believed_whatever_thickness_is_stated() {
        let head = head(&PhantomConfig {
            seed: 4,
            extent: [32, 36, 32],
            spacing_mm: [4.0; 3],
        })
        .unwrap();
        let slices = Operators([Operator::KSpace; 3]).apply(&head, [32, 36, 16]);
        let of = |stated: &Acquired, dimensions| {
            let beside = Protocol {
                dimensions,
                thickness_mm: Some(6.0),
                ..Protocol::default()
            };
            protocol(stated, None, &slices, &beside, &mut |_| {})
                .unwrap()
                .operator
        };
        let thick = gaussian(6.0 / 8.0);
        assert_eq!(of(&Acquired::Auto, Some(Dimensions::Three)), Operator::KSpace);
        assert_eq!(of(&Acquired::Auto, Some(Dimensions::Two)), thick);
        assert_eq!(of(&Acquired::Auto, None), thick);
        // A statement on the command line stands above what is beside the scan.
        let stated: Acquired = "slice:box,8".parse().unwrap();
        assert!(matches!(
            of(&stated, Some(Dimensions::Three)),
            Operator::Slice {
                profile: Profile::Box,
                ..
            }
        ));
    }
}
