//! What a scan's resolution looks like without knowing its anatomy: mean power along each axis, in bands.

use crate::error::{Result, VolumeError};
use crate::intensity::{otsu, percentile};
use crate::kspace::mean_power;
use crate::volume::Volume;

/// Bands from 0 to the Nyquist frequency.
pub(super) const BANDS: usize = 24;

/// Shorter lines do not hold a spectrum worth comparing.
const SHORTEST_LINE: usize = 12;

/// What the box that a head fills holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Powers {
    /// Power in each band along the axis nearest to each world axis (x, y, z); the square of the brightness is 1. A single slice
    /// has no spectrum across.
    pub(super) bands: [Option<[f64; BANDS]>; 3],
    /// Power that the noise has there, over that of the noise of bright voxels: in the background of a magnitude it varies less,
    /// and where a background was set to zero not at all.
    pub(super) noisy: f64,
}

/// The variance of a magnitude's noise where there is no signal (Rayleigh's) over that where there is much (Gauss's).
const OF_BACKGROUND: f64 = (4.0 - std::f64::consts::PI) / 2.0;

impl Powers {
    /// The powers of a scan, within the box that its head fills.
    ///
    /// # Errors
    /// For a volume without contrast, or too few voxels along an axis.
    pub(super) fn of(volume: &Volume) -> Result<Self> {
        let Head {
            threshold,
            brightness,
            start,
            extent,
        } = Head::of(volume)?;
        let cropped = volume.crop(start, extent);
        let mut powers = [None; 3];
        for (axis, (world, _)) in volume.geometry().canonical_axes().into_iter().enumerate() {
            if volume.extent()[axis] == 1 {
                continue;
            }
            if extent[axis] < SHORTEST_LINE {
                let value = format!("{extent:?} voxels");
                let expected =
                    format!("at least {SHORTEST_LINE} along each axis; name the operator instead of auto");
                return Err(VolumeError::content("head to calibrate with", value, expected));
            }
            let bands = banded(&mean_power(&cropped, axis), extent[axis]);
            powers[world] = Some(bands.map(|p| p / f64::from(brightness).powi(2)));
        }
        let noisy = |voxel: &f32| match *voxel {
            0.0 => 0.0,
            v if v > threshold => 1.0,
            _ => OF_BACKGROUND,
        };
        Ok(Self {
            bands: powers,
            noisy: cropped.data().iter().map(noisy).sum::<f64>() / cropped.data().len() as f64,
        })
    }
}

/// Where a scan's head is, and how bright.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    /// What is brighter is foreground.
    pub(super) threshold: f32,
    /// The 99.5th percentile of the foreground.
    pub(super) brightness: f32,
    /// First voxel of the box that the foreground fills.
    pub(super) start: [usize; 3],
    /// Voxels of that box.
    pub(super) extent: [usize; 3],
}

/// Share of the foreground that may lie outside the box at either end of an axis: single bright voxels of noise or
/// an artefact must not make it as large as the field of view.
const OUTSIDE: f64 = 1e-3;

impl Head {
    /// The foreground is what is above Otsu's threshold: unlike the normalisation's it does not ask whether the background is
    /// exactly 0, since a truncated scan must not be measured by another rule than an averaged one.
    ///
    /// # Errors
    /// For a volume without contrast.
    pub(super) fn of(volume: &Volume) -> Result<Self> {
        let no_contrast = || {
            VolumeError::content(
                "a scan to calibrate with",
                "no contrast",
                "an image of a head, brighter than its background",
            )
        };
        let threshold = otsu(volume.data()).ok_or_else(no_contrast)?;
        let [nx, ny, nz] = volume.extent();
        let mut counts = [vec![0; nx], vec![0; ny], vec![0; nz]];
        let mut above = Vec::new();
        for (row, voxels) in volume.data().chunks_exact(nx).enumerate() {
            let before = above.len();
            for (x, v) in voxels.iter().enumerate().filter(|(_, v)| **v > threshold) {
                counts[0][x] += 1;
                above.push(*v);
            }
            counts[1][row % ny] += above.len() - before;
            counts[2][row / ny] += above.len() - before;
        }
        let brightness = percentile(&mut above, 99.5)
            .map(|b| b as f32)
            .filter(|b| *b > 0.0 && b.is_finite())
            .ok_or_else(no_contrast)?;
        let outside = (OUTSIDE * above.len() as f64) as usize;
        let spans = counts.map(|counts| {
            let skipped = |order: &mut dyn Iterator<Item = &usize>| {
                let mut sum = 0;
                order
                    .take_while(|count| {
                        sum += **count;
                        sum <= outside
                    })
                    .count()
            };
            // The voxel beside the foreground holds the other half of its edge.
            let low = skipped(&mut counts.iter()).saturating_sub(1);
            let beyond = skipped(&mut counts.iter().rev()).saturating_sub(1);
            (low, counts.len() - low - beyond)
        });
        Ok(Self {
            threshold,
            brightness,
            start: spans.map(|(low, _)| low),
            extent: spans.map(|(_, size)| size),
        })
    }
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
    use crate::volume::Geometry;

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

    #[test]
    fn a_few_bright_voxels_do_not_widen_the_box_of_the_head() {
        let extent = [40, 30, 20];
        let inside = |x: usize, y: usize, z: usize| {
            (10..30).contains(&x) && (5..25).contains(&y) && (4..18).contains(&z)
        };
        let mut volume = Volume::filled(0.0, Geometry::axis_aligned(extent, [1.0; 3]));
        for (i, voxel) in volume.data_mut().iter_mut().enumerate() {
            if inside(i % 40, i / 40 % 30, i / 1200) {
                *voxel = 100.0 + (i % 7) as f32;
            }
        }
        let head = Head::of(&volume).unwrap();
        assert_eq!((head.start, head.extent), ([9, 4, 3], [22, 22, 16]));
        for corner in [0, 39, 40 * 29, 40 * 30 * 19] {
            volume.data_mut()[corner] = 300.0;
        }
        let spotted = Head::of(&volume).unwrap();
        assert_eq!((spotted.start, spotted.extent), (head.start, head.extent));
    }

    #[test]
    fn the_noise_of_a_background_counts_for_less_and_that_of_zeros_for_nothing() {
        let geometry = Geometry::axis_aligned([20, 20, 20], [1.0; 3]);
        // Half of the box is bright, as in a board of squares; the other half is dark, or zero.
        let noisy = |dark: f32| {
            let voxel = |i: usize| {
                if (i / 400 + i / 20 % 20 + i % 20).is_multiple_of(2) {
                    100.0 + (i % 3) as f32
                } else {
                    dark
                }
            };
            let volume = Volume::new((0..8000).map(voxel).collect(), geometry.clone());
            Powers::of(&volume).unwrap().noisy
        };
        assert!((noisy(0.0) - 0.5).abs() < 1e-9, "{}", noisy(0.0));
        assert!(
            (noisy(3.0) - (0.5 + 0.5 * OF_BACKGROUND)).abs() < 1e-9,
            "{}",
            noisy(3.0)
        );
    }
}
