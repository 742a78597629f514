//! Layer 2 · Seeded synthetic heads: skull-stripped T1-weighted brains with detail up to the Nyquist frequency.
//!
//! A head is a formula (`anatomy`), sampled twice along each axis inside every voxel with boundaries spread over
//! a sample, so that partial volumes are right and nothing is drawn at the grid's own resolution.
//!
//! ```
//! use voxelift_volume::phantom::{PhantomConfig, Tissue, head, tissues};
//!
//! let config = PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] };
//! let (scan, labels) = (head(&config)?, tissues(&config)?);
//! assert_eq!(scan.geometry(), labels.geometry());
//! let mean = |tissue: Tissue| {
//!     let of = scan.data().iter().zip(labels.data()).filter(|(_, label)| **label == tissue as u8 as f32);
//!     let (sum, count) = of.fold((0.0, 0.0), |(sum, count), (value, _)| (sum + value, count + 1.0));
//!     sum / count
//! };
//! // T1-weighted: white matter is brighter than grey matter, and outside the head is nothing.
//! assert!(mean(Tissue::White) > mean(Tissue::Grey));
//! assert_eq!(mean(Tissue::Background), 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anatomy;
mod cerebellum;
mod shapes;
mod tissue;
mod vessels;
mod waves;

use crate::error::{Result, VolumeError};
use crate::random::Stream;
use crate::volume::{Geometry, Volume};
use anatomy::Anatomy;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tissue::{CSF, DEEP, Fractions, GREY, WHITE};
use vessels::Vessels;
use waves::Waves;

/// Which head, and on what grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhantomConfig {
    /// Which head: every seed is another subject of one population.
    pub seed: u64,
    /// Voxels along x, y, z. The brain fills the field of view, but is never larger than an adult's.
    pub extent: [usize; 3],
    /// Voxel size along x, y, z, mm.
    pub spacing_mm: [f64; 3],
}

impl Default for PhantomConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            extent: [96; 3],
            spacing_mm: [1.0; 3],
        }
    }
}

/// What a voxel of a phantom is mostly made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tissue {
    /// Outside the brain: exactly 0 in the image.
    Background = 0,
    /// Cerebrospinal fluid.
    Csf = 1,
    /// Cortex, of the cerebellum too.
    Grey = 2,
    /// White matter.
    White = 3,
    /// Caudate, putamen, pallidum, thalamus, hippocampus.
    DeepGrey = 4,
}

/// The T1-weighted image of a head, in a scanner's arbitrary units (white matter near 100).
///
/// # Errors
/// An extent of 0, a spacing that is not a positive number, or more than 2^31 voxels.
pub fn head(config: &PhantomConfig) -> Result<Volume> {
    Ok(Phantom::new(config)?.image())
}

/// The tissue of each voxel, as the number of its [`Tissue`], on the grid of [`head`].
///
/// # Errors
/// Those of [`head`].
pub fn tissues(config: &PhantomConfig) -> Result<Volume> {
    Ok(Phantom::new(config)?.labels())
}

struct Phantom {
    geometry: Geometry,
    anatomy: Anatomy,
    vessels: Vessels,
    contrast: Contrast,
}

/// How tissues look in one acquisition.
struct Contrast {
    /// Intensities of the four tissues.
    tissue: [f64; 4],
    vessel: f64,
    /// The logarithm of the receive field.
    bias: Waves,
    bias_strength: f64,
    /// Uneven myelin and iron: slow, and as fine as the grid can hold.
    slow: Waves,
    fine: Waves,
}

/// Streams of a phantom's seed.
const ANATOMY: u64 = 1;
const CONTRAST: u64 = 2;
const VESSELS: u64 = 3;

/// Samples along each axis of a voxel.
const SAMPLES: usize = 2;

impl Phantom {
    fn new(config: &PhantomConfig) -> Result<Self> {
        let PhantomConfig {
            seed,
            extent,
            spacing_mm,
        } = *config;
        let voxels = extent
            .iter()
            .try_fold(1usize, |n, &e| n.checked_mul(e))
            .filter(|&n| n <= 1 << 31);
        if voxels.is_none_or(|n| n == 0) {
            return Err(VolumeError::argument(
                "extent",
                format!("{extent:?}"),
                "1 to 2^31 voxels in all",
            ));
        }
        if !spacing_mm.iter().all(|&s| s.is_finite() && s > 0.0) {
            return Err(VolumeError::argument(
                "spacing_mm",
                format!("{spacing_mm:?}"),
                "give positive millimetres",
            ));
        }
        let mut geometry = Geometry::axis_aligned(extent, spacing_mm);
        for a in 0..3 {
            geometry.world_from_voxel[a][3] = -0.5 * (extent[a] as f64 - 1.0) * spacing_mm[a];
        }
        // A slice is cut through the middle of a brain that fits into its plane.
        let field_of_view = std::array::from_fn(|a| {
            if extent[a] == 1 {
                f64::INFINITY
            } else {
                extent[a] as f64 * spacing_mm[a]
            }
        });
        let anatomy = Anatomy::new(&mut Stream::new(seed, ANATOMY), field_of_view);
        let contrast = Contrast::new(&mut Stream::new(seed, CONTRAST), &anatomy, spacing_mm);
        let vessels = Vessels::new(&mut Stream::new(seed, VESSELS), &anatomy);
        Ok(Self {
            geometry,
            anatomy,
            vessels,
            contrast,
        })
    }

