//! `upscale --method self`: what it takes, refuses, writes and keeps.

use serde_json::Value;
use voxelift_volume::degrade::{Operator, Operators, Profile};

use crate::support::{Bench, text};

/// A scan in slices of 10 mm under `lr.nii`, and the head itself under `hr.nii`.
fn thick(bench: &Bench) {
    let head = bench.phantom("hr.nii", [48, 52, 48], 3);
    let slices = Operator::Slice {
        profile: Profile::Gaussian,
        thickness: 1.0,
    };
    let operators = Operators([Operator::KSpace, Operator::KSpace, slices]);
    bench.write("lr.nii", &operators.apply(&head, [48, 52, 12]));
}

fn sidecar(bench: &Bench, name: &str) -> Value {
    let text = std::fs::read(bench.path(name)).expect("a sidecar");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_thick_scan_learns_from_itself_and_says_how_well() {
    let bench = Bench::new();
    thick(&bench);
    let arguments = [
        "upscale",
        "lr.nii",
        "-o",
        "sr.nii.gz",
        "--method",
        "self",
        "--steps",
        "6",
        "--acquired",
        "slice:gaussian,10",
        "--allow-no-gain",
        "--keep-model",
        "kept.safetensors",
        "--audit",
    ];
    let assert = bench.run(&arguments).code(0);
    let said = text(&assert.get_output().stdout);
    assert!(
        said.contains("self-test on slices") && said.contains("4 fine ones each"),
        "{said}"
    );
    let (fine, head) = (bench.read("sr.nii.gz"), bench.read("hr.nii"));
    assert_eq!(fine.extent(), head.extent());
    let shift = (fine.geometry().world([0.0; 3])[2] - head.geometry().world([0.0; 3])[2]).abs();
    assert!(shift < 1e-3, "{shift} mm");
    assert_eq!(bench.read("sr_orientations.nii.gz").extent(), fine.extent());
    let how = sidecar(&bench, "sr.json");
    assert_eq!(how["method"], "self");
    assert_eq!(how["protocol"]["scale"], 4);
    assert_eq!(how["applied"], "self");
    assert!(
        how["self_test"]["scores"]["cubic"]["psnr_db"]
            .as_f64()
            .is_some_and(|db| db > 5.0),
        "{how}"
    );
    assert!(
        how["frames"][0]["orientations_differ"]
            .as_f64()
            .is_some_and(|share| share > 0.0),
        "{how}"
    );
    assert!(!bench.path("sr_self-state.safetensors").exists());

    // The kept model on a scan of the same protocol: nothing is learned, and the output is the same.
    let again = [
        "upscale",
        "lr.nii",
        "-o",
        "again.nii.gz",
        "--model",
        "kept.safetensors",
        "--allow-no-gain",
    ];
    bench.run(&again).code(0);
    assert_eq!(bench.read("again.nii.gz").data(), fine.data());
    bench.refuses(
        1,
        &[
            "upscale",
            "hr.nii",
            "-o",
            "no.nii.gz",
            "--model",
            "kept.safetensors",
        ],
        &["--method model"],
    );
}

#[test]
fn where_nothing_is_gained_the_baseline_is_written_and_told() {
    let bench = Bench::new();
    thick(&bench);
    let arguments = [
        "upscale",
        "lr.nii",
        "-o",
        "sr.nii.gz",
        "--method",
        "self",
        "--steps",
        "1",
        "--acquired",
        "slice:gaussian,10",
    ];
    let assert = bench.run(&arguments).code(0);
    let said = text(&assert.get_output().stderr);
    assert!(
        said.contains("gains nothing") && said.contains("--allow-no-gain"),
        "{said}"
    );
    assert_eq!(sidecar(&bench, "sr.json")["applied"], "cubic, consistent");
}

#[test]
fn what_does_not_go_with_it_is_refused() {
    let bench = Bench::new();
    bench.phantom("iso.nii", [24, 24, 24], 1);
    let upscale = |more: &[&'static str]| {
        let mut arguments = vec!["upscale", "iso.nii", "-o", "o.nii"];
        arguments.extend(more);
        arguments
    };
    bench.refuses(
        1,
        &upscale(&["--method", "self"]),
        &["2.500 x 2.500 x 2.500 mm", "--method model"],
    );
    bench.refuses(
        2,
        &upscale(&["--method", "self", "--scale", "2"]),
        &["--scale", "--spacing"],
    );
    bench.refuses(2, &upscale(&["--method", "self", "--tile", "32"]), &["--tile"]);
    bench.refuses(
        2,
        &upscale(&["--method", "cubic", "--budget", "2m"]),
        &["--budget", "--method self"],
    );
    bench.refuses(2, &upscale(&["--method", "self", "--budget", "2"]), &["2m"]);
    bench.refuses(
        2,
        &upscale(&["--method", "self", "--budget", "2m", "--steps", "9"]),
        &["--steps"],
    );
}
