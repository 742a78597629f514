//! Layer 3 · HR volume -> LR acquisition: steps in documented order.
//!
//! ```
//! use voxelift_volume::{Scale, degrade::{Degradation, Operator}, phantom::{PhantomConfig, head}};
//!
//! let hr = head(&PhantomConfig { seed: 1, extent: [16; 3], spacing_mm: [10.0; 3] })?;
//! // Half the resolution along each axis, as a scanner would measure it, with noise of 2 % of the signal that a seed draws.
//! let degradation = Degradation { noise: 0.02, ..Degradation::new(Operator::KSpace, Scale::isotropic(2)) };
//! let degraded = degradation.apply(&hr, 1)?;
//! assert_eq!(degraded.geometry(), &hr.geometry().with_extent([8; 3]));
//! assert!(degradation.apply(&hr, 1)? == degraded && degradation.apply(&hr, 2)? != degraded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod effects;
mod operator;
mod operators;
mod transfer;

pub use effects::{Axis, Ghosting, Motion, rician};
pub use operator::{Operator, Profile};
pub use operators::Operators;
pub use transfer::Transfer;

use crate::error::{Result, VolumeError};
use crate::intensity::Normalization;
use crate::random::Stream;
use crate::resample::{extent_for_spacing, pad_to_scale};
use crate::volume::{Geometry, Scale, Volume};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How fine the LR grid is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grid {
    /// HR voxels per LR voxel; the HR volume is mirrored at the high end up to a multiple ([`pad_to_scale`]), and an axis of one
    /// voxel stays.
    Scale(Scale),
    /// Voxel size along x, y, z, mm; the nearest extent over the same field of view.
    SpacingMm([f64; 3]),
}

/// A simulated LR acquisition of an HR volume. Steps, in the order of an acquisition:
///
/// 0. the head does not lie where the header says (`shift`): a fault, as a negative control,
/// 1. the receive field (`bias_field`) multiplies the head,
/// 2. the head moves between lines of k-space (`motion`),
/// 3. the operator degrades it to the LR grid, one operator per axis (thick slices are one of them),
/// 4. every n-th acquired line is weak (`ghosting`),
/// 5. the magnitude is taken under noise (`noise`).
///
/// Steps 0, 1, 2, 4 and 5 are left out where their setting is 0 or absent. In a configuration:
/// `{ operator = "kspace", scale = 2, noise = 0.03, motion = { events = 3 } }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Degradation {
    /// How voxels become fewer.
    pub operator: Operators,
    /// How many remain.
    pub grid: Grid,
    /// By how many HR voxels along each axis the head lies away from where the header says; 0 for none. Half a voxel is the
    /// fault of mixed grid conventions, and shows whether a comparison would notice it.
    pub shift: f64,
    /// Standard deviation of the logarithm of the receive field; 0 for none.
    pub bias_field: f64,
    /// Motion between k-space lines.
    pub motion: Option<Motion>,
    /// Periodically weak k-space lines.
    pub ghosting: Option<Ghosting>,
    /// Rician noise: standard deviation as a fraction of the 99.5th percentile of the LR foreground.
    pub noise: f64,
}

impl Default for Degradation {
    fn default() -> Self {
        Self::new(Operator::KSpace, Scale::isotropic(2))
    }
}

/// Streams of a degradation's seed; noise takes one a slice from its number on.
const BIAS: u64 = 1;
const MOTION: u64 = 2;
const NOISE: u64 = 1 << 32;

impl Degradation {
    /// An operator at a scale, without acquisition effects.
    pub fn new(operator: impl Into<Operators>, scale: Scale) -> Self {
        Self {
            operator: operator.into(),
            grid: Grid::Scale(scale),
            shift: 0.0,
            bias_field: 0.0,
            motion: None,
            ghosting: None,
            noise: 0.0,
        }
    }

