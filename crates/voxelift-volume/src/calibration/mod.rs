//! Layer 4 · Which known operator makes HR scans look like LR ones, by their spectra.
//!
//! Heads differ, their mean spectra hardly do: the operator whose output has the LR scans' mean log power along
//! each axis is the one that made them, or near it, although no subject was scanned twice.
//!
//! ```
//! use voxelift_volume::Scale;
//! use voxelift_volume::calibration::calibrate;
//! use voxelift_volume::degrade::{Degradation, Operator};
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = |seed| head(&PhantomConfig { seed, extent: [64; 3], spacing_mm: [2.8; 3] });
//! let (operator, scale) = (Operator::Gaussian { sigma: 0.5 }, Scale::isotropic(2));
//! // HR scans of one subject, LR scans of another, and nobody who was scanned twice.
//! let lr = Degradation::new(operator, scale).apply(&scan(2)?, 1)?;
//! let found = calibrate(&[scan(1)?], &[lr], scale)?;
//! println!("{} {}", found.best.operator, found.best.noise);
//! assert!(found.best.operator.0.iter().all(|o| matches!(o, Operator::Gaussian { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod family;
mod spectrum;

use crate::degrade::{Degradation, Operators};
use crate::error::{Result, VolumeError};
use crate::volume::{Scale, Volume};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spectrum::{BANDS, Head, Powers};
use std::fmt;

/// How many scans of the HR pool are looked at: the mean of more changes little and costs time.
pub const MOST_HR: usize = 3;
/// As [`MOST_HR`], of the LR pool.
pub const MOST_LR: usize = 12;
/// How many levels of white noise are tried that the LR scans may have beyond the HR ones: none, then from
/// [`LEAST_NOISE`] on each [`NOISE_STEP`] times the one before, so near that no wrong operator explains what lies between two.
const NOISE_LEVELS: usize = 64;
/// The least level but none, as a fraction of the brightness.
const LEAST_NOISE: f64 = 0.004;
const NOISE_STEP: f64 = 1.055;
/// Of levels whose misfits differ by no more than this the least is taken: more noise hides more of an operator.
const AS_GOOD: f64 = 0.005;
/// What has more parameters (noise, an operator of its own for each axis) must fit better by this factor: the mean
/// of a few heads differs by chance, and free parameters would follow it.
const WORTH_ITS_PARAMETERS: f64 = 0.75;
/// About the difference between two pools of one scanner: no use in looking for less.
const NO_DIFFERENCE: f64 = 0.1;
/// Above this RMS difference of log power something besides the operator differs.
const LARGE_MISFIT: f64 = 0.25;

/// An operator, the noise that goes with it, and how far its spectra are from those of the LR scans.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The operator.
    pub operator: Operators,
    /// White noise, as a fraction of the 99.5th percentile of the foreground.
    pub noise: f64,
    /// RMS difference of mean log power (natural logarithm) over 24 bands of each axis.
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
        let write_candidate = |f: &mut fmt::Formatter<'_>, c: &Candidate| {
            let noise = if c.noise > 0.0 {
                format!(", noise {}", c.noise)
            } else {
                String::new()
            };
            write!(f, "{}{noise} (misfit {:.3})", c.operator, c.misfit)
        };
        write_candidate(f, &self.best)?;
        let others = self.ranked.iter().filter(|c| **c != self.best).take(3);
        for (i, other) in others.enumerate() {
            f.write_str(if i == 0 { "; then " } else { ", " })?;
            write_candidate(f, other)?;
        }
        Ok(())
    }
}

