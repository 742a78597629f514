//! The noise of a scan whose background was set to 0, from the highest frequencies of its foreground.

use crate::intensity::{Mask, percentile};
use crate::resolution::AxisResolution;
use crate::volume::Volume;

/// The fourth difference: `16 sin^4(pi f)`, which leaves least of what is smooth.
const DIFFERENCE: [f32; 5] = [1.0, -4.0, 6.0, -4.0, 1.0];

/// The sum of its squares.
const SQUARES: f64 = 70.0;

/// The median of `|n|` for Gaussian n in units of sigma.
const GAUSSIAN_MEDIAN: f64 = 0.674_489_750_196_082;

/// Fewer differences than this are too few for a median.
const FEWEST: usize = 500;

/// More voxels than this from one term of a difference to the next are not looked at.
const FURTHEST: usize = 4;

/// The standard deviation of the noise in a scan's values within a mask, from differences of fourth order along all axes at once:
/// `median |d_x d_y d_z v| / (0.6745 * 70^(3/2))`; `None` where the mask holds too few of them. The values are the scan, or a
/// part of it, and `present` is what the scan resolves.
///
/// Anatomy has least power where all three frequencies are high, noise has as much there as elsewhere: Donoho and
/// Johnstone's estimate from the finest diagonal wavelet coefficients (*Biometrika* 1994), with a longer filter.
/// Along an axis that was interpolated nothing is left at the highest frequencies, noise neither; there the
/// terms are as many voxels apart as the scan's true resolution has, and since the part of the spectrum that is empty repeats
/// the one that is not, the power found is that many times too small.
///
/// Limits: the finest texture still counts as noise (0.15 to 0.2 % of the peak in clean 1 mm brains in slices of 4 mm, 1 % in
/// brains of 2 mm), and noise that was smoothed is underestimated.
pub(super) fn finest(values: &Volume, present: [AxisResolution; 3], mask: &Mask) -> Option<f64> {
    let extent = values.extent();
    let mut values = values.data().to_vec();
    let mut valid = mask.data().to_vec();
    let stride = [1, extent[0], extent[0] * extent[1]];
    let mut scale = 1.0;
    for axis in 0..3 {
        let apart = match present[axis] {
            found if found.is_interpolated() => {
                let ratio = found.present_mm.unwrap_or(found.spacing_mm) / found.spacing_mm;
                (ratio.round() as usize).clamp(2, FURTHEST)
            }
            _ => 1,
        };
        let reach = 2 * apart;
        if extent[axis] <= 2 * reach + 1 {
            continue;
        }
        scale *= SQUARES / apart as f64;
        let step = apart * stride[axis];
        let differences = |i: usize| -> Option<f32> {
            let at = i / stride[axis] % extent[axis];
            if at < reach || at + reach >= extent[axis] {
                return None;
            }
            let terms = || (0..DIFFERENCE.len()).map(|k| i + k * step - 2 * step);
            terms().all(|j| valid[j]).then(|| {
                terms()
                    .zip(DIFFERENCE)
                    .map(|(j, weight)| weight * values[j])
                    .sum()
            })
        };
        let (next, inside) = (0..values.len())
            .map(|i| differences(i).map_or((0.0, false), |d| (d, true)))
            .unzip();
        (values, valid) = (next, inside);
    }
    let mut sizes: Vec<f32> = values
        .iter()
        .zip(&valid)
        .filter_map(|(v, valid)| valid.then_some(v.abs()))
        .collect();
    if sizes.len() < FEWEST {
        return None;
    }
    percentile(&mut sizes, 50.0).map(|median| median / GAUSSIAN_MEDIAN / scale.sqrt())
}
