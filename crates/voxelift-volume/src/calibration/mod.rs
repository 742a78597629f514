//! Floor 4 · Which known operator makes HR scans look like LR ones, by their spectra.
//!
//! Heads differ, their mean spectra hardly do: the operator whose output has the LR scans' mean log power along
//! each axis is the one that made them, or near it, although nobody was scanned twice.

mod family;
mod spectrum;

use crate::degrade::{Degradation, Operators};
use crate::error::{Result, VolumeError};
use crate::resample::pad_to_scale;
use crate::volume::{Scale, Volume};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spectrum::{BANDS, Powers, brightness, head_box};
use std::fmt;

/// How many scans of a pool are looked at: the mean of more changes little and costs time.
const MOST_HR: usize = 4;
const MOST_LR: usize = 12;
/// White noise that the LR scans may have beyond the HR ones, as a fraction of their brightness.
const NOISE_LEVELS: [f64; 8] = [0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08];
/// One operator for all axes is kept unless one per axis fits better by this factor: the mean of a few heads
/// differs by chance, and a family of free parameters would follow it.
const WORTH_ITS_PARAMETERS: f64 = 0.75;
/// Above this RMS difference of log power something besides the operator differs.
const LARGE_MISFIT: f64 = 0.25;

/// An operator, the noise that goes with it, and how far its spectra are from those of the LR scans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The operator.
    pub operator: Operators,
    /// White noise, as a fraction of the 99.5th percentile of the foreground.
    pub noise: f64,
    /// RMS difference of mean log power (natural logarithm) over three axes and 24 bands.
    pub misfit: f64,
}

/// What a calibration found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The scale it was made for.
    pub scale: [usize; 3],
    /// The chosen operator.
    pub best: Candidate,
    /// All that was tried on all axes, best first: operators alike along each axis, and the best one per axis.
    pub ranked: Vec<Candidate>,
    /// What to think about before trusting it, one line each.
    pub warnings: Vec<String>,
}

impl Calibration {
    /// The degradation to make LR versions of HR scans with.
    pub fn degradation(&self) -> Degradation {
        Degradation {
            noise: self.best.noise,
            ..Degradation::new(self.best.operator, Scale(self.scale))
        }
    }
}

impl fmt::Display for Calibration {
    /// One line for logs and a model's card.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |f: &mut fmt::Formatter<'_>, c: &Candidate| {
            let noise = if c.noise > 0.0 {
                format!(", noise {}", c.noise)
            } else {
                String::new()
            };
            write!(f, "{}{noise} (misfit {:.3})", c.operator, c.misfit)
        };
        told(f, &self.best)?;
        let others = self.ranked.iter().filter(|c| **c != self.best).take(3);
        for (i, other) in others.enumerate() {
            f.write_str(if i == 0 { "; then " } else { ", " })?;
            told(f, other)?;
        }
        Ok(())
    }
}

/// Finds the operator that turns scans like `hr` into scans like `lr`: no person needs to be in both.
///
/// Every candidate is simulated on the HR scans, aliasing included, and its mean log power along each axis
/// (Hann taper, 24 bands up to the LR Nyquist frequency, intensities over the foreground's 99.5th percentile)
/// compared with that of the LR scans. First one operator for all axes, then one axis at a time. Axes are
/// matched by their direction in the world; the operator is given along the HR scans' file axes.
///
/// # Errors
/// An empty pool, HR scans of different orientation, or a scan without a head in it.
pub fn calibrate(hr: &[Volume], lr: &[Volume], scale: Scale) -> Result<Calibration> {
    let (Some(first), Some(_)) = (hr.first(), lr.first()) else {
        let value = format!("{} HR and {} LR scans", hr.len(), lr.len());
        return Err(VolumeError::content(
            "pools to calibrate with",
            value,
            "at least one scan in each",
        ));
    };
    let directions = first.geometry().canonical_axes().map(|(world, _)| world);
    let mut heads = Vec::new();
    for volume in hr.iter().take(MOST_HR) {
        let own = volume.geometry().canonical_axes().map(|(world, _)| world);
        if own != directions {
            let value = format!("file axes along world axes {own:?} and {directions:?}");
            return Err(VolumeError::content(
                "orientation of the HR scans",
                value,
                "one storage order for all",
            ));
        }
        heads.push(pad_to_scale(&cropped(volume, scale)?, scale));
    }
    let lr = &lr[..lr.len().min(MOST_LR)];
    let target = mean_log(&lr.par_iter().map(Powers::of).collect::<Result<Vec<_>>>()?, 0.0);
    let search = Search { heads, scale, target };

    let mut ranked = family::isotropic()
        .into_par_iter()
        .map(|operator| search.candidate(operator.into(), &search.heads))
        .collect::<Result<Vec<_>>>()?;
    sort(&mut ranked);
    let simple = ranked[0];
    let refined = search.refined(simple)?;
    let best = if refined.misfit < WORTH_ITS_PARAMETERS * simple.misfit {
        refined
    } else {
        simple
    };
    if refined.operator != simple.operator {
        ranked.push(refined);
        sort(&mut ranked);
    }
    let mut warnings = spacing_warnings(first, lr, scale);
    if best.misfit > LARGE_MISFIT {
        warnings.push(format!(
            "the best operator, {}, is {:.2} off in log power (two pools of one scanner: about 0.05): contrast, \
             scanner or its interpolation differ as well",
            best.operator, best.misfit
        ));
    }
    Ok(Calibration {
        scale: scale.0,
        best,
        ranked,
        warnings,
    })
}

