//! Layer 2 · What a scan's zero, scale and foreground are: normalisation with an exact inverse; the range of an output.
//!
//! ```
//! use voxelift_volume::intensity::{Mask, Normalization, explained};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! // Networks see a scan whose brightest tissue is about 1; what they make of it goes back to the scan's own units.
//! let scale = Normalization::of(&scan)?;
//! let seen = scale.apply(scan.clone());
//! assert!(scale.highest(&seen) < 1.5);
//! let back = scale.invert(seen);
//! assert!(back.data().iter().zip(scan.data()).all(|(a, b)| (a - b).abs() <= 1e-4));
//! // No voxel of it leaves the range of the scan by more than the scan can explain.
//! assert_eq!(explained(&back, &scan)?.beyond, 0);
//! // The head fills a part of the volume.
//! assert!((500..3000).contains(&Mask::foreground(&scan).count()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod background;
mod guard;
mod mask;
mod statistics;
mod texture;

pub use background::fill_value;
pub use guard::{Explained, explained};
pub use mask::Mask;
pub use statistics::{label_values, otsu, percentile};
pub use texture::texture;

use crate::error::{Result, VolumeError};
use crate::volume::Volume;
use background::zero;

/// The percentile of the foreground that becomes 1.
const REFERENCE_PERCENTILE: f64 = 99.5;

/// Voxels this many times as bright as the 99.5th percentile are spikes: bright vessels reach three times.
const SPIKE: f64 = 16.0;

/// How far the 99.5th percentile of the foreground ([`Mask::foreground`]) lies above the scan's zero: what stands for "bright" in a
/// volume without fixed units.
///
/// # Errors
/// As [`Normalization::of`].
pub fn foreground_peak(volume: &Volume) -> Result<f32> {
    Ok(Normalization::of(volume)?.factor)
}

/// The scale between a volume's own intensities and those that networks see, and the one place that decides what a scan's zero is:
/// the zero is taken off, and the rest divided by what the 99.5th percentile of the foreground has above it.
///
/// The zero is 0 for magnitude images. A z-scored or shifted scan, or one whose air is -1000, has its background elsewhere; there the
/// background's level is the zero.
///
/// Nothing is clipped: vessels and fat reach twice that value, and clipping them costs every method decibels.
/// An HR volume is divided by the factor of the LR volume that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// What the intensities stand on.
    pub zero: f32,
    /// What the intensities above it are divided by.
    pub factor: f32,
}

impl Normalization {
    /// The scale of a volume.
    ///
    /// # Errors
    /// For a volume without contrast, values of both signs around no background (a phase map), or a foreground that does not
    /// lie above the zero.
    pub fn of(volume: &Volume) -> Result<Self> {
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
        let wrong = |value: f64| {
            let what = format!("the {REFERENCE_PERCENTILE}th percentile of the foreground");
            let expected = "a positive number above the background; shift the intensities above zero";
            Err(VolumeError::content(what, value, expected))
        };
        if !peak.is_finite() {
            return wrong(peak);
        }
        let zero = zero(volume, peak)?;
        let factor = (peak - f64::from(zero)) as f32;
        // A NaN fails the comparison too.
        if factor > 0.0 && factor.is_finite() {
            Ok(Self { zero, factor })
        } else {
            wrong(peak)
        }
    }

    /// The volume without its zero, divided by the factor.
    pub fn apply(&self, volume: Volume) -> Volume {
        let (zero, factor) = (f64::from(self.zero), f64::from(self.factor));
        volume.map(|v| ((f64::from(v) - zero) / factor) as f32)
    }

    /// The volume times the factor, on its zero again: undoes [`Normalization::apply`] to the last bit of an f32.
    pub fn invert(&self, volume: Volume) -> Volume {
        let (zero, factor) = (f64::from(self.zero), f64::from(self.factor));
        volume.map(|v| (f64::from(v) * factor + zero) as f32)
    }

    /// The volume without its zero, in its own units.
    pub fn without_zero(&self, volume: Volume) -> Volume {
        if self.zero == 0.0 {
            return volume;
        }
        let zero = f64::from(self.zero);
        volume.map(|v| (f64::from(v) - zero) as f32)
    }

