//! A model and what it knows of itself: what to expect of it, what it was trained for, and whole folders of scans through it.

use std::fs;

use serde_json::Value;
use voxelift_volume::degrade::Degradation;
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::{Geometry, Volume};

use super::support::{Bench, shared_data, skipped, text};
use super::training::CONFIG;

/// A model of synthetic heads, trained for no longer than it takes to write one; `scans/` holds LR scans of two others.
fn bench(set: &[&str]) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), CONFIG).expect("written");
    train(&bench, "run", set);
    fs::create_dir(bench.path("scans")).expect("a folder");
    for (name, seed) in [("a", 40), ("b", 41)] {
        bench.write(&format!("scans/{name}.nii.gz"), &lr(&bench, seed));
    }
    bench
}

fn train(bench: &Bench, run: &str, set: &[&str]) {
    let mut words = vec!["train", "tiny.toml", "--run", run];
    words.extend(set.iter().flat_map(|set| ["--set", set]));
    bench.run(&words).code(0);
}

/// A head of the kind that the model was trained on, through the same acquisition.
fn lr(bench: &Bench, seed: u64) -> Volume {
    let config = PhantomConfig {
        seed,
        extent: [32, 36, 32],
        spacing_mm: [4.8; 3],
    };
    let head = phantom::head(&config).expect("a phantom");
    bench.write(&format!("hr-{seed}.nii.gz"), &head);
    Degradation::default().apply(&head, seed).expect("an LR scan")
}

fn card(bench: &Bench, run: &str) -> Value {
    let model = format!("{run}/model.safetensors");
    let assert = bench.run(&["info", "--model", &model, "--json"]).code(0);
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON")
}

