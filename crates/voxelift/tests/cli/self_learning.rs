//! `upscale --method self`: what it takes, refuses, writes and keeps.

use serde_json::Value;
use voxelift_volume::degrade::{Operator, Operators, Profile};
use voxelift_volume::kspace::{truncate, zero_fill};
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::random::Stream;
use voxelift_volume::{Geometry, Volume};

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
        &["use the method `model`"],
    );
}

/// Slices acquired in turn: the output does not alternate, and says that the scan did; --keep-bands leaves it.
#[test]
fn slices_that_alternate_in_brightness_are_evened_out_and_it_is_said() {
    let bench = Bench::new();
    let head = bench.phantom("hr.nii", [64, 64, 96], 3);
    let slices = Operator::Slice {
        profile: Profile::Gaussian,
        thickness: 1.0,
    };
    let mut scan = Operators([Operator::KSpace, Operator::KSpace, slices]).apply(&head, [64, 64, 48]);
    bench.write("even.nii", &scan);
    for (i, value) in scan.data_mut().iter_mut().enumerate() {
        *value *= [1.04, 1.0][(i / (64 * 64)) % 2];
    }
    bench.write("banded.nii", &scan);
    let run = |name: &str, more: &[&str]| {
        let (from, to) = (format!("{name}.nii"), format!("{name}{}.nii.gz", more.len()));
        let arguments = [
            &["upscale", &from, "-o", &to, "--acquired", "slice:gaussian,5"],
            more,
        ]
        .concat();
        let assert = bench.run(&arguments).code(0);
        let how = sidecar(&bench, &to.replace(".nii.gz", ".json"));
        (text(&assert.get_output().stdout), how, bench.read(&to))
    };
    let alternation = |image: &Volume| {
        let means: Vec<f64> = image
            .data()
            .chunks(64 * 64 * 2)
            .map(|slice| slice.iter().map(|v| f64::from(*v)).sum::<f64>())
            .collect();
        let steps =
            (18..30).map(|k| (means[k] / (0.5 * (means[k - 1] + means[k + 1]))).ln() * [1.0, -1.0][k % 2]);
        steps.sum::<f64>() / 12.0
    };
    let (said, how, evened) = run("banded", &[]);
    assert!(
        said.contains("every second slice is") && said.contains("--keep-bands"),
        "{said}"
    );
    let found = how["evened_slices"]["alternation"].as_f64().expect("a number");
    assert!((found - 0.02).abs() < 0.004, "{how}");
    let (said, how, kept) = run("banded", &["--keep-bands"]);
    assert!(
        !said.contains("every second") && how["evened_slices"].is_null(),
        "{said}"
    );
    let (said, _, even) = run("even", &[]);
    assert!(!said.contains("every second"), "{said}");
    let [evened, kept, even] = [evened, kept, even].map(|image| alternation(&image));
    assert!(
        (evened - even).abs() < 0.01 && (kept - even).abs() > 0.03,
        "{evened} {kept} {even}"
    );
}

