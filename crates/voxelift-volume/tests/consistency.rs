//! What data consistency promises, on random volumes of every parity and on degraded heads.

use voxelift_volume::consistency::{
    NoiseLevel, NoiseSource, hard, measured, residual, soft, soft_with, unmeasured,
};
use voxelift_volume::degrade::{Degradation, Operator, Operators, rician};
use voxelift_volume::kspace::zero_fill;
use voxelift_volume::metrics::data_consistency;
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::random::Stream;
use voxelift_volume::resample::pad_to_scale;
use voxelift_volume::{Geometry, Scale, Volume};

const KSPACE: Operators = Operators::isotropic(Operator::KSpace);

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

fn difference(a: &Volume, b: &Volume) -> Volume {
    let pairs = a.data().iter().zip(b.data());
    Volume::new(pairs.map(|(a, b)| a - b).collect(), a.geometry().clone())
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
        let projected = hard(&image, &lr, &KSPACE).unwrap();
        let after = data_consistency(&projected, &lr).unwrap();
        assert!(before > 0.1, "{grid:?}: {before}");
        assert!(after <= 1e-5, "{grid:?}: {after}");
    }
}

#[test]
fn the_hard_projection_is_idempotent_and_touches_no_other_frequency() {
    for (seed, grid) in GRIDS.into_iter().enumerate() {
        let (image, lr) = pair(grid, seed as u64);
        let once = hard(&image, &lr, &KSPACE).unwrap();
        let twice = hard(&once, &lr, &KSPACE).unwrap();
        assert!(largest_difference(&once, &twice) < 1e-4, "{grid:?}");
        let [before, after] = [&image, &once].map(|v| unmeasured(v, grid.1));
        assert!(largest_difference(&before, &after) < 1e-4, "{grid:?}");
    }
}

