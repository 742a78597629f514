//! What a model may be expected to do for a scan, measured on the scan itself.

use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::{Operator, Operators, Profile};
use voxelift_volume::intensity::Mask;
use voxelift_volume::placed::thick_axes;
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::{Volume, kspace};

use super::{SuperResolver, UpscaleOptions};
use crate::error::Result;

/// What happened to a scan that was made coarser once more, by the factor that it is to be made finer by, and brought back.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Voxels of the scan per voxel of the coarser one, along x, y, z.
    pub factors: [f64; 3],
    /// The baseline that came nearest to the scan.
    pub baseline: Baseline,
    /// PSNR of the model less that of the baseline in the scan's foreground, dB.
    pub gain_db: f64,
}

/// Fewer voxels than this along an axis tell nothing.
const LEAST_EXTENT: usize = 16;

impl SuperResolver {
    /// Makes the scan coarser once more and brings it back, by the model and by every baseline. Thick slices are imitated along
    /// the longer axis in plane, where the scan is fine enough to judge by. None where the scan is too small, too coarse or too
    /// plain to tell.
    ///
    /// # Errors
    /// When the scan cannot be normalised.
    pub fn expected(
        &self,
        scan: &Volume,
        extent: [usize; 3],
        resolved_mm: [f64; 3],
        tile: Option<usize>,
    ) -> Result<Option<Expected>> {
        let (reference, coarse) = if self.is_placed() {
            let Some(coarse) = coarser(scan, extent, resolved_mm) else {
                return Ok(None);
            };
            (scan.clone(), coarse)
        } else {
            let reference = pad_to_scale(scan, self.scale);
            let coarse = kspace::truncate(&reference, self.scale.down(scan.extent()));
            (reference, coarse)
        };
        let (fine, few) = (reference.extent(), coarse.extent());
        if fine == few || (0..3).any(|a| few[a] < fine[a] && few[a] < LEAST_EXTENT) {
            return Ok(None);
        }
        let mask = Mask::foreground(&reference);
        let error = |image: &Volume| -> f64 {
            let pairs = image.data().iter().zip(reference.data()).zip(mask.data());
            pairs
                .filter(|(_, inside)| **inside)
                .map(|((a, b), _)| f64::from(a - b).powi(2))
                .sum()
        };
        let spacing = coarse.geometry().spacing_mm();
        let resolved = std::array::from_fn(|a| resolved_mm[a].max(spacing[a]));
        let options = UpscaleOptions {
            tile,
            ensemble: false,
        };
        let of_model = error(&self.onto(&coarse, fine, resolved, &options, &mut |_, _| {})?);
        let errors = Baseline::ALL.map(|baseline| (baseline, error(&baseline.apply(&coarse, fine))));
        let (baseline, least) = errors
            .into_iter()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("some baselines");
        let gain_db = 10.0 * (least / of_model).log10();
        Ok(gain_db.is_finite().then(|| Expected {
            factors: std::array::from_fn(|a| fine[a] as f64 / few[a] as f64),
            baseline,
            gain_db,
        }))
    }
}

/// The scan as coarse as it is beside the grid that it is to be brought to.
fn coarser(scan: &Volume, extent: [usize; 3], resolved_mm: [f64; 3]) -> Option<Volume> {
    let n = scan.extent();
    let target_mm = scan.geometry().with_extent(extent).spacing_mm();
    let mut factors: [f64; 3] = std::array::from_fn(|a| (resolved_mm[a] / target_mm[a]).max(1.0));
    let mut operators = [Operator::KSpace; 3];
    let thick = thick_axes(resolved_mm);
    if let Some(slices) = (0..3).find(|a| thick[*a]) {
        let in_plane = (0..3).filter(|a| !thick[*a]).max_by_key(|a| n[*a])?;
        let factor = factors[slices];
        factors = [1.0; 3];
        factors[in_plane] = factor;
        operators[in_plane] = Operator::Slice {
            profile: Profile::Gaussian,
            thickness: 1.0,
        };
    }
    let few: [usize; 3] =
        std::array::from_fn(|a| ((n[a] as f64 / factors[a]).round() as usize).clamp(1, n[a]));
    (few != n).then(|| Operators(operators).apply(scan, few))
}
