//! Training as a user meets it: killed, interrupted, without room on the disk, watched in TensorBoard.

use std::fs;
use std::process::Command as Process;
use std::time::Duration;

use super::support::{Bench, interrupt, newest, shared_data, skipped, spawned, text, until};

/// The method on synthetic heads, as small as it gets, saving at every step.
pub const CONFIG: &str = r#"
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
    n_feats = 4
    n_resgroups = 1
    n_resblocks = 1
    n_lr_blocks = 1
    [discriminator]
    width = 2
    [projection]
    hidden = 8
    dim = 4
    [loss]
    alignment = 0.01
    adversarial = 0.01
    feature_contrastive = 0.01
    reconstruction_contrastive = 0.01
    [schedule]
    quiet = 0.0
    ramp = 0.0
    [validation]
    every = 0
    [checkpoint]
    every = 1
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), CONFIG).expect("written");
    bench
}

#[test]
fn a_run_does_not_go_back_and_its_checkpoint_is_no_model() {
    let bench = bench();
    let train = ["-q", "train", "tiny.toml", "--run", "run"];
    bench.run(&train).success();
    let model = || fs::read(bench.path("run/model.safetensors")).expect("a model");
    let before = model();
    let fewer = [&train[..], &["--set", "steps=3"]].concat();
    bench.refuses(1, &fewer, &["has 6 steps already", "steps is 3 now"]);
    assert!(
        fs::read_to_string(bench.path("run/config.toml")).is_ok_and(|text| text.contains("steps = 6")),
        "the configuration stays that of the run"
    );
    bench.run(&train).success();
    assert!(model() == before);
    bench.phantom("lr.nii", [24; 3], 1);
    let checkpoint = "run/checkpoints/step-00000006.safetensors";
    let upscale = ["upscale", "lr.nii", "-o", "sr.nii", "--model", checkpoint];
    bench.refuses(1, &upscale, &[checkpoint, "a checkpoint", "model.safetensors"]);
}

