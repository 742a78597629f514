//! What data consistency promises, on random volumes of every parity and on degraded heads.

use voxelift_volume::consistency::{NoiseLevel, NoiseSource, hard, soft, unmeasured};
use voxelift_volume::degrade::{Degradation, rician};
use voxelift_volume::kspace::zero_fill;
use voxelift_volume::metrics::data_consistency;
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::random::Stream;
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::{Geometry, Scale, Volume};

/// Fine and coarse extents: even, odd, mixed factors, fractional factors, one axis untouched.
const GRIDS: [([usize; 3], [usize; 3]); 6] = [
    ([16, 20, 12], [8, 10, 6]),
    ([14, 18, 10], [7, 9, 5]),
    ([15, 21, 9], [5, 7, 3]),
    ([16, 12, 9], [8, 4, 9]),
    ([13, 17, 11], [8, 10, 7]),
    ([20, 10, 7], [7, 10, 4]),
];

fn noise(geometry: Geometry, seed: u64) -> Volume {
    let mut stream = Stream::new(seed, 0);
    let values = (0..geometry.voxels()).map(|_| (100.0 + 40.0 * stream.normal_pair()[0]) as f32);
    Volume::new(values.collect(), geometry)
}

fn pair((fine, coarse): ([usize; 3], [usize; 3]), seed: u64) -> (Volume, Volume) {
    let grid = Geometry::axis_aligned(fine, [1.0, 1.2, 0.8]);
    let lr = noise(grid.with_extent(coarse), seed + 100);
    (noise(grid, seed), lr)
}

