//! Layer 3 · Scans of random contrast: painted from label maps, and real ones with other intensities.
//!
//! Label maps are painted as in SynthSeg (Billot et al., Medical Image Analysis 2023): each tissue gets a random intensity and
//! a random texture. Lesions, gaps and vessels of random intensity are laid over them, so that a network that learns from such
//! images learns to show what it is given and not what a head usually looks like.
//!
//! ```
//! use voxelift_volume::phantom::{PhantomConfig, tissues};
//! use voxelift_volume::synthesis::SynthesisConfig;
//!
//! let labels = tissues(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! // Scans of one head in two contrasts that no scanner has, cut to the box that holds the head.
//! let config = SynthesisConfig::default();
//! let (first, second) = (config.scan(&labels, 1)?, config.scan(&labels, 2)?);
//! assert_ne!(first.data(), second.data());
//! assert_eq!(config.scan(&labels, 1)?, first);
//! assert!((0..3).all(|axis| first.extent()[axis] <= labels.extent()[axis]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod paint;
mod remap;
mod structures;

pub use remap::Remap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Result, VolumeError};
use crate::random::Stream;
use crate::resample::{Edge, Taps, apply};
use crate::volume::Volume;
use paint::Palette;

/// How scans are painted; each of the largest values is an upper end, from zero, of an even draw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthesisConfig {
    /// Share of scans without what lies outside of the brain.
    pub stripped: f64,
    /// Most lesions: blobs of 1 to 9 mm radius.
    pub lesions: usize,
    /// Most gaps: blobs of no signal, as cavities, implants and bleedings leave them.
    pub gaps: usize,
    /// Most vessels: tubes of 0.4 to 1.6 mm radius.
    pub vessels: usize,
    /// Largest standard deviation of a tissue's texture, the brightest tissue being 1.
    pub texture: f64,
    /// Largest standard deviation of the logarithm of the receive field.
    pub bias_field: f64,
    /// Largest logarithm of the power that intensities are raised to.
    pub gamma: f64,
    /// Smallest and largest standard deviation (voxels) of the blur that gives voxels between two tissues a part of both.
    pub partial_volume: [f64; 2],
}

impl Default for SynthesisConfig {
    fn default() -> Self {
        Self {
            stripped: 0.5,
            lesions: 12,
            gaps: 3,
            vessels: 40,
            texture: 0.08,
            bias_field: 0.25,
            gamma: 0.4,
            partial_volume: [0.5, 0.9],
        }
    }
}

/// Streams of a scan's seed; textures take one a plane from their number on.
const LOOK: u64 = 1;
const STRUCTURES: u64 = 2;
const BIAS: u64 = 3;
const TEXTURE: u64 = 1 << 32;

impl SynthesisConfig {
    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// Naming the setting.
    pub fn check(&self) -> Result<()> {
        let [softest, hardest] = self.partial_volume;
        for (name, value, high) in [
            ("stripped", self.stripped, 1.0),
            ("texture", self.texture, 1.0),
            ("bias_field", self.bias_field, 2.0),
            ("gamma", self.gamma, 2.0),
            ("partial_volume", softest, hardest),
            ("partial_volume", hardest, 4.0),
            ("lesions", self.lesions as f64, 1000.0),
            ("gaps", self.gaps as f64, 1000.0),
            ("vessels", self.vessels as f64, 1000.0),
        ] {
            // Written so that NaN is refused as well.
            if !(0.0..=high).contains(&value) {
                return Err(VolumeError::argument(
                    name,
                    value,
                    format!("expected 0 to {high}"),
                ));
            }
        }
        Ok(())
    }

    /// A scan of the head of a label map, cut to the box that holds it; the same for the same seed.
    ///
    /// # Units
    /// The brightest tissue has about 1000.
    ///
    /// # Errors
    /// When the map holds anything but whole numbers from 0 on, or nothing at all.
    pub fn scan(&self, labels: &Volume, seed: u64) -> Result<Volume> {
        self.check()?;
        let mut look = Stream::new(seed, LOOK);
        let palette = Palette::drawn(self, &mut look);
        let tissues = paint::tissues(labels, palette.stripped)?;
        let mut means = tissues.clone().map(|tissue| palette.mean(tissue));
        structures::add(&mut means, &tissues, self, &mut Stream::new(seed, STRUCTURES));
        let [softest, hardest] = self.partial_volume;
        let softness = look.between(softest, hardest);
        let mut scan = blurred(&means, softness);
        let grain = blurred(&white(&scan, seed), look.between(0.4, 1.6));
        let unit = 1.0 / deviation(&grain).max(1e-9);
        let gamma = look.between(-self.gamma, self.gamma).exp();
        let bias = Bias::drawn(self.bias_field * look.uniform(), &mut Stream::new(seed, BIAS));
        let (extent, plane) = (scan.extent(), scan.extent()[0] * scan.extent()[1]);
        let planes = scan.data_mut().par_chunks_mut(plane).enumerate();
        planes.for_each(|(z, values)| {
            for (i, value) in values.iter_mut().enumerate() {
                let at = z * plane + i;
                let texture = palette.texture(tissues.data()[at]) * f64::from(grain.data()[at]) * unit;
                let inside = tissues.data()[at] != 0.0;
                let painted = if inside {
                    f64::from(*value) + texture
                } else {
                    f64::from(*value)
                };
                let field = bias.at([i % extent[0], i / extent[0], z], extent);
                *value = (1000.0 * painted.max(0.0).powf(gamma) * field) as f32;
            }
        });
        Ok(scan)
    }
}