#[test]
fn a_run_that_is_killed_a_hundred_times_always_goes_on() {
    let bench = bench();
    let (run, checkpoints) = (bench.path("run"), bench.path("run/checkpoints"));
    let train = |steps: u64| {
        let set = format!("steps={steps}");
        // Wide discriminators that no term asks for: a checkpoint takes longer to write than a step to compute.
        let larger = [
            "discriminator.width=40",
            "loss.alignment=0",
            "loss.style=0",
            "loss.adversarial=0",
            &set,
        ]
        .map(str::to_owned);
        let words = ["-q", "train", "tiny.toml", "--run", "run"].map(str::to_owned);
        words
            .into_iter()
            .chain(larger.into_iter().flat_map(|set| ["--set".to_owned(), set]))
            .collect::<Vec<_>>()
    };
    let unfinished = || {
        let entries = fs::read_dir(&checkpoints).into_iter().flatten();
        entries
            .filter(|e| {
                e.as_ref()
                    .is_ok_and(|e| e.file_name().to_string_lossy().ends_with(".part"))
            })
            .count()
    };
    let mut random: u64 = 20_231_015;
    let mut met = 0;
    for kill in 0..100 {
        let before = newest(&run);
        let arguments = train(100_000);
        let mut child = spawned(&bench, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        until("a new checkpoint", || {
            assert!(
                child.try_wait().expect("a child").is_none(),
                "kill {kill}: it ended by itself"
            );
            newest(&run) > before
        });
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if kill % 2 == 0 {
            // Anywhere in a step.
            std::thread::sleep(Duration::from_micros(random >> 33 & 0x7fff));
        } else {
            // While a checkpoint is written.
            until("a checkpoint on its way", || unfinished() > 0);
            std::thread::sleep(Duration::from_micros(random >> 33 & 0x3ff));
        }
        child.kill().expect("killed");
        let said = text(&child.wait_with_output().expect("an end").stderr);
        assert!(
            !said.contains("trying the one before"),
            "kill {kill}: a checkpoint was damaged: {said}"
        );
        met += unfinished();
    }
    assert!(
        met >= 10,
        "only {met} of 100 kills met a checkpoint that was being written"
    );
    let arguments = train(newest(&run) + 2);
    bench
        .run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .success();
    assert!(run.join("model.safetensors").is_file());
    let left = fs::read_dir(&checkpoints).expect("a folder").count();
    assert_eq!(left, 3, "the unfinished files of killed processes are gone");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_asked_to_stop_five_times_ends_in_the_same_bytes() {
    let bench = bench();
    let steps = ["--set", "steps=60", "--set", "checkpoint.every=1000"];
    let train = |run: &'static str| [&["-q", "train", "tiny.toml", "--run", run], &steps[..]].concat();
    bench.run(&train("whole")).success();
    let (int, _) = interrupt();
    for signal in ["TERM", int, "USR1", "TERM", int] {
        let log = bench.path("parts/log.jsonl");
        let lines = || fs::read_to_string(&log).map_or(0, |log| log.lines().count());
        let before = lines();
        let child = spawned(&bench, &train("parts"));
        until("a further step", || lines() > before + 2);
        let sent = Process::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        let output = child.wait_with_output().expect("an end");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{signal}: {said}");
        assert!(said.contains("goes on from here"), "{said}");
    }
    bench.run(&train("parts")).success();
    let model = |run: &str| fs::read(bench.path(run).join("model.safetensors")).expect("a model");
    assert!(model("whole") == model("parts"), "the models differ");
    let table = fs::read_to_string(bench.path("parts/log.csv")).expect("a table");
    assert_eq!(table.lines().count(), 61);
    assert!(
        table.starts_with("step,seconds,waiting,learning_rate,accuracy_feature"),
        "{table}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let bench = bench();
    // Files of at most 16 KiB or so: the log fits, no checkpoint does.
    let program = assert_cmd::cargo::cargo_bin("voxelift");
    let command = format!(
        "trap '' XFSZ; ulimit -f 32; exec {} -q train tiny.toml --run run --set steps=4",
        program.display()
    );
    let output = Process::new("sh")
        .current_dir(bench.path(""))
        .args(["-c", &command])
        .output()
        .expect("a shell");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("training goes on, and tries again") && said.contains("make room"),
        "{said}"
    );
    assert!(said.contains("checkpoints"), "{said}");
    assert_eq!(newest(&bench.path("run")), 0);
    bench
        .run(&["-q", "train", "tiny.toml", "--run", "run", "--set", "steps=4"])
        .success();
    bench
        .run(&["-q", "train", "tiny.toml", "--run", "other", "--set", "steps=4"])
        .success();
    let model = |run: &str| fs::read(bench.path(run).join("model.safetensors")).expect("a model");
    assert!(model("run") == model("other"), "the models differ");
}

#[test]
fn two_processes_do_not_train_into_one_folder() {
    let bench = bench();
    let mut first = spawned(
        &bench,
        &[
            "-q",
            "train",
            "tiny.toml",
            "--run",
            "run",
            "--set",
            "steps=100000",
        ],
    );
    until("a checkpoint", || newest(&bench.path("run")) > 0);
    let second = bench
        .run(&[
            "-q",
            "train",
            "tiny.toml",
            "--run",
            "run",
            "--set",
            "steps=100000",
        ])
        .code(1);
    let said = text(&second.get_output().stderr);
    first.kill().expect("killed");
    first.wait().expect("an end");
    assert!(said.contains("another process"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let bench = bench();
    fs::write(bench.path("file"), "").expect("written");
    let refused = bench
        .run(&["-q", "train", "tiny.toml", "--run", "file/run"])
        .code(1);
    let said = text(&refused.get_output().stderr);
    assert!(
        said.contains("file/run") && said.contains("cannot create the folder"),
        "{said}"
    );
}

#[test]
fn a_cache_folder_gives_the_same_bytes_and_serves_two_runs() {
    let bench = bench();
    let train = |run: &'static str, cache: &'static str| {
        let set = ["--set", "data.cache=\"kept\""];
        let set = if cache.is_empty() { &[][..] } else { &set[..] };
        bench
            .run(&[&["-q", "train", "tiny.toml", "--run", run], set].concat())
            .success();
        fs::read(bench.path(run).join("model.safetensors")).expect("a model")
    };
    let memory = train("memory", "");
    let listing = || {
        let entries = fs::read_dir(bench.path("kept")).expect("a cache");
        let mut files: Vec<_> = entries
            .map(|e| e.expect("an entry"))
            .map(|e| {
                (
                    e.path(),
                    e.metadata().expect("a file").modified().expect("a time"),
                )
            })
            .collect();
        files.sort();
        files
    };
    assert!(memory == train("first", "kept"), "the cache changes the model");
    let kept = listing();
    assert_eq!(kept.len(), 6, "two HR scans, their LR versions, two LR scans");
    assert!(memory == train("second", "kept"), "the cache changes the model");
    assert_eq!(listing(), kept, "the second run wrote nothing");
}

#[test]
fn the_check_plans_in_ten_lines_and_trains_nothing() {
    let bench = bench();
    let check = bench
        .run(&["train", "tiny.toml", "--run", "run", "--check"])
        .success();
    let out = text(&check.get_output().stdout);
    assert!((9..=10).contains(&out.lines().count()), "{out}");
    for word in [
        "HR: 2 scans of 2 subjects",
        "LR: 2 scans",
        "s a step",
        "memory:",
        "places",
    ] {
        assert!(out.contains(word), "no {word:?} in {out}");
    }
    assert!(!bench.path("run").exists());
}

/// A configuration of real scans by role, checked.
fn checked(hr: &[&str], lr: &[&str], validation: &[&str]) -> Option<(String, String)> {
    let Some(data) = shared_data() else {
        skipped("no shared data");
        return None;
    };
    let bench = bench();
    let list = |names: &[&str]| {
        let paths = names
            .iter()
            .map(|name| format!("{:?}", data.join(name).display().to_string()));
        paths.collect::<Vec<_>>().join(",")
    };
    let set = [
        format!("data.hr=[{}]", list(hr)),
        format!("data.lr=[{}]", list(lr)),
        format!("data.validation=[{}]", list(validation)),
    ];
    let mut arguments = vec!["train", "tiny.toml", "--run", "run", "--check"];
    arguments.extend(set.iter().flat_map(|set| ["--set", set]));
    let check = bench.run(&arguments).success();
    let output = check.get_output();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn the_check_sees_through_the_scanner_and_knows_people_scanned_twice() {
    let Some((out, said)) = checked(
        &["train/hr/oasis-malf1005_*", "train/hr/oasis-malf1018_*"],
        &["train/lr_source/ds002748-sub02_*", "train/hr/oasis-malf1025_*"],
        &["train/hr/oasis-malf1038_*"],
    ) else {
        return;
    };
    let interpolated = said.lines().find(|line| line.contains("interpolated along z"));
    let interpolated = interpolated.expect("a warning of the k axis");
    assert!(
        interpolated.contains("LR: 1 of 2") && interpolated.contains("nothing finer than 1.8 mm"),
        "{interpolated}"
    );
    let person = |a: &str, b: &str| {
        said.lines().any(|l| {
            l.contains("show one subject") && l.contains(a) && l.contains(b) && l.contains("two roles")
        })
    };
    assert!(person("1005", "1025") && person("1018", "1038"), "{said}");
    assert_eq!(said.matches("show one subject").count(), 2, "{said}");
    assert!(out.contains("1.8"), "{out}");
}

const READER: &str = r#"
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()
tags = events.Tags()
for tag in sorted(tags["scalars"]):
    for event in events.Scalars(tag):
        print("scalar", tag, event.step, event.value)
for tag in tags["images"]:
    for event in events.Images(tag):
        png = event.encoded_image_string
        print("image", tag, event.step, event.width, event.height, png[:4] == b"\x89PNG")
"#;

#[test]
fn tensorboard_reads_the_events_of_a_run_in_two_parts() {
    let importable = Process::new("python3")
        .args(["-c", "import tensorboard"])
        .output();
    if !importable.is_ok_and(|output| output.status.success()) {
        return skipped("no Python with tensorboard");
    }
    let bench = bench();
    let train = |steps: &'static str| {
        let set = ["--set", steps, "--set", "data.validation=[\"phantom:21\"]"];
        bench
            .run(&[&["-q", "train", "tiny.toml", "--run", "run"], &set[..]].concat())
            .success();
    };
    train("steps=4");
    train("steps=6");
    let output = Process::new("python3")
        .args(["-c", READER])
        .arg(bench.path("run"))
        .output()
        .expect("Python");
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    let steps = |tag: &str| -> Vec<u64> {
        let lines = out.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        lines
            .filter(|l| l[1] == tag)
            .map(|l| l[2].parse().expect("a step"))
            .collect()
    };
    assert_eq!(steps("terms/reconstruction"), [1, 2, 3, 4, 5, 6], "{out}");
    assert_eq!(steps("validation_psnr_db/sr"), [4, 6], "{out}");
    assert_eq!(steps("preview"), [4, 6], "{out}");
    // The values are those of the log.
    let log = fs::read_to_string(bench.path("run/log.jsonl")).expect("a log");
    let first = log
        .lines()
        .next()
        .expect("a step")
        .split("\"reconstruction\":")
        .nth(1)
        .expect("the term");
    let logged: f64 = first
        .split([',', '}'])
        .next()
        .expect("a number")
        .parse()
        .expect("a number");
    let told = out
        .lines()
        .find(|l| l.starts_with("scalar terms/reconstruction 1 "))
        .expect("a scalar");
    let told: f64 = told
        .rsplit(' ')
        .next()
        .expect("a value")
        .parse()
        .expect("a number");
    assert!(
        (told - logged).abs() <= 1e-6 * logged.abs(),
        "{told} against {logged}"
    );
    assert!(
        out.lines()
            .any(|l| l.starts_with("image preview 6 ") && l.ends_with("True")),
        "{out}"
    );
    let image = out.lines().find(|l| l.starts_with("image")).expect("an image");
    assert!(
        image
            .split(' ')
            .skip(3)
            .take(2)
            .all(|n| n.parse::<u32>().is_ok_and(|n| n > 50)),
        "{image}"
    );
}