fn largest_difference(a: &Volume, b: &Volume) -> f64 {
    let pairs = a.data().iter().zip(b.data());
    pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

#[test]
fn after_the_hard_projection_the_scan_is_met_on_every_grid() {
    for (seed, grid) in GRIDS.into_iter().enumerate() {
        let (image, lr) = pair(grid, seed as u64);
        let before = data_consistency(&image, &lr).unwrap();
        let projected = hard(&image, &lr).unwrap();
        let after = data_consistency(&projected, &lr).unwrap();
        assert!(before > 0.1, "{grid:?}: {before}");
        assert!(after <= 1e-5, "{grid:?}: {after}");
    }
}

#[test]
fn the_hard_projection_is_idempotent_and_touches_no_other_frequency() {
    for (seed, grid) in GRIDS.into_iter().enumerate() {
        let (image, lr) = pair(grid, seed as u64);
        let once = hard(&image, &lr).unwrap();
        let twice = hard(&once, &lr).unwrap();
        assert!(largest_difference(&once, &twice) < 1e-4, "{grid:?}");
        let [before, after] = [&image, &once].map(|v| unmeasured(v, grid.1));
        assert!(largest_difference(&before, &after) < 1e-4, "{grid:?}");
    }
}

#[test]
fn a_truth_that_was_truncated_stays_what_it_is() {
    for extent in [[24, 28, 22], [25, 27, 21]] {
        for scale in [Scale([2, 2, 2]), Scale([1, 3, 2])] {
            let config = PhantomConfig {
                seed: 5,
                extent,
                spacing_mm: [6.0; 3],
            };
            let truth = phantom::head(&config).unwrap();
            let degradation = Degradation {
                grid: voxelift_volume::degrade::Grid::Scale(scale),
                ..Degradation::default()
            };
            let lr = degradation.apply(&truth, 0).unwrap();
            let truth = pad_to_scale(&truth, scale);
            let peak = f64::from(truth.data().iter().copied().fold(0.0, f32::max));
            for kept in [hard(&truth, &lr).unwrap(), soft(&truth, &lr).unwrap().image] {
                let moved = largest_difference(&truth, &kept) / peak;
                assert!(moved < 1e-6, "{extent:?} {scale}: {moved}");
            }
        }
    }
}

#[test]
fn only_band_limited_volumes_have_nothing_unmeasured() {
    for (fine, coarse) in GRIDS {
        let (image, lr) = pair((fine, coarse), 9);
        // Random numbers have an unpaired plane, which comes back as half of it: still within the band.
        let filled = hard(&zero_fill(&lr, fine), &lr).unwrap();
        let band_limited = Volume::new(
            filled
                .data()
                .iter()
                .zip(unmeasured(&filled, coarse).data())
                .map(|(a, b)| a - b)
                .collect(),
            filled.geometry().clone(),
        );
        let rest = unmeasured(&band_limited, coarse);
        assert!(rest.data().iter().all(|v| v.abs() < 1e-4), "{fine:?} {coarse:?}");
        let rest = unmeasured(&image, coarse);
        assert!(rest.data().iter().any(|v| v.abs() > 10.0), "{fine:?} {coarse:?}");
    }
}

/// A head of 2 mm voxels with Rician noise of a known sigma, and the clean one.
fn noisy_head(sigma: f64) -> (Volume, Volume) {
    let config = PhantomConfig {
        seed: 3,
        extent: [60, 72, 60],
        spacing_mm: [2.5; 3],
    };
    let clean = phantom::head(&config).unwrap();
    let mut noisy = clean.clone();
    if sigma > 0.0 {
        rician(noisy.data_mut(), sigma, &mut Stream::new(8, 0));
    }
    (clean, noisy)
}

#[test]
fn the_noise_of_a_scan_is_found_in_its_background() {
    for sigma in [1.0, 3.0] {
        let (clean, noisy) = noisy_head(sigma);
        let found = NoiseLevel::of(&noisy);
        assert_eq!(found.from, NoiseSource::Background);
        assert!(
            (found.sigma / sigma - 1.0).abs() < 0.05,
            "{} for {sigma}",
            found.sigma
        );
        // What the noise added, bin by bin of the spectrum: Parseval, without the mean that Rician noise adds.
        let added: Vec<f64> = noisy
            .data()
            .iter()
            .zip(clean.data())
            .map(|(n, c)| f64::from(n - c))
            .collect();
        let of = |inside: bool| {
            let part: Vec<f64> = added
                .iter()
                .zip(clean.data())
                .filter(|(_, c)| (**c > 20.0) == inside)
                .map(|(d, _)| *d)
                .collect();
            let mean = part.iter().sum::<f64>() / part.len() as f64;
            part.iter().map(|d| (d - mean).powi(2)).sum::<f64>()
        };
        let power = of(true) + of(false);
        assert!(
            (found.power / power - 1.0).abs() < 0.1,
            "{} against {power}",
            found.power
        );
    }
    let (clean, _) = noisy_head(0.0);
    assert_eq!(NoiseLevel::of(&clean).from, NoiseSource::Foreground);
}

#[test]
fn soft_weighs_the_scan_by_its_noise() {
    let (_, lr) = noisy_head(2.0);
    let fine = lr.extent().map(|n| 2 * n);
    let exact = zero_fill(&lr, fine);
    let other = |sigma: f64| {
        let mut stream = Stream::new(4, 1);
        let wrong = Volume::new(
            lr.data()
                .iter()
                .map(|v| v + (sigma * stream.normal_pair()[0]) as f32)
                .collect(),
            lr.geometry().clone(),
        );
        zero_fill(&wrong, fine)
    };
    let power = NoiseLevel::of(&lr).power / lr.data().len() as f64;
    let softened = soft(&other((3.0 * power).sqrt()), &lr).unwrap();
    // An error of three times the noise's power, and D is the error alone, since image and scan share their noise here:
    // W = 1 - N / D = 2/3 of it are taken back.
    assert!((softened.weight - 2.0 / 3.0).abs() < 0.03, "{}", softened.weight);
    let [before, after] =
        [&other((3.0 * power).sqrt()), &softened.image].map(|v| data_consistency(v, &lr).unwrap());
    assert!((after / before - 1.0 / 3.0).abs() < 0.05, "{before} {after}");
    // A disagreement below the noise stays.
    let near = other((0.5 * power).sqrt());
    let softened = soft(&near, &lr).unwrap();
    assert!(softened.weight < 0.05, "{}", softened.weight);
    assert_eq!(soft(&exact, &lr).unwrap().image.data(), exact.data());
}

#[test]
fn grids_of_another_field_of_view_are_refused() {
    let (image, lr) = pair(GRIDS[0], 1);
    let mut shifted = lr.geometry().clone();
    shifted.world_from_voxel[0][3] += 0.5;
    let shifted = Volume::new(lr.data().to_vec(), shifted);
    assert!(hard(&image, &shifted).is_err() && soft(&image, &shifted).is_err());
    assert!(hard(&lr, &image).is_err());
}
