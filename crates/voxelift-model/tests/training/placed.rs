//! A placed model: pairs made while the run goes on, one network for every spacing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, path::Path};

use voxelift_model::config::Config;
use voxelift_model::device::DeviceChoice;
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::model_file::{self, ModelFile, PLACED_FORMAT};
use voxelift_model::networks::GeneratorConfig;
use voxelift_model::run::{Record, RunDir};
use voxelift_model::train::{Event, Outcome, prepare, train};
use voxelift_volume::baseline::Baseline;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::expected::Trial;
use voxelift_volume::phantom::{PhantomConfig, head};
use voxelift_volume::placed::place;
use voxelift_volume::{Scale, Volume, kspace};

const PLACED: &str = r#"
    mode = "supervised"
    scale = 1
    steps = 6
    [data]
    hr = ["phantom:1-2"]
    validation = ["phantom:21"]
    phantom = { extent = [32, 36, 32], spacing_mm = 4.8 }
    [placed]
    slots = 2
    every = 2
    label_share = 0.0
    [patch]
    size = 8
    batch = 2
    flip = [true, true, true]
    [augmentation]
    rotate = true
    [network]
    placed = true
    n_feats = 4
    n_resgroups = 1
    n_resblocks = 1
    [validation]
    every = 0
    tile = 16
    [checkpoint]
    every = 2
"#;

fn placed(set: &[&str]) -> Config {
    let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    Config::from_text(PLACED, "placed", Path::new("."), &set)
        .expect("a valid configuration")
        .config
}

/// Trains into `folder`, asking to stop after `stop_after` further steps.
fn run(config: &Config, folder: &Path, stop_after: Option<u64>) -> Outcome {
    let prepared = prepare(config, &mut |_| {}).expect("prepared");
    let (device, _) = DeviceChoice::Cpu.open().expect("a device");
    let (stop, mut steps) = (AtomicBool::new(false), 0);
    let folder = RunDir::create(folder).expect("a folder");
    train(config, &folder, &prepared, &device, &stop, &mut |event| {
        if let Event::Record(Record::Step { .. }) = event {
            steps += 1;
            stop.store(Some(steps) == stop_after, Ordering::Relaxed);
        }
        Ok(())
    })
    .expect("a run")
}

fn phantom(extent: [usize; 3], spacing_mm: [f64; 3]) -> Volume {
    let config = PhantomConfig {
        seed: 30,
        extent,
        spacing_mm,
    };
    head(&config).expect("a phantom")
}

#[test]
fn an_interrupted_run_ends_in_the_bytes_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let config = placed(&[]);
    assert_eq!(run(&config, &whole, None), Outcome::Done);
    assert_eq!(run(&config, &parts, Some(3)), Outcome::Interrupted);
    assert_eq!(run(&config, &parts, None), Outcome::Done);
    let model = |folder: &Path| fs::read(RunDir::open(folder).expect("a run").model()).expect("a model");
    assert!(model(&whole) == model(&parts), "the models differ");

    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let file = ModelFile::open(&RunDir::open(&whole).expect("a run").model()).expect("a model");
    let (resolver, card) = SuperResolver::of(&file, device).expect("a model");
    assert_eq!((card.format, card.scale), (PLACED_FORMAT, [1; 3]));
    assert!(resolver.is_placed() && card.network.placed && !card.self_test.is_empty());
}

#[test]
fn a_step_draws_the_same_whatever_was_drawn_before() {
    let (device, _) = DeviceChoice::Cpu.open().expect("a device");
    let config = placed(&[]);
    let drawn = |steps: &[u64]| {
        let dataset = prepare(&config, &mut |_| {}).expect("prepared").dataset;
        let mut last = None;
        for step in steps {
            last = Some(dataset.batch(*step, &device).expect("a batch"));
        }
        last.expect("a batch")
    };
    let (alone, after) = (drawn(&[5]), drawn(&[0, 3, 4, 5]));
    assert_eq!(alone.lr_source.dims(), [2, 4, 8, 8, 8]);
    let values = |batch: &voxelift_model::batch::UnpairedBatch| -> Vec<f32> {
        batch.lr_source.clone().into_data().try_into_vec().expect("f32")
    };
    assert_eq!(values(&alone), values(&after));
    assert_ne!(values(&alone), values(&drawn(&[4])));
    // After the scan's own voxels come three constants between 0 and 1, at least one of them above 0.
    for image in values(&alone).chunks(4 * 512) {
        let shares: Vec<&[f32]> = image[512..].chunks(512).collect();
        assert!(shares.iter().all(|share| share.iter().all(|v| *v == share[0])));
        assert!(shares.iter().all(|share| (0.0..1.0).contains(&share[0])));
        assert!(shares.iter().any(|share| share[0] > 0.0));
    }
}

