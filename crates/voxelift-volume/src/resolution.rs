//! Layer 3 · True resolution of a volume along each axis, from its spectrum: what a scanner interpolated shows.
//!
//! A scanner that acquires fewer frequencies than its grid could hold fills the rest with zeros (or interpolates), and
//! the header says the grid's spacing alone. The mean power of a head's lines falls about as `f^-4` up to the noise;
//! at the edge of what was acquired it falls off a cliff.
//!
//! ```
//! use voxelift_volume::kspace::{truncate, zero_fill};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//! use voxelift_volume::resolution::resolution;
//!
//! // A scan of voxels of 5 mm along x, which its scanner brought to 2.5 mm.
//! let fine = head(&PhantomConfig { seed: 1, extent: [64; 3], spacing_mm: [2.5; 3] })?;
//! let scan = zero_fill(&truncate(&fine, [32, 64, 64]), [64; 3]);
//! let [x, y, z] = resolution(&scan);
//! assert_eq!(x.spacing_mm, 2.5);
//! assert!(x.is_interpolated() && !y.is_interpolated() && !z.is_interpolated());
//! assert!((x.present_mm.expect("enough voxels to judge") - 5.0).abs() < 0.75);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::intensity::Mask;
use crate::kspace::mean_power;
use crate::separable::along_slowest;
use crate::volume::Volume;

/// Shorter lines have no spectrum worth judging.
const SHORTEST_LINE: usize = 32;
/// Voxels of the box whose threefold blur softens a mask's edge.
const SOFTNESS: usize = 7;
/// Frequencies below it (cycles per voxel) are anatomy's own.
const LOWEST: f64 = 0.06;
/// The slope of log power over log frequency is fitted between `f (1 - w)` and `f (1 + w)`.
const WINDOW: f64 = 0.1;
/// Scans of heads without interpolation are no steeper than this (-4 to -6, seldom -8 just below the Nyquist frequency).
const CLIFF: f64 = -8.0;
/// The cliff's top and foot: less steep than this.
const LEVEL: f64 = -7.0;
/// Power below this part of that at the cliff's top counts as nothing.
const NOTHING: f64 = 0.02;
/// True resolution over spacing from which an axis counts as interpolated.
const INTERPOLATED: f64 = 1.25;

/// What is truly present along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisResolution {
    /// The voxel size of the grid.
    pub spacing_mm: f64,
    /// `1 / (2 k)` of the highest frequency `k` that holds anything, never below the spacing; `None` where the head
    /// has too few voxels along the axis to judge.
    pub present_mm: Option<f64>,
}

impl AxisResolution {
    /// Whether the voxels are clearly (by a quarter) finer than what the scan resolves.
    pub fn is_interpolated(&self) -> bool {
        self.present_mm
            .is_some_and(|present| present > INTERPOLATED * self.spacing_mm)
    }
}

/// The true resolution along the axes x, y, z of the file.
///
/// The head is seen through a window that is soft at its mask's edge (a skull-stripping's hard edge would fill
/// every frequency). The edge is right within about 15 %: a window that falls slowly to its edge (Hann) ends before it,
/// a hard one after it.
pub fn resolution(volume: &Volume) -> [AxisResolution; 3] {
    let spacing = volume.geometry().spacing_mm();
    let windowed = windowed(volume);
    std::array::from_fn(|axis| {
        let cropped = windowed.as_ref().filter(|w| w.extent()[axis] >= SHORTEST_LINE);
        AxisResolution {
            spacing_mm: spacing[axis],
            present_mm: cropped.map(|cropped| {
                let edge = edge(&mean_power(cropped, axis), cropped.extent()[axis]);
                spacing[axis] * 0.5 / edge
            }),
        }
    })
}