/// A Gaussian blur, standard deviation in voxels.
fn blurred(volume: &Volume, sigma: f64) -> Volume {
    let taps = volume.extent().map(|n| {
        Taps::around(n, n, 3.0 * sigma, Edge::Replicate, |d| {
            (-0.5 * (d / sigma).powi(2)).exp()
        })
    });
    apply(volume, &taps)
}

/// Standard normal noise on a volume's grid, one stream a plane.
fn white(like: &Volume, seed: u64) -> Volume {
    let mut noise = Volume::filled(0.0, like.geometry().clone());
    let plane = like.extent()[0] * like.extent()[1];
    let planes = noise.data_mut().par_chunks_mut(plane).enumerate();
    planes.for_each(|(z, values)| {
        let mut stream = Stream::new(seed, TEXTURE + z as u64);
        for pair in values.chunks_mut(2) {
            let drawn = stream.normal_pair();
            pair.iter_mut().zip(drawn).for_each(|(v, d)| *v = d as f32);
        }
    });
    noise
}

fn deviation(volume: &Volume) -> f64 {
    let squares: f64 = volume.data().iter().map(|v| f64::from(*v).powi(2)).sum();
    (squares / volume.data().len() as f64).sqrt()
}

/// A smooth receive field: the exponential of a quadratic over the field of view.
struct Bias([f64; 9]);

impl Bias {
    fn drawn(size: f64, stream: &mut Stream) -> Self {
        Self(std::array::from_fn(|_| size * stream.between(-1.0, 1.0)))
    }

    fn at(&self, voxel: [usize; 3], extent: [usize; 3]) -> f64 {
        let [x, y, z]: [f64; 3] = std::array::from_fn(|a| (2 * voxel[a] + 1) as f64 / extent[a] as f64 - 1.0);
        let terms = [x, y, z, x * x, y * y, z * z, x * y, y * z, z * x];
        terms.iter().zip(self.0).map(|(t, c)| t * c).sum::<f64>().exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;

    /// A ball of white matter (2) in a ball of scalp (507).
    fn labels() -> Volume {
        let geometry = Geometry::axis_aligned([36, 36, 36], [1.0; 3]);
        let label = |i: usize| {
            let at = [i % 36, i / 36 % 36, i / 1296].map(|v| v as f64 - 17.5);
            match at.iter().map(|v| v * v).sum::<f64>().sqrt() {
                r if r < 9.0 => 2.0,
                r if r < 14.0 => 507.0,
                _ => 0.0,
            }
        };
        Volume::new((0..geometry.voxels()).map(label).collect(), geometry)
    }

    fn plain(stripped: f64) -> SynthesisConfig {
        SynthesisConfig {
            stripped,
            lesions: 0,
            gaps: 0,
            vessels: 0,
            ..SynthesisConfig::default()
        }
    }

    #[test]
    fn a_scan_is_that_of_its_seed_and_cut_to_the_head() {
        let config = SynthesisConfig::default();
        let scan = config.scan(&labels(), 5).unwrap();
        assert_eq!(scan, config.scan(&labels(), 5).unwrap());
        assert_ne!(scan, config.scan(&labels(), 6).unwrap());
        assert!(scan.extent().iter().all(|n| *n < 36), "{:?}", scan.extent());
        assert!(scan.data().iter().all(|v| v.is_finite() && *v >= 0.0));
    }

    #[test]
    fn a_stripped_head_ends_with_the_brain() {
        let extent = |stripped| plain(stripped).scan(&labels(), 3).unwrap().extent();
        // 18 and 28 voxels across, and four of air at each side.
        assert_eq!((extent(1.0), extent(0.0)), ([26; 3], [36; 3]));
    }

    #[test]
    fn lesions_gaps_and_vessels_change_the_scan() {
        let bare = plain(1.0);
        let without = bare.scan(&labels(), 9).unwrap();
        for config in [
            SynthesisConfig { lesions: 8, ..bare },
            SynthesisConfig { gaps: 8, ..bare },
            SynthesisConfig { vessels: 60, ..bare },
        ] {
            assert_ne!(config.scan(&labels(), 9).unwrap(), without);
        }
    }

    #[test]
    fn a_map_of_fractions_is_refused() {
        let wrong = labels().map(|v| v + 0.25);
        let error = SynthesisConfig::default()
            .scan(&wrong, 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0.25"), "{error}");
        assert!(
            SynthesisConfig::default()
                .scan(&labels().map(|_| 0.0), 1)
                .is_err()
        );
    }
}