    /// The LR extent for an HR grid.
    ///
    /// # Errors
    /// When a spacing asks for more voxels than there are.
    pub fn lr_extent(&self, hr: &Geometry) -> Result<[usize; 3]> {
        match self.grid {
            Grid::Scale(scale) => Ok(scale.within(hr.extent).down(hr.extent)),
            Grid::SpacingMm(spacing) => {
                let have = hr.spacing_mm();
                let wanted = [0, 1, 2].map(|a| if hr.extent[a] == 1 { have[a] } else { spacing[a] });
                let extent = extent_for_spacing(hr, wanted)?;
                for a in 0..3 {
                    if extent[a] > hr.extent[a] {
                        let have = hr.spacing_mm()[a];
                        let expected = format!(
                            "along {} the volume has {have} mm; give that or more",
                            ["x", "y", "z"][a]
                        );
                        return Err(VolumeError::argument("spacing", spacing[a], expected));
                    }
                }
                Ok(extent)
            }
        }
    }

    /// The extent that is degraded to [`Degradation::lr_extent`]: that of the HR grid, up to a multiple of the scale.
    pub fn padded_extent(&self, hr: [usize; 3]) -> [usize; 3] {
        match self.grid {
            Grid::Scale(scale) => {
                let scale = scale.within(hr);
                scale.up(scale.down(hr))
            }
            Grid::SpacingMm(_) => hr,
        }
    }

    /// The LR acquisition of `hr`; `seed` draws the receive field, the motion and the noise.
    ///
    /// # Errors
    /// A setting outside its range, a spacing finer than the volume's, or noise on a volume without a foreground
    /// to measure it against.
    pub fn apply(&self, hr: &Volume, seed: u64) -> Result<Volume> {
        self.check()?;
        let extent = self.lr_extent(hr.geometry())?;
        let mut volume = match self.grid {
            Grid::Scale(scale) => pad_to_scale(hr, scale),
            Grid::SpacingMm(_) => hr.clone(),
        };
        // A receive field and the noise of a magnitude act on the signal, of a shifted scan on what lies above its zero.
        let scale = (self.bias_field > 0.0 || self.noise > 0.0).then(|| Normalization::of(&volume));
        let scale = scale.transpose()?;
        if let Some(scale) = &scale {
            volume = scale.without_zero(volume);
        }
        if self.shift != 0.0 {
            volume = effects::shifted(&volume, self.shift);
        }
        if self.bias_field > 0.0 {
            volume = effects::bias_field(volume, self.bias_field, &mut Stream::new(seed, BIAS));
        }
        if let Some(motion) = self.motion.filter(|m| m.events > 0) {
            let acquired = extent[motion.axis as usize];
            volume = effects::motion(&volume, &motion, acquired, &mut Stream::new(seed, MOTION));
        }
        volume = self.operator.apply(&volume, extent);
        if let Some(ghosting) = self.ghosting {
            volume = effects::ghosting(&volume, &ghosting);
        }
        if self.noise > 0.0 {
            let sigma = self.noise * f64::from(Normalization::of(&volume)?.factor);
            volume = effects::rician_volume(volume, sigma, seed, NOISE);
        }
        Ok(match &scale {
            Some(scale) => scale.onto_zero(volume),
            None => volume,
        })
    }

