//! Layer 3 · Appearance of a scan: contrast, noise and size, in the numbers that describe a model's range.
//!
//! ```
//! use voxelift_volume::appearance::{Appearance, AppearanceRange};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = |seed| head(&PhantomConfig { seed, extent: [24; 3], spacing_mm: [7.0; 3] });
//! let known = AppearanceRange::of([Appearance::of(&scan(1)?)?, Appearance::of(&scan(2)?)?]).expect("two scans");
//! // A third head of the same contrast may be one of these; with dark tissue bright, and bright tissue dark, it may not.
//! assert!(known.strange(&Appearance::of(&scan(3)?)?).is_empty());
//! let other = scan(3)?.map(|value| if value > 0.0 { 120.0 - value } else { value });
//! println!("{}", known.strange(&Appearance::of(&other)?).join("; "));
//! assert!(!known.strange(&Appearance::of(&other)?).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::intensity::{Mask, Normalization, percentile, texture};
use crate::volume::Volume;

/// Percentiles of the foreground that stand for a scan's contrast.
pub const CONTRAST: [f64; 5] = [10.0, 25.0, 50.0, 75.0, 90.0];

/// What a scan looks like, whatever it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Appearance {
    /// Share of the voxels that are foreground.
    pub foreground: f64,
    /// How much space the foreground takes, millilitres.
    pub foreground_ml: f64,
    /// The [`CONTRAST`] percentiles of the foreground over its 99.5th.
    pub contrast: [f64; CONTRAST.len()],
    /// Standard deviation of what is uncorrelated from voxel to voxel, over the 99.5th percentile: noise, and the
    /// finest texture with it.
    pub noise: f64,
    /// Median of what lies deep inside over the median of what lies outside, see `core_to_shell`: white matter inside the cortex
    /// is brighter in a T1-weighted brain and is not in a FLAIR or T2-weighted one, whose percentiles may be the same.
    pub core_to_shell: Option<f64>,
}

impl Appearance {
    /// Looks at a scan.
    ///
    /// # Errors
    /// For a volume without contrast.
    pub fn of(volume: &Volume) -> Result<Self> {
        let scale = Normalization::of(volume)?;
        let (zero, peak) = (f64::from(scale.zero), f64::from(scale.factor));
        let mask = Mask::foreground(volume);
        let voxel_ml = volume.geometry().spacing_mm().iter().product::<f64>() / 1000.0;
        let inside = volume
            .data()
            .iter()
            .zip(mask.data())
            .filter(|(_, inside)| **inside);
        let mut values: Vec<f32> = inside.map(|(v, _)| *v).collect();
        Ok(Self {
            foreground: mask.count() as f64 / volume.data().len() as f64,
            foreground_ml: mask.count() as f64 * voxel_ml,
            contrast: CONTRAST.map(|p| (percentile(&mut values, p).unwrap_or(zero) - zero) / peak),
            noise: texture(volume, &mask) / peak,
            core_to_shell: core_to_shell(volume, zero),
        })
    }
}

/// Up to here a voxel is of the core, in radii: a third of an ellipsoid's space.
const CORE: f64 = 0.7;
/// From here on it is of the shell: two fifths of an ellipsoid's space.
const SHELL: f64 = 0.85;

