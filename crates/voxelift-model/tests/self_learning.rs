//! Learning from one scan: it gains, it is reproducible, and it can be interrupted.

use std::sync::atomic::{AtomicBool, Ordering};

use voxelift_model::device::DeviceChoice;
use voxelift_model::parameters::values;
use voxelift_model::self_learning::{
    CUBIC_CONSISTENT, Event, Keeping, Learned, LearningConfig, Length, Lesson, SelfModel, SliceProtocol,
    UnpairedConfig, apply, baseline, calibrate, gaussian, learn,
};
use voxelift_volume::Volume;
use voxelift_volume::degrade::{Operator, Operators};
use voxelift_volume::intensity::Mask;
use voxelift_volume::phantom::{self, PhantomConfig};

/// A head, and a scan of it in slices four times as thick across `axis`.
fn scanned(axis: usize) -> (Volume, Volume, SliceProtocol) {
    let config = PhantomConfig {
        seed: 3,
        extent: [64, 68, 64],
        spacing_mm: [2.5; 3],
    };
    let head = phantom::head(&config).expect("a phantom");
    let mut extent = head.extent();
    extent[axis] /= 4;
    let mut operators = [Operator::KSpace; 3];
    operators[axis] = gaussian(1.0);
    let scan = Operators(operators).apply(&head, extent);
    let protocol =
        SliceProtocol::new(scan.geometry(), gaussian(1.0), "stated".to_owned()).expect("thick slices");
    (head, scan, protocol)
}

fn small(steps: u64) -> LearningConfig {
    LearningConfig {
        length: Length::Steps(steps),
        n_feats: 16,
        n_resblocks: 2,
        patch_rows: 8,
        patch_columns: 32,
        batch: 4,
        learning_rate: 4e-3,
        ..LearningConfig::default()
    }
}

fn psnr_db(reference: &Volume, image: &Volume) -> f64 {
    let mask = Mask::foreground(reference);
    let inside = |i: usize| mask.data()[i];
    let (mut error, mut count) = (0.0, 0.0);
    for (i, (r, x)) in reference.data().iter().zip(image.data()).enumerate() {
        if inside(i) {
            error += f64::from(r - x).powi(2);
            count += 1.0;
        }
    }
    let peak = reference.data().iter().copied().fold(0.0, f32::max);
    10.0 * (f64::from(peak).powi(2) * count / error).log10()
}

fn learned(scan: &Volume, protocol: &SliceProtocol, config: &LearningConfig) -> SelfModel {
    let (device, _) = DeviceChoice::Cpu.open().expect("the CPU");
    let stop = AtomicBool::new(false);
    match learn(
        &Lesson::of(scan, protocol),
        config,
        None,
        &device,
        &stop,
        &mut |_| Ok(()),
    )
    .expect("learned")
    {
        Learned::Done(model) => *model,
        Learned::Interrupted { .. } => panic!("nobody asked to stop"),
    }
}

#[test]
fn what_a_scan_teaches_beats_the_consistent_cubic_across_its_slices() {
    for axis in [2, 0] {
        let (head, scan, protocol) = scanned(axis);
        assert_eq!((protocol.axis, protocol.scale), (axis, 4));
        let model = learned(&scan, &protocol, &small(240));
        let (device, _) = DeviceChoice::Cpu.open().expect("the CPU");
        let applied = apply(&model.network, &scan, &protocol, &device, &mut |_, _| Ok(())).expect("applied");
        let cubic = baseline(CUBIC_CONSISTENT, &scan, &protocol).expect("a baseline");
        let (gained, base) = (psnr_db(&head, &applied.image), psnr_db(&head, &cubic));
        assert_eq!(applied.image.geometry(), head.geometry());
        assert!(
            gained > base + 0.2,
            "axis {axis}: {gained:.2} dB, consistent cubic {base:.2} dB"
        );
        let test = model.card.self_test.expect("slices were kept out");
        assert!(test.gains() && test.slices[1] - test.slices[0] == 2, "{test:?}");
    }
}

/// Every term of the unpaired method, from the second step on.
fn unpaired() -> UnpairedConfig {
    UnpairedConfig {
        style: 0.01,
        cycle: 1.0,
        alignment: 0.01,
        adversarial: 0.01,
        feature_contrastive: 0.01,
        reconstruction_contrastive: 0.01,
        ..UnpairedConfig::default()
    }
}

#[test]
fn the_same_steps_give_the_same_bytes_interrupted_or_not() {
    interrupted_or_not(&small(8));
}

#[test]
fn so_they_do_with_the_terms_of_the_unpaired_method() {
    interrupted_or_not(&LearningConfig {
        unpaired: unpaired(),
        ..small(8)
    });
}

/// Each term moves the weights, and not far.
#[test]
fn every_term_of_the_unpaired_method_counts() {
    let (_, scan, protocol) = scanned(2);
    let all = unpaired();
    let off = UnpairedConfig::default();
    let weights = |unpaired: UnpairedConfig| {
        let config = LearningConfig { unpaired, ..small(6) };
        values(&learned(&scan, &protocol, &config).network)["head.weight"].clone()
    };
    let without = weights(off.clone());
    for (name, only) in [
        (
            "cycle",
            UnpairedConfig {
                cycle: 1.0,
                ..off.clone()
            },
        ),
        (
            "alignment",
            UnpairedConfig {
                alignment: 0.1,
                ..off.clone()
            },
        ),
        (
            "adversarial",
            UnpairedConfig {
                adversarial: 0.1,
                ..off.clone()
            },
        ),
        (
            "feature_contrastive",
            UnpairedConfig {
                feature_contrastive: 0.1,
                style: 0.1,
                ..off.clone()
            },
        ),
        (
            "reconstruction_contrastive",
            UnpairedConfig {
                reconstruction_contrastive: 0.1,
                ..off.clone()
            },
        ),
        ("all", all),
    ] {
        let with = weights(only);
        let pairs = || without.iter::<f32>().zip(with.iter::<f32>());
        let apart = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            apart > 0.0 && apart < 0.1,
            "{name}: the weights are {apart} apart"
        );
    }
    // Restyling alone teaches the styler, not the network.
    let style = weights(UnpairedConfig { style: 0.1, ..off });
    assert!(without == style, "the style alone moved the network");
}

