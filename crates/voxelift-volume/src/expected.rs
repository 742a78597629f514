//! Layer 5 · What a method may be expected to gain on a scan, measured on the scan itself.
//!
//! The scan is degraded once more, by the factor that it is to be made finer by, and brought back to its own grid: by the method
//! and by every baseline. The scan is the reference of that trial. What it says holds for the scan as far as structures of twice
//! the size look like those that are wanted; it is measured and not guessed, on these intensities, this noise and this anatomy.
//!
//! ```
//! use voxelift_volume::baseline::Baseline;
//! use voxelift_volume::degrade::{Operator, Operators};
//! use voxelift_volume::expected::Trial;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [32; 3], spacing_mm: [5.0; 3] })?;
//! let kspace = Operators::isotropic(Operator::KSpace);
//! // The scan is to be made twice as fine, so the trial is a scan half as fine.
//! let trial = Trial::of(&scan, [64; 3], scan.geometry().spacing_mm(), &kspace, false)?.expect("it can be tried");
//! assert_eq!(trial.scan().extent(), [16; 3]);
//! // A method makes of it what it can; this one gains nothing over the best baseline.
//! let image = Baseline::Trilinear.apply(trial.scan(), trial.extent());
//! assert!(trial.expected(&image)?.expect("a finite gain").gain_db < 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::baseline::Baseline;
use crate::consistency::{NoiseLevel, soft_with};
use crate::degrade::{Operator, Operators, Profile};
use crate::error::Result;
use crate::intensity::Mask;
use crate::metrics::check_field_of_view;
use crate::placed::slice_axis;
use crate::volume::Volume;

/// Fewer voxels than this along an axis of the degraded scan are too few for a trial.
const LEAST_EXTENT: usize = 16;

/// Where the whole factor would leave fewer, a trial at a smaller factor tells something still, but none below this one.
const LEAST_FACTOR: f64 = 1.5;

/// A scan that was degraded once more, and the baseline that brings it back best.
#[derive(Clone, Debug)]
pub struct Trial {
    reference: Volume,
    coarse: Volume,
    operators: Operators,
    resolved_mm: [f64; 3],
    mask: Mask,
    /// Of the degraded scan, where what it measured is put back into each image.
    noise: Option<NoiseLevel>,
    baseline: Baseline,
    least_error: f64,
}

/// The outcome of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Voxels of the scan per voxel of the degraded one, along x, y, z.
    pub factors: [f64; 3],
    /// The baseline that came nearest to the scan.
    pub baseline: Baseline,
    /// PSNR of the method less that of the baseline in the scan's foreground, dB.
    pub gain_db: f64,
}

impl Expected {
    /// The root mean square error of the method over that of the baseline.
    pub fn error_ratio(&self) -> f64 {
        10.0_f64.powf(-self.gain_db / 20.0)
    }
}

impl Trial {
    /// Degrades a scan by the factor that lies between what it resolves along x, y, z and a grid of `extent` voxels over its
    /// field of view, as `operators` made the scan itself. Thick slices are imitated along the longer axis in plane,
    /// where alone the scan is fine enough to judge by. With `consistent`, each image that is made of it gets back what the
    /// degraded scan measured, as far as its noise allows. Where too few voxels would be left along an axis, the scan is degraded there
    /// by as much as leaves enough. None where the scan is too small or too plain, or not to be made finer.
    ///
    /// # Units
    /// `resolved_mm` in millimetres: the spacing, or more where the scanner interpolated.
    ///
    /// # Errors
    /// When data consistency does not know the operators.
    pub fn of(
        scan: &Volume,
        extent: [usize; 3],
        resolved_mm: [f64; 3],
        operators: &Operators,
        consistent: bool,
    ) -> Result<Option<Self>> {
        let Some((few, operators)) = coarser(scan, extent, resolved_mm, operators) else {
            return Ok(None);
        };
        let coarse = operators.apply(scan, few);
        let (n, made) = (scan.extent(), coarse.geometry().spacing_mm());
        let mut trial = Self {
            resolved_mm: std::array::from_fn(|a| if few[a] < n[a] { made[a] } else { resolved_mm[a] }),
            mask: Mask::foreground(scan),
            reference: scan.clone(),
            noise: consistent.then(|| NoiseLevel::of(&coarse)),
            coarse,
            operators,
            baseline: Baseline::ZeroFill,
            least_error: f64::INFINITY,
        };
        for baseline in Baseline::ALL {
            let error = trial.error(&baseline.apply(&trial.coarse, n))?;
            if error < trial.least_error {
                (trial.baseline, trial.least_error) = (baseline, error);
            }
        }
        let tells = trial.least_error > 0.0 && trial.least_error.is_finite();
        Ok(tells.then_some(trial))
    }