/// Median of the foreground's core over the median of its shell; none for a foreground without either, or flat.
///
/// The foreground, all above Otsu's threshold, is laid into the ellipsoid of the same second moments (a full one's variance along
/// an axis is a fifth of the half-axis squared); the measure does not change with turning, stretching or brightness.
fn core_to_shell(volume: &Volume, zero: f64) -> Option<f64> {
    let mask = Mask::otsu(volume);
    let count = mask.count() as f64;
    let mut centre = [0.0; 3];
    for voxel in mask.voxels() {
        (0..3).for_each(|a| centre[a] += voxel[a] as f64 / count);
    }
    let from_centre =
        |voxel: [usize; 3]| -> [f64; 3] { std::array::from_fn(|a| voxel[a] as f64 - centre[a]) };
    let mut moments = [[0.0; 3]; 3];
    for voxel in mask.voxels() {
        let at = from_centre(voxel);
        for (row, i) in moments.iter_mut().zip(at) {
            (0..3).for_each(|j| row[j] += i * at[j] / count);
        }
    }
    let whitening = Cholesky::of(moments)?;
    let (mut core, mut shell) = (Vec::new(), Vec::new());
    for voxel in mask.voxels() {
        let radius = (whitening
            .solved(from_centre(voxel))
            .iter()
            .map(|v| v * v)
            .sum::<f64>()
            / 5.0)
            .sqrt();
        let value = volume.at(voxel);
        if radius < CORE {
            core.push(value);
        } else if radius > SHELL {
            shell.push(value);
        }
    }
    let (core, shell) = (
        percentile(&mut core, 50.0)? - zero,
        percentile(&mut shell, 50.0)? - zero,
    );
    (shell > 0.0).then(|| core / shell)
}

/// The lower factor L of a symmetric positive definite matrix L L'.
struct Cholesky([[f64; 3]; 3]);

impl Cholesky {
    /// None for a matrix that is not positive definite.
    fn of(matrix: [[f64; 3]; 3]) -> Option<Self> {
        let mut lower = [[0.0; 3]; 3];
        for i in 0..3 {
            for j in 0..=i {
                let rest = matrix[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
                lower[i][j] = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / lower[j][j],
                };
            }
        }
        Some(Self(lower))
    }

    /// The y of L y = x.
    fn solved(&self, x: [f64; 3]) -> [f64; 3] {
        let mut y = [0.0; 3];
        for i in 0..3 {
            y[i] = (x[i] - (0..i).map(|k| self.0[i][k] * y[k]).sum::<f64>()) / self.0[i][i];
        }
        y
    }
}

/// Least and largest of what a group of scans looked like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppearanceRange {
    /// See [`Appearance::foreground_ml`].
    pub foreground_ml: [f64; 2],
    /// See [`Appearance::contrast`].
    pub contrast: [[f64; 2]; CONTRAST.len()],
    /// See [`Appearance::noise`].
    pub noise: [f64; 2],
    /// See [`Appearance::core_to_shell`]; cards of older versions have none.
    #[serde(default)]
    pub core_to_shell: Option<[f64; 2]>,
}

/// A foreground is of another size beyond this factor of what was seen: another part of the body, or a head with its
/// skull where the others had none.
const OTHER_SIZE: f64 = 1.5;
/// Noise beyond this factor of the most that was seen is more of it.
const NOISIER: f64 = 1.25;
/// Mean distance of the percentiles from what was seen, over the 99.5th, from which a contrast is another one. T1-weighted heads
/// of other scanners lie up to 0.03 beside those of one, synthetic heads of 8 mm voxels 0.06 beside seven others, FLAIR (which
/// is not distinguished from T1 this way) 0.03 to 0.07, T2-weighted heads 0.2.
const OTHER_CONTRAST: f64 = 0.08;
/// The inside is of another brightness beside the outside beyond this factor of what was seen. T1-weighted heads of three scanners
/// have 1.27 to 1.59, one scanner's alone 1.27 to 1.48 or 1.46 to 1.59; two FLAIR scans 0.97 to 1.00, a T2-weighted head 0.99.
const OTHER_CORE: f64 = 1.15;

