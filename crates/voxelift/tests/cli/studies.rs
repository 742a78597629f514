//! A study as a user meets it: run through, interrupted, shared out, changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use voxelift_volume::Volume;
use voxelift_volume::nifti::{self, NiftiImage, WriteOptions};
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::resample::{Interpolation, resample_like};

use super::support::{Bench, newest, shared_data, skipped, spawned, text, until};
use super::training::CONFIG;

const STUDY: &str = r#"
    base = "base.toml"
    baseline = "baseline"
    seeds = [1, 2]
    [set]
    optimizer.learning_rate = 5e-3
    [[variant]]
    name = "baseline"
    set = { loss.feature_contrastive = 0, loss.reconstruction_contrastive = 0 }
    [[variant]]
    name = "twin"
    set = { mode = "supervised" }
    [[test]]
    name = "clean"
    images = ["heads/*.nii"]
    people = ["anna-first+anna-second"]
    classes = true
    [[test]]
    name = "noisy"
    images = ["heads/bert.nii"]
    degrade = { operator = "box", noise = 0.05 }
    seed = 4
"#;

fn bench(study: &str) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("base.toml"), CONFIG).expect("written");
    fs::write(bench.path("study.toml"), study).expect("written");
    fs::create_dir(bench.path("heads")).expect("a folder");
    for (seed, name) in (31..).zip(["anna-first", "anna-second", "bert"]) {
        let config = PhantomConfig {
            seed,
            extent: [32, 36, 32],
            spacing_mm: [4.8; 3],
        };
        let image = NiftiImage::from_volume(phantom::head(&config).expect("a phantom"));
        let path = bench.path(&format!("heads/{name}.nii"));
        nifti::write(&path, &image, &WriteOptions::default()).expect("written");
    }
    bench
}

/// Rows of the long table: (variant, seed, test, subject, region, score) -> value.
fn numbers(bench: &Bench, out: &str) -> BTreeMap<[String; 6], f64> {
    let text = fs::read_to_string(bench.path(&format!("{out}/table.csv"))).expect("the long table");
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let [variant, seed, test, subject, _, region, score, value] = cells[..] else {
            panic!("{line}")
        };
        let key = [variant, seed, test, subject, region, score].map(str::to_owned);
        (key, value.parse().expect("a number"))
    });
    rows.collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[test]
