//! The GPU route beside the CPU's: the same outputs, gradients and training, to a thousandth.
//!
//! Built with feature `wgpu` alone; any adapter will do, a software one too (Mesa's lavapipe).
#![cfg(feature = "wgpu")]

use std::io::Write;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use voxelift_model::config::Config;
use voxelift_model::device::{DeviceChoice, Gpu, Precision};
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::networks::GeneratorConfig;
use voxelift_model::parameters::{NamedTensors, map_named, replaced, values};
use voxelift_model::train::{TrainState, generator_gradients, prepare, step};
use voxelift_volume::phantom::{PhantomConfig, head};
use voxelift_volume::random::Stream;
use voxelift_volume::{Scale, Volume};

const TOLERANCE: f64 = 1e-3;

/// The method on synthetic heads: every network, every term of the paper and some that are off there.
const METHOD: &str = r#"
    steps = 6
    [data]
    hr = ["phantom:1-2"]
    lr = { files = ["phantom:11-12"], degrade = { operator = "kspace" } }
    source_operator = "kspace"
    phantom = { extent = [32, 36, 32], spacing_mm = 4.8 }
    [patch]
    size = 8
    batch = 2
    [network]
    n_feats = 8
    n_resgroups = 1
    n_resblocks = 2
    n_lr_blocks = 1
    [discriminator]
    width = 4
    [optimizer]
    # Adam divides a gradient by its own size, and makes a step of the rounding of one that is near zero; not with this.
    epsilon = 0.01
    [projection]
    hidden = 16
    dim = 8
    [loss]
    alignment = 0.01
    adversarial = 0.01
    feature_contrastive = 0.01
    reconstruction_contrastive = 0.01
    adversarial_target = 0.01
    identity = 0.01
    [schedule]
    quiet = 0.0
    ramp = 0.0
"#;

fn method() -> Config {
    Config::from_text(METHOD, "method", Path::new("."), &[])
        .expect("a valid configuration")
        .config
}

/// The first adapter, where there is one.
fn gpu() -> Option<Device> {
    match DeviceChoice::Gpu(Gpu::Wgpu, 0).open() {
        Ok((device, name)) => {
            let _ = writeln!(std::io::stderr(), "on {name}");
            Some(device)
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            None
        }
    }
}

fn cpu() -> Device {
    DeviceChoice::Cpu.open().expect("a CPU").0
}

/// The module with noise on every weight: those that start at zero would hide the paths that lead through them.
fn stirred<M: Module>(module: M) -> M {
    let mut stream = Stream::new(9, 0);
    map_named(module, |_, value| {
        let noise: Vec<f32> = (0..value.dims()[0])
            .map(|_| stream.between(-0.05, 0.05) as f32)
            .collect();
        let noise = Tensor::<1>::from_data(TensorData::new(noise, value.dims()), &value.device());
        value + noise
    })
}

fn read<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().inner().into_data().try_into_vec().expect("f32")
}

fn small_head() -> Volume {
    let config = PhantomConfig {
        seed: 30,
        extent: [19, 22, 17],
        spacing_mm: [8.0; 3],
    };
    head(&config).expect("a phantom")
}

/// Largest difference, over the largest value.
fn off(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = ours.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    f64::from(differences.fold(0.0, f32::max) / largest.max(f32::MIN_POSITIVE))
}

#[test]
fn a_volume_is_super_resolved_alike() {
    let Some(gpu) = gpu() else { return };
    let lr = small_head();
    let output = |device: &Device| {
        let generator = stirred(GeneratorConfig::tiny().init(3, device));
        let resolver = SuperResolver::new(generator, Scale::isotropic(2), 16, device.clone());
        let options = UpscaleOptions {
            tile: None,
            ensemble: true,
        };
        let sr = resolver
            .upscale(&lr, &options, &mut |_, _| {})
            .expect("an output");
        sr.data().to_vec()
    };
    let off = off(&output(&cpu()), &output(&gpu));
    assert!(off < TOLERANCE, "off by {off:.2e}");
}

fn gradients(device: &Device) -> NamedTensors {
    let config = method();
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let mut state = TrainState::new(&config, device);
    state.networks = stirred(state.networks);
    let batch = prepared.dataset.batch(0, device).expect("in memory");
    generator_gradients(&state, &batch, &config).0
}

#[test]
fn all_gradients_of_an_unpaired_step_are_alike() {
    let Some(gpu) = gpu() else { return };
    let (ours, theirs) = (gradients(&cpu()), gradients(&gpu));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours.len() >= 60, "{} parameters", ours.len());
    let off = ours
        .iter()
        .map(|(name, gradient)| (name, off(&read(gradient), &read(&theirs[name]))));
    let wrong: Vec<_> = off.filter(|(_, off)| *off >= TOLERANCE).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn training_goes_alike() {
    let Some(gpu) = gpu() else { return };
    let config = method();
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let run = |device: &Device| {
        let mut state = TrainState::new(&config, device);
        let terms: Vec<_> = (0..4)
            .map(|i| {
                step(
                    &mut state,
                    &prepared.dataset.batch(i, device).expect("in memory"),
                    &config,
                )
            })
            .collect();
        (terms, values(&state.average))
    };
    let ((ours, our_weights), (theirs, their_weights)) = (run(&cpu()), run(&gpu));
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        for ((name, a), (same, b)) in ours.iter().zip(theirs.iter()) {
            assert!(
                name == same && (a - b).abs() <= TOLERANCE * a.abs(),
                "step {i}: {name} {a}, {same} {b}"
            );
        }
    }
    // Weight by weight they part: Adam divides a gradient by its own size, that of a bias near zero too. Their outputs do not.
    let lr = small_head();
    let output = |weights| {
        let generator = replaced(config.generator().init(0, &cpu()), weights).expect("the same network");
        let resolver = SuperResolver::new(generator, Scale::isotropic(2), 16, cpu());
        let sr = resolver.upscale(&lr, &UpscaleOptions::default(), &mut |_, _| {});
        sr.expect("an output").into_data()
    };
    let off = off(&output(&our_weights), &output(&their_weights));
    assert!(off < TOLERANCE, "off by {off:.2e}");
}

#[test]
fn bf16_is_refused_where_it_cannot_be_computed_in() {
    let Some(gpu) = gpu() else { return };
    // wgpu's shaders know no bf16.
    let message = Precision::Bf16
        .check(&gpu, "wgpu:0")
        .expect_err("no bf16")
        .to_string();
    assert!(
        message.contains("wgpu:0") && message.contains("choose f32"),
        "{message}"
    );
}
