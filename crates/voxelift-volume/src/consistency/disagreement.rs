//! How far an image is from the scan that it was made from, and where.

use serde::Serialize;

use super::{SEEN, difference_of, sampling};
use crate::degrade::Operators;
use crate::error::Result;
use crate::intensity::Mask;
use crate::kspace::{Coefficients, ShellGrid};
use crate::metrics::check_field_of_view;
use crate::volume::Volume;

/// `y - A x`, and where it lies.
#[derive(Clone, Debug, Serialize)]
pub struct Disagreement {
    /// `||A x - y|| / ||y||` over the frequencies that the scan holds, as [`residual`](super::residual).
    pub residual: f64,
    /// How much of its energy lies in the finer half of the scan's frequencies, beyond half of the Nyquist frequency of its
    /// coarsest axis.
    pub finer_half: f64,
    /// How much of the energy of `y - A x` lies in the scan's foreground.
    pub foreground: f64,
    /// The voxel of the scan (x, y, z) where it is largest.
    pub largest_at: [usize; 3],
    /// Its magnitude there, in the scan's units.
    pub largest: f64,
}

impl Disagreement {
    /// Of an image and the scan that `operators` are taken to have made.
    ///
    /// # Errors
    /// As [`hard`](super::hard).
    pub fn of(image: &Volume, scan: &Volume, operators: &Operators) -> Result<Self> {
        check_field_of_view(image, scan)?;
        let extent = scan.extent();
        let sampling = sampling(image.extent(), extent, operators);
        let difference = difference_of(scan, &sampling.measured(image));
        let spacing = scan.geometry().spacing_mm();
        let shells = ShellGrid::of_frequencies(sampling.frequencies(), spacing);
        let half = 0.25 / spacing.into_iter().fold(0.0, f64::max);
        let measured = sampling.coefficients(scan);
        let (mut finer, mut error, mut total) = (0.0, 0.0, 0.0);
        let coefficients = sampling.coefficients(&difference);
        for (i, (d, y)) in coefficients.data().iter().zip(measured.data()).enumerate() {
            let bin = Coefficients::bin(extent, i);
            if sampling.gain(bin) < SEEN {
                continue;
            }
            error += d.norm_sqr();
            total += y.norm_sqr();
            if shells.radius(shells.shell(bin)) > half {
                finer += d.norm_sqr();
            }
        }
        let squares = || difference.data().iter().map(|v| f64::from(*v).powi(2));
        let foreground = Mask::foreground(scan);
        let inside = squares().zip(foreground.data()).filter(|(_, inside)| **inside);
        let inside: f64 = inside.map(|(square, _)| square).sum();
        let (at, most) = squares()
            .enumerate()
            .fold((0, 0.0), |most, one| if one.1 > most.1 { one } else { most });
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let [nx, ny, _] = extent;
        Ok(Self {
            residual: share(error, total).sqrt(),
            finer_half: share(finer, error),
            foreground: share(inside, squares().sum()),
            largest_at: [at % nx, at / nx % ny, at / (nx * ny)],
            largest: most.sqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::{measured, residual};
    use crate::degrade::Operator;
    use crate::volume::Geometry;

    /// A block of ones in a volume of zeros.
    fn block() -> Volume {
        let data = (0..24 * 24 * 24).map(|i| {
            let [x, y, z] = [i % 24, i / 24 % 24, i / 576];
            f32::from(u8::from([x, y, z].iter().all(|n| (6..18).contains(n))))
        });
        Volume::new(data.collect(), Geometry::axis_aligned([24; 3], [1.0; 3]))
    }

    #[test]
    fn it_says_how_far_and_where() {
        let image = block();
        for operator in [Operator::KSpace, Operator::Box] {
            let operators = Operators::isotropic(operator);
            let scan = measured(&image, [12; 3], &operators);
            assert!(
                Disagreement::of(&image, &scan, &operators)
                    .expect("one grid")
                    .residual
                    < 1e-5
            );
            // A voxel of the scan changed: rough, outside the block, and there.
            let mut spoiled = scan.clone();
            spoiled.data_mut()[12 * (12 * 10 + 10) + 10] += 0.2;
            let found = Disagreement::of(&image, &spoiled, &operators).expect("one grid");
            assert_eq!(found.largest_at, [10; 3], "{operator}: {found:?}");
            assert!(
                (found.residual - residual(&image, &spoiled, &operators).expect("one grid")).abs() < 1e-12
            );
            assert!(
                found.finer_half > 0.7 && found.largest > 0.12,
                "{operator}: {found:?}"
            );
            // Too faint to be taken for foreground.
            assert!(found.foreground < 0.2, "{operator}: {found:?}");
            // A brighter image: smooth, and inside.
            let mut brighter = image.clone();
            brighter.data_mut().iter_mut().for_each(|v| *v *= 1.1);
            let found = Disagreement::of(&brighter, &scan, &operators).expect("one grid");
            assert!((found.residual - 0.1).abs() < 1e-3, "{operator}: {found:?}");
            assert!(
                found.foreground > 0.9 && found.finer_half < 0.3,
                "{operator}: {found:?}"
            );
        }
    }
}
