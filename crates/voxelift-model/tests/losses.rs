//! Losses against independent values, known values and finite differences.

mod golden;

use burn::tensor::{Tensor, TensorData};
use golden::{assert_close, device, formula, golden};
use serde_json::Value;
use voxelift_model::layers::{Measurement, high_pass, upsample};
use voxelift_model::losses::{
    HALFWAY, LossConfig, LossTerms, contrastive, discriminator_loss, foreground, l1, mean_cosines,
    measurement, null_space, reconstruction, score_loss, ssim_loss,
};
use voxelift_volume::Volume;
use voxelift_volume::consistency::measured;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::phantom::{PhantomConfig, head};

fn expected() -> Value {
    serde_json::from_str(include_str!("golden/losses.json")).expect("the script's JSON")
}

fn scalar(loss: Tensor<1>) -> f64 {
    f64::from(loss.into_scalar::<f32>())
}

fn near(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance, "{found}, expected {wanted}");
}

fn images(shape: [usize; 5]) -> (Tensor<5>, Tensor<5>) {
    let image = formula(shape, "image", 0.3) + 0.4;
    let reference = formula(shape, "reference", 0.3) + formula(shape, "image", 0.2) + 0.5;
    (image, reference)
}

fn rows(values: &[f32], shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device())
}

#[test]
fn ssim_matches_value_and_gradient_over_foreground_windows() {
    let expected = expected();
    let (image, reference) = images([2, 1, 6, 13, 12]);
    let mask = reference.ones_like();
    let mask = mask.slice_fill([0..1, 0..1, 1..2, 0..1, 3..4], 0.0);
    let mask = mask.slice_fill([1..2, 0..1, 0..6, 0..13, 10..12], 0.0);
    let image = image.detach().require_grad();
    let loss = ssim_loss(image.clone(), reference, &mask);
    let gradients = loss.backward();
    near(scalar(loss), golden(&expected, "ssim_loss")[0], 2e-5);
    let gradient = image.grad(&gradients).expect("a gradient").flatten::<1>(0, 4);
    let every_13th = gradient.slice_dim(0, burn::tensor::Slice::new(0, None, 13));
    assert_close("gradient", every_13th, &golden(&expected, "ssim_gradient"), 2e-4);
}

#[test]
fn ssim_over_everything_matches_scikit_image() {
    let (image, reference) = images([1, 1, 13, 12, 14]);
    let mask = reference.ones_like();
    near(
        scalar(ssim_loss(image, reference, &mask)),
        golden(&expected(), "ssim_whole")[0],
        2e-5,
    );
}

#[test]
fn ssim_of_equal_images_is_one_and_without_foreground_nothing() {
    let (image, reference) = images([1, 1, 8, 8, 8]);
    let everywhere = reference.ones_like();
    near(
        scalar(ssim_loss(image.clone(), image.clone(), &everywhere)),
        0.0,
        1e-6,
    );
    let image = image.detach().require_grad();
    let loss = ssim_loss(image.clone(), reference.clone(), &reference.zeros_like());
    let gradient = image.grad(&loss.backward()).expect("a gradient");
    assert_eq!((scalar(loss), scalar(gradient.abs().sum())), (0.0, 0.0));
}