#[test]
fn a_reference_that_was_truncated_stays_what_it_is() {
    for extent in [[24, 28, 22], [25, 27, 21]] {
        for scale in [Scale([2, 2, 2]), Scale([1, 3, 2])] {
            let config = PhantomConfig {
                seed: 5,
                extent,
                spacing_mm: [6.0; 3],
            };
            let reference = phantom::head(&config).unwrap();
            let degradation = Degradation {
                grid: voxelift_volume::degrade::Grid::Scale(scale),
                ..Degradation::default()
            };
            let lr = degradation.apply(&reference, 0).unwrap();
            let reference = pad_to_scale(&reference, scale);
            let peak = f64::from(reference.data().iter().copied().fold(0.0, f32::max));
            for kept in [
                hard(&reference, &lr, &KSPACE).unwrap(),
                soft(&reference, &lr, &KSPACE).unwrap().image,
            ] {
                let moved = largest_difference(&reference, &kept) / peak;
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
        let filled = hard(&zero_fill(&lr, fine), &lr, &KSPACE).unwrap();
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

/// [`noisy_head`] with the background set to 0.
fn stripped_head(sigma: f64) -> Volume {
    let (clean, noisy) = noisy_head(sigma);
    let values = noisy.data().iter().zip(clean.data());
    Volume::new(
        values.map(|(n, c)| if *c > 20.0 { *n } else { 0.0 }).collect(),
        clean.geometry().clone(),
    )
}

#[test]
fn the_noise_of_a_stripped_scan_is_found_in_its_highest_frequencies() {
    let clean = NoiseLevel::of(&stripped_head(0.0));
    assert_eq!(clean.from, NoiseSource::Foreground);
    assert!(clean.sigma < 1.2, "{}", clean.sigma);
    // The finest texture of a head of 2.5 mm voxels adds to it.
    for (sigma, most) in [(2.0, 2.8), (6.0, 6.6)] {
        let found = NoiseLevel::of(&stripped_head(sigma));
        assert_eq!(found.from, NoiseSource::Foreground);
        assert!(
            (sigma..most).contains(&found.sigma),
            "{} for {sigma}",
            found.sigma
        );
    }
}

#[test]
fn dark_tissue_beside_bright_is_no_noise() {
    // A field of view that tissue fills: what lies outside the foreground is darker, and changes from place to place.
    let scan = |sigma: f64| {
        let (_, noisy) = noisy_head(sigma);
        let crop = noisy.crop([15, 19, 15], [30, 34, 30]);
        let filled = crop.data().iter().enumerate().map(|(i, v)| {
            let at = [i % 30, i / 30 % 34, i / (30 * 34)].map(|n| n as f32);
            v + 80.0 + 3.0 * at[0] + 20.0 * (0.3 * at[1]).sin() * (0.3 * at[2]).cos()
        });
        Volume::new(filled.collect(), crop.geometry().clone())
    };
    for sigma in [0.0, 6.0] {
        let found = NoiseLevel::of(&scan(sigma));
        assert_eq!(found.from, NoiseSource::Foreground, "{found:?}");
        assert!(found.sigma < 1.2 * sigma + 4.0, "{found:?} for {sigma}");
    }
    // So what it measured is put back.
    let crop = scan(0.0);
    let smooth = zero_fill(&smoother(&crop), crop.extent().map(|n| 2 * n));
    let softened = soft(&smooth, &crop, &KSPACE).unwrap();
    let [before, after] = [&smooth, &softened.image].map(|v| data_consistency(v, &crop).unwrap());
    assert!(after < 0.5 * before, "{before} {after}");
}

#[test]
fn interpolation_does_not_hide_the_noise_of_a_stripped_scan() {
    // Twice the voxels in plane, as scanners make them: the highest frequencies are empty.
    let (_, noisy) = noisy_head(6.0);
    let [nx, ny, nz] = noisy.extent();
    let fine = zero_fill(&noisy, [2 * nx, 2 * ny, nz]);
    let (clean, _) = noisy_head(0.0);
    let near = zero_fill(&clean, fine.extent());
    let inside = fine.data().iter().zip(near.data());
    let values = inside.map(|(v, c)| if *c > 20.0 { *v } else { 0.0 });
    let stripped = Volume::new(values.collect(), fine.geometry().clone());
    let found = NoiseLevel::of(&stripped);
    assert_eq!(found.from, NoiseSource::Foreground);
    // The same noise stands in a quarter of the frequencies, where its power is four times that of as much white noise.
    assert!((11.0..13.5).contains(&found.sigma), "{}", found.sigma);
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
    let softened = soft(&other((3.0 * power).sqrt()), &lr, &KSPACE).unwrap();
    // An error of three times the noise's power, and D is the error alone, since image and scan share their noise here:
    // W = 1 - N / D = 2/3 of it are taken back.
    assert!((softened.weight - 2.0 / 3.0).abs() < 0.03, "{}", softened.weight);
    let [before, after] =
        [&other((3.0 * power).sqrt()), &softened.image].map(|v| data_consistency(v, &lr).unwrap());
    assert!((after / before - 1.0 / 3.0).abs() < 0.05, "{before} {after}");
    // A disagreement below the noise stays.
    let near = other((0.5 * power).sqrt());
    let softened = soft(&near, &lr, &KSPACE).unwrap();
    assert!(softened.weight < 0.05, "{}", softened.weight);
    assert_eq!(soft(&exact, &lr, &KSPACE).unwrap().image.data(), exact.data());
}

/// A scan of which a fifth was averaged over the neighbours along each axis.
fn smoother(scan: &Volume) -> Volume {
    let extent = scan.extent();
    let stride = [1, extent[0], extent[0] * extent[1]];
    let mut averaged = scan.data().to_vec();
    for axis in 0..3 {
        let before = averaged.clone();
        for (i, value) in averaged.iter_mut().enumerate() {
            let at = i / stride[axis] % extent[axis];
            if at > 0 && at + 1 < extent[axis] {
                *value = (before[i - stride[axis]] + 2.0 * before[i] + before[i + stride[axis]]) / 4.0;
            }
        }
    }
    let values = scan.data().iter().zip(averaged);
    Volume::new(
        values.map(|(own, averaged)| 0.8 * own + 0.2 * averaged).collect(),
        scan.geometry().clone(),
    )
}

#[test]
fn texture_that_an_image_has_kept_is_no_noise_of_its_stripped_scan() {
    let scan = stripped_head(0.0);
    let fine = scan.extent().map(|n| 2 * n);
    // An image that is a little too smooth: all of the finest differences are texture, and most of it is put back.
    let smooth = zero_fill(&smoother(&scan), fine);
    let softened = soft(&smooth, &scan, &KSPACE).unwrap();
    assert_eq!(softened.noise.from, NoiseSource::Foreground);
    let all = NoiseLevel::of(&scan).sigma;
    assert!(
        softened.noise.sigma < 0.3 * all,
        "{} of {all}",
        softened.noise.sigma
    );
    let [before, after] = [&smooth, &softened.image].map(|v| data_consistency(v, &scan).unwrap());
    assert!(after < 0.3 * before, "{before} {after}");
    // Of a noisy scan an image without noise lacks all of it, and as good as nothing is put back.
    let (sigma, clean) = (6.0, zero_fill(&scan, fine));
    let softened = soft(&clean, &stripped_head(sigma), &KSPACE).unwrap();
    assert!(
        (softened.noise.sigma / sigma - 1.0).abs() < 0.1,
        "{:?}",
        softened.noise
    );
    assert!(softened.weight < 0.1, "{}", softened.weight);
}

#[test]
fn grids_of_another_field_of_view_are_refused() {
    let (image, lr) = pair(GRIDS[0], 1);
    let mut shifted = lr.geometry().clone();
    shifted.world_from_voxel[0][3] += 0.5;
    let shifted = Volume::new(lr.data().to_vec(), shifted);
    assert!(hard(&image, &shifted, &KSPACE).is_err() && soft(&image, &shifted, &KSPACE).is_err());
    assert!(hard(&lr, &image, &KSPACE).is_err());
}

/// Averages, a gap and overlap, a window, and a mixture along the axes.
const OPERATORS: [&str; 8] = [
    "kspace",
    "box",
    "gaussian:0.45",
    "slice:gaussian,1",
    "slice:box,0.7",
    "slice:box,1.3",
    "window:0.9,0.3",
    "kspace/cubic/slice:gaussian,1.2",
];

fn each_operator_and_grid(mut check: impl FnMut(&Operators, [usize; 3], &Volume, &Volume, &str)) {
    for text in OPERATORS {
        let operators: Operators = text.parse().unwrap();
        for (seed, grid) in GRIDS.into_iter().enumerate() {
            let (image, scan) = pair(grid, seed as u64 + 30);
            check(&operators, grid.1, &image, &scan, &format!("{text} {grid:?}"));
        }
    }
}

#[test]
fn every_operator_is_met_and_met_only_once() {
    each_operator_and_grid(|operators, _, image, scan, case| {
        let before = residual(image, scan, operators).unwrap();
        let once = hard(image, scan, operators).unwrap();
        let after = residual(&once, scan, operators).unwrap();
        assert!(before > 0.02 && after <= 1e-5, "{case}: {before} {after}");
        let twice = hard(&once, scan, operators).unwrap();
        assert!(largest_difference(&once, &twice) < 1e-3, "{case}");
        if operators.is_kspace() {
            assert!(
                (before - data_consistency(image, scan).unwrap()).abs() < 1e-6,
                "{case}"
            );
        }
    });
}

#[test]
fn what_an_operator_does_not_see_is_not_touched() {
    each_operator_and_grid(|operators, coarse, image, scan, case| {
        let moved = difference(&hard(image, scan, operators).unwrap(), image);
        // Another image, less all that the operator sees of it.
        let other = noise(image.geometry().clone(), 77);
        let nothing = Volume::filled(0.0, scan.geometry().clone());
        let unseen = hard(&other, &nothing, operators).unwrap();
        let seen = measured(&unseen, coarse, operators);
        let dot = |a: &Volume, b: &Volume| -> f64 {
            let pairs = a.data().iter().zip(b.data());
            pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let size = |v: &Volume| dot(v, v).sqrt();
        let cosine = dot(&moved, &unseen) / (size(&moved) * size(&unseen));
        assert!(cosine.abs() < 1e-5, "{case}: {cosine}");
        assert!(
            size(&seen) < 0.2 * size(&measured(&other, coarse, operators)),
            "{case}"
        );
    });
}

#[test]
fn without_noise_soft_is_hard() {
    each_operator_and_grid(|operators, _, image, scan, case| {
        let none = |power: f64| NoiseLevel {
            sigma: 0.0,
            power,
            from: NoiseSource::Background,
        };
        let hard = hard(image, scan, operators).unwrap();
        let mut last = f64::INFINITY;
        for power in [1e6, 1e3, 1.0, 0.0] {
            let soft = soft_with(image, scan, operators, none(power)).unwrap();
            let apart = largest_difference(&soft.image, &hard);
            assert!(apart <= last, "{case}: {apart} after {last}");
            last = apart;
        }
        assert!(last < 1e-4, "{case}: {last}");
    });
}

#[test]
fn a_head_that_was_degraded_stays_what_it_is_under_its_own_operator() {
    let config = PhantomConfig {
        seed: 6,
        extent: [48, 54, 42],
        spacing_mm: [4.0; 3],
    };
    let mut head = phantom::head(&config).unwrap();
    // Air at the ends of lines, so that it does not matter how they go on.
    let extent = head.extent();
    for (i, voxel) in head.data_mut().iter_mut().enumerate() {
        let at = [i % 48, i / 48 % 54, i / (48 * 54)];
        if (0..3).any(|a| at[a] < 9 || at[a] >= extent[a] - 9) {
            *voxel = 0.0;
        }
    }
    let peak = f64::from(head.data().iter().copied().fold(0.0, f32::max));
    for text in OPERATORS {
        let operators: Operators = text.parse().unwrap();
        for scale in [Scale([2, 2, 2]), Scale([3, 1, 3])] {
            let scan = Degradation::new(operators, scale).apply(&head, 0).unwrap();
            let before = residual(&head, &scan, &operators).unwrap();
            let moved = largest_difference(&head, &hard(&head, &scan, &operators).unwrap()) / peak;
            assert!(before < 2e-5 && moved < 5e-4, "{text} {scale}: {before} {moved}");
        }
    }
}

/// How far the operators here are from those of `degrade` where they are not the same: at the ends of lines, and for
/// averages over voxels that are no whole number of times smaller.
#[test]
fn operators_differ_from_those_of_degrade_at_the_ends_of_lines_only() {
    let apart = |operator: &str, fine: [usize; 3], coarse: [usize; 3], margin: usize| {
        let operators: Operators = operator.parse().unwrap();
        let image = noise(Geometry::axis_aligned(fine, [1.0; 3]), 3);
        let [a, b] = [
            operators.apply(&image, coarse),
            measured(&image, coarse, &operators),
        ];
        let inner = |v: &Volume| v.crop([margin; 3], coarse.map(|n| n - 2 * margin));
        let (a, b) = (inner(&a), inner(&b));
        let mean = a.data().iter().sum::<f32>() / a.data().len() as f32;
        let spread = a.clone().map(|v| (v - mean).powi(2)).data().iter().sum::<f32>();
        let error = difference(&a, &b).map(|v| v * v).data().iter().sum::<f32>();
        f64::from((error / spread).sqrt())
    };
    for operator in OPERATORS {
        for (fine, coarse) in [([36; 3], [18; 3]), ([42; 3], [14; 3])] {
            let inside = apart(operator, fine, coarse, 4);
            assert!(inside < 1e-5, "{operator} {fine:?}: {inside}");
        }
    }
    // White noise up to the last voxel: the worst there is. A box of whole voxels has no end to differ at.
    assert!(apart("box", [36; 3], [18; 3], 0) < 1e-6);
    let ends = apart("slice:gaussian,1", [36; 3], [18; 3], 0);
    assert!((0.01..0.25).contains(&ends), "{ends}");
    let fractional = apart("box", [36; 3], [24; 3], 4);
    assert!((0.01..0.25).contains(&fractional), "{fractional}");
    assert!(apart("kspace", [36; 3], [23; 3], 0) < 1e-6);
}

#[derive(serde::Deserialize)]
struct Golden {
    fine: [usize; 3],
    coarse: [usize; 3],
    spacing_mm: [f64; 3],
    noise_power: f64,
    cases: Vec<GoldenCase>,
}

#[derive(serde::Deserialize)]
struct GoldenCase {
    operators: Operators,
    image: Vec<f32>,
    scan: Vec<f32>,
    measured: Vec<f32>,
    hard: Vec<f32>,
    soft: Vec<f32>,
    weight: f64,
    residual: f64,
}

#[test]
fn dense_matrices_say_the_same() {
    let golden: Golden = serde_json::from_str(include_str!("golden/consistency.json")).unwrap();
    for case in golden.cases {
        let grid = Geometry::axis_aligned(golden.coarse, golden.spacing_mm);
        let fine = grid.with_extent(golden.fine);
        let on = |values: &[f32]| Volume::new(values.to_vec(), fine.clone());
        let (image, scan) = (on(&case.image), Volume::new(case.scan, grid.clone()));
        let operators = case.operators;
        let given = NoiseLevel {
            sigma: 1.0,
            power: golden.noise_power,
            from: NoiseSource::Background,
        };
        let soft = soft_with(&image, &scan, &operators, given).unwrap();
        let again = measured(&image, golden.coarse, &operators);
        assert!(
            largest_difference(&again, &Volume::new(case.measured, grid)) < 1e-5,
            "{operators}"
        );
        let hard = hard(&image, &scan, &operators).unwrap();
        assert!(largest_difference(&hard, &on(&case.hard)) < 1e-4, "{operators}");
        assert!(
            largest_difference(&soft.image, &on(&case.soft)) < 1e-4,
            "{operators}"
        );
        assert!(
            (soft.weight - case.weight).abs() < 1e-6,
            "{operators}: {}",
            soft.weight
        );
        let residual = residual(&image, &scan, &operators).unwrap();
        assert!((residual - case.residual).abs() < 1e-6, "{operators}: {residual}");
    }
}