    /// The degraded scan, to be brought to [`Trial::extent`].
    pub fn scan(&self) -> &Volume {
        &self.coarse
    }

    /// Voxels of the grid that it is to be brought to.
    pub fn extent(&self) -> [usize; 3] {
        self.reference.extent()
    }

    /// What the degraded scan resolves along x, y, z, mm.
    pub fn resolved_mm(&self) -> [f64; 3] {
        self.resolved_mm
    }

    /// The baseline that came nearest to the scan.
    pub fn baseline(&self) -> Baseline {
        self.baseline
    }

    /// What an image made of the degraded scan gains over the best baseline; none where it is the scan itself.
    ///
    /// # Errors
    /// When the image is not on the scan's grid.
    pub fn expected(&self, image: &Volume) -> Result<Option<Expected>> {
        let (fine, few) = (self.extent(), self.coarse.extent());
        let gain_db = 10.0 * (self.least_error / self.error(image)?).log10();
        Ok(gain_db.is_finite().then(|| Expected {
            factors: std::array::from_fn(|a| fine[a] as f64 / few[a] as f64),
            baseline: self.baseline,
            gain_db,
        }))
    }

    /// The sum of squared differences within the foreground.
    fn error(&self, image: &Volume) -> Result<f64> {
        let consistent = match self.noise {
            Some(noise) => Some(soft_with(image, &self.coarse, &self.operators, noise)?.image),
            None => None,
        };
        let image = consistent.as_ref().unwrap_or(image);
        check_field_of_view(image, &self.coarse)?;
        let pairs = image.data().iter().zip(self.reference.data());
        Ok(pairs
            .zip(self.mask.data())
            .filter(|(_, inside)| **inside)
            .map(|((a, b), _)| f64::from(a - b).powi(2))
            .sum())
    }
}