#[test]
fn foreground_is_what_exceeds_the_threshold() {
    let reference = rows(&[0.0, 0.05, 0.06, 2.0], [1, 4]).reshape([1, 1, 1, 1, 4]);
    let mask: Vec<f32> = foreground(&reference, 0.05).into_data().iter::<f32>().collect();
    assert_eq!(mask, [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn reconstruction_adds_the_weighted_ssim() {
    let (image, reference) = images([1, 1, 7, 7, 7]);
    let mask = reference.ones_like();
    let distance = scalar(l1(image.clone(), reference.clone()));
    let similarity = scalar(ssim_loss(image.clone(), reference.clone(), &mask));
    let value = |weight| scalar(reconstruction(image.clone(), reference.clone(), &mask, weight));
    near(value(0.1), distance + 0.1 * similarity, 1e-6);
    assert_eq!(value(0.0), distance);
    near(
        scalar(l1(rows(&[1.0, -2.0], [1, 2]), rows(&[0.0, 0.0], [1, 2]))),
        1.5,
        1e-7,
    );
}

#[test]
fn adversarial_losses_are_least_squares() {
    let (fake, real) = (rows(&[0.5, 1.0], [2, 1]), rows(&[1.0, 0.0], [2, 1]));
    near(scalar(score_loss(fake.clone(), HALFWAY)), 0.125, 1e-7);
    near(scalar(discriminator_loss(fake, real)), 0.5 * (0.625 + 0.5), 1e-7);
}

#[test]
fn contrastive_matches_the_written_out_sums() {
    let expected = expected();
    let u = formula([5, 7], "u", 1.0).require_grad();
    let v = (formula([5, 7], "v", 1.0) + formula([5, 7], "u", 0.5))
        .detach()
        .require_grad();
    let loss = contrastive(u.clone(), v.clone(), 0.3, true);
    let gradients = loss.backward();
    near(scalar(loss), golden(&expected, "contrastive")[0], 1e-5);
    let gradient = |of: &Tensor<2>| of.grad(&gradients).expect("a gradient");
    assert_close(
        "u",
        gradient(&u),
        &golden(&expected, "contrastive_gradient_u"),
        1e-5,
    );
    assert_close(
        "v",
        gradient(&v),
        &golden(&expected, "contrastive_gradient_v"),
        1e-5,
    );

    // Its aim detached, the value stays; u gets the same gradient, v none.
    let loss = contrastive(u.clone(), v.clone(), 0.3, false);
    let gradients = loss.backward();
    near(scalar(loss), golden(&expected, "contrastive")[0], 1e-5);
    let gradient = u.grad(&gradients).expect("a gradient");
    assert_close("u", gradient, &golden(&expected, "contrastive_gradient_u"), 1e-5);
    assert!(v.grad(&gradients).is_none_or(|g| scalar(g.abs().sum()) == 0.0));
}

#[test]
fn contrastive_has_its_known_values() {
    let equal = formula([1, 6], "row", 1.0).repeat_dim(0, 5);
    for temperature in [0.01, 0.5, 2.0] {
        near(
            scalar(contrastive(equal.clone(), equal.clone(), temperature, true)),
            9f64.ln(),
            1e-4,
        );
    }
    let orthonormal = Tensor::<2>::eye(4, &device());
    near(
        scalar(contrastive(orthonormal.clone(), orthonormal, 0.5, true)),
        0.594_438,
        1e-6,
    );

    let single = formula([1, 6], "single", 1.0).require_grad();
    let loss = contrastive(single.clone(), formula([1, 6], "other", 1.0), 0.5, true);
    let gradient = single.grad(&loss.backward()).expect("a gradient");
    near(scalar(loss), 0.0, 1e-6);
    near(scalar(gradient.abs().sum()), 0.0, 1e-6);
}

#[test]
fn contrastive_stays_finite_at_any_temperature() {
    let (u, v) = (formula([4, 8], "u", 1.0), formula([4, 8], "v", 1.0));
    assert!(scalar(contrastive(u, v, 0.001, true)).is_finite());
}

#[test]
fn mean_cosines_tell_a_collapse() {
    let equal = formula([1, 6], "row", 3.0).repeat_dim(0, 4);
    let (positive, negative) = mean_cosines(equal.clone(), equal);
    assert!(positive > 0.999 && negative > 0.999, "{positive} {negative}");
    let orthonormal = Tensor::<2>::eye(4, &device());
    let (positive, negative) = mean_cosines(orthonormal.clone(), orthonormal);
    near(positive, 1.0, 1e-6);
    near(negative, 0.0, 1e-6);
}

/// The gradient along a direction against the difference of two values along it.
fn check_gradient<const D: usize>(what: &str, at: Tensor<D>, loss: impl Fn(Tensor<D>) -> Tensor<1>) {
    let at = at.detach().require_grad();
    let gradients = loss(at.clone()).backward();
    let direction = formula(at.dims(), "direction", 1.0);
    let slope = scalar((at.grad(&gradients).expect("a gradient") * direction.clone().inner()).sum());
    let step = 2e-3;
    let value = |h: f64| scalar(loss(at.clone().detach() + direction.clone() * h));
    let difference = (value(step) - value(-step)) / (2.0 * step);
    assert!(
        (slope - difference).abs() <= 2e-2 * slope.abs().max(0.01),
        "{what}: {slope} and {difference}"
    );
}

#[test]
fn gradients_match_finite_differences() {
    let (image, reference) = images([2, 1, 7, 8, 9]);
    let mask = reference.ones_like();
    check_gradient("l1", image.clone(), |x| l1(x, reference.clone()));
    check_gradient("ssim", image, |x| ssim_loss(x, reference.clone(), &mask));
    check_gradient("score", formula([4, 1], "scores", 1.0), |x| score_loss(x, 1.0));
    let v = formula([4, 6], "v", 1.0);
    check_gradient("contrastive", formula([4, 6], "u", 1.0), |u| {
        contrastive(u, v.clone(), 0.5, false)
    });
    let u = formula([4, 6], "u", 1.0);
    check_gradient("contrastive, other side", v.clone(), |v| {
        contrastive(u.clone(), v, 0.5, true)
    });
}

/// The largest magnitude.
fn most(x: Tensor<5>) -> f64 {
    scalar(x.abs().max())
}

#[test]
fn the_null_space_loss_is_blind_to_what_a_scan_can_hold() {
    let scale = [2, 1, 2];
    let smooth = upsample(formula([2, 1, 8, 7, 9], "scan", 1.0), scale);
    let size = most(smooth.clone());
    assert!(most(high_pass(smooth.ones_like(), scale)) < 1e-5);
    let (fine, coarse) = (formula(smooth.dims(), "fine", 1.0), smooth.zeros_like());
    let share = scalar(null_space(fine.clone(), coarse.clone(), scale)) / scalar(l1(fine.clone(), coarse));
    assert!(share > 0.5, "{share} of what is as rough as noise");
    let seen = most(high_pass(smooth.clone(), scale)) / size;
    assert!(seen < 1e-5, "{seen} of what a scan can hold");
    // A projection leaves of itself itself.
    let once = high_pass(fine.clone(), scale);
    let twice = most(high_pass(once.clone(), scale) - once.clone()) / most(once);
    assert!(twice < 1e-5, "{twice}");
    check_gradient("null space", fine, |x| null_space(x, smooth.clone(), scale));
}

#[test]
fn a_patch_is_measured_as_its_volume_is() {
    let head = head(&PhantomConfig {
        extent: [48, 40, 44],
        spacing_mm: [4.0; 3],
        seed: 3,
    })
    .expect("a head");
    let scale = 2;
    for (operator, tolerance) in [
        (Operator::KSpace, 0.04),
        (
            Operator::Window {
                cutoff: 0.8,
                edge: 0.3,
            },
            0.04,
        ),
        (Operator::Box, 1e-5),
        (Operator::GAUSSIAN, 1e-4),
    ] {
        let operators = Operators::isotropic(operator);
        let scan = measured(&head, head.extent().map(|n| n / scale), &operators);
        let (start, side) = ([5, 4, 5], 12);
        let patch = head.crop(start.map(|n| scale * n), [scale * side; 3]);
        let expected = scan.crop(start, [side; 3]);
        let tensor = |v: &Volume| voxelift_model::batch::volume_to_tensor(v, &device());
        let acquired = Measurement::new(&operators, [side; 3], [scale; 3], &device());
        let found = scalar(measurement(acquired.of(tensor(&patch)), tensor(&expected)));
        let size = scalar(tensor(&expected).abs().mean());
        assert!(found < tolerance * size, "{operator}: {found} of {size}");
    }
    let operators = Operators([Operator::KSpace, Operator::Box, Operator::GAUSSIAN]);
    let acquired = Measurement::new(&operators, [6, 7, 8], [2, 1, 2], &device());
    let scan = formula([1, 1, 6, 7, 8], "scan", 1.0);
    let image = formula([1, 1, 12, 7, 16], "image", 1.0);
    check_gradient("measurement", image, |x| {
        measurement(acquired.of(x), scan.clone())
    });
}

#[test]
fn weights_have_the_methods_defaults_and_refuse_what_means_nothing() {
    let read: LossConfig =
        serde_json::from_str(r#"{"ssim": 0.2, "routing": "joint"}"#).expect("a configuration");
    assert_eq!(
        (
            read.ssim,
            read.reconstruction,
            read.feature_contrastive,
            read.temperature
        ),
        (0.2, 1.0, 0.0, 0.5)
    );
    assert!(serde_json::from_str::<LossConfig>(r#"{"contrastive": 1}"#).is_err());
    assert!(LossConfig::default().check(1).is_ok());
    let contrasting = LossConfig {
        feature_contrastive: 0.01,
        ..LossConfig::default()
    };
    assert!(contrasting.check(2).is_ok());
    let error = contrasting.check(1).expect_err("no negatives").to_string();
    assert!(
        error.starts_with("feature_contrastive = 0.01: a batch of 1"),
        "{error}"
    );
    let error = LossConfig {
        cycle: -1.0,
        ..LossConfig::default()
    }
    .check(2)
    .expect_err("negative")
    .to_string();
    assert!(error.starts_with("cycle = -1"), "{error}");
    assert!(
        LossConfig {
            temperature: 0.0,
            ..LossConfig::default()
        }
        .check(2)
        .is_err()
    );
}

#[test]
fn terms_are_written_in_order() {
    let mut terms = LossTerms::default();
    terms.record("reconstruction", 0.5);
    terms.record("cycle", f64::NAN);
    assert_eq!(terms.not_finite(), Some("cycle"));
    assert_eq!(terms.get("reconstruction"), Some(0.5));
    assert_eq!(
        serde_json::to_string(&terms).expect("JSON"),
        r#"{"reconstruction":0.5,"cycle":null}"#
    );
}