    /// The volume on its zero again: undoes [`Normalization::without_zero`].
    pub fn onto_zero(&self, volume: Volume) -> Volume {
        if self.zero == 0.0 {
            return volume;
        }
        let zero = f64::from(self.zero);
        volume.map(|v| (f64::from(v) + zero) as f32)
    }

    /// The greatest value that is no spike.
    pub fn highest(&self, volume: &Volume) -> f32 {
        let most = f64::from(self.zero) + SPIKE * f64::from(self.factor);
        let ordinary = volume.data().iter().copied().filter(|v| f64::from(*v) <= most);
        ordinary.fold(self.zero, f32::max)
    }

    /// How many voxels lie further from the zero than any tissue does, and the farthest value; none of an ordinary scan.
    pub fn spikes(&self, volume: &Volume) -> Option<(usize, f32)> {
        let (zero, most) = (f64::from(self.zero), SPIKE * f64::from(self.factor));
        let far = |v: f32| (f64::from(v) - zero).abs();
        let spikes = volume.data().iter().copied().filter(|v| far(*v) > most);
        spikes.fold(None, |found, v| match found {
            Some((count, farthest)) if far(farthest) >= far(v) => Some((count + 1, farthest)),
            found => Some((found.map_or(0, |(count, _)| count) + 1, v)),
        })
    }

