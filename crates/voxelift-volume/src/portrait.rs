//! Floor 4 · Portrait of a scan: the few numbers that tell whether two domains can be trained on together.

use crate::error::Result;
use crate::intensity::{Mask, foreground_peak, percentile, texture};
use crate::likeness::Likeness;
use crate::resolution::{AxisResolution, resolution};
use crate::volume::Volume;

/// Percentiles of the foreground that stand for a scan's contrast.
pub const CONTRAST: [f64; 5] = [10.0, 25.0, 50.0, 75.0, 90.0];

/// What can be told of a scan without knowing what it shows.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// What is truly resolved along x, y, z of the file.
    pub resolution: [AxisResolution; 3],
    /// The outer edges' distances along x, y, z.
    pub field_of_view_mm: [f64; 3],
    /// Share of the voxels that are foreground.
    pub foreground: f64,
    /// The [`CONTRAST`] percentiles of the foreground over its 99.5th.
    pub contrast: [f64; CONTRAST.len()],
    /// Standard deviation of what is uncorrelated from voxel to voxel, over the 99.5th percentile: noise, and the
    /// finest texture with it.
    pub noise: f64,
    /// For comparing people.
    pub likeness: Likeness,
}

impl Portrait {
    /// Looks at a scan.
    ///
    /// # Errors
    /// For a volume without contrast.
    pub fn of(volume: &Volume) -> Result<Self> {
        let peak = f64::from(foreground_peak(volume)?);
        let mask = Mask::foreground(volume);
        let (extent, spacing) = (volume.extent(), volume.geometry().spacing_mm());
        let inside = volume
            .data()
            .iter()
            .zip(mask.data())
            .filter(|(_, inside)| **inside);
        let mut values: Vec<f32> = inside.map(|(v, _)| *v).collect();
        Ok(Self {
            resolution: resolution(volume),
            field_of_view_mm: std::array::from_fn(|a| extent[a] as f64 * spacing[a]),
            foreground: mask.count() as f64 / volume.data().len() as f64,
            contrast: CONTRAST.map(|p| percentile(&mut values, p).unwrap_or(0.0) / peak),
            noise: texture(volume, &mask) / peak,
            likeness: Likeness::of(volume)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::volume::Geometry;

    #[test]
    fn noise_and_contrast_are_those_put_in() {
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
        let portrait = Portrait::of(&Volume::new(data.collect(), geometry)).expect("contrast");
        assert!((portrait.noise * 95.0 - 2.0).abs() < 0.2, "{}", portrait.noise);
        assert_eq!(portrait.field_of_view_mm, [40.0, 54.0, 64.0]);
        assert!((portrait.foreground - 0.8).abs() < 1e-9);
        assert!(
            (portrait.contrast[2] - 79.5 / 96.0).abs() < 0.03,
            "{:?}",
            portrait.contrast
        );
    }
}
