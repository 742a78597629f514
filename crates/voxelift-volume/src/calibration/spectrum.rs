//! What a scan's resolution looks like without knowing its anatomy: mean power along each axis, in bands.

use crate::error::{Result, VolumeError};
use crate::intensity::{otsu, percentile};
use crate::kspace::mean_power;
use crate::volume::Volume;

/// Bands from 0 to the Nyquist frequency.
pub(super) const BANDS: usize = 24;

/// Shorter lines do not hold a spectrum worth comparing.
const SHORTEST_LINE: usize = 12;

/// Power in each band along the axis nearest to each world axis (x, y, z); the square of the brightness is 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Powers(pub(super) [[f64; BANDS]; 3]);

impl Powers {
    /// The powers of a scan, within the box that its head fills.
    ///
    /// # Errors
    /// For a volume without contrast, or too few voxels along an axis.
    pub(super) fn of(volume: &Volume) -> Result<Self> {
        let bright = brightness(volume)?;
        let (start, extent) = head_box(volume, 0.1 * bright);
        let cropped = volume.crop(start, extent);
        let mut powers = [[0.0; BANDS]; 3];
        for (axis, (world, _)) in volume.geometry().canonical_axes().into_iter().enumerate() {
            if volume.extent()[axis] == 1 {
                // A single slice has no spectrum across: the same nothing in both pools.
                continue;
            }
            if extent[axis] < SHORTEST_LINE {
                let value = format!("{extent:?} voxels");
                let expected =
                    format!("at least {SHORTEST_LINE} along each axis; name the operator instead of auto");
                return Err(VolumeError::content("head to calibrate with", value, expected));
            }
            powers[world] = banded(&mean_power(&cropped, axis), extent[axis]);
            powers[world]
                .iter_mut()
                .for_each(|p| *p /= f64::from(bright).powi(2));
        }
        Ok(Self(powers))
    }
}

/// The 99.5th percentile above Otsu's threshold.
///
/// Unlike the normalisation's foreground it does not ask whether the background is exactly 0: a truncated scan
/// must not be measured by another rule than an averaged one.
pub(super) fn brightness(volume: &Volume) -> Result<f32> {
    let threshold = otsu(volume.data());
    let above = |t: f32| {
        volume
            .data()
            .iter()
            .copied()
            .filter(|&v| v > t)
            .collect::<Vec<f32>>()
    };
    let bright = threshold
        .and_then(|t| percentile(&mut above(t), 99.5))
        .filter(|b| *b > 0.0 && b.is_finite());
    bright.map(|b| b as f32).ok_or_else(|| {
        VolumeError::content(
            "a scan to calibrate with",
            "no contrast",
            "an image of a head, brighter than its background",
        )
    })
}

/// First voxel and extent of the box around all voxels above `threshold`.
pub(super) fn head_box(volume: &Volume, threshold: f32) -> ([usize; 3], [usize; 3]) {
    let [nx, ny, _] = volume.extent();
    let (mut low, mut high) = (volume.extent(), [0; 3]);
    for (row, voxels) in volume.data().chunks_exact(nx).enumerate() {
        let Some(first) = voxels.iter().position(|&v| v > threshold) else {
            continue;
        };
        let last = nx - 1 - voxels.iter().rev().position(|&v| v > threshold).unwrap_or(0);
        for (a, (from, to)) in [(first, last), (row % ny, row % ny), (row / ny, row / ny)]
            .into_iter()
            .enumerate()
        {
            low[a] = low[a].min(from);
            high[a] = high[a].max(to + 1);
        }
    }
    (low, std::array::from_fn(|a| high[a].saturating_sub(low[a])))
}

/// The mean over each band; a bin fills the frequencies nearer to it than to its neighbours.
pub(super) fn banded(power: &[f64], n: usize) -> [f64; BANDS] {
    let edge = |k: f64| 2.0 * BANDS as f64 * k / n as f64;
    std::array::from_fn(|band| {
        let (low, high) = (band as f64, band as f64 + 1.0);
        let (mut sum, mut width) = (0.0, 0.0);
        for (k, p) in power.iter().enumerate() {
            let overlap = (edge(k as f64 + 0.5).min(high) - edge(k as f64 - 0.5).max(low)).max(0.0);
            sum += overlap * p;
            width += overlap;
        }
        sum / width
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_share_out_bins_by_overlap() {
        // 48 voxels: bins 0 to 24 lie on the edges of the 24 bands.
        let bins: Vec<f64> = (0..=24).map(f64::from).collect();
        let bands = banded(&bins, 48);
        for (band, value) in bands.iter().enumerate() {
            assert!((value - (band as f64 + 0.5)).abs() < 1e-12, "{bands:?}");
        }
        // Fewer bins than bands: neighbouring bands read the same bin.
        let coarse = banded(&[5.0, 4.0, 3.0, 2.0, 1.0], 8);
        assert_eq!((coarse[0], coarse[23]), (5.0, 1.0));
        // An odd line ends below the Nyquist frequency: the last bin reaches it.
        assert!(banded(&[1.0; 25], 49).iter().all(|p| (p - 1.0).abs() < 1e-12));
    }
}