fn a_study_trains_and_tests_every_run_once_and_its_table_can_be_made_by_hand() {
    let bench = bench(STUDY);
    let first = bench.run(&["study", "study.toml", "--out", "out"]).success();
    let table = text(&first.get_output().stdout);
    assert!(
        table.contains("twin+consistency (2/2)") && table.contains("twin+consistency - baseline+consistency"),
        "{table}"
    );
    assert!(
        table.contains("baseline (2/2)") && table.contains("zero-fill") && table.contains("twin - baseline"),
        "{table}"
    );
    let html = fs::read_to_string(bench.path("out/table.html")).expect("a page");
    assert!(
        html.contains("twin - baseline") && !html.contains("http:") && !html.contains("https:"),
        "self-contained"
    );

    // Every method on every scan, by hand.
    let numbers = numbers(&bench, "out");
    let get = |variant: &str, seed: &str, test: &str, scan: &str, score: &str| {
        let key = [variant, seed, test, scan, "brain", score].map(str::to_owned);
        numbers[&key]
    };
    let model = "out/runs/twin/seed-2/model.safetensors";
    bench.run(&[
        "degrade",
        "heads/bert.nii",
        "lr.nii",
        "--operator",
        "box",
        "--noise",
        "0.05",
        "--seed",
        "4",
    ]);
    // A study scores what the model itself makes, and that with what the scan measured put back.
    for (out, consistency) in [("sr.nii", "off"), ("soft.nii", "soft")] {
        let words = [
            "upscale",
            "lr.nii",
            "-o",
            out,
            "--model",
            model,
            "--acquired",
            "box",
        ];
        bench
            .run(&[&words[..], &["--consistency", consistency]].concat())
            .success();
    }
    bench
        .run(&["upscale", "lr.nii", "-o", "floor.nii", "--method", "lanczos"])
        .success();
    for (image, variant, seed) in [
        ("sr.nii", "twin", "2"),
        ("soft.nii", "twin+consistency", "2"),
        ("floor.nii", "lanczos", ""),
    ] {
        let words = [
            "evaluate",
            "--reference",
            "heads/bert.nii",
            "--lr-spacing",
            "9.6",
            "--json",
            "s.json",
            "--force",
        ];
        bench.run(&[&words[..], &["--image", image]].concat()).success();
        let scores = json(&bench.path("s.json"));
        for (score, value) in [
            ("psnr_db", &scores["brain"]["psnr_db"]),
            ("ssim", &scores["brain"]["ssim"]),
            (
                "fsc.beyond_nyquist.gain",
                &scores["brain"]["fsc"]["beyond_nyquist"]["gain"],
            ),
        ] {
            let value = value.as_f64().expect("a number");
            let there = get(variant, seed, "noisy", "bert.nii", score);
            assert!(
                (there - value).abs() < 1e-4 * value.abs().max(1e-2),
                "{variant} {score}: {there}, {value}"
            );
        }
    }
    // The means and differences from the rows: anna was scanned twice and counts once.
    let per_person = |variant: &str, seed: &str| {
        let of = |scan: &str| get(variant, seed, "clean", scan, "psnr_db");
        [
            0.5 * (of("anna-first.nii") + of("anna-second.nii")),
            of("bert.nii"),
        ]
    };
    let [twin, base] = ["twin", "baseline"].map(|v| [per_person(v, "1"), per_person(v, "2")]);
    let table = json(&bench.path("out/table.json"));
    let scores = table["tests"][0]["scores"].as_array().expect("scores");
    let psnr = scores
        .iter()
        .find(|s| s["key"] == "psnr_db" && s["region"] == "brain")
        .expect("PSNR");
    let cell = psnr["methods"]
        .as_array()
        .expect("methods")
        .iter()
        .find(|m| m["method"] == "twin")
        .expect("twin");
    let mean = twin.iter().flatten().sum::<f64>() / 4.0;
    assert!((cell["mean"].as_f64().expect("a mean") - mean).abs() < 1e-9);
    let by_hand: Vec<f64> = (0..2)
        .map(|p| 0.5 * ((twin[0][p] - base[0][p]) + (twin[1][p] - base[1][p])))
        .collect();
    for (p, difference) in by_hand.iter().enumerate() {
        let there = cell["difference"]["differences"][p]
            .as_f64()
            .expect("a difference");
        assert!((there - difference).abs() < 1e-9, "{there}, {difference}");
    }
    assert_eq!(cell["difference"]["each"].as_array().map(Vec::len), Some(4));
    assert!(
        cell["difference"]["wilcoxon_p"].is_null(),
        "two people are too few"
    );
    assert!(
        table["methods"][4]["costs"][0]["peak_memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1 << 20)
    );
    assert!(
        scores
            .iter()
            .any(|s| s["region"] == "bright" && s["key"] == "ssim")
    );

    // Again: nothing is trained or scored, the tables are the same.
    let kept = [
        "runs/twin/seed-1/model.safetensors",
        "runs/twin/seed-1/tests.json",
        "table.csv",
    ]
    .map(|name| bench.path(&format!("out/{name}")));
    let state = || {
        kept.clone().map(|path| {
            (
                fs::metadata(&path).and_then(|m| m.modified()).ok(),
                fs::read(&path).expect("a file"),
            )
        })
    };
    let before = state();
    let again = bench.run(&["study", "study.toml", "--out", "out"]).success();
    let said = text(&again.get_output().stderr);
    assert!(!said.contains("training"), "{said}");
    let after = state();
    assert_eq!(before[..2], after[..2]);
    assert_eq!(before[2].1, after[2].1);

    // Another test set is scored with the models that are there; the old scores stay.
    let more = STUDY.replace("seed = 4", "seed = 5");
    fs::write(bench.path("study.toml"), more).expect("written");
    let changed = bench.run(&["study", "study.toml", "--out", "out"]).success();
    assert!(!text(&changed.get_output().stderr).contains("training"));
    let changed = self::numbers(&bench, "out");
    let of = |numbers: &BTreeMap<[String; 6], f64>, test: &str| {
        numbers[&["twin", "1", test, "bert.nii", "masked", "psnr_db"].map(str::to_owned)]
    };
    assert!(of(&changed, "noisy") != of(&numbers, "noisy"));
    assert_eq!(of(&changed, "clean"), of(&numbers, "clean"));

    // Another configuration is refused before anything happens, with its keys.
    bench.refuses(
        2,
        &[
            "study",
            "study.toml",
            "--out",
            "out",
            "--set",
            "steps=4",
            "--set",
            "loss.cycle=0.5",
        ],
        &["loss.cycle", "steps", "runs/baseline/seed-1"],
    );
    // The page is the study's.
    bench.run(&["report", "out", "-o", "page.html"]).success();
    assert_eq!(
        fs::read(bench.path("page.html")).ok(),
        fs::read(bench.path("out/table.html")).ok()
    );
}

#[test]
fn an_interrupted_study_goes_on_inside_the_run_and_shards_share_the_runs() {
    let bench = bench(STUDY);
    let words = [
        "study",
        "study.toml",
        "--out",
        "out",
        "--set",
        "steps=300",
        "--shard",
        "2/4",
    ];
    let mut child = spawned(&bench, &words);
    let run = bench.path("out/runs/twin/seed-1");
    until("a checkpoint", || newest(&run) >= 2);
    // The study alone is told, as a scheduler does it; its child has to hear it from there.
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill")
            .success()
    );
    assert_eq!(child.wait().expect("an end").code(), Some(4));
    let reached = newest(&run);
    assert!((2..300).contains(&reached) && !run.join("model.safetensors").exists());
    assert!(
        !bench.path("out/runs/baseline").exists(),
        "the second of four shards is the twin's"
    );
    assert!(!bench.path("out/floors").exists(), "floors are the first shard's");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(newest(&run), reached, "nobody trains on behind the study's back");

    let second = bench.run(&words).success();
    let said = text(&second.get_output().stderr);
    assert!(said.contains(&format!("going on after step {reached}")), "{said}");
    assert!(run.join("model.safetensors").exists());
    let rows = numbers(&bench, "out");
    assert!(rows.keys().all(|key| key[0].starts_with("twin") && key[1] == "1") && !rows.is_empty());
    // The whole, in one process and uninterrupted: the same run comes out.
    bench.run(&[
        "train",
        "base.toml",
        "--run",
        "whole",
        "--set",
        "steps=300",
        "--set",
        "mode=supervised",
        "--set",
        "optimizer.learning_rate=5e-3",
    ]);
    assert!(
        fs::read(run.join("model.safetensors")).ok() == fs::read(bench.path("whole/model.safetensors")).ok(),
        "bit for bit"
    );
}