    /// The operator of a degradation in words, as [`Degradation`] is displayed and stands in a model's card.
    ///
    /// # Errors
    /// When the words are of another kind.
    pub fn operator_in(words: &str) -> Result<Operators> {
        let end = [", scale ", ", spacing "]
            .iter()
            .filter_map(|grid| words.find(grid))
            .min();
        words[..end.unwrap_or(words.len())].parse()
    }

    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// Naming the setting.
    pub fn check(&self) -> Result<()> {
        let within = |name: &'static str, value: f64, high: f64| {
            // Written so that NaN is refused as well.
            if (0.0..=high).contains(&value) {
                return Ok(());
            }
            Err(VolumeError::argument(
                name,
                value,
                format!("expected 0 to {high}"),
            ))
        };
        self.operator.check()?;
        if let Grid::Scale(Scale(factors)) = self.grid
            && !factors.iter().all(|f| (1..=16).contains(f))
        {
            return Err(VolumeError::argument(
                "scale",
                format!("{factors:?}"),
                "expected 1 to 16 per axis",
            ));
        }
        within("shift", self.shift.abs(), 16.0)?;
        within("bias_field", self.bias_field, 2.0)?;
        within("noise", self.noise, 1.0)?;
        if let Some(motion) = self.motion {
            within("motion.translation_mm", motion.translation_mm, 100.0)?;
            within("motion.rotation_deg", motion.rotation_deg, 90.0)?;
            within("motion.events", motion.events as f64, 64.0)?;
        }
        if let Some(ghosting) = self.ghosting {
            within("ghosting.intensity", ghosting.intensity, 1.0)?;
            if ghosting.ghosts < 2 {
                return Err(VolumeError::argument(
                    "ghosting.ghosts",
                    ghosting.ghosts,
                    "expected 2 or more",
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Degradation {
    /// One line for logs and a model's card: `kspace, scale 2, noise 0.03`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operator)?;
        match self.grid {
            Grid::Scale(scale) => write!(f, ", scale {scale}")?,
            Grid::SpacingMm([x, y, z]) => write!(f, ", spacing {x},{y},{z} mm")?,
        }
        if self.shift != 0.0 {
            write!(f, ", shifted by {} voxels", self.shift)?;
        }
        if self.bias_field > 0.0 {
            write!(f, ", bias field {}", self.bias_field)?;
        }
        if let Some(Motion {
            events,
            translation_mm,
            rotation_deg,
            ..
        }) = self.motion
        {
            write!(
                f,
                ", {events} motions of {translation_mm} mm and {rotation_deg} degrees"
            )?;
        }
        if let Some(Ghosting {
            ghosts, intensity, ..
        }) = self.ghosting
        {
            write!(f, ", {ghosts} ghosts of {intensity}")?;
        }
        if self.noise > 0.0 {
            write!(f, ", noise {}", self.noise)?;
        }
        Ok(())
    }
}

/// One value for all axes or a list of three.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected one number, or a list of three for x, y, z")]
enum OneOrThree<T> {
    One(T),
    Three([T; 3]),
}

impl<T: Copy + PartialEq> OneOrThree<T> {
    fn of(three: [T; 3]) -> Self {
        if three.iter().all(|v| *v == three[0]) {
            Self::One(three[0])
        } else {
            Self::Three(three)
        }
    }

    fn three(self) -> [T; 3] {
        match self {
            Self::One(all) => [all; 3],
            Self::Three(three) => three,
        }
    }
}

/// A degradation as it stands in a configuration file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "kspace")]
    operator: Operators,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<OneOrThree<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spacing_mm: Option<OneOrThree<f64>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    shift: f64,
    #[serde(default)]
    bias_field: f64,
    #[serde(default)]
    noise: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    motion: Option<Motion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ghosting: Option<Ghosting>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn kspace() -> Operators {
    Operators::isotropic(Operator::KSpace)
}

impl TryFrom<Written> for Degradation {
    type Error = VolumeError;

    fn try_from(written: Written) -> Result<Self> {
        let Written {
            operator,
            scale,
            spacing_mm,
            shift,
            bias_field,
            noise,
            motion,
            ghosting,
        } = written;
        let grid = match (scale, spacing_mm) {
            (Some(_), Some(spacing)) => {
                let value = format!("{:?}", spacing.three());
                return Err(VolumeError::argument(
                    "spacing_mm",
                    value,
                    "scale is given too; keep one of them",
                ));
            }
            (Some(scale), None) => Grid::Scale(Scale(scale.three())),
            (None, Some(spacing)) => Grid::SpacingMm(spacing.three()),
            (None, None) => Grid::Scale(Scale::isotropic(2)),
        };
        let degradation = Self {
            operator,
            grid,
            shift,
            bias_field,
            motion,
            ghosting,
            noise,
        };
        degradation.check()?;
        Ok(degradation)
    }
}

impl From<Degradation> for Written {
    fn from(degradation: Degradation) -> Self {
        let Degradation {
            operator,
            grid,
            shift,
            bias_field,
            motion,
            ghosting,
            noise,
        } = degradation;
        let (scale, spacing_mm) = match grid {
            Grid::Scale(Scale(factors)) => (Some(OneOrThree::of(factors)), None),
            Grid::SpacingMm(spacing) => (None, Some(OneOrThree::of(spacing))),
        };
        Self {
            operator,
            scale,
            spacing_mm,
            shift,
            bias_field,
            noise,
            motion,
            ghosting,
        }
    }
}

#[cfg(test)]
mod tests;