/// HR scans and what they are compared with.
struct Search {
    heads: Vec<Volume>,
    scale: Scale,
    target: [[f64; BANDS]; 3],
}

impl Search {
    /// `operator` judged on `volumes`: the HR scans, some of whose axes may be at the LR extent already.
    fn candidate(&self, operator: Operators, volumes: &[Volume]) -> Result<Candidate> {
        let powers = volumes
            .iter()
            .zip(&self.heads)
            .map(|(volume, head)| Powers::of(&operator.apply(volume, self.scale.down(head.extent()))))
            .collect::<Result<Vec<_>>>()?;
        let at = |noise: f64| {
            let mean = mean_log(&powers, noise);
            let squares = mean
                .iter()
                .flatten()
                .zip(self.target.iter().flatten())
                .map(|(m, t)| (m - t).powi(2));
            let misfit = (squares.sum::<f64>() / (3 * BANDS) as f64).sqrt();
            Candidate {
                operator,
                noise,
                misfit,
            }
        };
        let mut levels = NOISE_LEVELS.map(at);
        sort(&mut levels);
        Ok(levels[0])
    }

    /// The operator of each axis changed in turn, as long as that brings the spectra nearer.
    fn refined(&self, from: Candidate) -> Result<Candidate> {
        let mut best = from;
        let mut unchanged = 0;
        for axis in [0, 1, 2].into_iter().cycle().take(6) {
            // The other axes are brought down once; candidates then differ along this one only.
            let partly: Vec<Volume> = self
                .heads
                .iter()
                .map(|head| {
                    let mut extent = self.scale.down(head.extent());
                    extent[axis] = head.extent()[axis];
                    best.operator.apply(head, extent)
                })
                .collect();
            let tried = family::along_an_axis()
                .into_par_iter()
                .map(|operator| {
                    let mut operators = best.operator;
                    operators.0[axis] = operator;
                    self.candidate(operators, &partly)
                })
                .collect::<Result<Vec<_>>>()?;
            let nearest = tried
                .into_iter()
                .fold(best, |a, b| if b.misfit < a.misfit { b } else { a });
            unchanged = if nearest.operator == best.operator {
                unchanged + 1
            } else {
                0
            };
            best = nearest;
            if unchanged == 3 {
                break;
            }
        }
        Ok(best)
    }
}

/// The mean over scans of the logarithm of power plus a floor of white noise.
fn mean_log(powers: &[Powers], noise: f64) -> [[f64; BANDS]; 3] {
    let count = powers.len() as f64;
    // The smallest positive power keeps the logarithm of an empty band finite, far below any scan.
    let floor = noise * noise + 1e-12;
    std::array::from_fn(|axis| {
        std::array::from_fn(|band| powers.iter().map(|p| (p.0[axis][band] + floor).ln()).sum::<f64>() / count)
    })
}

/// The box of the head with a margin of eight LR voxels, starting at a multiple of the scale.
fn cropped(volume: &Volume, scale: Scale) -> Result<Volume> {
    let (low, size) = head_box(volume, 0.1 * brightness(volume)?);
    let mut start = [0; 3];
    let mut extent = [0; 3];
    for a in 0..3 {
        let (factor, n) = (scale.0[a], volume.extent()[a]);
        start[a] = low[a].saturating_sub(8 * factor) / factor * factor;
        extent[a] = (low[a] + size[a] + 8 * factor).min(n) - start[a];
    }
    Ok(volume.crop(start, extent))
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| a.misfit.total_cmp(&b.misfit));
}

/// Complaints about LR scans whose voxels are not `scale` times the HR ones.
fn spacing_warnings(hr: &Volume, lr: &[Volume], scale: Scale) -> Vec<String> {
    let of_world = |volume: &Volume, factors: [usize; 3]| {
        let mut along = [0.0; 3];
        for (a, (world, _)) in volume.geometry().canonical_axes().into_iter().enumerate() {
            along[world] = volume.geometry().spacing_mm()[a] * factors[a] as f64;
        }
        along
    };
    let expected = of_world(hr, scale.0);
    let off = |v: &&Volume| {
        of_world(v, [1; 3])
            .iter()
            .zip(expected)
            .any(|(s, e)| (s / e - 1.0).abs() > 0.05)
    };
    let count = lr.iter().filter(off).count();
    let Some(example) = lr.iter().find(off) else {
        return Vec::new();
    };
    vec![format!(
        "{count} of {} LR scans have voxels of another size ({:.2?} mm) than scale {scale} of the HR scans ({:.2?} mm)",
        lr.len(),
        of_world(example, [1; 3]),
        expected
    )]
}

#[cfg(test)]
mod tests;