    fn image(&self) -> Volume {
        let vessels = self.vessels.coverage(&self.geometry);
        self.render(|index, p, fractions| {
            let vessel = f64::from(vessels[index]);
            let tissue: f64 = fractions
                .iter()
                .zip(self.contrast.tissue)
                .map(|(f, t)| f * t)
                .sum();
            let matter = 1.0 - fractions[CSF];
            let tissue = tissue * (1.0 + matter * self.contrast.texture(p));
            (tissue + vessel * (self.contrast.vessel - tissue)) * self.contrast.gain(p)
        })
    }

    fn labels(&self) -> Volume {
        self.render(|_, _, fractions| {
            let of = [
                (CSF, Tissue::Csf),
                (GREY, Tissue::Grey),
                (WHITE, Tissue::White),
                (DEEP, Tissue::DeepGrey),
            ];
            let most = of
                .into_iter()
                .max_by(|a, b| fractions[a.0].total_cmp(&fractions[b.0]));
            most.map_or(Tissue::Background, |(_, tissue)| tissue) as u8 as f64
        })
    }

    /// A volume of `value(index, centre in mm, tissue fractions)` inside the brain and 0 outside.
    fn render(&self, value: impl Fn(usize, [f64; 3], Fractions) -> f64 + Sync) -> Volume {
        let [nx, ny, nz] = self.geometry.extent;
        let mut data = vec![0f32; nx * ny * nz];
        data.par_chunks_mut(nx).enumerate().for_each(|(row, voxels)| {
            for (x, voxel) in voxels.iter_mut().enumerate() {
                let p = self
                    .geometry
                    .world([x as f64, (row % ny) as f64, (row / ny) as f64]);
                if let Some(fractions) = self.fractions(p) {
                    *voxel = value(row * nx + x, p, fractions) as f32;
                }
            }
        });
        Volume::new(data, self.geometry.clone())
    }

    /// The mean tissue fractions of the voxel around `p`; none outside the brain, which is cut voxel by voxel
    /// as a brain mask does.
    fn fractions(&self, p: [f64; 3]) -> Option<Fractions> {
        let place = self.anatomy.place(p);
        if self.anatomy.depth_mm(p, &place) <= 0.0 {
            return None;
        }
        let spacing = self.geometry.spacing_mm();
        let step = spacing.map(|s| s / SAMPLES as f64);
        // A little more than a voxel, the point spread of a real acquisition.
        let blur = 1.25 * spacing.iter().sum::<f64>() / 3.0;
        let mut sum = [0.0; 4];
        for sample in 0..SAMPLES.pow(3) {
            let place_of = [
                sample % SAMPLES,
                sample / SAMPLES % SAMPLES,
                sample / SAMPLES / SAMPLES,
            ];
            let q = std::array::from_fn(|a| p[a] + (place_of[a] as f64 + 0.5) * step[a] - 0.5 * spacing[a]);
            for (s, f) in sum.iter_mut().zip(self.anatomy.fractions(q, &place, blur)) {
                *s += f;
            }
        }
        Some(sum.map(|s| s / SAMPLES.pow(3) as f64))
    }
}

impl Contrast {
    fn new(stream: &mut Stream, anatomy: &Anatomy, spacing_mm: [f64; 3]) -> Self {
        let white = stream.between(88.0, 112.0);
        let mut tissue = [0.0; 4];
        tissue[WHITE] = white;
        tissue[GREY] = white * stream.between(0.66, 0.72);
        tissue[DEEP] = white * stream.between(0.76, 0.82);
        tissue[CSF] = white * stream.between(0.2, 0.28);
        let finest = spacing_mm.into_iter().fold(f64::INFINITY, f64::min);
        Self {
            tissue,
            vessel: white * stream.between(1.7, 2.1),
            bias: Waves::new(stream, 2, 190.0 * anatomy.size),
            bias_strength: stream.between(0.04, 0.09),
            slow: Waves::new(stream, 2, 22.0),
            fine: Waves::new(stream, 3, 3.2 * finest),
        }
    }

    fn texture(&self, p: [f64; 3]) -> f64 {
        0.012 * self.slow.at(p) + 0.007 * self.fine.at(p)
    }

    fn gain(&self, p: [f64; 3]) -> f64 {
        (self.bias_strength * self.bias.at(p)).exp()
    }
}

#[cfg(test)]
mod tests;