/// The head less its mean, through a soft window; `None` where there is no contrast.
fn windowed(volume: &Volume) -> Option<Volume> {
    let mask = Mask::foreground(volume);
    if mask.count() == 0 {
        return None;
    }
    // Where the background is not exactly zero there is no cut edge either: the taper along the lines is enough.
    let stripped = volume
        .data()
        .iter()
        .zip(mask.data())
        .all(|(v, inside)| *inside == (*v != 0.0));
    let (start, extent) = mask_box(&mask);
    let mut cropped = volume.crop(start, extent);
    let window = if stripped {
        soft(&cropped)
    } else {
        vec![1.0; cropped.data().len()]
    };
    let weight: f64 = window.iter().map(|w| f64::from(*w)).sum();
    if weight <= 0.0 {
        return None;
    }
    let product = |(v, w): (&f32, &f32)| f64::from(*v) * f64::from(*w);
    let mean = (cropped.data().iter().zip(&window).map(product).sum::<f64>() / weight) as f32;
    cropped
        .data_mut()
        .iter_mut()
        .zip(&window)
        .for_each(|(v, w)| *v = (*v - mean) * w);
    Some(cropped)
}

/// First voxel and extent of the box around the mask.
fn mask_box(mask: &Mask) -> ([usize; 3], [usize; 3]) {
    let (mut low, mut high) = (mask.extent(), [0; 3]);
    for voxel in mask.voxels() {
        for (a, at) in voxel.into_iter().enumerate() {
            low[a] = low[a].min(at);
            high[a] = high[a].max(at + 1);
        }
    }
    (low, std::array::from_fn(|a| high[a] - low[a]))
}

/// 0 outside and at the edge of the non-zero voxels, rising smoothly to 1 some ten voxels within.
fn soft(cropped: &Volume) -> Vec<f32> {
    let mut window: Vec<f32> = cropped
        .data()
        .iter()
        .map(|v| f32::from(u8::from(*v != 0.0)))
        .collect();
    for _ in 0..3 {
        let mut extent = cropped.extent();
        // Three passes turn the axes back to where they were.
        for _ in 0..3 {
            let n = extent[2];
            window = along_slowest(
                &window,
                extent,
                n,
                || (),
                |(), lines: &[f32], out: &mut [f32]| {
                    for (line, out) in lines.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                        averaged(line, out);
                    }
                },
            );
            extent = [n, extent[0], extent[1]];
        }
    }
    window.iter_mut().for_each(|w| {
        let inside = (2.0 * *w - 1.0).clamp(0.0, 1.0);
        *w = (inside * std::f32::consts::FRAC_PI_2).sin().powi(2);
    });
    window
}

/// The mean over [`SOFTNESS`] neighbours; zeros beyond the line.
fn averaged(line: &[f32], out: &mut [f32]) {
    let reach = SOFTNESS / 2;
    for (i, out) in out.iter_mut().enumerate() {
        let near = &line[i.saturating_sub(reach)..line.len().min(i + reach + 1)];
        *out = near.iter().sum::<f32>() / SOFTNESS as f32;
    }
}

/// The highest frequency that holds anything, in cycles per voxel: 1/2 where the spectrum has no cliff.
fn edge(power: &[f64], n: usize) -> f64 {
    let frequency = |k: usize| k as f64 / n as f64;
    let slopes: Vec<f64> = (0..power.len()).map(|k| slope(power, n, frequency(k))).collect();
    let steepest = (0..slopes.len()).min_by(|&a, &b| slopes[a].total_cmp(&slopes[b]));
    let Some(steepest) = steepest.filter(|&k| slopes[k] < CLIFF) else {
        return 0.5;
    };
    let top = (0..steepest).rev().find(|&k| slopes[k] >= LEVEL).unwrap_or(0);
    let foot = (steepest..power.len()).find(|&k| slopes[k] >= LEVEL || power[k] <= NOTHING * power[top]);
    foot.map_or(0.5, frequency)
}

