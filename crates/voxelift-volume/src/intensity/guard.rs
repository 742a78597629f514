//! Whether an output is one that its input can explain.

use crate::error::{Result, VolumeError};
use crate::volume::Volume;

/// How far beyond the input's range an output may go, in widths of that range: the sinc overshoots an edge by a fifth along each axis.
const REACH: f64 = 1.0;

/// From here on, in the same widths, an output cannot come from its input.
const ABSURD: f64 = 10.0;

/// How an output's range lies beside its input's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explained {
    /// Voxels that lie more than the width of the input's range beyond it.
    pub beyond: usize,
    /// Whether one lies more than ten times that width beyond it.
    pub absurd: bool,
    /// Least and greatest value of the output.
    pub range: [f32; 2],
    /// Least and greatest value of the input.
    pub input: [f32; 2],
}

/// Compares the range of an output with that of the input it was made from.
///
/// # Errors
/// When the output has voxels that are not finite: the numbers overflowed.
pub fn explained(output: &Volume, input: &Volume) -> Result<Explained> {
    let bad = output.data().iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        let value = format!("NaN or infinite at {bad} of {} voxels", output.data().len());
        let expected =
            "finite values: the input or the weights are too large for float32; scale the input down";
        return Err(VolumeError::content("the output", value, expected));
    }
    let range = |volume: &Volume| {
        let finite = volume.data().iter().copied().filter(|v| v.is_finite());
        finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], v| {
            [l.min(v), h.max(v)]
        })
    };
    let [low, high] = range(input);
    let reach = REACH * (f64::from(high) - f64::from(low));
    let (least, most) = (f64::from(low) - reach, f64::from(high) + reach);
    let beyond = output
        .data()
        .iter()
        .filter(|v| !(least..=most).contains(&f64::from(**v)))
        .count();
    let [lowest, highest] = range(output).map(f64::from);
    let farthest = (f64::from(low) - lowest).max(highest - f64::from(high));
    Ok(Explained {
        beyond,
        absurd: farthest > ABSURD * (f64::from(high) - f64::from(low)),
        range: range(output),
        input: [low, high],
    })
}
