//! Layer 4 · Whether the slices of a scan alternate in brightness, as those do that were acquired in turn, and how they are evened out.
//!
//! A scanner takes the odd slices first and the even ones after them. Where tissue has not recovered from a neighbour's pulse, every
//! second slice is darker. Averaging over the slice profile damps this alternation as it damps details of that size, so whatever undoes
//! the profile makes it stronger.
//!
//! ```
//! use voxelift_volume::degrade::{Operator, Operators};
//! use voxelift_volume::interleave::Interleaving;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let head = head(&PhantomConfig { seed: 1, extent: [64, 64, 96], spacing_mm: [3.0, 3.0, 2.0] })?;
//! let operators = [Operator::KSpace, Operator::KSpace, "slice:gaussian,1".parse()?];
//! let mut scan = Operators(operators).apply(&head, [64, 64, 48]);
//! assert!(Interleaving::of(&scan, 2)?.is_none());
//! // Every second slice 4 % brighter: 2 % above and below their mean.
//! for (i, value) in scan.data_mut().iter_mut().enumerate() {
//!     *value *= [1.04, 1.0][(i / (64 * 64)) % 2];
//! }
//! let found = Interleaving::of(&scan, 2)?.expect("slices that alternate");
//! assert!((found.alternation - 0.02).abs() < 0.003);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Result;
use crate::intensity::{Mask, Normalization};
use crate::volume::Volume;

/// A smaller alternation is left alone. Thick slices made of scans without any show up to 0.04 %, most clinical scans up to 0.25 %.
const LEAST_ALTERNATION: f64 = 0.003;

/// The least share of slices that alternate as most do.
const LEAST_AGREEMENT: f64 = 0.85;

/// Fewer slices say nothing.
const LEAST_SLICES: usize = 8;

/// Fewer voxels of a slice say nothing of it.
const LEAST_VOXELS: usize = 200;

/// Voxels are compared where the neighbours on both sides differ by less than this (natural logarithm): within one tissue.
const SAME_TISSUE: f64 = 0.1;

/// A voxel further from the mean of its neighbours than this (natural logarithm) shows something else.
const MOST: f64 = 0.5;

/// Slices on each side whose alternation counts for a slice's own.
const REACH: usize = 4;

/// Slices that alternate in brightness.
#[derive(Clone, Debug, PartialEq)]
pub struct Interleaving {
    /// The axis across the slices.
    pub axis: usize,
    /// Half of what every second slice is brighter by, as a share of the mean brightness: the median over the slices.
    pub alternation: f64,
    /// The share of slices that are brighter or darker as most of the odd or even ones are.
    pub agreement: f64,
    /// The natural logarithm of each slice's brightness over the mean of both kinds.
    logarithms: Vec<f64>,
}

impl Interleaving {
    /// How the slices across `axis` alternate; nothing where they do not, or too few show tissue.
    ///
    /// In each slice, voxels of the foreground whose neighbours in the two next slices are alike are compared with the mean of these
    /// (logarithms; the median over the voxels). Slices that alternate have it above and below zero in turn.
    ///
    /// # Errors
    /// As [`Normalization::of`].
    pub fn of(scan: &Volume, axis: usize) -> Result<Option<Self>> {
        let zero = Normalization::of(scan)?.zero;
        let signs = |slice: usize| [1.0, -1.0][slice % 2];
        let steps = steps(scan, axis, zero);
        // What anatomy adds changes slowly from slice to slice: the mean of both neighbours' steps takes it away. A step is twice the
        // alternation, and theirs have the other sign.
        let half = |slice: usize| {
            let before = slice.checked_sub(1).and_then(|before| steps[before])?;
            let after = (*steps.get(slice + 1)?)?;
            Some(0.25 * signs(slice) * (steps[slice]? - 0.5 * (before + after)))
        };
        let halves: Vec<Option<f64>> = (0..steps.len()).map(half).collect();
        let known: Vec<f64> = halves.iter().flatten().copied().collect();
        if known.len() < LEAST_SLICES {
            return Ok(None);
        }
        let alternation = median(known.clone());
        let agreeing = known.iter().filter(|half| **half * alternation > 0.0).count();
        let agreement = agreeing as f64 / known.len() as f64;
        if alternation.abs() < LEAST_ALTERNATION || agreement < LEAST_AGREEMENT {
            return Ok(None);
        }
        let around = |slice: usize| {
            let near = &halves[slice.saturating_sub(REACH)..halves.len().min(slice + REACH + 1)];
            let near: Vec<f64> = near.iter().flatten().copied().collect();
            if near.is_empty() {
                alternation
            } else {
                median(near)
            }
        };
        Ok(Some(Self {
            axis,
            alternation: alternation.abs(),
            agreement,
            logarithms: (0..halves.len())
                .map(|slice| signs(slice) * around(slice))
                .collect(),
        }))
    }

    /// The scan with both kinds of slices as bright as their mean.
    ///
    /// # Errors
    /// As [`Normalization::of`].
    ///
    /// # Panics
    /// When the scan has another number of slices than the one that this was found in.
    pub fn evened(&self, scan: &Volume) -> Result<Volume> {
        let extent = scan.extent();
        assert_eq!(extent[self.axis], self.logarithms.len(), "slices of another scan");
        let zero = Normalization::of(scan)?.zero;
        let factors: Vec<f32> = self.logarithms.iter().map(|log| (-log).exp() as f32).collect();
        let stride: usize = extent[..self.axis].iter().product();
        let mut evened = scan.clone();
        for (i, value) in evened.data_mut().iter_mut().enumerate() {
            *value = zero + (*value - zero) * factors[(i / stride) % extent[self.axis]];
        }
        Ok(evened)
    }