impl AppearanceRange {
    /// The range of some scans; `None` of none.
    pub fn of(scans: impl IntoIterator<Item = Appearance>) -> Option<Self> {
        let widened = |[low, high]: [f64; 2], v: f64| [low.min(v), high.max(v)];
        scans.into_iter().fold(None, |range, scan| {
            let before = range.unwrap_or(Self {
                foreground_ml: [scan.foreground_ml; 2],
                contrast: scan.contrast.map(|p| [p; 2]),
                noise: [scan.noise; 2],
                core_to_shell: scan.core_to_shell.map(|ratio| [ratio; 2]),
            });
            Some(Self {
                foreground_ml: widened(before.foreground_ml, scan.foreground_ml),
                contrast: std::array::from_fn(|i| widened(before.contrast[i], scan.contrast[i])),
                noise: widened(before.noise, scan.noise),
                core_to_shell: match (before.core_to_shell, scan.core_to_shell) {
                    (Some(seen), Some(ratio)) => Some(widened(seen, ratio)),
                    (seen, ratio) => seen.or(ratio.map(|ratio| [ratio; 2])),
                },
            })
        })
    }

    /// The same scans, of which some had noise of this standard deviation (over the 99.5th percentile) added.
    pub fn with_noise(self, added: f64) -> Self {
        let [least, most] = self.noise;
        Self {
            noise: [least, most.hypot(added)],
            ..self
        }
    }