#[test]
fn another_scan_of_fine_slices_teaches_too() {
    let bench = Bench::new();
    thick(&bench);
    // The same head in another contrast, its slices across x, as fine in plane and 15 mm apart.
    let (head, slices) = (
        bench.phantom("fine.nii", [60, 56, 60], 3),
        Operators([Operator::Box, Operator::KSpace, Operator::KSpace]),
    );
    let mut other = slices.apply(&head, [10, 56, 60]);
    let peak = other.data().iter().copied().fold(0.0, f32::max);
    other
        .data_mut()
        .iter_mut()
        .for_each(|v| *v = (*v * (1.2 * peak - *v)).max(0.0));
    bench.write("other.nii", &other);
    let learn = |output: &'static str, more: &[&'static str]| {
        let mut arguments = vec!["upscale", "lr.nii", "-o", output, "--method", "self"];
        arguments.extend([
            "--steps",
            "4",
            "--acquired",
            "slice:gaussian,10",
            "--allow-no-gain",
        ]);
        arguments.extend(more);
        arguments
    };
    bench.run(&learn("alone.nii", &[])).code(0);
    bench.run(&learn("both.nii", &["--with", "other.nii"])).code(0);
    bench.run(&learn("again.nii", &["--with", "other.nii"])).code(0);
    let image = |name: &str| bench.read(name);
    assert_eq!(image("both.nii").data(), image("again.nii").data());
    assert_ne!(image("both.nii").data(), image("alone.nii").data());
    let how = sidecar(&bench, "both.json");
    assert_eq!(how["asked_for"]["with"][0]["scan"], "other.nii", "{how}");
    assert!(sidecar(&bench, "alone.json")["asked_for"].get("with").is_none());
    // A scan whose slices are coarser cannot teach, nor can one without thick slices.
    let coarse = Operators([Operator::KSpace; 3]).apply(&bench.read("hr.nii"), [24, 26, 6]);
    bench.write("coarse.nii", &coarse);
    let refused = |with: &'static str| learn("no.nii", &["--with", with]);
    bench.refuses(1, &refused("coarse.nii"), &["--with coarse.nii", "cannot teach"]);
    bench.refuses(1, &refused("hr.nii"), &["--with hr.nii", "no thick axis"]);
    bench.refuses(2, &learn("other.nii", &["--with", "other.nii"]), &["other.nii"]);
    assert!(!bench.path("no.nii").exists());
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
        "--from-scratch",
        "--acquired",
        "slice:gaussian,10",
    ];
    let assert = bench.run(&arguments).code(0);
    let said = text(&assert.get_output().stderr);
    assert!(
        said.contains("gains nothing") && said.contains("--allow-no-gain"),
        "{said}"
    );
    // The baseline that did best is the one that is written.
    let how = sidecar(&bench, "sr.json");
    let test = &how["self_test"];
    let best = test["best_baseline"].as_str().expect("a name");
    assert_eq!(how["applied"], best);
    assert!(said.contains(&format!("that baseline ({best})")), "{said}");
    let psnr = |name: &str| test["scores"][name]["psnr_db"].as_f64().expect("a score");
    assert_eq!(test["scores"].as_object().map(|scores| scores.len()), Some(6));
    for name in ["cubic", "cubic, consistent", "lanczos", "trilinear", "zero-fill"] {
        assert!(psnr(name) <= psnr(best), "{name} over {best}");
    }
    let others = ["cubic", "lanczos", "trilinear", "zero-fill"];
    if others.contains(&best) {
        let plain = [
            "upscale",
            "lr.nii",
            "-o",
            "plain.nii.gz",
            "--spacing",
            "2.5",
            "--consistency",
            "off",
            "--method",
            best,
        ];
        bench.run(&plain).code(0);
        let (written, plain) = (bench.read("sr.nii.gz"), bench.read("plain.nii.gz"));
        assert_eq!(written.extent(), plain.extent());
        let apart = written
            .data()
            .iter()
            .zip(plain.data())
            .map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-2);
    }
}

