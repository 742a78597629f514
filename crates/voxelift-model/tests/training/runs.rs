//! Runs in folders: the same bytes however they are interrupted and on however many threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use voxelift_model::config::Config;
use voxelift_model::device::DeviceChoice;
use voxelift_model::error::Result;
use voxelift_model::infer::{SuperResolver, UpscaleOptions};
use voxelift_model::run::{Record, RunDir};
use voxelift_model::train::{Event, Outcome, prepare, train};
use voxelift_volume::phantom::{PhantomConfig, head};

use super::tiny;

/// Trains into `folder`, asking to stop after `stop_after` further steps.
fn run(config: &Config, folder: &Path, stop_after: Option<u64>) -> Result<Outcome> {
    let prepared = prepare(config, &mut |_| {})?;
    let (device, _) = DeviceChoice::Cpu.open()?;
    let stop = AtomicBool::new(false);
    let mut steps = 0;
    train(
        config,
        &RunDir::create(folder)?,
        &prepared,
        &device,
        &stop,
        &mut |event| {
            if let Event::Record(Record::Step { .. }) = event {
                steps += 1;
                stop.store(Some(steps) == stop_after, Ordering::Relaxed);
            }
            Ok(())
        },
    )
}

fn model(folder: &Path) -> Vec<u8> {
    fs::read(RunDir::open(folder).expect("a run").model()).expect("a model")
}

#[test]
fn an_interrupted_run_ends_in_the_bytes_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let config = tiny(&[]);
    assert_eq!(run(&config, &whole, None).expect("a run"), Outcome::Done);
    assert_eq!(
        run(&config, &parts, Some(1)).expect("a run"),
        Outcome::Interrupted
    );
    assert_eq!(
        run(&config, &parts, Some(3)).expect("a run"),
        Outcome::Interrupted
    );
    assert_eq!(run(&config, &parts, None).expect("a run"), Outcome::Done);
    assert!(model(&whole) == model(&parts), "the models differ");
    let steps = |folder: &Path| -> Vec<u64> {
        let records = RunDir::open(folder)
            .and_then(|run| run.records())
            .expect("records");
        records.iter().map(Record::step).collect()
    };
    assert_eq!(steps(&whole), steps(&parts));
}

#[test]
fn negatives_of_one_subject_are_said_where_there_are_negatives() {
    let said = |set: &[&str]| {
        let mut said = false;
        let mut note = |text: String| said |= text.contains("negatives come from that subject");
        prepare(&tiny(set), &mut note).expect("prepared");
        said
    };
    let (one, off) = (
        "data.hr=[\"phantom:1\"]",
        [
            "loss.feature_contrastive=0.0",
            "loss.reconstruction_contrastive=0.0",
        ],
    );
    assert!(said(&[one]));
    assert!(!said(&[]), "of two subjects");
    assert!(!said(&[one, off[0], off[1]]), "without contrast");
    assert!(!said(&[one, "mode=\"supervised\""]), "without unpaired losses");
}

#[test]
fn threads_do_not_change_a_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny(&["steps=3"]);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let path = folder.path().join(threads.to_string());
        pool.install(|| run(&config, &path, None)).expect("a run");
        model(&path)
    };
    assert!(with(1) == with(3), "the models differ");
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, damaged) = (folder.path().join("whole"), folder.path().join("damaged"));
    let config = tiny(&[]);
    run(&config, &whole, None).expect("a run");
    run(&config, &damaged, Some(5)).expect("a run");
    let newest = RunDir::open(&damaged)
        .expect("a run")
        .list_checkpoints()
        .expect("checkpoints")[0]
        .1
        .clone();
    let bytes = fs::read(&newest).expect("a checkpoint");
    fs::write(&newest, &bytes[..bytes.len() / 2]).expect("written");
    run(&config, &damaged, None).expect("a run");
    assert!(model(&whole) == model(&damaged), "the models differ");
}

#[test]
fn a_folder_of_another_configuration_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&tiny(&[]), folder.path(), Some(2)).expect("a run");
    let before = fs::read(folder.path().join("config.toml")).expect("a configuration");
    let message = run(&tiny(&["patch.batch=3", "seed=7"]), folder.path(), None)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("patch.batch") && message.contains("seed") && !message.contains('\n'),
        "{message}"
    );
    assert_eq!(
        fs::read(folder.path().join("config.toml")).expect("a configuration"),
        before
    );
    // More steps extend it.
    assert_eq!(
        run(&tiny(&["steps=8"]), folder.path(), None).expect("a run"),
        Outcome::Done
    );
}

#[test]
fn the_exported_model_alone_super_resolves() {
    let folder = tempfile::tempdir().expect("a folder");
    run(
        &tiny(&["steps=2", "data.validation=[\"phantom:21\"]"]),
        folder.path(),
        None,
    )
    .expect("a run");
    let (device, _) = DeviceChoice::Auto.open().expect("a device");
    let path = RunDir::open(folder.path()).expect("a run").model();
    let (resolver, card) = SuperResolver::load(&path, device).expect("a model");
    assert_eq!(
        (card.scale, card.steps, card.method.as_str()),
        ([2; 3], 2, "unpaired")
    );
    assert!(card.validation.contains_key("sr") && card.validation.contains_key("zero-fill"));
    let lr = head(&PhantomConfig {
        seed: 30,
        extent: [19, 22, 17],
        spacing_mm: [8.0; 3],
    })
    .expect("a phantom");
    let mut heard = Vec::new();
    let options = UpscaleOptions {
        tile: Some(12),
        ensemble: true,
    };
    let sr = resolver
        .upscale(&lr, &options, &mut |done, total| heard.push((done, total)))
        .expect("an output");
    assert_eq!(sr.extent(), [38, 44, 34]);
    assert_eq!(heard.last(), Some(&(12, 12)));
    // Twice the voxels over the same field of view.
    let (a, b) = (lr.geometry().world([-0.5; 3]), sr.geometry().world([-0.5; 3]));
    assert!((0..3).all(|axis| (a[axis] - b[axis]).abs() < 1e-9), "{a:?} {b:?}");
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
    assert!(
        (mean(sr.data()) / mean(lr.data()) - 1.0).abs() < 0.05,
        "the units of the input"
    );
}

#[test]
fn sums_over_millions_of_voxels_do_not_depend_on_threads() {
    use burn::tensor::{Tensor, TensorData};
    use voxelift_volume::random::Stream;

    let (device, _) = DeviceChoice::Cpu.open().expect("a device");
    let mut stream = Stream::new(5, 0);
    let values: Vec<f32> = (0..5 << 20).map(|_| stream.uniform() as f32).collect();
    let mean = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(|| {
            let n = values.len();
            let tensor = Tensor::<1>::from_data(TensorData::new(values.clone(), [n]), &device);
            let mean: f32 = tensor.mean().into_scalar();
            mean.to_bits()
        })
    };
    let once = mean(1);
    for threads in [2, 3, 4, 3, 2] {
        assert_eq!(mean(threads), once, "{threads} threads");
    }
}
