//! bf16: the networks compute in it, and nothing else does.

use burn::tensor::{DType, Device};
use voxelift_model::parameters::{NamedTensors, values};
use voxelift_model::train::{TrainState, generator_gradients, prepare, step};

use super::tiny;

fn gradients(precision: &str) -> (NamedTensors, Vec<(&'static str, f64)>) {
    let config = tiny(&[precision, "network.n_feats=8", "loss.identity=0.01"]);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    // Away from the zeros of the first weights, in f32 on both sides.
    let steady = tiny(&["network.n_feats=8", "optimizer.warmup_steps=1"]);
    for i in 0..3 {
        step(
            &mut state,
            &prepared.dataset.batch(i, &device).expect("in memory"),
            &steady,
        );
    }
    let batch = prepared.dataset.batch(3, &device).expect("in memory");
    let (gradients, terms) = generator_gradients(&state, &batch, &config);
    (gradients, terms.iter().collect())
}

/// `1 - cos` between two gradients, all parameters together.
fn turned(ours: &NamedTensors, theirs: &NamedTensors) -> f64 {
    let mut sums = [0.0_f64; 3];
    for (name, a) in ours {
        let [a, b] = [a, &theirs[name]].map(|t| t.clone().into_data().try_into_vec::<f32>().expect("f32"));
        for (a, b) in a.into_iter().zip(b).map(|(a, b)| (f64::from(a), f64::from(b))) {
            sums = [sums[0] + a * b, sums[1] + a * a, sums[2] + b * b];
        }
    }
    1.0 - sums[0] / (sums[1] * sums[2]).sqrt()
}

#[test]
fn gradients_of_bf16_point_where_those_of_f32_do_and_are_not_the_same() {
    let ((full, full_terms), (reduced, reduced_terms)) =
        (gradients("precision=f32"), gradients("precision=bf16"));
    assert_eq!(
        full.keys().collect::<Vec<_>>(),
        reduced.keys().collect::<Vec<_>>()
    );
    for (name, gradient) in &reduced {
        assert_eq!(gradient.dtype(), DType::F32, "{name}");
    }
    let turned = turned(&full, &reduced);
    assert!(turned > 1e-8 && turned < 0.02, "1 - cos = {turned:e}");
    // The identity term compares features that are all but equal: there it sees the rounding, a thousandth of them.
    for ((name, a), (same, b)) in full_terms.iter().zip(&reduced_terms) {
        assert!(
            name == same && (a - b).abs() <= 0.05 * a.abs() + 1e-3,
            "{name} {a}, {same} {b}"
        );
    }
}

#[test]
fn weights_averages_and_moments_stay_f32_and_move_by_less_than_bf16_can_tell() {
    let config = tiny(&[
        "precision=bf16",
        "optimizer.learning_rate=1e-6",
        "optimizer.warmup_steps=1",
    ]);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    let before = values(&state.networks);
    for i in 0..3 {
        let terms = step(
            &mut state,
            &prepared.dataset.batch(i, &device).expect("in memory"),
            &config,
        );
        assert_eq!(terms.not_finite(), None);
    }
    let (moments, _) = state.generator_optimizer.state();
    let after = values(&state.networks);
    for (name, data) in after.iter().chain(&moments).chain(&values(&state.average)) {
        assert_eq!(data.dtype(), DType::F32, "{name}");
    }
    // A rate of 1e-6 is lost in a weight of 0.1 kept in 8 bits.
    let [a, b] = [&before, &after].map(|values| {
        values["generator.encoder.convs.1.weight"]
            .as_slice::<f32>()
            .expect("f32")
            .to_vec()
    });
    let moved = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    assert!(moved * 10 > a.len() * 9, "{moved} of {} weights moved", a.len());
    assert!(
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5),
        "by more than three steps of 1e-6"
    );
}