#[test]
fn thick_slices_get_the_built_in_network_where_no_method_is_named() {
    let bench = Bench::new();
    thick(&bench);
    std::fs::create_dir(bench.path("scans")).expect("a folder");
    std::fs::rename(bench.path("lr.nii"), bench.path("scans/lr.nii")).expect("moved");
    bench.phantom("scans/iso.nii", [40, 44, 40], 6);
    let batch = ["upscale", "scans", "-o", "out", "--acquired", "slice:gaussian,10"];
    // What the slices say does not suit the other scan.
    let of_one = [
        "upscale",
        "scans/lr.nii",
        "-o",
        "out/lr_sr.nii.gz",
        "--acquired",
        "slice:gaussian,10",
    ];
    let done = bench.run(&of_one).code(0);
    let said = text(&done.get_output().stdout);
    assert!(
        said.contains("the built-in network for thick slices") && said.contains("self-test on slices"),
        "{said}"
    );
    let how = sidecar(&bench, "out/lr_sr.json");
    assert!(
        how["chosen"]
            .as_str()
            .is_some_and(|why| why.contains("--method self")),
        "{how}"
    );
    assert_eq!(how["learned"]["steps"], 0);
    assert!(how["learned"]["start_sha256"].is_string(), "{how}");
    // Nearer to the head than the best baseline.
    let cubic = [
        "upscale",
        "scans/lr.nii",
        "-o",
        "cubic.nii.gz",
        "--method",
        "cubic",
        "--like",
        "hr.nii",
        "--consistency",
        "soft",
        "--acquired",
        "slice:gaussian,10",
    ];
    bench.run(&cubic).code(0);
    let head = bench.read("hr.nii");
    let error = |name: &str| -> f64 {
        let image = bench.read(name);
        let pairs = image.data().iter().zip(head.data());
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    let gain = 10.0 * (error("cubic.nii.gz") / error("out/lr_sr.nii.gz")).log10();
    assert!(gain > 0.3, "{gain:.2} dB");
    // A spike would drown the scan: nobody named the network for it.
    let mut spiked = bench.read("scans/lr.nii");
    let middle = spiked.data().len() / 2;
    spiked.data_mut()[middle] = 1e7;
    bench.write("spiked.nii", &spiked);
    bench.refuses(
        1,
        &["upscale", "spiked.nii", "-o", "no.nii"],
        &["spiked.nii", "far beyond the rest"],
    );
    // In a folder both kinds are served, and what is there already stays.
    let mixed = [&batch[..4], &["--spacing", "2.5"]].concat();
    std::fs::remove_dir_all(bench.path("out")).expect("removed");
    bench.run(&mixed).code(0);
    assert!(bench.path("out/iso_sr.nii.gz").exists() && bench.path("out/lr_sr.nii.gz").exists());
    let again = bench.run(&mixed).code(0);
    let said = text(&again.get_output().stdout);
    assert_eq!(said.matches("there already").count(), 2, "{said}");
}

#[test]
fn slices_that_the_scanner_interpolated_are_taken_as_they_were_acquired() {
    let bench = Bench::new();
    let head = bench.phantom("hr.nii", [64, 72, 64], 3);
    let scan = zero_fill(&truncate(&head, [64, 72, 32]), [64, 72, 64]);
    bench.write("lr.nii", &scan);
    for more in [&[][..], &["--allow-no-gain", "--method", "self", "--steps", "4"]] {
        let mut arguments = vec!["upscale", "lr.nii", "-o", "sr.nii.gz", "--force"];
        arguments.extend(more);
        let said = text(&bench.run(&arguments).code(0).get_output().stdout);
        assert!(
            said.contains("acquired by kspace (its scanner interpolated along z: voxels of"),
            "{said}"
        );
        let fine = bench.read("sr.nii.gz");
        assert_eq!(*fine.geometry(), *scan.geometry());
        // What was measured is there: the slices alone are nearer to those of the scan than a sixteenth of the head's own detail.
        let error = |a: &Volume, b: &Volume| -> f64 {
            let pairs = a.data().iter().zip(b.data());
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
        };
        let few = [64, 72, 30];
        let missed = error(&truncate(&fine, few), &truncate(&scan, few));
        assert!(missed < error(&head, &scan) / 16.0, "{missed}");
    }
}

#[test]
fn interpolated_slices_on_which_the_network_gains_nothing_go_the_way_of_other_scans() {
    let bench = Bench::new();
    // A texture without order that fades into quiet air: nothing in plane tells what lies between the slices, and it is not taken
    // for noise.
    let mut texture = bench.phantom("hr.nii", [64, 72, 64], 3);
    let mut stream = Stream::new(2, 0);
    for (i, value) in texture.data_mut().iter_mut().enumerate() {
        let at = [i % 64, i / 64 % 72, i / (64 * 72)].map(|v| v as f64);
        let away = (at[0] - 32.0).powi(2) + (at[1] - 36.0).powi(2) + (at[2] - 32.0).powi(2);
        let [one, _] = stream.normal_pair();
        *value = ((100.0 + 30.0 * one) * (-away / 200.0).exp() + 0.01 * one) as f32;
    }
    let scan = zero_fill(&truncate(&texture, [64, 72, 32]), [64, 72, 64]);
    bench.write("lr.nii", &scan);
    let assert = bench.run(&["upscale", "lr.nii", "-o", "sr.nii.gz"]).code(0);
    let warned = text(&assert.get_output().stderr);
    assert!(
        warned.contains("its scanner interpolated along z") && warned.contains("so it is taken as it lies"),
        "{warned}"
    );
    assert!(!warned.contains("written instead"), "{warned}");
    let how = sidecar(&bench, "sr.json");
    assert!(
        how["method"] != "self" && how["outputs"]["sr.nii.gz"].is_string(),
        "{how}"
    );
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
        &["2.500 x 2.500 x 2.500 mm", "use the method `model`"],
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
    for (set, option) in [
        ("seed=5", "--seed"),
        ("length.steps=9", "--steps"),
        ("precision=bf16", "--precision"),
    ] {
        bench.refuses(2, &upscale(&["--method", "self", "--set", set]), &[set, option]);
    }
    bench.refuses(
        2,
        &upscale(&["--method", "self", "--set", "unpaired.style=-1"]),
        &["unpaired.style"],
    );
}

#[test]
fn a_profile_that_the_scan_does_not_show_is_assumed_and_told() {
    let bench = Bench::new();
    // One slice of a head over and over, and a little noise: no spectrum across slices looks like that in plane.
    let head = bench.phantom("hr.nii", [72, 76, 72], 3);
    let middle = head.crop([0, 0, 36], [72, 76, 1]);
    let mut scan = Volume::filled(0.0, Geometry::axis_aligned([72, 76, 24], [2.5, 2.5, 10.0]));
    let mut stream = Stream::new(1, 0);
    let voxels = scan.data_mut().iter_mut().enumerate();
    voxels.for_each(|(i, v)| *v = middle.data()[i % (72 * 76)] + (0.5 * stream.normal_pair()[0]) as f32);
    bench.write("copies.nii", &scan);
    let arguments = [
        "upscale",
        "copies.nii",
        "-o",
        "sr.nii",
        "--method",
        "self",
        "--steps",
        "1",
    ];
    let assert = bench.run(&arguments).code(0);
    let said = text(&assert.get_output().stderr);
    assert!(
        said.contains("thickness of the slices is not known") && said.contains("slice:gaussian,MM,GAP"),
        "{said}"
    );
    let how = sidecar(&bench, "sr.json");
    assert_eq!(how["protocol"]["operator"], "slice:gaussian,1");
    assert!(
        how["protocol"]["because"]
            .as_str()
            .is_some_and(|b| b.starts_with("assumed")),
        "{how}"
    );
}

#[test]
fn volumes_of_one_file_are_made_finer_by_what_the_first_taught() {
    let bench = Bench::new();
    thick(&bench);
    let one = bench.read("lr.nii");
    let mut image = NiftiImage::from_volume(one.clone());
    let half = Volume::new(
        one.data().iter().map(|v| 0.5 * v).collect(),
        one.geometry().clone(),
    );
    image.frames.push(half);
    image.header.extra_extent = vec![2];
    nifti::write(&bench.path("four.nii"), &image, &WriteOptions::default()).expect("written");
    let sidecar_of_input = r#"{"SliceThickness": 8, "SpacingBetweenSlices": 12, "MRAcquisitionType": "2D"}"#;
    std::fs::write(bench.path("four.json"), sidecar_of_input).expect("written");
    let upscale = |more: &[&'static str]| {
        let mut arguments = vec![
            "upscale", "four.nii", "-o", "sr.nii", "--method", "self", "--steps", "2",
        ];
        arguments.extend(more);
        arguments
    };
    bench.refuses(
        1,
        &upscale(&["--allow-no-gain", "--audit"]),
        &["2 volumes", "--audit"],
    );
    let assert = bench
        .run(&upscale(&["--allow-no-gain", "--scale", "1,1,2"]))
        .code(0);
    let said = text(&assert.get_output().stderr);
    assert!(said.contains("SpacingBetweenSlices is 12 mm"), "{said}");
    let image = nifti::read(&bench.path("sr.nii"), &ReadOptions::default()).expect("readable");
    let [first, second] = &image.frames[..] else {
        panic!("{} volumes", image.frames.len());
    };
    assert_eq!(first.extent(), [48, 52, 24]);
    // Half as bright, the second volume comes out half as bright.
    let peak = first.data().iter().copied().fold(0.0, f32::max);
    let furthest = first
        .data()
        .iter()
        .zip(second.data())
        .map(|(a, b)| (0.5 * a - b).abs())
        .fold(0.0, f32::max);
    assert!(furthest < 1e-3 * peak, "{furthest} of {peak}");
    let how = sidecar(&bench, "sr.json");
    assert_eq!(how["protocol"]["operator"], "slice:gaussian,0.8");
    assert_eq!(how["frames"].as_array().map(Vec::len), Some(2));
}
