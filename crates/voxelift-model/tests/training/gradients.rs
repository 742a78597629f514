//! The column "moves" of the method's table of losses: which networks each term's gradient reaches.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use voxelift_model::losses::LossConfig;
use voxelift_model::parameters::map_named;
use voxelift_model::train::{TrainState, generator_gradients, prepare, step};
use voxelift_volume::random::Stream;

use super::tiny;

const WEIGHTS: [&str; 13] = [
    "reconstruction",
    "restoration",
    "cycle",
    "alignment",
    "style",
    "adversarial",
    "adversarial_target",
    "feature_contrastive",
    "reconstruction_contrastive",
    "identity",
    "null_space",
    "measurement",
    "measurement_contrastive",
];

/// The networks that `term`, alone, moves.
fn moved(term: &str, extra: &[&str]) -> BTreeSet<String> {
    let off: Vec<String> = WEIGHTS
        .iter()
        .map(|w| format!("loss.{w}={}", u8::from(*w == term)))
        .collect();
    let set: Vec<&str> = off
        .iter()
        .map(String::as_str)
        .chain(extra.iter().copied())
        .collect();
    let config = tiny(&set);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    // Last convs start at zero and would hide every path that leads through them.
    let mut stream = Stream::new(9, 0);
    state.networks = map_named(state.networks, |_, value| {
        let noise: Vec<f32> = (0..value.dims()[0])
            .map(|_| stream.between(-0.05, 0.05) as f32)
            .collect();
        value + Tensor::<1>::from_floats(noise.as_slice(), &device)
    });
    let (gradients, _) = generator_gradients(
        &state,
        &prepared.dataset.batch(0, &device).expect("in memory"),
        &config,
    );
    let moved = gradients
        .iter()
        .filter(|(_, g)| Tensor::clone(g).abs().max().into_scalar::<f32>() > 0.0);
    moved
        .map(|(name, _)| match name.split('.').collect::<Vec<_>>()[..] {
            ["generator", part, ..] => part.to_owned(),
            [part, ..] => part.to_owned(),
            [] => String::new(),
        })
        .collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn routed_terms_move_the_networks_of_the_table_and_no_other() {
    let table: [(&str, &[&str]); 13] = [
        ("reconstruction", &["encoder", "sr_decoder"]),
        ("restoration", &["encoder", "lr_decoder"]),
        ("cycle", &["encoder", "lr_decoder", "sr_decoder"]),
        ("alignment", &["encoder"]),
        ("style", &["lr_decoder"]),
        ("adversarial", &["encoder", "lr_decoder", "sr_decoder"]),
        ("adversarial_target", &["encoder", "sr_decoder"]),
        ("feature_contrastive", &["feature_projection", "lr_decoder"]),
        (
            "reconstruction_contrastive",
            &["encoder", "reconstruction_projection", "sr_decoder"],
        ),
        ("identity", &["lr_decoder"]),
        ("null_space", &["encoder", "sr_decoder"]),
        ("measurement", &["encoder", "sr_decoder"]),
        (
            "measurement_contrastive",
            &["encoder", "feature_projection", "sr_decoder"],
        ),
    ];
    for (term, expected) in table {
        assert_eq!(moved(term, &[]), names(expected), "{term}");
    }
}

#[test]
fn the_gate_of_the_null_space_layer_learns() {
    let gated = &["network.null_space=\"gated\""];
    assert_eq!(
        moved("reconstruction", gated),
        names(&["encoder", "gate", "sr_decoder"])
    );
}

#[test]
fn joint_terms_move_all_they_touch() {
    let joint = &["loss.routing=\"joint\""];
    assert_eq!(moved("style", joint), names(&["encoder", "lr_decoder"]));
    assert_eq!(
        moved("feature_contrastive", joint),
        names(&["encoder", "feature_projection", "lr_decoder"])
    );
    let all = names(&["encoder", "lr_decoder", "reconstruction_projection", "sr_decoder"]);
    assert_eq!(moved("reconstruction_contrastive", joint), all);
}

#[test]
fn a_separate_contrastive_backward_gives_the_gradients_of_the_joint_one() {
    let gradients = |backward: &str| {
        let config = tiny(&[&format!("loss.contrastive_backward=\"{backward}\"")]);
        let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
        let device = Device::flex();
        let mut state = TrainState::new(&config, &device);
        // A few steps away from the zeros of the first weights.
        for i in 0..4 {
            step(
                &mut state,
                &prepared.dataset.batch(i, &device).expect("in memory"),
                &config,
            );
        }
        generator_gradients(
            &state,
            &prepared.dataset.batch(4, &device).expect("in memory"),
            &config,
        )
        .0
    };
    let (joint, separate) = (gradients("joint"), gradients("separate"));
    assert_eq!(
        joint.keys().collect::<Vec<_>>(),
        separate.keys().collect::<Vec<_>>()
    );
    for (name, gradient) in &joint {
        let difference: f32 = (gradient.clone() - separate[name].clone())
            .abs()
            .max()
            .into_scalar();
        let size: f32 = gradient.clone().abs().max().into_scalar();
        assert!(
            difference <= 1e-4 * size.max(1e-6),
            "{name}: {difference} of {size}"
        );
    }
}

#[test]
fn a_term_without_weight_is_not_computed() {
    let config = tiny(&["loss.style=0", "loss.identity=0"]);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    let terms = step(
        &mut state,
        &prepared.dataset.batch(0, &device).expect("in memory"),
        &config,
    );
    assert!(
        LossConfig::default().style > 0.0,
        "the default is what is switched off here"
    );
    for absent in ["style", "discriminator_target", "identity"] {
        assert_eq!(terms.get(absent), None);
    }
    assert!(terms.get("cycle").is_some() && terms.get("feature_contrastive").is_some());
}

#[test]
fn one_tiny_batch_can_be_overfitted() {
    let config = tiny(&[
        "mode=\"supervised\"",
        "steps=200",
        "optimizer.learning_rate=3e-3",
        "optimizer.warmup_steps=10",
    ]);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    let batch = prepared.dataset.batch(0, &device).expect("in memory");
    let losses: Vec<f64> = (0..config.steps)
        .map(|_| {
            step(&mut state, &batch, &config)
                .get("reconstruction")
                .expect("the only term")
        })
        .collect();
    assert!(losses[199] < 0.6 * losses[0], "{} to {}", losses[0], losses[199]);
}