/// Finds the operator that turns scans like `hr` into scans like `lr`: no subject needs to be in both.
///
/// Every candidate is simulated on the HR scans, aliasing included, and its mean log power along each axis
/// (Hann taper, 24 bands up to the LR Nyquist frequency, intensities over the foreground's 99.5th percentile)
/// compared with that of the LR scans, its shape more than its level. First one operator for all axes, then one axis at a time. Axes are
/// matched by their direction in the world; the operator is given along the HR scans' file axes. Noise hides what
/// tells operators apart, and a single HR or LR scan is not always enough: heads differ too. Along an axis of one voxel nothing is
/// compared.
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
    let mut hr_scans = Vec::new();
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
        hr_scans.push(cropped(volume, scale)?);
    }
    let lr = &lr[..lr.len().min(MOST_LR)];
    let powers = lr.par_iter().map(Powers::of).collect::<Result<Vec<_>>>()?;
    let search = Search {
        hr: hr_scans,
        scale,
        target: mean_log(&powers, 0.0),
        noisy: powers.iter().map(|p| p.noisy).sum::<f64>() / powers.len() as f64,
    };

    let fits = family::isotropic()
        .into_par_iter()
        .map(|operator| search.fit(operator.into(), &search.hr))
        .collect::<Result<Vec<_>>>()?;
    // One noise level for all operators: each with its own, a wrong one would make up for what it lacks.
    let level = noise_level(&fits);
    let mut ranked: Vec<Candidate> = fits.iter().map(|fit| fit.at(level)).collect();
    sort(&mut ranked);
    let mut best = ranked[0];
    if best.misfit > NO_DIFFERENCE {
        let refined = search.refined(best, level)?;
        if refined.operator != best.operator {
            ranked.push(refined);
            sort(&mut ranked);
        }
        if refined.misfit < WORTH_ITS_PARAMETERS * best.misfit {
            best = refined;
        }
    }
    let mut warnings = spacing_warnings(first, lr, scale);
    let pools = [("HR", hr.len()), ("LR", lr.len())].into_iter();
    let single: Vec<_> = pools
        .filter(|(_, scans)| *scans == 1)
        .map(|(pool, _)| pool)
        .collect();
    if !single.is_empty() {
        warnings.push(format!(
            "a single {} scan: a wrong operator may fit best, since heads differ as well; give three or more HR scans and four or \
             more LR scans, or name the operator instead of auto",
            single.join(" and a single ")
        ));
    }
    if best.misfit > LARGE_MISFIT {
        warnings.push(format!(
            "the best operator, {}, is {:.2} off in log power (two pools of one scanner: about {NO_DIFFERENCE}): contrast, \
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
    hr: Vec<Volume>,
    scale: Scale,
    target: Spectra,
    /// Power of the LR scans' noise over that of the noise of their bright voxels.
    noisy: f64,
}

impl Search {
    /// `operator` judged on `volumes`: the HR scans, some of whose axes may be at the LR extent already.
    fn fit(&self, operator: Operators, volumes: &[Volume]) -> Result<Fit> {
        let powers = volumes
            .iter()
            .zip(&self.hr)
            .map(|(volume, scan)| Powers::of(&operator.apply(volume, self.scale.down(scan.extent()))))
            .collect::<Result<Vec<_>>>()?;
        let misfit = std::array::from_fn(|level| {
            let noise = self.noisy.sqrt() * noise_at(level);
            misfit(&mean_log(&powers, noise), &self.target, noise)
        });
        Ok(Fit { operator, misfit })
    }

    /// The operator of each axis changed in turn, at most twice, as long as that brings the spectra nearer.
    fn refined(&self, from: Candidate, level: usize) -> Result<Candidate> {
        let mut best = from;
        let axes: Vec<usize> = (0..3).filter(|&a| self.scale.0[a] > 1).collect();
        let mut unchanged = 0;
        for &axis in axes.iter().cycle().take(2 * axes.len()) {
            // The other axes are degraded once; candidates then differ along this one only.
            let partly: Vec<Volume> = self
                .hr
                .iter()
                .map(|scan| {
                    let mut extent = self.scale.down(scan.extent());
                    extent[axis] = scan.extent()[axis];
                    best.operator.apply(scan, extent)
                })
                .collect();
            let tried = family::along_an_axis()
                .into_par_iter()
                .map(|operator| {
                    let mut operators = best.operator;
                    operators.0[axis] = operator;
                    Ok(self.fit(operators, &partly)?.at(level))
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
            // Once every axis has been looked at with the others as they are, nothing more can change.
            if unchanged == axes.len() {
                break;
            }
        }
        Ok(best)
    }
}

/// An operator's misfit at each level of noise.
struct Fit {
    operator: Operators,
    misfit: [f64; NOISE_LEVELS],
}

impl Fit {
    fn at(&self, level: usize) -> Candidate {
        Candidate {
            operator: self.operator,
            noise: noise_at(level),
            misfit: self.misfit[level],
        }
    }
}

/// White noise of a level, as a fraction of the brightness.
fn noise_at(level: usize) -> f64 {
    match level {
        0 => 0.0,
        // Four digits are what is known of it, and what a log should say.
        _ => (1e4 * LEAST_NOISE * NOISE_STEP.powi(level as i32 - 1)).round() / 1e4,
    }
}

/// The noise level of the best fit; none unless it is worth a parameter.
fn noise_level(fits: &[Fit]) -> usize {
    let least: [f64; NOISE_LEVELS] =
        std::array::from_fn(|level| fits.iter().map(|f| f.misfit[level]).fold(f64::INFINITY, f64::min));
    let best = least.iter().copied().fold(f64::INFINITY, f64::min);
    if best < WORTH_ITS_PARAMETERS * least[0] {
        least
            .iter()
            .position(|misfit| *misfit <= best + AS_GOOD)
            .unwrap_or(0)
    } else {
        0
    }
}

/// Mean log power in bands along each world axis; none along an axis that no scan of a pool has more than one voxel along.
type Spectra = [Option<[f64; BANDS]>; 3];

/// The mean over scans of the logarithm of power plus a floor of white noise.
fn mean_log(powers: &[Powers], noise: f64) -> Spectra {
    // The smallest positive power keeps the logarithm of an empty band finite, far below any scan.
    let floor = noise * noise + 1e-12;
    std::array::from_fn(|axis| {
        let along: Vec<_> = powers.iter().filter_map(|p| p.bands[axis]).collect();
        let mean_of = |band: usize| {
            let logs = along.iter().map(|bands| (bands[band] + floor).ln());
            logs.sum::<f64>() / along.len() as f64
        };
        (!along.is_empty()).then(|| std::array::from_fn(mean_of))
    })
}

/// The root mean square difference of two logarithms of power, along the axes that both have (infinite where there is none), in
/// which the level along each axis counts as much as one band: heads of other people, and scans of another contrast, are brighter
/// or darker in all bands alike. Where noise of power `noise^2` fills a band of `simulated`, a level changes it by less.
fn misfit(simulated: &Spectra, target: &Spectra, noise: f64) -> f64 {
    let of_axis = |simulated: &[f64; BANDS], target: &[f64; BANDS]| {
        let share = simulated.map(|log| 1.0 - noise * noise / log.exp());
        let apart: [f64; BANDS] = std::array::from_fn(|band| simulated[band] - target[band]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let level = dot(&share, &apart) / (dot(&share, &share) + 1.0);
        let left = apart
            .iter()
            .zip(&share)
            .map(|(apart, share)| apart - level * share);
        left.map(|left| left * left).sum::<f64>() + level * level
    };
    let both = simulated.iter().zip(target);
    let squares: Vec<f64> = both
        .filter_map(|(simulated, target)| Some(of_axis(simulated.as_ref()?, target.as_ref()?)))
        .collect();
    match squares.len() {
        0 => f64::INFINITY,
        axes => (squares.iter().sum::<f64>() / (axes * BANDS) as f64).sqrt(),
    }
}

/// The head with a margin of at least eight LR voxels, starting at a multiple of the scale; its LR extent has
/// small prime factors only, which Fourier transforms are quick with.
fn cropped(volume: &Volume, scale: Scale) -> Result<Volume> {
    let head = Head::of(volume)?;
    let (mut start, mut inside, mut extent) = ([0; 3], [0; 3], [0; 3]);
    for a in 0..3 {
        let (factor, n) = (scale.0[a], volume.extent()[a]);
        if n == 1 {
            // A single slice stays one.
            (inside[a], extent[a]) = (1, 1);
            continue;
        }
        start[a] = head.start[a].saturating_sub(8 * factor) / factor * factor;
        let lr = (head.start[a] + head.extent[a] + 8 * factor - start[a]).div_ceil(factor);
        extent[a] = (lr..).find(|&n| has_small_factors(n)).unwrap_or(lr) * factor;
        inside[a] = extent[a].min(n - start[a]);
    }
    Ok(volume.crop(start, inside).padded(extent))
}

fn has_small_factors(mut n: usize) -> bool {
    for p in [2, 3, 5] {
        while n.is_multiple_of(p) {
            n /= p;
        }
    }
    n == 1
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
