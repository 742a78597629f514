//! Layer 4 · Random acquisitions: how a scan of any spacing may have come about.
//!
//! ```
//! use voxelift_model::acquisition::AcquisitionConfig;
//! use voxelift_volume::Geometry;
//! use voxelift_volume::random::Stream;
//!
//! let grid = Geometry::axis_aligned([96; 3], [1.0; 3]);
//! // One that may be coarser along z alone is one of thick slices.
//! let drawn = AcquisitionConfig::default().drawn(&grid, [false, false, true], &mut Stream::new(1, 0));
//! println!("{drawn}");
//! let [x, y, z] = drawn.lr_extent(&grid)?;
//! assert_eq!([x, y], [96; 2]);
//! assert!((16..=48).contains(&z));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use voxelift_volume::Geometry;
use voxelift_volume::degrade::{Axis, Degradation, Grid, Motion, Operator, Operators, Profile};
use voxelift_volume::random::Stream;

use crate::error::InvalidSetting;

/// Which acquisitions are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcquisitionConfig {
    /// Largest factor of an axis: acquired over target spacing.
    pub most: f64,
    /// Share of acquisitions in thick slices along one axis, factors from 2 on.
    pub slices: f64,
    /// Share with a factor of its own on each axis; the rest are coarser by one factor on all of them.
    pub uneven: f64,
    /// Rician noise of at most this fraction of the peak; two in five acquisitions have none, the others the square of an even
    /// draw.
    pub noise: f64,
    /// Share in which the head moves a little.
    pub moving: f64,
}

impl Default for AcquisitionConfig {
    fn default() -> Self {
        Self {
            most: 6.0,
            slices: 0.4,
            uneven: 0.15,
            noise: 0.05,
            moving: 0.05,
        }
    }
}

/// Fewer voxels than this along an axis are no scan.
const LEAST_EXTENT: usize = 8;

/// The families that operators are drawn from, for a model's card.
pub const FAMILIES: [&str; 7] = [
    "kspace",
    "window:0.85,0.2",
    "slice:gaussian,1",
    "slice:box,1",
    "box",
    "gaussian:0.5",
    "cubic",
];

impl AcquisitionConfig {
    /// Refuses settings outside their ranges: the key, its value, what was expected.
    ///
    /// # Errors
    /// The first wrong one.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        if !(2.0..=8.0).contains(&self.most) {
            return Err(InvalidSetting::new(
                "most",
                self.most,
                "expected a factor of 2 to 8",
            ));
        }
        for (key, value) in [
            ("slices", self.slices),
            ("uneven", self.uneven),
            ("slices + uneven", self.slices + self.uneven),
            ("noise", self.noise),
            ("moving", self.moving),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(InvalidSetting::new(key, value, "expected 0 to 1"));
            }
        }
        Ok(())
    }

    /// A random acquisition of a scan on `grid`, coarser along `axes` only.
    pub fn drawn(&self, grid: &Geometry, axes: [bool; 3], stream: &mut Stream) -> Degradation {
        let free: Vec<usize> = (0..3).filter(|a| axes[*a]).collect();
        let kind = stream.uniform();
        let mut factors = [1.0; 3];
        let mut operators = [self.encoded(stream); 3];
        if kind < self.slices || free.len() == 1 {
            let thick = free[stream.below(free.len())];
            // In plane most scans are as fine as the target.
            if stream.uniform() < 0.4 {
                let in_plane = stream.between(1.0, 1.6);
                free.iter().for_each(|a| factors[*a] = in_plane);
            }
            factors[thick] = whole_at_times(stream.between(2.0, self.most), stream);
            operators[thick] = sliced(stream);
        } else if kind < self.slices + self.uneven {
            for a in free {
                factors[a] = stream.between(1.0, self.most.min(3.0));
            }
        } else {
            // Twice as coarse is the most frequent by far.
            let all = match stream.uniform() {
                u if u < 0.45 => 2.0,
                u if u < 0.55 => 3.0_f64.min(self.most),
                _ => stream.between(1.15, self.most.min(3.2)),
            };
            free.iter().for_each(|a| factors[*a] = all);
        }
        let spacing = grid.spacing_mm();
        let coarser = std::array::from_fn(|a| {
            let n = grid.extent[a];
            let m = (n as f64 / factors[a]).round() as usize;
            spacing[a] * n as f64 / m.clamp(LEAST_EXTENT.min(n), n) as f64
        });
        let noise = if stream.uniform() < 0.4 {
            0.0
        } else {
            self.noise * stream.uniform().powi(2)
        };
        let moves = stream.uniform() < self.moving;
        Degradation {
            operator: Operators(operators),
            grid: Grid::SpacingMm(coarser),
            motion: moves.then(|| Motion {
                events: 1 + stream.below(3),
                translation_mm: 0.2,
                rotation_deg: 0.2,
                axis: Axis::Y,
            }),
            noise,
            ..Degradation::default()
        }
    }

    /// How axes are acquired whose frequencies a scanner encodes, and how software averages them.
    fn encoded(&self, stream: &mut Stream) -> Operator {
        match stream.uniform() {
            u if u < 0.65 => Operator::KSpace,
            u if u < 0.80 => Operator::Window {
                cutoff: stream.between(0.75, 1.0),
                edge: stream.between(0.0, 0.4),
            },
            u if u < 0.90 => Operator::Box,
            u if u < 0.95 => Operator::Gaussian {
                sigma: stream.between(0.35, 0.6),
            },
            _ => Operator::Cubic,
        }
    }
}

/// How slices are acquired: excited with a profile, or encoded as thin partitions.
fn sliced(stream: &mut Stream) -> Operator {
    // Below 1 there is a gap between slices.
    let thickness = stream.between(0.6, 1.15);
    match stream.uniform() {
        u if u < 0.40 => Operator::Slice {
            profile: Profile::Gaussian,
            thickness,
        },
        u if u < 0.60 => Operator::Slice {
            profile: Profile::Box,
            thickness,
        },
        u if u < 0.70 => Operator::Box,
        _ => Operator::KSpace,
    }
}

fn whole_at_times(factor: f64, stream: &mut Stream) -> f64 {
    if stream.uniform() < 0.5 {
        factor.round()
    } else {
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquisitions_stay_within_their_factors_and_axes() {
        let config = AcquisitionConfig::default();
        let grid = Geometry::axis_aligned([120, 100, 96], [1.0, 1.0, 0.8]);
        let mut thick = 0;
        for i in 0..300 {
            let drawn = config.drawn(&grid, [true, true, false], &mut Stream::new(3, i));
            drawn.check().unwrap();
            let extent = drawn.lr_extent(&grid).unwrap();
            assert_eq!(extent[2], 96, "{drawn}");
            for (few, n) in extent.iter().zip(grid.extent) {
                let factor = n as f64 / *few as f64;
                assert!((1.0..6.3).contains(&factor), "{drawn}");
            }
            thick += usize::from(extent[0].abs_diff(extent[1]) > 30);
            assert!(drawn.noise <= 0.05);
        }
        assert!(thick > 60, "{thick}");
    }

    #[test]
    fn the_cards_families_can_be_read() {
        for words in FAMILIES {
            Degradation::operator_in(words).unwrap();
        }
    }
}
