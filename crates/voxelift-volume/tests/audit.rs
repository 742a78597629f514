//! What the audit promises, on ensembles whose agreement is known.

use voxelift_volume::audit::{Ensemble, NullSpace, residual};
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::kspace::{Complex, Spectrum, zero_fill};
use voxelift_volume::random::Stream;
use voxelift_volume::{Geometry, Volume};

const FINE: [usize; 3] = [36, 32, 30];
const COARSE: [usize; 3] = [18, 16, 15];

/// White noise that fades out well before the faces, so that tapering does nothing.
fn texture(seed: u64) -> Volume {
    let geometry = Geometry::axis_aligned(FINE, [1.0; 3]);
    let mut stream = Stream::new(seed, 0);
    let inside = |i: usize| {
        let at = [i % FINE[0], i / FINE[0] % FINE[1], i / (FINE[0] * FINE[1])];
        (0..3).all(|a| at[a] >= 9 && at[a] + 9 < FINE[a])
    };
    let values = (0..geometry.voxels()).map(|i| {
        let value = stream.normal_pair()[0] as f32;
        if inside(i) { value } else { 0.0 }
    });
    Volume::new(values.collect(), geometry)
}

fn sum(a: &Volume, b: &Volume, factor: f32) -> Volume {
    let values = a.data().iter().zip(b.data()).map(|(a, b)| a + factor * b);
    Volume::new(values.collect(), a.geometry().clone())
}

#[test]
fn noise_of_its_own_in_each_member_raises_the_disagreement_by_its_share() {
    let common = texture(1);
    for factor in [0.0_f32, 0.5, 1.0] {
        let mut ensemble = Ensemble::new(common.geometry(), COARSE);
        for member in 0..8 {
            ensemble.add(&sum(&common, &texture(10 + member), factor));
        }
        let found = ensemble.agreement();
        let q = f64::from(factor).powi(2);
        let expected = q / (1.0 + q);
        let disagreement = 1.0 - found.beyond_nyquist.agreement.unwrap();
        assert!(
            (disagreement - expected).abs() < 0.01,
            "{disagreement} for {expected}"
        );
        let energy = found.beyond_nyquist.energy;
        assert!((found.beyond_nyquist.disagreeing_energy - energy * disagreement).abs() < 1e-12);
        // White noise has the same energy at every frequency: those of the sphere without the scan's box.
        let share = std::f64::consts::PI / 6.0 - 19.0 * 17.0 * 15.0 / 34560.0;
        assert!((energy / share - 1.0).abs() < 0.05, "{energy} of {share}");
        assert_eq!((found.members, found.lr_nyquist_cycles_per_mm), (8, 0.25));
    }
}

#[test]
fn a_wave_that_half_the_members_have_upside_down_is_not_agreed_on() {
    // One wave that all share, and another one that half of them have upside down: nothing is left to chance.
    let geometry = Geometry::axis_aligned([64, 1, 1], [1.0; 3]);
    let wave = |cycles: usize, amplitude: f64, phase: f64| {
        let at =
            |i: usize| amplitude * (std::f64::consts::TAU * cycles as f64 * i as f64 / 64.0 + phase).cos();
        Volume::new((0..64).map(|i| at(i) as f32).collect(), geometry.clone())
    };
    let mut ensemble = Ensemble::new(&geometry, [16, 1, 1]);
    for member in 0..8 {
        let sign = if member % 2 == 0 { 1.0 } else { -1.0 };
        ensemble.add(&sum(&wave(16, 3.0, 0.3), &wave(24, 1.5, 1.0), sign));
    }
    // Their mean lacks it, and two members differ in it more often than not.
    let found = ensemble.agreement();
    let disagreement = 1.0 - found.beyond_nyquist.agreement.unwrap();
    let expected = (1.5_f64 * 1.5) / (3.0 * 3.0 + 1.5 * 1.5) * 8.0 / 7.0;
    assert!(
        (disagreement - expected).abs() < 1e-3,
        "{disagreement} for {expected}"
    );
    let spread = found
        .spread
        .data()
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        / 64.0;
    assert!((spread - 1.5 * 1.5 / 2.0 * 8.0 / 7.0).abs() < 1e-4, "{spread}");
    let common = wave(16, 3.0, 0.3);
    let mean = found
        .mean
        .data()
        .iter()
        .zip(common.data())
        .map(|(a, b)| (a - b).abs());
    assert!(mean.fold(0.0, f32::max) < 1e-5);
}

#[test]
fn a_band_limited_volume_added_nothing() {
    let mut spectrum = Spectrum::of(&texture(4));
    spectrum.scale_by(|f| {
        Complex::from(if f.iter().all(|f| f.abs() < 0.25) {
            1.0
        } else {
            0.0
        })
    });
    let image = spectrum.into_volume(texture(4).geometry().clone());
    let nothing = NullSpace::of(&image, COARSE);
    assert!(
        nothing.energy < 1e-12 && nothing.largest < 1e-5,
        "{} {}",
        nothing.energy,
        nothing.largest
    );
    let mut ensemble = Ensemble::new(image.geometry(), COARSE);
    (0..2).for_each(|_| ensemble.add(&image));
    assert!(ensemble.agreement().spread.data().iter().all(|v| *v < 1e-5));

    // All that is added to it is found, and nothing else.
    let detail = NullSpace::of(&texture(5), COARSE).map;
    let found = NullSpace::of(&sum(&image, &detail, 1.0), COARSE);
    let wrong = found
        .map
        .data()
        .iter()
        .zip(detail.data())
        .map(|(a, b)| (a - b).abs());
    assert!(wrong.fold(0.0, f32::max) < 1e-5);
    let energy = |v: &Volume| v.data().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let expected = energy(&detail) / (energy(&detail) + energy(&image));
    assert!(
        (found.energy - expected).abs() < 1e-6
            && (found.rms - (energy(&detail) / 34560.0).sqrt()).abs() < 1e-6
    );
}

#[test]
fn the_residual_is_that_of_the_operator() {
    let scan = {
        let fine = texture(6);
        Operators::isotropic(Operator::Box).apply(&fine, COARSE)
    };
    let kspace = Operators::isotropic(Operator::KSpace);
    let boxes = Operators::isotropic(Operator::Box);
    let of = |operator, image: &Volume| residual(operator, image, &scan).unwrap();
    assert!(of(&boxes, &texture(6)) < 1e-6);
    assert!(of(&kspace, &texture(6)) > 0.1);
    let filled = zero_fill(&scan, FINE);
    assert!(of(&kspace, &filled) < 1e-6 && of(&boxes, &filled) > 0.05);
}