#[test]
fn a_run_that_fails_leaves_the_others_and_models_of_another_study_are_tested() {
    let failing = STUDY
        .replace(
            "mode = \"supervised\"",
            "optimizer.learning_rate = 1e30, optimizer.warmup_steps = 0",
        )
        .replace("[1, 2]", "[1]");
    let failing = failing.replace("[set]", "[set]\n steps = 8");
    let bench = bench(&failing);
    let outcome = bench.run(&["study", "study.toml", "--out", "all/one"]).code(3);
    let output = outcome.get_output();
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("twin, seed 1: `train` ended with"), "{said}");
    assert!(out.contains("baseline (1/1)") && out.contains(" 0/1 |"), "{out}");

    let other = r#"
        baseline = "zero-fill"
        seeds = [1, 7]
        [[variant]]
        name = "baseline"
        study = "one"
        [[variant]]
        name = "file"
        model = "all/one/runs/baseline/seed-1/model.safetensors"
        [[test]]
        name = "clean"
        images = ["heads/bert.nii"]
    "#;
    fs::write(bench.path("other.toml"), other).expect("written");
    let outcome = bench.run(&["study", "other.toml", "--out", "all/two"]).code(3);
    let output = outcome.get_output();
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(
        said.contains("baseline, seed 7") && said.contains("is not there yet"),
        "{said}"
    );
    assert!(
        out.contains("baseline (1/2)") && out.contains("file (1/1)") && out.contains("file - zero-fill"),
        "{out}"
    );
    let rows = numbers(&bench, "all/two");
    let of =
        |variant: &str| rows[&[variant, "1", "clean", "bert.nii", "masked", "psnr_db"].map(str::to_owned)];
    assert_eq!(of("baseline"), of("file"), "one model under two names");
    let cost = json(&bench.path("all/two/table.json"))["methods"][4]["costs"][0]["steps"].clone();
    assert_eq!(cost, 8, "what the model has cost stands in its own study");
}