    /// In which respects a scan is none of these, in words; empty where it may be one.
    pub fn strange(&self, scan: &Appearance) -> Vec<String> {
        let mut respects = Vec::new();
        let [least, most] = self.foreground_ml;
        if !(least / OTHER_SIZE..=most * OTHER_SIZE).contains(&scan.foreground_ml) {
            respects.push(format!(
                "size: {:.0} ml of foreground, {least:.0} to {most:.0} ml in training; another part of the body, or with its skull \
                 where training had none?",
                scan.foreground_ml
            ));
        }
        let beyond = scan
            .contrast
            .iter()
            .zip(self.contrast)
            .map(|(p, [least, most])| (least - p).max(p - most).max(0.0));
        let off = beyond.sum::<f64>() / CONTRAST.len() as f64;
        if off > OTHER_CONTRAST {
            respects.push(format!(
                "contrast: the foreground's percentiles lie {off:.2} of the peak beside those of training ({OTHER_CONTRAST} are borne); \
                 another sequence?"
            ));
        }
        if let (Some(ratio), Some([least, most])) = (scan.core_to_shell, self.core_to_shell)
            && !(least / OTHER_CORE..=most * OTHER_CORE).contains(&ratio)
        {
            respects.push(format!(
                "contrast: the foreground's inside is {ratio:.2} times as bright as its outside, {least:.2} to {most:.2} times in training; \
                 another sequence?"
            ));
        }
        if scan.noise > self.noise[1] * NOISIER {
            respects.push(format!(
                "noise: {:.3} of the peak, at most {:.3} in training",
                scan.noise, self.noise[1]
            ));
        }
        respects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::volume::Geometry;

    #[test]
    fn noise_contrast_and_size_are_those_put_in() {
        let geometry = Geometry::axis_aligned([40, 36, 32], [1.0, 1.5, 2.0]);
        let mut stream = Stream::new(3, 0);
        // A smooth bright block in a background of zeros, with noise of 2 % of its brightness.
        let data = (0..geometry.voxels()).map(|i| {
            let x = i % 40;
            let noise = 2.0 * stream.normal_pair()[0];
            if (4..36).contains(&x) {
                (60.0 + x as f64 + noise) as f32
            } else {
                0.0
            }
        });
        let seen = Appearance::of(&Volume::new(data.collect(), geometry)).expect("contrast");
        assert!((seen.noise * 95.0 - 2.0).abs() < 0.2, "{}", seen.noise);
        assert!((seen.foreground - 0.8).abs() < 1e-9);
        assert!(
            (seen.foreground_ml - 32.0 * 54.0 * 64.0 / 1000.0).abs() < 1e-6,
            "{}",
            seen.foreground_ml
        );
        assert!(
            (seen.contrast[2] - 79.5 / 96.0).abs() < 0.03,
            "{:?}",
            seen.contrast
        );
    }

    /// A slanted ellipsoid of 100 whose core, to 0.7 radii, is `inside`; other voxels than cubes, a background of zeros.
    fn layered(inside: f32, gain: f32) -> Volume {
        let geometry = Geometry::axis_aligned([44, 40, 36], [1.0, 1.5, 2.0]);
        let data = (0..geometry.voxels()).map(|i| {
            let [x, y, z] = [i % 44, i / 44 % 40, i / (44 * 40)].map(|v| v as f64);
            let [x, y, z] = [(x - 21.0) + 0.3 * (y - 19.0), y - 19.0, z - 17.0];
            match ((x / 15.0).powi(2) + (y / 17.0).powi(2) + (z / 14.0).powi(2)).sqrt() {
                r if r < 0.7 => inside * gain,
                r if r < 1.0 => 100.0 * gain,
                _ => 0.0,
            }
        });
        Volume::new(data.collect(), geometry)
    }

    #[test]
    fn the_inside_is_compared_with_the_outside_whatever_shape_and_brightness() {
        for (inside, gain) in [(150.0, 1.0), (150.0, 0.01), (95.0, 3.0), (70.0, 1.0)] {
            let ratio = Appearance::of(&layered(inside, gain))
                .expect("contrast")
                .core_to_shell;
            let ratio = ratio.expect("a core and a shell");
            assert!(
                (ratio - f64::from(inside) / 100.0).abs() < 1e-3,
                "{inside}: {ratio}"
            );
        }
        // A single slice has no inside.
        let geometry = Geometry::axis_aligned([20, 20, 1], [1.0; 3]);
        let slice = Volume::new(
            (0..400).map(|i| if i % 20 < 10 { 1.0 } else { 0.0 }).collect(),
            geometry,
        );
        assert_eq!(core_to_shell(&slice, 0.0), None);
    }

    #[test]
    fn a_scan_is_strange_in_the_respect_in_which_it_differs() {
        let scan = |foreground_ml, shift: f64, noise| Appearance {
            foreground: 0.3,
            foreground_ml,
            contrast: [0.2, 0.4, 0.6, 0.7, 0.8].map(|p| p + shift),
            noise,
            core_to_shell: Some(1.4),
        };
        let range = AppearanceRange::of([scan(1000.0, 0.0, 0.02), scan(1400.0, 0.05, 0.03)]).expect("scans");
        assert_eq!(range.noise, [0.02, 0.03]);
        assert!(range.strange(&scan(1200.0, 0.02, 0.001)).is_empty());
        assert!(
            range.strange(&scan(2000.0, 0.11, 0.035)).is_empty(),
            "a little beyond is borne"
        );
        let respects = [
            (scan(40.0, 0.0, 0.02), "size"),
            (scan(3600.0, 0.0, 0.02), "size"),
            (scan(1200.0, -0.2, 0.02), "contrast"),
            (scan(1200.0, 0.0, 0.05), "noise"),
        ];
        for (scan, respect) in respects {
            let strange = range.strange(&scan);
            assert!(
                strange.len() == 1 && strange[0].starts_with(respect),
                "{strange:?}"
            );
        }
        assert!(
            range
                .with_noise(0.05)
                .strange(&scan(1200.0, 0.0, 0.05))
                .is_empty()
        );
        let with = |core_to_shell| Appearance {
            core_to_shell,
            ..scan(1200.0, 0.0, 0.02)
        };
        let range =
            AppearanceRange::of([with(None), with(Some(1.3)), with(None), with(Some(1.5))]).expect("scans");
        assert_eq!(range.core_to_shell, Some([1.3, 1.5]));
        assert!(range.strange(&with(None)).is_empty() && range.strange(&with(Some(1.2))).is_empty());
        for ratio in [0.99, 1.8] {
            let strange = range.strange(&with(Some(ratio)));
            assert!(
                strange.len() == 1 && strange[0].starts_with("contrast: the foreground's inside"),
                "{strange:?}"
            );
        }
        assert_eq!(AppearanceRange::of([]), None);
    }
}