fn interrupted_or_not(config: &LearningConfig) {
    let (_, scan, protocol) = scanned(2);
    let folder = tempfile::tempdir().expect("a folder");
    let whole = learned(&scan, &protocol, config);
    let (device, _) = DeviceChoice::Cpu.open().expect("the CPU");
    let mut keeping = Keeping {
        path: folder.path().join("state.safetensors"),
        key: Lesson::of(&scan, &protocol).key(config),
        resume: false,
    };
    let stop = AtomicBool::new(false);
    let mut at_three = |event: Event| {
        if matches!(event, Event::Step { step: 3, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    };
    let half = learn(
        &Lesson::of(&scan, &protocol),
        config,
        Some(&keeping),
        &device,
        &stop,
        &mut at_three,
    )
    .expect("learned");
    assert!(
        matches!(half, Learned::Interrupted { step: 3, steps: 8 }),
        "{half:?}"
    );
    stop.store(false, Ordering::Relaxed);
    keeping.resume = true;
    let other = Keeping {
        key: Lesson::of(&scan, &protocol).key(&LearningConfig {
            seed: 1,
            ..config.clone()
        }),
        ..keeping.clone()
    };
    let refused = learn(
        &Lesson::of(&scan, &protocol),
        config,
        Some(&other),
        &device,
        &stop,
        &mut |_| Ok(()),
    );
    assert!(refused.unwrap_err().to_string().contains("another scan"));
    let rest = learn(
        &Lesson::of(&scan, &protocol),
        config,
        Some(&keeping),
        &device,
        &stop,
        &mut |_| Ok(()),
    )
    .expect("learned");
    let Learned::Done(rest) = rest else {
        panic!("nobody asked to stop");
    };
    let bytes = |model: &SelfModel, name: &str| {
        let mut model = model.clone();
        model.card.seconds = 0.0;
        let path = folder.path().join(name);
        model.write(&path).expect("written");
        std::fs::read(path).expect("read")
    };
    assert!(
        bytes(&whole, "whole") == bytes(&rest, "rest"),
        "interrupted and whole differ"
    );
    let back = SelfModel::read(&folder.path().join("rest"), &device).expect("read");
    assert_eq!(back.card.protocol, protocol);
    assert!(SelfModel::is_one(&folder.path().join("rest")));
    assert!(
        SelfModel::read(&keeping.path, &device)
            .unwrap_err()
            .to_string()
            .contains("not a self-learned")
    );
}

#[test]
fn calibration_tells_thin_slices_from_thick_ones() {
    let config = PhantomConfig {
        seed: 5,
        extent: [64, 68, 64],
        spacing_mm: [2.5; 3],
    };
    let head = phantom::head(&config).expect("a phantom");
    for thickness in [0.6, 0.8, 1.0, 1.2] {
        let operators = [Operator::KSpace, Operator::KSpace, gaussian(thickness)];
        let scan = Operators(operators).apply(&head, [64, 68, 16]);
        let protocol =
            SliceProtocol::new(scan.geometry(), gaussian(1.0), String::new()).expect("thick slices");
        let calibrated = calibrate(&scan, &protocol).expect("enough slices");
        let Operator::Slice { thickness: found, .. } = calibrated.operator else {
            panic!("{calibrated:?}");
        };
        assert!((found - thickness).abs() < 0.25, "{thickness}: {calibrated:?}");
    }
}

#[test]
fn the_orientations_of_a_shifted_scan_differ_as_those_of_the_scan() {
    let (_, scan, protocol) = scanned(2);
    let model = learned(&scan, &protocol, &small(12));
    let (device, _) = DeviceChoice::Cpu.open().expect("the CPU");
    let differ = |scan: &Volume| {
        let applied = apply(&model.network, scan, &protocol, &device, &mut |_, _| Ok(()));
        applied.expect("applied").disagreement_rms()
    };
    let (as_it_is, shifted) = (differ(&scan), differ(&scan.clone().map(|v| v - 3000.0)));
    assert!(
        as_it_is > 0.0 && (shifted / as_it_is - 1.0).abs() < 0.01,
        "{as_it_is} {shifted}"
    );
}

#[test]
fn what_another_scan_teaches_is_shown_as_this_one_was_made() {
    let (_, _, protocol) = scanned(2);
    // Slices across x, 2 mm in plane where fine slices of the other are 2.5 mm apart.
    let other = voxelift_volume::Geometry::axis_aligned([8, 80, 80], [9.0, 2.0, 2.0]);
    let taught = protocol.taught_by(&other).expect("finer in plane");
    assert_eq!((taught.axis, taught.in_plane_mm), (0, [2.0, 2.0]));
    assert_eq!(
        (taught.scale, taught.distance_mm, taught.operator),
        (protocol.scale, protocol.distance_mm, protocol.operator)
    );
    let coarse = voxelift_volume::Geometry::axis_aligned([80, 80, 8], [2.8, 2.0, 9.0]);
    let refusal = protocol.taught_by(&coarse).expect_err("too coarse").to_string();
    assert!(
        refusal.contains("2.800 mm") && refusal.contains("2.750 mm"),
        "{refusal}"
    );
}