/// The slope of log power over log frequency around `f`; 0 where too few bins lie there.
fn slope(power: &[f64], n: usize, f: f64) -> f64 {
    let near: Vec<(f64, f64)> = power
        .iter()
        .enumerate()
        .map(|(k, p)| (k as f64 / n as f64, p))
        .filter(|(at, p)| (at / f - 1.0).abs() <= WINDOW + 1e-9 && **p > 0.0)
        .map(|(at, p)| (at.ln(), p.ln()))
        .collect();
    if f < LOWEST || near.len() < 3 {
        return 0.0;
    }
    let count = near.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| near.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (over, under) = near.iter().fold((0.0, 0.0), |(over, under), p| {
        (over + (p.0 - x) * (p.1 - y), under + (p.0 - x).powi(2))
    });
    over / under
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::kspace::{truncate, zero_fill};
    use crate::nifti::{self, ReadOptions};
    use crate::phantom::{PhantomConfig, head};
    use crate::volume::Geometry;

    fn shared(name: &str) -> Option<Volume> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data")
            .join(name);
        if !path.exists() {
            writeln!(std::io::stderr(), "skipped: no shared data").expect("a standard error");
            return None;
        }
        let image = nifti::read(&path, &ReadOptions::default()).expect("a head");
        Some(image.into_single().expect("one volume"))
    }

    #[test]
    fn the_scanners_interpolation_along_k_is_seen_through() {
        for name in [
            "train/lr_source/ds002748-sub02",
            "train/lr_source/ds002748-sub58",
            "val/lr_source/ds002748-sub63",
        ] {
            let Some(volume) = shared(&format!("{name}_T1w_brain.nii.gz")) else {
                return;
            };
            let [x, y, z] = resolution(&volume);
            let present = z.present_mm.expect("a head long enough");
            assert!((1.7..1.9).contains(&present), "{name}: {present}");
            assert!(
                z.is_interpolated() && !x.is_interpolated(),
                "{name}: {x:?} {y:?} {z:?}"
            );
        }
    }

    #[test]
    fn scans_that_hold_what_their_grid_promises_are_left_alone() {
        for name in [
            "train/hr/rorden-T1_0.8mm_brain",
            "train/hr/oasis-malf1000_T1w_1mm_brain",
            "train/hr/oasis-malf1122_T1w_1mm_brain",
            "train/other/openms-p07_FLAIR_1mmMNI_brain",
            "train/other/rorden-M2307_T2w_1mm_brain",
        ] {
            let Some(volume) = shared(&format!("{name}.nii.gz")) else {
                return;
            };
            for axis in resolution(&volume) {
                assert!(!axis.is_interpolated(), "{name}: {axis:?}");
            }
        }
    }

    #[test]
    fn zero_filling_is_found_along_its_axis_alone() {
        let config = PhantomConfig {
            extent: [96; 3],
            spacing_mm: [2.0; 3],
            ..PhantomConfig::default()
        };
        let whole = head(&config).expect("a phantom");
        for axis in 0..3 {
            let mut coarse = [96; 3];
            coarse[axis] = 56;
            let filled = zero_fill(&truncate(&whole, coarse), [96; 3]);
            let found = resolution(&filled);
            let expected = 2.0 * 96.0 / 56.0;
            for (a, axis_found) in found.iter().enumerate() {
                let present = axis_found.present_mm.expect("long enough");
                if a == axis {
                    assert!((present / expected - 1.0).abs() < 0.15, "{axis}: {found:?}");
                } else {
                    assert!(!axis_found.is_interpolated(), "{axis}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_spectrum_is_not_judged() {
        let flat = Volume::filled(1.0, Geometry::axis_aligned([40; 3], [1.0; 3]));
        assert!(resolution(&flat).iter().all(|axis| axis.present_mm.is_none()));
        let mut slab = flat.crop([0; 3], [40, 40, 8]);
        slab.data_mut()
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = (i * 7919 % 101) as f32);
        let found = resolution(&slab);
        assert!(
            found[2].present_mm.is_none() && found[0].present_mm.is_some(),
            "{found:?}"
        );
    }
}
