//! Floor 2 · Normalisation of intensities with an exact inverse; foreground masks.

mod mask;
mod statistics;
mod texture;

pub use mask::Mask;
pub use statistics::{otsu, percentile};
pub use texture::texture;

use crate::error::{Result, VolumeError};
use crate::volume::Volume;

/// The percentile of the foreground that becomes 1.
const REFERENCE_PERCENTILE: f64 = 99.5;

/// The 99.5th percentile of the foreground ([`Mask::foreground`]): what stands for "bright" in a volume without
/// fixed units.
///
/// # Errors
/// For a volume without contrast, or where that percentile is not a positive number.
pub fn foreground_peak(volume: &Volume) -> Result<f32> {
    let mask = Mask::foreground(volume);
    let inside = volume
        .data()
        .iter()
        .zip(mask.data())
        .filter(|(_, inside)| **inside);
    let mut values: Vec<f32> = inside.map(|(value, _)| *value).collect();
    let Some(peak) = percentile(&mut values, REFERENCE_PERCENTILE) else {
        let value = volume
            .data()
            .first()
            .map_or("no voxel".into(), |v| format!("{v} everywhere"));
        return Err(VolumeError::content(
            "intensities",
            value,
            "an image with contrast",
        ));
    };
    // A NaN fails the comparison too.
    if !(peak > 0.0 && peak.is_finite()) {
        let what = format!("the {REFERENCE_PERCENTILE}th percentile of the foreground");
        return Err(VolumeError::content(
            what,
            peak,
            "a positive number; shift the intensities above zero",
        ));
    }
    Ok(peak as f32)
}

/// The scale between a volume's own intensities and those that networks see: division by the 99.5th percentile
/// of the foreground.
///
/// Nothing is clipped: vessels and fat reach twice that value, and clipping them costs every method decibels.
/// An HR volume is divided by the factor of the LR volume that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// What the intensities are divided by.
    pub factor: f32,
}

impl Normalization {
    /// The scale of a volume.
    ///
    /// # Errors
    /// As [`foreground_peak`].
    pub fn of(volume: &Volume) -> Result<Self> {
        Ok(Self {
            factor: foreground_peak(volume)?,
        })
    }

    /// The volume divided by the factor.
    pub fn apply(&self, volume: Volume) -> Volume {
        let factor = f64::from(self.factor);
        volume.map(|v| (f64::from(v) / factor) as f32)
    }

    /// The volume times the factor: undoes [`Normalization::apply`] to the last bit of an f32.
    pub fn invert(&self, volume: Volume) -> Volume {
        let factor = f64::from(self.factor);
        volume.map(|v| (f64::from(v) * factor) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    fn volume(data: Vec<f32>) -> Volume {
        let geometry = Geometry::axis_aligned([data.len(), 1, 1], [1.0; 3]);
        Volume::new(data, geometry)
    }

    #[test]
    fn a_skull_stripped_volume_is_scaled_by_its_non_zero_voxels() {
        // 250 zeros of 1250 (exactly 20 %), then 2001 to 3000: the 99.5th percentile of those is 2995.005.
        let data = (0..250)
            .map(|_| 0.0)
            .chain((2001..=3000).map(|i| i as f32))
            .collect();
        let factor = Normalization::of(&volume(data)).unwrap().factor;
        assert!((factor - 2995.005).abs() < 1e-3, "{factor}");
    }

    #[test]
    fn nothing_is_clipped_and_the_inverse_returns_what_came() {
        let original = volume(
            (0..1000)
                .map(|i| if i < 500 { 0.0 } else { i as f32 * 1.7 - 900.0 })
                .collect(),
        );
        let scale = Normalization::of(&original).unwrap();
        let there = scale.apply(original.clone());
        assert!(there.data().iter().any(|v| *v > 1.0) && there.data().iter().any(|v| *v < 0.0));
        for (a, b) in scale.invert(there).data().iter().zip(original.data()) {
            assert!((a - b).abs() <= b.abs() * f32::EPSILON, "{a} {b}");
        }
    }

    #[test]
    fn images_without_contrast_are_refused_with_their_value() {
        for (value, said) in [(0.0, "0 everywhere"), (7.0, "7 everywhere")] {
            let error = Normalization::of(&volume(vec![value; 64]))
                .unwrap_err()
                .to_string();
            assert!(error.contains(said), "{error}");
        }
        let negative = volume((0..100).map(|i| if i < 50 { 0.0 } else { -(i as f32) }).collect());
        assert!(
            Normalization::of(&negative)
                .unwrap_err()
                .to_string()
                .contains("positive")
        );
        let nan = volume(vec![f32::NAN; 8]);
        assert!(Normalization::of(&nan).is_err());
    }
}
