//! Whether a scan may be made finer unasked, and whether an output is one that its input can explain.

use std::ops::RangeInclusive;

use voxelift_volume::Volume;
use voxelift_volume::intensity::{Normalization, explained, label_values};

use super::error::{Result, UpscaleError};
use super::event::Event;

/// Air in Hounsfield units, give or take its noise and the fill value of scanners.
const AIR_OF_CT: RangeInclusive<f32> = -1030.0..=-980.0;

/// Refuses what no method in the program was tested on.
///
/// # Errors
/// For a scan whose air has the value that it has in a CT, and one that cannot be normalised.
pub fn refuse_ct(scan: &Volume) -> Result<()> {
    let air = Normalization::of(scan)?.zero;
    match AIR_OF_CT.contains(&air) {
        true => Err(UpscaleError::Ct { air }),
        false => Ok(()),
    }
}

/// Refuses a mask or a label map, whose values mean nothing in between.
///
/// # Errors
/// For such a volume.
pub fn refuse_labels(volume: &Volume) -> Result<()> {
    match label_values(volume) {
        Some(values) => Err(UpscaleError::Labels { values }),
        None => Ok(()),
    }
}

/// Warns of the same, where a method was chosen by hand.
pub fn warn_of_labels(volume: &Volume, hear: &mut dyn FnMut(Event)) {
    if let Err(error) = refuse_labels(volume) {
        hear(Event::Warning(error.to_string()));
    }
}

/// Refuses a volume with voxels far brighter than all others, where no method was chosen by hand.
///
/// # Errors
/// When there are such voxels; for a volume without contrast too.
pub fn refuse_spikes(volume: &Volume) -> Result<()> {
    match Normalization::of(volume)?.spikes_in_words(volume) {
        Some(spikes) => Err(UpscaleError::Spikes { spikes }),
        None => Ok(()),
    }
}

/// Warns of voxels that leave the input's range by more than its width; `allowed` says whether that is allowed, where there is a
/// choice.
///
/// # Errors
/// When voxels are not finite, or lie ten times the width of the input's range beyond it and that is not allowed.
pub fn check(
    output: &Volume,
    input: &Volume,
    allowed: Option<bool>,
    hear: &mut dyn FnMut(Event),
) -> Result<()> {
    let range = explained(output, input)?;
    if range.beyond == 0 {
        return Ok(());
    }
    let ([least, most], [low, high]) = (range.range, range.input);
    let found = format!(
        "{} of {} output voxels lie far beyond what the input can explain: {least} to {most} from {low} to {high}",
        range.beyond,
        output.data().len()
    );
    if range.absurd && allowed != Some(true) {
        let may_be_allowed = allowed.is_some();
        return Err(UpscaleError::Unexplained {
            found,
            may_be_allowed,
        });
    }
    hear(Event::Warning(found));
    Ok(())
}