    /// What was found, in words.
    pub fn in_words(&self) -> String {
        format!(
            "every second slice is {:.1} % brighter than those between (slices acquired in turn)",
            200.0 * self.alternation
        )
    }
}

/// For each slice the median of `ln v - (ln before + ln after) / 2`; nothing for the outermost, and where too few voxels can be compared.
fn steps(scan: &Volume, axis: usize, zero: f32) -> Vec<Option<f64>> {
    let (extent, data) = (scan.extent(), scan.data());
    let inside = Mask::foreground(scan);
    let stride: usize = extent[..axis].iter().product();
    let slices = extent[axis];
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); slices];
    let logarithm = |i: usize| {
        let above = data[i] - zero;
        (inside.data()[i] && above > 0.0).then(|| f64::from(above).ln())
    };
    for i in 0..data.len() {
        let slice = (i / stride) % slices;
        if slice == 0 || slice + 1 == slices || !inside.data()[i] {
            continue;
        }
        let (Some(before), Some(here), Some(after)) =
            (logarithm(i - stride), logarithm(i), logarithm(i + stride))
        else {
            continue;
        };
        let step = here - 0.5 * (before + after);
        if (before - after).abs() < SAME_TISSUE && step.abs() < MOST {
            found[slice].push(step);
        }
    }
    found
        .into_iter()
        .map(|steps| (steps.len() >= LEAST_VOXELS).then(|| median(steps)))
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::degrade::{Operator, Operators};
    use crate::phantom::{PhantomConfig, head};

    /// A head in 24 thick slices across `axis`.
    fn thick(axis: usize) -> Volume {
        let config = PhantomConfig {
            seed: 2,
            extent: [96; 3],
            spacing_mm: [2.0; 3],
        };
        let fine = head(&config).expect("a phantom");
        let (mut operators, mut extent) = ([Operator::KSpace; 3], [96; 3]);
        operators[axis] = "slice:gaussian,1".parse().expect("an operator");
        extent[axis] = 24;
        Operators(operators).apply(&fine, extent)
    }

    fn brightened(scan: &Volume, axis: usize, factor: impl Fn(usize) -> f32, zero: f32) -> Volume {
        let extent = scan.extent();
        let stride: usize = extent[..axis].iter().product();
        let mut scan = scan.clone();
        for (i, value) in scan.data_mut().iter_mut().enumerate() {
            *value = zero + *value * factor((i / stride) % extent[axis]);
        }
        scan
    }

    #[test]
    fn slices_in_turn_are_found_and_evened_on_every_axis() {
        for axis in 0..3 {
            let scan = thick(axis);
            assert_eq!(Interleaving::of(&scan, axis).expect("contrast"), None);
            for (odd, size) in [(true, 0.02_f32), (false, 0.04)] {
                let factor = |slice: usize| {
                    if (slice % 2 == 1) == odd {
                        1.0 + size
                    } else {
                        1.0 - size
                    }
                };
                let banded = brightened(&scan, axis, factor, 0.0);
                let found = Interleaving::of(&banded, axis).expect("contrast").expect("bands");
                let error = (found.alternation - f64::from(size)).abs();
                assert!(error < 0.15 * f64::from(size), "axis {axis}: {found:?}");
                let evened = found.evened(&banded).expect("contrast");
                assert!(rms(&evened, &scan) < 0.3 * rms(&banded, &scan), "axis {axis}");
                assert_eq!(Interleaving::of(&evened, axis).expect("contrast"), None);
                assert_eq!(evened.geometry(), scan.geometry());
            }
        }
    }

    fn rms(a: &Volume, b: &Volume) -> f64 {
        let squares = a
            .data()
            .iter()
            .zip(b.data())
            .map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    }

    #[test]
    fn the_alternation_may_change_along_the_slices() {
        let scan = thick(2);
        let factor = |slice: usize| {
            let size = 0.01 + 0.04 * slice as f32 / 24.0;
            if slice % 2 == 1 { 1.0 + size } else { 1.0 - size }
        };
        let banded = brightened(&scan, 2, factor, 0.0);
        let found = Interleaving::of(&banded, 2).expect("contrast").expect("bands");
        let evened = found.evened(&banded).expect("contrast");
        assert!(rms(&evened, &scan) < 0.3 * rms(&banded, &scan), "{found:?}");
    }

    #[test]
    fn other_changes_from_slice_to_slice_are_left_alone() {
        let scan = thick(2);
        // Brighter from end to end, one bright slice, every third slice.
        let ramp = brightened(&scan, 2, |slice| 1.0 + 0.02 * slice as f32, 0.0);
        let one = brightened(&scan, 2, |slice| if slice == 11 { 1.2 } else { 1.0 }, 0.0);
        let thirds = brightened(&scan, 2, |slice| if slice % 3 == 0 { 1.05 } else { 1.0 }, 0.0);
        for other in [ramp, one, thirds] {
            assert_eq!(Interleaving::of(&other, 2).expect("contrast"), None);
        }
        let few = scan.crop([0; 3], [96, 96, 6]);
        assert_eq!(Interleaving::of(&few, 2).expect("contrast"), None);
    }
}
