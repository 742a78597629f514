//! How far smoothing alone could bring an image towards its reference.

use crate::error::Result;
use crate::intensity::Mask;
use crate::kspace;
use crate::metrics::default_mask;
use crate::volume::Volume;

/// Standard deviations that are looked through, in voxels of the reference: none to this many.
const MOST: f64 = 1.6;
/// Halvings of that range by the golden ratio: to a hundredth of a voxel.
const SECTIONS: usize = 11;

/// The image under the Gaussian that leaves the least squared error in the reference's mask.
///
/// # Errors
/// When the reference has no contrast.
pub fn nearest_to(image: &Volume, reference: &Volume) -> Result<Volume> {
    let (mask, _) = default_mask(reference)?;
    let error = |sigma: f64| squared_error(&smoothed(image, sigma), reference, &mask);
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.0, MOST);
    let mut inner = [high - ratio * (high - low), low + ratio * (high - low)];
    let mut errors = inner.map(error);
    for _ in 0..SECTIONS {
        if errors[0] <= errors[1] {
            high = inner[1];
            inner = [high - ratio * (high - low), inner[0]];
            errors = [error(inner[0]), errors[0]];
        } else {
            low = inner[0];
            inner = [inner[1], low + ratio * (high - low)];
            errors = [errors[1], error(inner[1])];
        }
    }
    let best = smoothed(image, (low + high) / 2.0);
    // No smoothing at all lies on the edge of the range.
    let better = squared_error(&best, reference, &mask) < squared_error(image, reference, &mask);
    Ok(if better { best } else { image.clone() })
}

/// Under a Gaussian of standard deviation `sigma` in voxels: `exp(-2 (pi sigma f)^2)` of each frequency f.
fn smoothed(image: &Volume, sigma: f64) -> Volume {
    kspace::filter(image, |_, f| {
        (-2.0 * (std::f64::consts::PI * sigma * f).powi(2)).exp()
    })
}

fn squared_error(image: &Volume, reference: &Volume, mask: &Mask) -> f64 {
    // Upscaling may have added voxels at the high end.
    let image = image.crop([0; 3], reference.extent());
    let voxels = image.data().iter().zip(reference.data()).zip(mask.data());
    voxels
        .filter(|(_, inside)| **inside)
        .map(|((a, b), _)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;
    use crate::degrade::Degradation;
    use crate::phantom::{PhantomConfig, head};

    #[test]
    fn smoothing_is_chosen_by_the_reference() {
        let reference = head(&PhantomConfig {
            seed: 1,
            extent: [40, 44, 38],
            spacing_mm: [4.0; 3],
        })
        .expect("a phantom");
        let blurred = smoothed(&reference, 0.8);
        let back = nearest_to(&reference, &blurred).expect("contrast");
        let off = |a: &Volume, b: &Volume| {
            let differences = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs());
            differences.fold(0.0, f32::max) / b.data().iter().copied().fold(0.0, f32::max)
        };
        assert!(off(&back, &blurred) < 0.01, "{}", off(&back, &blurred));
        assert_eq!(nearest_to(&reference, &reference).expect("contrast"), reference);

        let gain = |noise: f64| {
            let degradation = Degradation {
                noise,
                ..Degradation::default()
            };
            let lr = degradation.apply(&reference, 3).expect("an LR scan");
            let mask = default_mask(&reference).expect("contrast").0;
            let error = |image: &Volume| squared_error(image, &reference, &mask);
            let extent = reference.extent();
            let smoothed = Baseline::ZeroFill.apply_smoothed(&lr, extent, &reference);
            error(&Baseline::ZeroFill.apply(&lr, extent)) / error(&smoothed.expect("an image"))
        };
        let [noisy, clean] = [gain(0.1), gain(0.0)];
        assert!(noisy > 1.05 && clean < 1.02, "{noisy} {clean}");
    }
}