/// One variant that learns from files, tested where a label map says.
const OF_FILES: &str = r#"
    base = "base.toml"
    [set]
    mode = "supervised"
    steps = 2
    data.hr = ["train/*.nii"]
    data.lr = []
    [[variant]]
    name = "one"
    [[test]]
    name = "clean"
    images = ["heads/bert.nii"]
    labels = ["maps/*.nii"]
"#;

#[test]
fn models_of_other_settings_and_scans_are_refused_and_labels_lie_where_they_say() {
    let bench = bench(OF_FILES);
    fs::create_dir(bench.path("maps")).expect("a folder");
    fs::create_dir(bench.path("train")).expect("a folder");
    for (seed, name) in [(51, "a"), (52, "b")] {
        let config = PhantomConfig {
            seed,
            extent: [32, 36, 32],
            spacing_mm: [4.8; 3],
        };
        bench.write(
            &format!("train/{name}.nii"),
            &phantom::head(&config).expect("a phantom"),
        );
    }
    let study = ["study", "study.toml", "--out", "out"];
    let in_label = || {
        bench.run(&study).success();
        numbers(&bench, "out")
            [&["zero-fill", "", "clean", "bert.nii", "label 1", "psnr_db"].map(str::to_owned)]
    };
    // The right half of the head, stored in either direction.
    let geometry = bench.read("heads/bert.nii").geometry().clone();
    let half = |at: usize| f32::from(at % 32 > 20);
    let map = Volume::new((0..geometry.voxels()).map(half).collect(), geometry.clone());
    bench.write("maps/bert.nii", &map);
    let as_stored = in_label();
    let mut reversed = geometry;
    for row in &mut reversed.world_from_voxel {
        row[3] += 31.0 * row[0];
        row[0] = -row[0];
    }
    let turned = resample_like(&map, &reversed, Interpolation::Nearest);
    assert_ne!(turned.data(), map.data());
    fs::remove_file(bench.path("maps/bert.nii")).expect("removed");
    bench.write("maps/bert.nii", &turned);
    assert_eq!(in_label(), as_stored);

    // Another rate, other scans: nothing of it is in the models that are there.
    let faster = [&study[..], &["--set", "optimizer.learning_rate=0.01"]].concat();
    bench.refuses(2, &faster, &["optimizer.learning_rate", "runs/one/seed-1"]);
    let first = fs::read(bench.path("train/a.nii")).expect("a file");
    fs::copy(bench.path("train/b.nii"), bench.path("train/a.nii")).expect("copied");
    bench.refuses(
        2,
        &study,
        &["train/a.nii", "holds other voxels", "runs/one/seed-1"],
    );
    fs::write(bench.path("train/a.nii"), first).expect("written");

    // What leaves the model as it is may change; a damaged checkpoint or none is no reason to drop a model.
    let tested = "data.test=[\"heads/anna-first.nii\"]";
    let other = [&study[..], &["--tables", "--set", tested]].concat();
    bench.run(&other).success();
    let newest = bench.path("out/runs/one/seed-1/checkpoints/step-00000002.safetensors");
    fs::write(newest, "cut off").expect("written");
    bench.run(&study).success();
    fs::remove_dir_all(bench.path("out/runs/one/seed-1/checkpoints")).expect("removed");
    let run = bench.run(&study).success();
    let said = text(&run.get_output().stderr);
    assert!(said.contains("no checkpoint there can be read"), "{said}");

    // What a model learned from is not tested on, under whatever name.
    let elsewhere = r#"
        [[variant]]
        name = "file"
        model = "out/runs/one/seed-1/model.safetensors"
        [[test]]
        name = "clean"
        images = ["train/a.nii"]
    "#;
    fs::write(bench.path("elsewhere.toml"), elsewhere).expect("written");
    bench.refuses(
        1,
        &["study", "elsewhere.toml", "--out", "two"],
        &["model.safetensors", "subject a is in two roles"],
    );
    fs::copy(bench.path("heads/bert.nii"), bench.path("train/c.nii")).expect("copied");
    bench.refuses(
        1,
        &["study", "study.toml", "--out", "three"],
        &["train/c.nii", "bert.nii", "holds the same as", "variant one"],
    );

    // Scans that the model was not made for, or that are none, are scored and told.
    let mut strange = bench.read("heads/bert.nii");
    strange.data_mut()[7] = 1e6;
    let mut fine = strange.geometry().clone();
    fine.world_from_voxel = fine.world_from_voxel.map(|row| row.map(|v| v / 2.0));
    bench.write("heads/strange.nii", &Volume::new(strange.into_data(), fine));
    let elsewhere = elsewhere.replace("train/a.nii", "heads/strange.nii\", \"maps/bert.nii");
    fs::write(bench.path("elsewhere.toml"), elsewhere).expect("written");
    let run = bench.run(&["study", "elsewhere.toml", "--out", "two"]).success();
    let said = text(&run.get_output().stderr);
    for words in [
        "not what file was trained for: voxels of 4.8 mm along x",
        "strange.nii: 1 voxel",
        "bert.nii: holds 2 different values",
        "stored in another orientation",
    ] {
        assert_eq!(said.matches(words).count(), 1, "{words}: {said}");
    }
}