/// Onto how many voxels a scan is degraded, and by what; nothing where it cannot be.
fn coarser(
    scan: &Volume,
    extent: [usize; 3],
    resolved_mm: [f64; 3],
    operators: &Operators,
) -> Option<([usize; 3], Operators)> {
    let n = scan.extent();
    let spacing = scan.geometry().spacing_mm();
    let target_mm = scan.geometry().with_extent(extent).spacing_mm();
    let factors: [f64; 3] = std::array::from_fn(|a| (resolved_mm[a] / target_mm[a]).max(1.0));
    let (coarse_mm, operators) = if let Some(slices) = slice_axis(resolved_mm).filter(|a| factors[*a] > 1.0) {
        let across = (0..3).filter(|a| *a != slices).max_by_key(|a| n[*a])?;
        let mut imitated = spacing;
        imitated[across] *= factors[slices];
        let mut made = [Operator::KSpace; 3];
        made[across] = match operators.0[slices] {
            Operator::KSpace => Operator::Slice {
                profile: Profile::Gaussian,
                thickness: 1.0,
            },
            stated => stated,
        };
        (imitated, Operators(made))
    } else {
        // Where the scanner interpolated, the scan is coarser than its voxels already.
        let coarse_mm = std::array::from_fn(|a| match factors[a] {
            1.0 => spacing[a],
            factor => (resolved_mm[a] * factor).max(spacing[a]),
        });
        (coarse_mm, *operators)
    };
    let wanted: [usize; 3] =
        std::array::from_fn(|a| (n[a] as f64 * spacing[a] / coarse_mm[a]).round() as usize);
    let few: [usize; 3] = std::array::from_fn(|a| wanted[a].max(LEAST_EXTENT).min(n[a]));
    let too_few = (0..3).any(|a| few[a] > wanted[a] && (n[a] as f64) < LEAST_FACTOR * few[a] as f64);
    (few != n && !too_few).then_some((few, operators))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kspace::truncate;
    use crate::phantom::{PhantomConfig, head};

    fn phantom(extent: [usize; 3], spacing_mm: [f64; 3]) -> Volume {
        head(&PhantomConfig {
            seed: 30,
            extent,
            spacing_mm,
        })
        .unwrap()
    }

    const TRUNCATED: Operators = Operators([Operator::KSpace; 3]);

    fn trial(scan: &Volume, extent: [usize; 3], resolved_mm: [f64; 3], consistent: bool) -> Option<Trial> {
        Trial::of(scan, extent, resolved_mm, &TRUNCATED, consistent).unwrap()
    }

    #[test]
    fn the_best_baseline_gains_nothing_and_a_worse_one_loses() {
        let scan = truncate(&phantom([72, 80, 72], [2.4; 3]), [36, 40, 36]);
        let spacing = scan.geometry().spacing_mm();
        let of = |consistent: bool, baseline: Baseline| {
            let trial = trial(&scan, [72, 80, 72], spacing, consistent).unwrap();
            assert_eq!(
                (trial.scan().extent(), trial.extent()),
                ([18, 20, 18], [36, 40, 36])
            );
            trial
                .expected(&baseline.apply(trial.scan(), trial.extent()))
                .unwrap()
                .unwrap()
        };
        let zero_fill = of(false, Baseline::ZeroFill);
        assert_eq!(
            (zero_fill.baseline, zero_fill.factors, zero_fill.gain_db),
            (Baseline::ZeroFill, [2.0; 3], 0.0)
        );
        let trilinear = of(false, Baseline::Trilinear);
        assert!(trilinear.gain_db < -0.5, "{trilinear:?}");
        assert!(trilinear.error_ratio() > 1.05);
        // With the measured band put back, trilinear has lost its blur and with it much of its loss.
        let consistent = of(true, Baseline::Trilinear);
        assert!(consistent.gain_db > 0.8 * trilinear.gain_db, "{consistent:?}");
    }

    #[test]
    fn thick_slices_are_imitated_in_plane() {
        let resolved = [2.5, 2.5, 10.0];
        let slices = phantom([60, 72, 12], resolved);
        let trial = trial(&slices, [60, 72, 48], resolved, true).unwrap();
        assert_eq!(trial.scan().extent(), [60, 18, 12]);
        assert!(matches!(
            trial.operators.0,
            [Operator::KSpace, Operator::Slice { .. }, Operator::KSpace]
        ));
        assert_eq!(trial.resolved_mm(), [2.5, 10.0, 10.0]);
    }

    #[test]
    fn two_coarse_axes_are_no_slices() {
        let resolved = [5.0, 5.0, 2.5];
        let scan = phantom([36, 40, 72], resolved);
        let trial = trial(&scan, [72, 80, 72], resolved, true).unwrap();
        assert_eq!(
            (trial.scan().extent(), trial.extent()),
            ([18, 20, 72], [36, 40, 72])
        );
    }

    #[test]
    fn an_axis_that_was_interpolated_is_degraded_from_what_it_resolves() {
        let scan = phantom([64, 64, 64], [2.0; 3]);
        let trial = trial(&scan, [64, 64, 64], [2.0, 2.0, 3.0], false).unwrap();
        // From 3 mm to 2 is 1.5; as much beyond 3 mm is 4.5 mm.
        assert_eq!(trial.scan().extent(), [64, 64, 28]);
    }

    #[test]
    fn a_scan_too_small_for_the_whole_factor_is_tried_at_a_smaller_one() {
        let scan = phantom([30, 40, 24], [5.0; 3]);
        let trial = trial(&scan, [120, 160, 96], [5.0; 3], true).unwrap();
        assert_eq!(trial.scan().extent(), [16; 3]);
        let found = trial
            .expected(&Baseline::Trilinear.apply(trial.scan(), trial.extent()))
            .unwrap()
            .unwrap();
        assert_eq!(found.factors, [30.0 / 16.0, 40.0 / 16.0, 24.0 / 16.0]);
        assert!(found.gain_db < 0.0);
    }

    #[test]
    fn what_is_too_small_too_plain_or_fine_enough_tells_nothing() {
        let scan = phantom([23, 30, 30], [5.0; 3]);
        assert!(trial(&scan, [46, 60, 60], [5.0; 3], false).is_none());
        assert!(trial(&scan, [23, 30, 30], [5.0; 3], false).is_none());
        let plain = Volume::filled(0.0, phantom([40, 40, 40], [4.0; 3]).geometry().clone());
        assert!(trial(&plain, [80; 3], [4.0; 3], false).is_none());
    }
}