#[test]
fn an_untrained_network_leaves_the_placed_scan_as_it_is() {
    let config = placed(&[]);
    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let generator = config.generator().init(3, &device);
    let resolver = SuperResolver::new(generator, config.scale.scale(), 16, device);
    // Odd extents, thick slices, several tiles.
    let scan = phantom([37, 31, 9], [4.0, 4.5, 16.0]);
    let extent = [41, 35, 33];
    let spacing = scan.geometry().spacing_mm();
    let options = UpscaleOptions::default();
    let output = resolver
        .onto(&scan, extent, spacing, &options, &mut |_, _| {})
        .expect("an output");
    let wanted = place(&scan, extent);
    assert_eq!(output.geometry(), wanted.geometry());
    let largest = wanted.data().iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for (a, b) in output.data().iter().zip(wanted.data()) {
        assert!((a - b).abs() < 1e-5 * largest, "{a} {b}");
    }
    // Mirrored and back it is the same.
    let mirrored = resolver
        .member_onto(&scan, extent, spacing, None, 5, &mut |_, _| {})
        .expect("an output");
    assert!(
        mirrored
            .data()
            .iter()
            .zip(wanted.data())
            .all(|(a, b)| (a - b).abs() < 1e-5 * largest)
    );
}

#[test]
fn the_expected_gain_is_measured_on_the_scan() {
    let config = placed(&[]);
    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let generator = config.generator().init(1, &device);
    let resolver = SuperResolver::new(generator, config.scale.scale(), 64, device);
    let expected = |scan: &Volume, extent: [usize; 3]| {
        let truncated = Operators::isotropic(Operator::KSpace);
        let trial = Trial::of(scan, extent, scan.geometry().spacing_mm(), &truncated, false);
        let trial = trial.expect("measured")?;
        resolver.expected(&trial, None).expect("measured")
    };
    // An untrained network adds nothing to zero-fill, which is the best baseline for a truncated scan.
    let scan = kspace::truncate(&phantom([72, 80, 72], [2.4; 3]), [36, 40, 36]);
    let found = expected(&scan, [72, 80, 72]).expect("large enough");
    assert_eq!((found.baseline, found.factors), (Baseline::ZeroFill, [2.0; 3]));
    assert!(found.gain_db.abs() < 1e-3, "{found:?}");
    // A scan that is as fine as its target tells nothing.
    assert_eq!(expected(&scan, scan.extent()), None);
}

#[test]
fn a_network_of_a_fixed_scale_is_fitted_to_the_grid_that_is_asked_for() {
    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let config = GeneratorConfig::tiny();
    let resolver = SuperResolver::new(config.init(1, &device), Scale::isotropic(2), 64, device);
    let scan = phantom([24, 22, 20], [4.0; 3]);
    let onto = |extent, resolved| {
        let options = UpscaleOptions::default();
        resolver
            .onto(&scan, extent, resolved, &options, &mut |_, _| {})
            .expect("an output")
    };
    let own = onto([48, 44, 40], [4.0; 3]);
    assert_eq!(onto([36, 44, 30], [4.0; 3]), kspace::truncate(&own, [36, 44, 30]));
    assert_eq!(
        onto([48, 50, 40], [4.0; 3]),
        kspace::zero_fill(&own, [48, 50, 40])
    );
    // What a scanner interpolated is taken back before.
    let held = kspace::truncate(&scan, [24, 22, 10]);
    let made = resolver
        .upscale(&held, &UpscaleOptions::default(), &mut |_, _| {})
        .expect("an output");
    assert_eq!(onto([48, 44, 20], [4.0, 4.0, 8.0]), made);
}

#[test]
fn a_card_that_hides_what_it_is_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&placed(&["steps=1"]), folder.path(), None);
    let path = RunDir::open(folder.path()).expect("a run").model();
    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let (generator, card) = model_file::read(&path, &device).expect("a model");
    let other = folder.path().join("other.safetensors");
    model_file::write(&other, &generator, &model_file::ModelCard { format: 1, ..card }).expect("written");
    let error = model_file::read(&other, &device)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("model format 1"), "{error}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let refused = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        Config::from_text(PLACED, "placed", Path::new("."), &set)
            .expect_err("refused")
            .to_string()
    };
    assert!(refused(&["scale=2"]).contains("network.placed"));
    assert!(refused(&["patch.size=9"]).contains("network.placed"));
    assert!(refused(&["placed.label_share=0.5"]).contains("label_share"));
    assert!(refused(&["placed.slots=0"]).contains("slots"));
    assert!(refused(&["placed.acquisition.most=20"]).contains("most = 20"));
    assert!(refused(&["placed.synthesis.stripped=2"]).contains("stripped"));
}
