//! Changes to a patch that keep what it shows: turned axes, other intensities, noise. All off by default.

use serde::{Deserialize, Serialize};
use voxelift_volume::Scale;
use voxelift_volume::degrade::{Degradation, Motion, rician};
use voxelift_volume::random::Stream;

use crate::error::InvalidSetting;

/// What is changed at random, beside the flips of the patch's own settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Exchange axes of equal spacing and scale: with the flips all rotations by quarter turns.
    pub rotate: bool,
    /// Intensities to the power `exp(u)`, `u` between minus and plus this.
    pub gamma: f64,
    /// Log intensity added as a random quadratic over the patch, at most this at its corners.
    pub bias_field: f64,
    /// Rician noise on LR patches, between none and this fraction of the brightness; the square of an even draw, so that a
    /// third of the patches have less than a tenth of it and clean scans are learnt too.
    pub noise: f64,
    /// Further LR versions of each HR scan, their operators' parameters changed at random.
    pub operator_copies: usize,
    /// By how much: a factor `exp(u)`, `u` between minus and plus this.
    pub operator_spread: f64,
    /// How the head moves in these further versions; without, not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<Motion>,
}

/// Spacings within this of each other may be exchanged.
const SAME_SPACING: f64 = 0.02;

impl AugmentationConfig {
    /// Refuses settings outside their ranges: the key within the section, its value, what was expected.
    ///
    /// # Errors
    /// The first wrong one.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        for (key, value) in [
            ("gamma", self.gamma),
            ("bias_field", self.bias_field),
            ("noise", self.noise),
            ("operator_spread", self.operator_spread),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(InvalidSetting::new(key, value, "expected 0 to 1"));
            }
        }
        let moving = Degradation {
            motion: self.motion,
            ..Degradation::default()
        };
        moving.check()?;
        if self.operator_copies > 8 {
            return Err(InvalidSetting::new(
                "operator_copies",
                self.operator_copies,
                "expected 0 to 8",
            ));
        }
        Ok(())
    }

    /// The file's axis that each axis of the patch runs along.
    pub(super) fn axes(&self, scale: Scale, spacing_mm: [f64; 3], stream: &mut Stream) -> [usize; 3] {
        let mut axes = [0, 1, 2];
        if !self.rotate {
            return axes;
        }
        for a in (1..3).rev() {
            let b = stream.below(a + 1);
            let alike =
                (spacing_mm[a] / spacing_mm[b] - 1.0).abs() < SAME_SPACING && scale.0[a] == scale.0[b];
            if alike {
                axes.swap(a, b);
            }
        }
        axes
    }

    /// The changes of one patch.
    pub(super) fn look(&self, stream: &mut Stream) -> Look {
        let mut either = |size: f64| {
            if size > 0.0 {
                stream.between(-size, size)
            } else {
                0.0
            }
        };
        let gamma = either(self.gamma).exp();
        // Nine terms share the amplitude, so that no corner exceeds it.
        let bias = std::array::from_fn(|_| either(self.bias_field / 9.0));
        let noise = if self.noise > 0.0 {
            self.noise * stream.between(0.0, 1.0).powi(2)
        } else {
            0.0
        };
        Look { gamma, bias, noise }
    }
}

/// Which way a patch lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The file's axis that each axis of the patch runs along.
    pub axes: [usize; 3],
    /// Axes of the file that are mirrored.
    pub flip: [bool; 3],
}

impl Turn {
    /// The patch, turned.
    pub fn applied(self, voxels: Vec<f32>, extent: [usize; 3]) -> Vec<f32> {
        if self.axes == [0, 1, 2] && self.flip == [false; 3] {
            return voxels;
        }
        let stride = [1, extent[0], extent[0] * extent[1]];
        let turned = self.axes.map(|axis| extent[axis]);
        let mut out = Vec::with_capacity(voxels.len());
        for z in 0..turned[2] {
            for y in 0..turned[1] {
                for x in 0..turned[0] {
                    let mut from = 0;
                    for (axis, i) in self.axes.into_iter().zip([x, y, z]) {
                        let i = if self.flip[axis] { extent[axis] - 1 - i } else { i };
                        from += i * stride[axis];
                    }
                    out.push(voxels[from]);
                }
            }
        }
        out
    }
}

/// The changes of one patch's intensities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    gamma: f64,
    /// Of x, y, z, xx, yy, zz, xy, yz, zx over the patch from -1 to 1.
    bias: [f64; 9],
    noise: f64,
}

impl Look {
    /// Other intensities, the same for an HR patch and its LR version.
    pub fn shade(&self, voxels: &mut [f32], extent: [usize; 3]) {
        if self.gamma != 1.0 {
            // Ringing is negative in places and stays so.
            voxels
                .iter_mut()
                .for_each(|v| *v = (f64::from(v.abs()).powf(self.gamma) as f32).copysign(*v));
        }
        if self.bias != [0.0; 9] {
            for (i, v) in voxels.iter_mut().enumerate() {
                let at = [
                    i % extent[0],
                    i / extent[0] % extent[1],
                    i / (extent[0] * extent[1]),
                ];
                let [x, y, z]: [f64; 3] =
                    std::array::from_fn(|a| (2 * at[a] + 1) as f64 / extent[a] as f64 - 1.0);
                let terms = [x, y, z, x * x, y * y, z * z, x * y, y * z, z * x];
                let log: f64 = terms.iter().zip(self.bias).map(|(t, b)| t * b).sum();
                *v = (f64::from(*v) * log.exp()) as f32;
            }
        }
    }

    /// Noise, on LR patches alone.
    pub fn disturb(&self, voxels: &mut [f32], stream: &mut Stream) {
        if self.noise > 0.0 {
            rician(voxels, self.noise, stream);
        }
    }
}