    /// The spikes of [`Normalization::spikes`] in a sentence.
    pub fn spikes_in_words(&self, volume: &Volume) -> Option<String> {
        let (count, farthest) = self.spikes(volume)?;
        Some(match count {
            1 => format!(
                "1 voxel lies far beyond the rest, at {farthest}: a spike, or text burnt into the image"
            ),
            n => format!(
                "{n} voxels lie far beyond the rest, up to {farthest}: spikes, or text burnt into the image"
            ),
        })
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

    /// A ball of tissue in air with some noise, and a part of it that is brighter.
    fn ball(noise: f32) -> Vec<f32> {
        let mut stream = crate::random::Stream::new(5, 0);
        let voxel = |i: usize| {
            let at = [i % 30, i / 30 % 30, i / 900].map(|v| (v as f32 - 14.5) / 11.0);
            let radius = at.iter().map(|v| v * v).sum::<f32>().sqrt();
            let signal = if radius < 0.6 {
                1000.0
            } else if radius < 1.0 {
                600.0
            } else {
                0.0
            };
            let [a, b] = stream.normal_pair().map(|n| n as f32 * noise * 1000.0);
            (signal + a).hypot(b)
        };
        (0..27_000).map(voxel).collect()
    }

    #[test]
    fn an_offset_is_found_and_comes_back() {
        for noise in [0.0, 0.02, 0.08] {
            let plain = volume(ball(noise));
            let there = Normalization::of(&plain).unwrap();
            assert_eq!(there.zero, 0.0, "noise {noise}");
            // z-scored, background 10 % of the peak below zero and 30 % above it, CT-like, 0..1 between -1 and 1.
            for (gain, offset) in [
                (0.003, -0.7),
                (1.0, -100.0),
                (1.0, 300.0),
                (1.0, -1024.0),
                (0.002, -1.0),
            ] {
                if noise > 0.03 && offset > 0.0 {
                    continue;
                }
                let shifted = volume(ball(noise).iter().map(|v| v * gain + offset).collect());
                let scale = Normalization::of(&shifted).unwrap();
                let off = (f64::from(scale.zero) - f64::from(offset)) / (1000.0 * f64::from(gain));
                let level = if noise == 0.0 { 0.0 } else { f64::from(noise) };
                assert!(
                    (off - level).abs() < 0.03,
                    "noise {noise}, {gain} {offset}: {scale:?}"
                );
                let normal = scale.apply(shifted.clone());
                let same = there.apply(plain.clone());
                let apart = normal
                    .data()
                    .iter()
                    .zip(same.data())
                    .map(|(a, b)| f64::from(a - b).powi(2))
                    .sum::<f64>();
                let apart = (apart / 27_000.0).sqrt();
                assert!(apart < 0.12, "noise {noise}, {gain} {offset}: {apart}");
                let back = scale.invert(normal);
                for (a, b) in back.data().iter().zip(shifted.data()) {
                    assert!(
                        (a - b).abs() <= 2.0 * f32::EPSILON * b.abs().max(offset.abs()),
                        "{a} {b}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_has_no_background_below_its_signal_is_refused() {
        let mut stream = crate::random::Stream::new(6, 0);
        let phase = volume(
            (0..27_000)
                .map(|_| stream.between(-4096.0, 4096.0) as f32)
                .collect(),
        );
        let real = ball(0.02)
            .iter()
            .enumerate()
            .map(|(i, v)| if i / 3000 % 2 == 0 { -v } else { *v })
            .collect();
        let inside: Vec<f32> = ball(0.0);
        let masked = inside
            .iter()
            .map(|v| if *v > 0.0 { (v - 700.0) / 200.0 } else { 0.0 });
        for (what, scan) in [
            ("phase", phase),
            ("real", volume(real)),
            ("masked", volume(masked.collect())),
        ] {
            let error = Normalization::of(&scan).expect_err(what).to_string();
            assert!(error.contains("magnitude"), "{what}: {error}");
        }
    }

    #[test]
    fn fill_values_are_no_level_of_the_scan() {
        let slab = |value: f32, voxels: usize| {
            let mut data = ball(0.02);
            data[..voxels].fill(value);
            volume(data)
        };
        // Around the head, and where nothing was measured.
        let around = ball(0.02)
            .iter()
            .map(|v| if *v < 200.0 { -32768.0 } else { *v })
            .collect();
        for (scan, side) in [
            (volume(around), "below"),
            (slab(-1024.0, 3000), "below"),
            (slab(-2000.0, 100), "below"),
            (slab(32767.0, 1500), "above"),
        ] {
            let error = Normalization::of(&scan).unwrap_err().to_string();
            assert!(error.contains("hold exactly") && error.contains(side), "{error}");
        }
        // A mark below the air that is no further away than its noise, and a mask on 0.
        assert!(Normalization::of(&slab(-1.0, 3000)).is_ok());
        assert!(Normalization::of(&slab(0.0, 3000)).is_ok());
    }

    #[test]
    fn hot_voxels_change_nothing_and_are_reported() {
        let plain = Normalization::of(&volume(ball(0.02))).unwrap();
        for spike in [1e5, 1e9, 3e38, -1e5] {
            let mut data = ball(0.02);
            data[14_000] = spike;
            let hot = volume(data);
            let scale = Normalization::of(&hot).unwrap();
            assert!(
                (scale.factor / plain.factor - 1.0).abs() < 0.01,
                "{spike}: {scale:?}"
            );
            assert_eq!(scale.spikes(&hot), Some((1, spike)));
        }
        assert_eq!(plain.spikes(&volume(ball(0.02))), None);
    }

    #[test]
    fn what_an_input_cannot_explain_is_counted_and_overflow_refused() {
        let input = volume((0..100).map(|i| i as f32).collect());
        let mut output = input.clone();
        output.data_mut()[3] = 190.0;
        assert_eq!(explained(&output, &input).unwrap().beyond, 0);
        output.data_mut()[3] = 200.0;
        output.data_mut()[4] = -120.0;
        let found = explained(&output, &input).unwrap();
        assert_eq!((found.beyond, found.range), (2, [-120.0, 200.0]));
        assert!(!found.absurd);
        output.data_mut()[3] = 1100.0;
        assert!(
            explained(&output, &input).unwrap().absurd,
            "ten times the width away"
        );
        output.data_mut()[5] = f32::INFINITY;
        output.data_mut()[6] = f32::NAN;
        assert!(
            explained(&output, &input)
                .unwrap_err()
                .to_string()
                .contains("2 of 100")
        );
    }

    #[test]
    fn images_without_contrast_are_refused_with_their_value() {
        for (value, words) in [(0.0, "0 everywhere"), (7.0, "7 everywhere")] {
            let error = Normalization::of(&volume(vec![value; 64]))
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{error}");
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
