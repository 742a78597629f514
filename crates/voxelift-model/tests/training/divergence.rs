//! Steps that are not numbers: left out and counted, and a run that makes nothing else ends with what it had.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use voxelift_model::parameters::values;
use voxelift_model::run::RunDir;
use voxelift_model::train::{Event, Outcome, TrainState, prepare, step, train};

use super::tiny;

#[test]
fn a_step_that_is_no_number_changes_no_weight_and_is_counted() {
    let config = tiny(&[]);
    let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
    let device = Device::flex();
    let mut state = TrainState::new(&config, &device);
    let batch = |i| prepared.dataset.batch(i, &device).expect("in memory");
    let everything = |state: &TrainState| {
        let discriminators = state.discriminators.as_ref().expect("unpaired");
        let (moments, times) = state.generator_optimizer.state();
        let (more, more_times) = state.discriminator_optimizer.state();
        let weights = [
            values(&state.networks),
            values(discriminators),
            values(&state.average),
            moments,
            more,
        ];
        (weights, times, more_times)
    };
    step(&mut state, &batch(0), &config);
    let before = everything(&state);
    let poisoned = |image: Tensor<5>, value: f32| {
        let mut voxels: Vec<f32> = image.to_data().try_into_vec().expect("f32");
        voxels[7] = value;
        Tensor::from_data(TensorData::new(voxels, image.dims()), &device)
    };
    let mut hr = batch(1);
    hr.hr_source = poisoned(hr.hr_source, f32::NAN);
    let mut lr = batch(1);
    lr.lr_source = poisoned(lr.lr_source, f32::INFINITY);
    for (skipped, bad) in [hr, lr].into_iter().enumerate() {
        step(&mut state, &bad, &config);
        assert_eq!(state.skipped, skipped as u64 + 1);
        assert!(
            everything(&state) == before,
            "bad step {skipped} left something behind"
        );
    }
    step(&mut state, &batch(4), &config);
    assert_eq!((state.step, state.skipped), (4, 2));
    assert!(everything(&state) != before, "a good step goes on");
}

#[test]
fn three_in_a_row_end_the_run_and_the_old_rate_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, rate: &str, stop_after: u64| {
        let config = tiny(&["steps=8", "checkpoint.every=100", rate]);
        let prepared = prepare(&config, &mut |_| {}).expect("phantoms");
        let stop = AtomicBool::new(false);
        let mut left_out = 0;
        let run = RunDir::create(&folder.path().join(name)).expect("a folder");
        let ended = train(&config, &run, &prepared, &Device::flex(), &stop, &mut |event| {
            match event {
                Event::Warning(warning) if warning.contains("is left out") => left_out += 1,
                Event::Record(record) => stop.store(record.step() == stop_after, Ordering::Relaxed),
                _ => {}
            }
            Ok(())
        });
        (ended, left_out, fs::read(run.model()).ok())
    };
    let good = "optimizer.learning_rate=1e-3";
    let (_, _, whole) = run("whole", good, 0);
    assert!(matches!(run("parts", good, 2).0, Ok(Outcome::Interrupted)));
    // The discriminators are moved out of this world, and the generators judged by them: three times, and taken back.
    let (ended, left_out, _) = run("parts", "optimizer.learning_rate=1e30", 0);
    let message = ended.expect_err("no such rate").to_string();
    assert!(
        message.starts_with("step 5: 3 steps in a row") && message.contains("with optimizer.learning_rate="),
        "{message}"
    );
    assert_eq!(left_out, 3);
    let (ended, left_out, parts) = run("parts", good, 0);
    assert!(matches!(ended, Ok(Outcome::Done)) && left_out == 0);
    assert!(whole.is_some() && whole == parts, "the models differ");
}
