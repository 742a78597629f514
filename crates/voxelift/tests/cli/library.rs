//! The program and the library make the same volumes.

use voxelift_model::device::{Computing, DeviceChoice, Precision};
use voxelift_model::infer::UpscaleOptions;
use voxelift_model::model_file::ModelFile;
use voxelift_model::self_learning::{LearningConfig, Length};
use voxelift_model::upscale::{
    BuiltIn, Event, Method, Methods, Model, SliceUpscaler, SliceWishes, UpscaleError, Upscaler, Wishes,
};
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::Mode;
use voxelift_volume::degrade::Operators;
use voxelift_volume::kspace::{truncate, zero_fill};
use voxelift_volume::target::Target;
use voxelift_volume::{Scale, Volume};

use crate::support::Bench;

const COMPUTING: Computing = Computing {
    device: DeviceChoice::Cpu,
    precision: Precision::F32,
};

fn same(left: &Volume, right: &Volume, what: &str) {
    assert_eq!(left.extent(), right.extent(), "{what}");
    let bits = |volume: &Volume| volume.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(bits(left) == bits(right), "{what}");
}

#[test]
fn a_scan_is_made_finer_as_by_the_program() {
    let bench = Bench::new();
    bench.phantom("scan.nii", [24, 26, 24], 5);
    let scan = bench.read("scan.nii");

    bench.run(&["upscale", "scan.nii", "-o", "model.nii"]).success();
    let built_in = BuiltIn::load(COMPUTING, UpscaleOptions::default()).expect("the built-in models");
    let upscaler = Upscaler::new(Methods::BuiltIn(Box::new(built_in)), Wishes::default()).expect("wishes");
    let mut tiles = 0;
    let finer = upscaler.run(&scan, &mut |event| {
        tiles += usize::from(matches!(event, Event::Tiles { .. }));
    });
    let finer = finer.expect("a scan that can be made finer");
    same(&finer.image, &bench.read("model.nii"), "the default method");

    bench
        .run(&[
            "upscale",
            "scan.nii",
            "-o",
            "lanczos.nii",
            "--method",
            "lanczos",
            "--spacing",
            "1.7",
            "--consistency",
            "hard",
        ])
        .success();
    let wishes = Wishes {
        target: Some(Target::Spacing([1.7; 3])),
        consistency: Some(Mode::Hard),
        ..Wishes::default()
    };
    let upscaler = Upscaler::new(Methods::Named(Baseline::Lanczos.into()), wishes).expect("wishes");
    let finer = upscaler.run(&scan, &mut |_| {}).expect("a baseline takes it");
    same(&finer.image, &bench.read("lanczos.nii"), "a baseline");
    let agreement = finer.consistency.expect("what was put back is told");
    assert!(agreement.residual_after < 1e-4 && agreement.residual_before > agreement.residual_after);
}

#[test]
fn what_a_scanner_filled_with_zeros_does_not_take_away_what_a_model_adds() {
    let bench = Bench::new();
    let head = bench.phantom("head.nii", [64, 72, 64], 5);
    let scan = zero_fill(&truncate(&head, [32, 36, 32]), head.extent());
    let file = ModelFile::built_in_for_any_contrast();
    let model = Model::of(&file, COMPUTING, UpscaleOptions::default()).expect("the built-in model");
    let method = Method::Model(Box::new(model.for_every_scan()));
    let wishes = Wishes {
        target: Some(Target::Spacing(scan.geometry().spacing_mm())),
        consistency: Some(Mode::Soft),
        ..Wishes::default()
    };
    let upscaler = Upscaler::new(Methods::Named(method), wishes).expect("wishes");
    let finer = upscaler
        .run(&scan, &mut |_| {})
        .expect("a scan that can be made finer")
        .image;
    assert_eq!(finer.extent(), scan.extent());
    let distance = |a: &Volume, b: &Volume| -> f64 {
        let pairs = a.data().iter().zip(b.data());
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    let (few, missing) = ([30, 34, 30], distance(&head, &scan));
    let added = distance(&finer, &scan);
    assert!(added > 0.02 * missing, "{added} of {missing}");
    let missed = distance(&truncate(&finer, few), &truncate(&scan, few));
    assert!(missed < 0.001 * missing, "{missed} of {missing}");
}

#[test]
fn slices_are_made_finer_as_by_the_program() {
    let bench = Bench::new();
    let head = bench.phantom("head.nii", [48, 52, 48], 5);
    let slices: Operators = "kspace/kspace/slice:gaussian,1".parse().expect("operators");
    bench.write("thick.nii", &slices.apply(&head, [48, 52, 12]));
    let scan = bench.read("thick.nii");
    bench
        .run(&[
            "upscale",
            "thick.nii",
            "-o",
            "fine.nii",
            "--method",
            "self",
            "--steps",
            "2",
            "--allow-no-gain",
        ])
        .success();
    let wishes = SliceWishes {
        learning: LearningConfig {
            length: Length::Steps(2),
            ..LearningConfig::default()
        },
        may_gain_nothing: true,
        ..SliceWishes::default()
    };
    let upscaler = SliceUpscaler::new(COMPUTING, wishes).expect("a device");
    let fine = upscaler.run(&scan, &mut |_| {}).expect("thick slices");
    same(&fine.image, &bench.read("fine.nii"), "thick slices");
    assert!(
        fine.by_network
            .is_some_and(|by_network| by_network.orientations.is_none())
    );
}

#[test]
fn what_does_not_go_together_is_refused_with_its_kind() {
    let methods = || Methods::Named(Method::Baseline(Baseline::Trilinear));
    let refused = |wishes: Wishes| {
        let bench = Bench::new();
        let scan = bench.phantom("scan.nii", [16, 16, 16], 1);
        let upscaler = Upscaler::new(methods(), wishes)?;
        upscaler.run(&scan, &mut |_| {})
    };
    let few = Wishes {
        max_voxels: 100,
        ..Wishes::default()
    };
    assert!(matches!(
        refused(few),
        Err(UpscaleError::TooManyVoxels { most: 100, .. })
    ));
    let audit = Wishes {
        audit: true,
        ..Wishes::default()
    };
    assert!(matches!(
        refused(audit),
        Err(UpscaleError::AuditWithoutModel { .. })
    ));
    let coarse = Wishes {
        target: Some(Target::Spacing([9.0; 3])),
        ..Wishes::default()
    };
    assert!(matches!(refused(coarse), Err(UpscaleError::Model(_))));
    let memory = Wishes {
        memory: Some(1 << 20),
        ..Wishes::default()
    };
    assert!(matches!(
        refused(memory),
        Err(UpscaleError::MemoryOfProgram { .. })
    ));
    let scale = Wishes {
        target: Some(Target::Scale(Scale::isotropic(3))),
        ..Wishes::default()
    };
    let finer = refused(scale).expect("a baseline has no scale of its own");
    assert_eq!(finer.image.extent(), [48; 3]);
}