#[test]
fn a_run_leaves_one_person_out_and_says_what_to_expect() {
    let bench = bench(&[
        r#"data.hr=["phantom:1-5"]"#,
        "export.weights=f16",
        "export.limits=[\"toys\"]",
    ]);
    let told = card(&bench, "run");
    assert_eq!(told["hr_scans"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        (&told["weights"], &told["limits"][0]),
        (&"f16".into(), &"toys".into())
    );
    let test = &told["self_test"][0];
    assert_eq!(test["scans"][0], "phantom:5", "nobody of the training: {told}");
    assert_eq!(test["degradation"], "kspace, scale 2");

    let words = ["info", "--model", "run/model.safetensors"];
    let said = text(&bench.run(&words).code(0).get_output().stdout);
    for part in [
        "weights f16",
        "known limit   toys",
        "4 HR and 2 LR scans",
        "in the brain, with what the scan measured put back",
        "the network alone over zero-fill",
        "PSNR (dB): ",
        "the best baseline",
    ] {
        assert!(said.contains(part), "{said}");
    }

    // The card says what `evaluate` says of the model in the file.
    let hr = phantom::head(&PhantomConfig {
        seed: 5,
        extent: [32, 36, 32],
        spacing_mm: [4.8; 3],
    });
    bench.write("hr.nii", &hr.expect("a phantom"));
    bench.run(&["degrade", "hr.nii", "lr.nii"]).code(0);
    for (method, arguments) in [
        ("sr", ["--model", "run/model.safetensors", "--consistency", "off"]),
        (
            "sr-consistent",
            ["--model", "run/model.safetensors", "--consistency", "soft"],
        ),
        ("zero-fill", ["--method", "zero-fill", "--consistency", "off"]),
    ] {
        let words = [&["upscale", "lr.nii", "-o", "sr.nii", "--force"], &arguments[..]].concat();
        bench.run(&words).code(0);
        let words = [
            "evaluate",
            "--reference",
            "hr.nii",
            "--image",
            "sr.nii",
            "--json",
            "-",
        ];
        let assert = bench.run(&words).code(0);
        let scores: Value = serde_json::from_slice(&assert.get_output().stdout).expect("JSON");
        for name in ["psnr_db", "ssim"] {
            let (ours, theirs) = (&test["scores"][method][name]["mean"], &scores["brain"][name]);
            let off = ours.as_f64().expect("a score") - theirs.as_f64().expect("a score");
            assert!(
                off.abs() < 1e-4,
                "{method} {name}: {ours} on the card, {theirs} by evaluate"
            );
        }
    }

    let gain = |key: &str| test[key]["psnr_db"]["mean"].as_f64().expect("a gain");
    let of = |method: &str| {
        test["scores"][method]["psnr_db"]["mean"]
            .as_f64()
            .expect("a score")
    };
    assert_eq!(test["region"], "in the brain");
    assert!((gain("gain") - (of("sr") - of("zero-fill"))).abs() < 1e-9);
    assert!((gain("consistent_gain") - (of("sr-consistent") - of("zero-fill"))).abs() < 1e-9);

    // Weights of f16 take half the room; a run may start from them, and its card says so.
    train(&bench, "whole", &["data.leave_out=false", "steps=1"]);
    assert_eq!(card(&bench, "whole")["self_test"], serde_json::json!([]));
    let size = |run: &str| {
        fs::metadata(bench.path(&format!("{run}/model.safetensors")))
            .expect("a model")
            .len()
    };
    assert!(
        3 * size("run") < 2 * size("whole") + 12_000,
        "{} {}",
        size("run"),
        size("whole")
    );
    let start = r#"start="run/model.safetensors""#;
    train(&bench, "on", &[start, "steps=1", "optimizer.learning_rate=1e-12"]);
    let told = card(&bench, "on");
    assert!(
        told["start"]
            .as_str()
            .is_some_and(|start| start.contains("SHA-256")),
        "{told}"
    );
    // Once begun it needs that file no more, and still says what it was.
    train(&bench, "later", &[start, "steps=1"]);
    fs::rename(bench.path("run"), bench.path("away")).expect("renamed");
    train(&bench, "later", &[start, "steps=2"]);
    // The folder that it lies in may have another name, the file may not.
    train(&bench, "later", &[r#"start="away/model.safetensors""#, "steps=3"]);
    let other = [
        "train",
        "tiny.toml",
        "--run",
        "later",
        "--set",
        r#"start="run/other.safetensors""#,
    ];
    let said = text(&bench.run(&other).code(1).get_output().stderr);
    assert!(
        said.contains("a run with another") && said.contains("start"),
        "{said}"
    );
    fs::rename(bench.path("away"), bench.path("run")).expect("renamed");
    assert_eq!(card(&bench, "later")["start"], told["start"]);
    let answer = |run: &str| {
        let model = format!("{run}/model.safetensors");
        bench
            .run(&["upscale", "lr.nii", "-o", "sr.nii", "--force", "--model", &model])
            .code(0);
        bench.read("sr.nii")
    };
    let (from, on) = (answer("run"), answer("on"));
    let off = from
        .data()
        .iter()
        .zip(on.data())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(off < 1e-4, "a step of no length moved the answer by {off}");
    let other = [
        "train",
        "tiny.toml",
        "--run",
        "other",
        "--set",
        start,
        "--set",
        "network.n_feats=6",
    ];
    let said = text(&bench.run(&other).code(1).get_output().stderr);
    assert!(
        said.contains("run/model.safetensors") && said.contains("shape"),
        "{said}"
    );
}

#[test]
fn a_scan_unlike_those_of_training_is_refused_in_the_respect_in_which_it_differs() {
    let bench = bench(&[]);
    let scan = lr(&bench, 42);
    let [nx, ny, nz] = scan.extent();
    let peak = scan.data().iter().copied().fold(0.0, f32::max);
    let changed = |change: &dyn Fn(usize, f32) -> f32| {
        let data = scan
            .data()
            .iter()
            .enumerate()
            .map(|(i, v)| change(i, *v))
            .collect();
        Volume::new(data, scan.geometry().clone())
    };
    bench.write("as-it-is.nii", &scan);
    bench.write(
        "size.nii",
        &changed(&|i, v| {
            let at = [i % nx, i / nx % ny, i / (nx * ny)];
            let inside = at
                .iter()
                .zip([nx, ny, nz])
                .all(|(i, n)| (n / 3..2 * n / 3).contains(i));
            if inside { v } else { 0.0 }
        }),
    );
    bench.write("contrast.nii", &changed(&|_, v| v * v * v / (peak * peak)));
    bench
        .run(&["degrade", "hr-42.nii.gz", "noise.nii", "--noise", "0.3"])
        .code(0);
    let upscale = |name: &str| format!("{name}.nii");
    let words = |input: &str| {
        [
            "upscale",
            input,
            "-o",
            "sr.nii",
            "--model",
            "run/model.safetensors",
        ]
        .map(str::to_owned)
    };
    bench
        .run(&words("as-it-is.nii").each_ref().map(String::as_str))
        .code(0);
    fs::remove_file(bench.path("sr.nii")).expect("an output");
    fs::remove_file(bench.path("sr.json")).expect("a sidecar");
    for respect in ["size", "contrast", "noise"] {
        let input = upscale(respect);
        let words = words(&input);
        let words = words.each_ref().map(String::as_str);
        bench.refuses(
            1,
            &words,
            &[&input, &format!("{respect}: "), "--allow-out-of-range"],
        );
        let allowed = [&words[..], &["--allow-out-of-range", "--force"]].concat();
        let said = text(&bench.run(&allowed).code(0).get_output().stderr);
        assert!(said.contains(&format!("{respect}: ")), "{said}");
        fs::remove_file(bench.path("sr.nii")).expect("an output");
        fs::remove_file(bench.path("sr.json")).expect("a sidecar");
    }
}

#[test]
fn a_folder_of_scans_goes_on_where_it_stopped() {
    let bench = bench(&[]);
    fs::write(bench.path("scans/broken.nii"), b"nothing of the kind").expect("a file");
    fs::write(bench.path("scans/notes.txt"), b"not a scan").expect("a file");
    let upscale = |more: &[&str]| {
        let words = [
            "upscale",
            "scans",
            "-o",
            "out",
            "--model",
            "run/model.safetensors",
        ];
        let assert = bench.run(&[&words, more].concat());
        let output = assert.get_output();
        (output.status.code(), text(&output.stdout))
    };
    let times = |said: &str, what: &str| said.matches(what).count();
    let (code, said) = upscale(&[]);
    assert_eq!(
        (code, times(&said, "failed: "), times(&said, "there already")),
        (Some(3), 1, 0),
        "{said}"
    );
    let made = fs::read(bench.path("out/a_sr.nii.gz")).expect("an output");
    fs::remove_file(bench.path("out/b_sr.nii.gz")).expect("an output");
    let (code, said) = upscale(&[]);
    assert_eq!((code, times(&said, "there already")), (Some(3), 1), "{said}");
    assert!(bench.path("out/b_sr.nii.gz").is_file(), "made again");
    fs::remove_file(bench.path("scans/broken.nii")).expect("a file");
    assert_eq!(upscale(&[]).0, Some(0));

    // Made with another setting it is neither taken for done nor written over.
    let (code, said) = upscale(&["--tile", "8"]);
    assert_eq!((code, times(&said, "another tile")), (Some(1), 2), "{said}");
    assert_eq!(fs::read(bench.path("out/a_sr.nii.gz")).expect("an output"), made);
    assert_eq!(upscale(&["--tile", "8", "--force"]).0, Some(0));
    assert!(fs::read(bench.path("out/a_sr.nii.gz")).expect("an output") != made);
    // A folder of one is a folder.
    fs::create_dir(bench.path("one")).expect("a folder");
    fs::copy(bench.path("scans/a.nii.gz"), bench.path("one/a.nii.gz")).expect("a copy");
    let words = [
        "upscale",
        "one",
        "-o",
        "of-one",
        "--model",
        "run/model.safetensors",
    ];
    bench.run(&words).code(0);
    let said = text(&bench.run(&words).code(0).get_output().stdout);
    assert!(said.contains("of-one/a_sr.nii.gz: there already"), "{said}");
    let words = [
        "upscale",
        "scans",
        "-o",
        "scans",
        "--model",
        "run/model.safetensors",
    ];
    bench.refuses(2, &words, &["-o scans", "the folder of the scans"]);
}

#[test]
fn the_tile_follows_the_memory_that_is_given() {
    let bench = bench(&[]);
    let scan = lr(&bench, 43).padded([40; 3]);
    bench.write("large.nii", &scan);
    let upscale = [
        "upscale",
        "large.nii",
        "-o",
        "sr.nii",
        "--model",
        "run/model.safetensors",
        "--threads",
        "2",
        "--consistency",
        "off",
        "--allow-out-of-range",
    ];
    let with =
        |memory: &str| bench.run(&[&upscale[..], &["--force", "--tile", "40", "--memory", memory]].concat());
    let said = text(&with("44M").code(0).get_output().stderr);
    assert!(said.contains("instead of 40"), "{said}");
    let how: Value =
        serde_json::from_slice(&fs::read(bench.path("sr.json")).expect("a sidecar")).expect("JSON");
    assert!((16..40).contains(&how["tile"].as_u64().expect("a tile")), "{how}");
    let said = text(&with("4G").code(0).get_output().stderr);
    assert!(!said.contains("instead of"), "{said}");
    for (memory, word) in [("38M", "needs"), ("1M", "at least"), ("lots", "4G or 512M")] {
        let said = text(&with(memory).code(2).get_output().stderr);
        assert!(said.contains(word), "{memory}: {said}");
    }
}

#[test]
fn what_has_no_room_is_refused_before_methods_are_tried_on_it() {
    let bench = Bench::new();
    let like_training = bench.phantom("head.nii.gz", [40, 44, 40], 3);
    // Voxels of another size than the model's: what is chosen then is the model for every scan, or a baseline.
    let geometry = Geometry::axis_aligned(like_training.extent(), [1.0; 3]);
    bench.write("fine.nii.gz", &Volume::new(like_training.into_data(), geometry));
    let tried = "methods are tried on it";
    for scan in ["head.nii.gz", "fine.nii.gz"] {
        let ways: [&[&str]; 6] = [
            &[],
            &["--scale", "2"],
            &["--spacing", "0.9"],
            &["--free-weights"],
            &["--scale", "2", "--consistency", "off"],
            &["--scale", "2,1,1", "--consistency", "off"],
        ];
        for way in ways {
            let upscale = [
                "upscale",
                scan,
                "-o",
                "sr.nii.gz",
                "--force",
                "-v",
                "--threads",
                "2",
            ];
            let with = |more: &[&str]| bench.run(&[&upscale[..], way, more].concat());
            let said = text(&with(&["--memory", "38M"]).code(2).get_output().stderr);
            assert!(
                said.contains("this scan needs") && !said.contains(tried),
                "{scan} {way:?}: {said}"
            );
            let said = text(&with(&["--max-voxels", "80000"]).code(2).get_output().stderr);
            assert!(
                said.contains("--max-voxels") && !said.contains(tried),
                "{scan} {way:?}: {said}"
            );
        }
        if scan == "fine.nii.gz" {
            // Room for a baseline, which may be chosen, but not for the trial of the model.
            let cut = [
                "--scale",
                "2,1,1",
                "--consistency",
                "off",
                "--memory",
                "42M",
                "--threads",
                "2",
            ];
            let upscale = ["upscale", scan, "-o", "sr.nii.gz", "--force", "-v"];
            let said = text(
                &bench
                    .run(&[&upscale[..], &cut].concat())
                    .code(2)
                    .get_output()
                    .stderr,
            );
            assert!(
                said.contains("this scan needs") && !said.contains(tried),
                "{said}"
            );
        }
        let upscale = ["upscale", scan, "-o", "sr.nii.gz", "-v", "--memory", "4G"];
        let said = text(&bench.run(&upscale).code(0).get_output().stderr);
        assert!(said.contains(tried), "{scan}: {said}");
        fs::remove_file(bench.path("sr.nii.gz")).expect("an output");
        fs::remove_file(bench.path("sr.json")).expect("a sidecar");
    }
}

#[test]
fn the_built_in_model_needs_no_file_and_says_what_it_is() {
    let bench = Bench::new();
    let said = text(&bench.run(&["info", "--model"]).code(0).get_output().stdout);
    for part in [
        "built-in model",
        "CC BY-NC",
        "kspace, scale 2 (10 times as often); window:0.8,0.2, scale 2; box, scale 2;",
        "known limit",
        "self-test",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let small = bench.phantom("small.nii.gz", [20, 24, 20], 3);
    let upscale = ["upscale", "small.nii.gz", "-o", "sr.nii.gz"];
    let named = [&upscale[..], &["--method", "model"]].concat();
    bench.refuses(
        1,
        &named,
        &[
            "small.nii.gz",
            "outside what the model was trained for",
            "--allow-out-of-range",
        ],
    );
    let said = bench
        .run(&[&named[..], &["--allow-out-of-range"]].concat())
        .code(0);
    assert!(text(&said.get_output().stderr).contains("CC BY-NC"));
    assert_eq!(bench.read("sr.nii.gz").extent(), small.extent().map(|n| 2 * n));
    let sidecar = sidecar(&bench, "sr.json");
    assert_eq!(sidecar["model"], "built-in model");
    assert_eq!(sidecar["model_sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn free_weights_have_learned_from_nothing_that_is_not() {
    let bench = Bench::new();
    bench.phantom("head.nii.gz", [40, 44, 40], 3);
    let upscale = [
        "upscale",
        "head.nii.gz",
        "-o",
        "sr.nii.gz",
        "--scale",
        "2",
        "--free-weights",
    ];
    let named = [&upscale[..], &["--method", "model", "--allow-out-of-range"]].concat();
    let done = bench.run(&named).code(0);
    let err = text(&done.get_output().stderr);
    assert!(
        err.contains("Free for commercial use") && !err.contains("NC"),
        "{err}"
    );
    assert_eq!(sidecar(&bench, "sr.json")["model"], "free built-in model");
    // Where no method is named the choice is between this model and the baselines; the others are not among what the output depends on.
    bench.run(&[&upscale[..], &["--force"]].concat()).code(0);
    let how = sidecar(&bench, "sr.json").to_string();
    assert!(!how.contains("OASIS") && !how.contains("any contrast"), "{how}");
    bench.refuses(
        2,
        &[&upscale[..], &["--method", "cubic", "--force"]].concat(),
        &["--free-weights"],
    );
    bench.refuses(
        2,
        &[&upscale[..], &["--model", "m.safetensors"]].concat(),
        &["--free-weights"],
    );
}

fn sidecar(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path(name)).expect("a sidecar")).expect("JSON")
}

#[test]
fn without_a_method_every_scan_is_served_by_what_does_best_on_it_and_says_so() {
    let bench = Bench::new();
    // Too small to measure on it.
    bench.phantom("small.nii.gz", [20, 24, 20], 3);
    let upscale = ["upscale", "small.nii.gz", "-o", "sr.nii.gz", "--scale", "2"];
    let done = bench.run(&upscale).code(0);
    let (out, err) = (text(&done.get_output().stdout), text(&done.get_output().stderr));
    assert!(out.contains("zero-fill, since the scan is too small"), "{out}");
    assert!(!err.contains("CC BY-NC"), "{err}");
    let how = sidecar(&bench, "sr.json");
    assert_eq!(
        (how["method"].as_str(), how.get("expected")),
        (Some("zero-fill"), None)
    );
    // The same by name, with what the scan measured put back, is the same.
    let named = [
        "upscale",
        "small.nii.gz",
        "-o",
        "named.nii.gz",
        "--scale",
        "2",
        "--method",
        "zero-fill",
        "--consistency",
        "soft",
    ];
    bench.run(&named).code(0);
    assert_eq!(bench.read("sr.nii.gz").data(), bench.read("named.nii.gz").data());
    // Thick slices: voxels as long in each direction as the finest.
    let slices = phantom::head(&PhantomConfig {
        seed: 5,
        extent: [60, 72, 14],
        spacing_mm: [2.5, 2.5, 10.0],
    });
    bench.write("thick.nii.gz", &slices.expect("a phantom"));
    let thick = ["upscale", "thick.nii.gz", "-o", "iso.nii.gz", "--spacing", "2.5"];
    let done = bench.run(&thick).code(0);
    // The network for slices gains nothing on this phantom, which is said, and a baseline is written.
    let (out, warned) = (text(&done.get_output().stdout), text(&done.get_output().stderr));
    assert!(
        out.contains("self-test on slices")
            && warned.contains("gains nothing")
            && warned.contains("--method self"),
        "{out}{warned}"
    );
    assert_eq!(bench.read("iso.nii.gz").extent(), [60, 72, 56]);
    // A CT is none of the scans that the program is for.
    let ct = bench.phantom("mr.nii.gz", [40, 44, 40], 6).map(|v| v - 1000.0);
    bench.write("ct.nii.gz", &ct);
    bench.refuses(
        1,
        &["upscale", "ct.nii.gz", "-o", "no.nii.gz"],
        &["ct.nii.gz", "as in a CT"],
    );
    // An audit needs a model.
    bench.refuses(
        1,
        &[&thick[..], &["--audit", "--force"]].concat(),
        &["thick.nii.gz", "--audit", "--allow-out-of-range"],
    );
}

#[test]
fn heads_of_other_contrasts_scanners_and_parts_are_served_with_the_gain_that_is_expected() {
    let Some(data) = shared_data() else {
        skipped("no shared data");
        return;
    };
    let bench = Bench::new();
    for (file, spacing) in [
        ("val/lr_source/ds002748-sub03_T1w_brain.nii.gz", "2"),
        // Coarser ones take less time.
        ("train/other/openms-p07_FLAIR_1mmMNI_brain.nii.gz", "3"),
        ("train/other/rorden-M2307_T2w_1mm_brain.nii.gz", "3"),
        ("val/other/sct-spine_T1w_1mm_crop.nii.gz", "2"),
    ] {
        let hr = data.join(file);
        let hr = hr.to_str().expect("UTF-8");
        let degrade = ["degrade", hr, "lr.nii.gz", "--force", "--spacing", spacing];
        bench.run(&degrade).code(0);
        let upscale = [
            "upscale",
            "lr.nii.gz",
            "-o",
            "sr.nii.gz",
            "--force",
            "--scale",
            "2",
        ];
        let out = text(&bench.run(&upscale).code(0).get_output().stdout);
        let how = sidecar(&bench, "sr.json");
        if how["method"] == "model" {
            let gain = how["expected"]["gain_db"].as_f64().expect("a gain");
            assert!(
                gain > 0.0 && out.contains("expected gain: "),
                "{file}: {how} {out}"
            );
        } else {
            assert!(out.contains("made by "), "{file}: {out}");
        }
        let is_brain = file.contains("ds002748");
        assert!(!is_brain || how["method"] == "model", "{file}: {how}");
    }
}

#[test]
fn the_built_in_model_is_above_every_floor_on_a_head_that_it_has_not_seen() {
    let Some(data) = shared_data() else {
        skipped("no shared data");
        return;
    };
    let bench = Bench::new();
    let hr = data.join("val/hr/oasis-malf1101_T1w_1mm_brain.nii.gz");
    let hr = hr.to_str().expect("UTF-8");
    for (name, how) in [
        ("kspace", &["--operator", "kspace"][..]),
        ("box", &["--operator", "box"]),
        ("noise", &["--noise", "0.03"]),
    ] {
        let lr = format!("{name}.nii.gz");
        bench.run(&[&["degrade", hr, &lr], how].concat()).code(0);
        let psnr = |method: &str, how: &[&str]| {
            let out = format!("{name}-{method}.nii.gz");
            bench.run(&[&["upscale", &lr, "-o", &out], how].concat()).code(0);
            let scores = bench
                .run(&["evaluate", "--reference", hr, "--image", &out, "--json", "-"])
                .code(0);
            let scores: Value = serde_json::from_slice(&scores.get_output().stdout).expect("JSON");
            scores["masked"]["psnr_db"].as_f64().expect("a number")
        };
        let (model, free) = (psnr("model", &[]), psnr("free", &["--free-weights"]));
        for floor in ["zero-fill", "cubic"] {
            let floor_psnr = psnr(floor, &["--method", floor]);
            assert!(
                model.min(free) > floor_psnr + 0.5,
                "{name}: {model} dB, {free} with the free weights, {floor} {floor_psnr} dB"
            );
        }
    }
}