#[test]
fn the_studies_of_the_method_resolve_and_keep_to_the_roles() {
    if shared_data().is_none() {
        skipped("no shared data");
        return;
    }
    let bench = Bench::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    let mut found = 0;
    for entry in fs::read_dir(&folder).expect("the studies") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        // What studies share is no study.
        if ["base", "tuning"].contains(&&*name) {
            continue;
        }
        // Every configuration and every test person is checked before anything is trained.
        let study = path.to_string_lossy();
        found += 1;
        // Scans that have to be made first are missed by name.
        let made = [("m1-mixtures", "any/valset"), ("d4-scanners", "two-mm")];
        let is_missed =
            |(of, runs): &(&str, &str)| name == *of && !folder.join("../runs").join(runs).is_dir();
        if made.iter().any(is_missed) {
            bench.refuses(
                1,
                &["study", &study, "--out", &name, "--tables"],
                &["finds no file"],
            );
            continue;
        }
        bench
            .run(&["study", &study, "--out", &name, "--tables"])
            .success();
        let table = fs::read_to_string(bench.path(&format!("{name}/table.md"))).expect("a table");
        // The models in the box may lie in runs/.
        assert!(
            table.contains(" 0/") || name == "default-model" && table.contains(" 1/1"),
            "{name}: {table}"
        );
    }
    assert!(found >= 11, "{found} studies");
}

#[test]
fn studies_that_cannot_be_meant_are_refused_in_one_line() {
    let bench = bench(STUDY);
    let refused = |code: i32, from: &str, to: &str, words: &[&str]| {
        assert!(STUDY.contains(from), "{from}");
        fs::write(bench.path("wrong.toml"), STUDY.replacen(from, to, 1)).expect("written");
        bench.refuses(code, &["study", "wrong.toml", "--out", "out"], words);
    };
    refused(2, "seeds", "sedes", &["wrong.toml:", "sedes"]);
    refused(
        2,
        "optimizer.learning_rate",
        "optimizer.rate",
        &["variant baseline", "rate"],
    );
    refused(
        2,
        "baseline = \"baseline\"",
        "baseline = \"b\"",
        &["expected a variant or one of the methods without training"],
    );
    refused(1, "heads/*.nii", "nothing/*.nii", &["finds no file"]);
    refused(
        2,
        "\"box\", noise",
        "\"box\", scale = 4, noise",
        &["variant baseline", "a scale of 2", "noisy one of 4"],
    );
    refused(
        1,
        "\"heads/bert.nii\"",
        "\"phantom:12\"",
        &["phantom:12", "two roles", "test"],
    );
    bench.refuses(
        2,
        &["study", "study.toml", "--out", "out", "--shard", "3/2"],
        &["--shard", "i/n"],
    );
}
