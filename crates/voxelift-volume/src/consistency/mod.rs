//! Floor 4 · Data consistency: what a scan measured, put back into the image made from it.
//!
//! A is k-space truncation to the LR grid and A+ zero-filling, both on the field-of-view grid ([`crate::kspace::truncate`],
//! [`crate::kspace::zero_fill`]); `A A+ = 1` on the frequencies that both grids hold, the unpaired plane `-M/2` of an even
//! side left out. With y the scan and x the image made from it,
//!
//! ```text
//! hard    x + A+ (y - A x)            the frequencies of the scan are the scan's own, the others the image's
//! soft    x + A+ W (y - A x)          W(shell) = max(0, 1 - N / D(shell))
//! ```
//!
//! *Hard* is the orthogonal projection onto all images that would have been measured as y. *Soft* is what remains of
//! it where the scan is noisy: the best linear estimate of a frequency from `y = z + n` and `x = z + e` with
//! independent errors of power N and E is `x + (y - x) E / (E + N)`. `E + N` is measured: it is D, the mean of
//! `|y - A x|^2` over the shell; N is the scan's noise ([`NoiseLevel`]). Without noise soft is hard, and where the
//! image differs from the scan by no more than the noise does, the image stays as it is.
//!
//! Source: the weighted replacement of sampled frequencies is Schlemper et al., *A Deep Cascade of Convolutional
//! Neural Networks for Dynamic MR Image Reconstruction*, IEEE TMI 2018, eq. 6, whose `lambda = E / N` is learned or
//! given; estimating it from the data, with the positive part, is the shrinkage of James and Stein (Efron, Morris,
//! JASA 1973), which signal processing knows as the empirical Wiener filter.
//!
//! Limits: both mean something only where the scan was made by truncation. Hard puts the scan's noise and artefacts
//! back with its signal. Soft takes the errors of scan and image for independent; an image that a network made from
//! the scan shares some of its noise, so that D is too small and the image keeps more than its share.

mod noise;

pub use noise::{NoiseLevel, NoiseSource};

use crate::error::Result;
use crate::kspace::{ShellGrid, Spectrum, bin_at, filter, truncate, zero_fill};
use crate::metrics::check_field_of_view;
use crate::volume::Volume;

/// The orthogonal projection of an image onto all those that truncation brings to `lr`: `x + A+ (y - A x)`.
///
/// Afterwards [`data_consistency`](crate::metrics::data_consistency) is at most 1e-5, of which all is rounding to f32.
///
/// # Errors
/// As [`check_field_of_view`]: unless both cover the same field of view and the image is at least as fine.
pub fn hard(image: &Volume, lr: &Volume) -> Result<Volume> {
    check_field_of_view(image, lr)?;
    Ok(corrected(image, &disagreement(image, lr)))
}

/// An image pulled towards its scan, and by how much.
#[derive(Clone, Debug)]
pub struct Softened {
    /// `x + A+ W (y - A x)`.
    pub image: Volume,
    /// The scan's noise.
    pub noise: NoiseLevel,
    /// The mean of W over the measured frequencies: 1 is hard, 0 leaves the image as it is.
    pub weight: f64,
}

/// As [`hard`], as far as the scan's noise allows.
///
/// # Errors
/// As [`hard`].
pub fn soft(image: &Volume, lr: &Volume) -> Result<Softened> {
    check_field_of_view(image, lr)?;
    let noise = NoiseLevel::of(lr);
    let mut difference = Spectrum::of(&disagreement(image, lr));
    let extent = lr.extent();
    let shells = ShellGrid::new(extent, lr.geometry().spacing_mm());
    let fine = image.extent();
    let unpaired = |axis: usize, i: usize| is_dropped(fine[axis], extent[axis]) && 2 * i == extent[axis];
    let mut sums = vec![(0.0, 0.0); shells.count()];
    for (i, value) in difference.data().iter().enumerate() {
        let bin = bin_at(extent, i);
        if !(0..3).any(|a| unpaired(a, bin[a])) {
            let (power, count) = &mut sums[shells.shell(bin)];
            *power += value.norm_sqr();
            *count += 1.0;
        }
    }
    let weights: Vec<f64> = sums
        .iter()
        .map(|(power, count)| shrinkage(power / count, noise.power))
        .collect();
    for (i, value) in difference.data_mut().iter_mut().enumerate() {
        *value *= weights[shells.shell(bin_at(extent, i))];
    }
    let total: f64 = sums.iter().map(|(_, count)| count).sum();
    let weight = sums
        .iter()
        .zip(&weights)
        .map(|((_, count), weight)| if *count > 0.0 { weight * count } else { 0.0 })
        .sum::<f64>()
        / total;
    let difference = difference.into_volume(lr.geometry().clone());
    Ok(Softened {
        image: corrected(image, &difference),
        noise,
        weight,
    })
}

/// What an image holds beyond the frequencies of a scan of `measured` voxels over its field of view: `x - A+ A x`,
/// its part in the null space of truncation. Nothing in the scan speaks for or against it.
///
/// # Panics
/// Unless `1 <= measured <= image.extent()` on each axis.
pub fn unmeasured(image: &Volume, measured: [usize; 3]) -> Volume {
    let held = zero_fill(&truncate(image, measured), image.extent());
    difference_of(image, &held)
}

/// `max(0, 1 - N / D)`.
fn shrinkage(disagreement: f64, noise: f64) -> f64 {
    if disagreement > noise {
        1.0 - noise / disagreement
    } else {
        0.0
    }
}

/// Whether truncation from `fine` to `coarse` voxels drops an unpaired frequency.
fn is_dropped(fine: usize, coarse: usize) -> bool {
    coarse < fine && coarse.is_multiple_of(2)
}

/// `y - A x` on the LR grid, without the unpaired frequencies, of which A knows nothing.
fn disagreement(image: &Volume, lr: &Volume) -> Volume {
    let difference = difference_of(lr, &truncate(image, lr.extent()));
    let (fine, coarse) = (image.extent(), lr.extent());
    filter(&difference, |axis, f| {
        if f >= 0.5 && is_dropped(fine[axis], coarse[axis]) {
            0.0
        } else {
            1.0
        }
    })
}

fn corrected(image: &Volume, difference: &Volume) -> Volume {
    let correction = zero_fill(difference, image.extent());
    let mut image = image.clone();
    image
        .data_mut()
        .iter_mut()
        .zip(correction.data())
        .for_each(|(v, more)| *v += more);
    image
}

fn difference_of(left: &Volume, right: &Volume) -> Volume {
    let values = left.data().iter().zip(right.data()).map(|(a, b)| a - b);
    Volume::new(values.collect(), left.geometry().clone())
}
