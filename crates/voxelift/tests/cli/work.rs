//! Where people begin and where they work: a first configuration, a BIDS data set, other programs, a shell.

use std::fs;

use serde_json::{Value, json};
use voxelift_volume::Volume;
use voxelift_volume::phantom::{self, PhantomConfig};

use super::support::{Bench, text};

/// Said on stdout and stderr, after the exit code was looked at.
fn said(bench: &Bench, code: i32, arguments: &[&str]) -> String {
    let assert = bench.run(arguments);
    let output = assert.get_output();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?} said {said}");
    said
}

fn put(bench: &Bench, path: &str, text: &str) {
    let path = bench.path(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

fn head(bench: &Bench, path: &str, extent: [usize; 3], spacing: [f64; 3], seed: u64) {
    let path_there = bench.path(path);
    fs::create_dir_all(path_there.parent().expect("a folder")).expect("a folder");
    let config = PhantomConfig {
        seed,
        extent,
        spacing_mm: [8.0; 3],
    };
    let volume = phantom::head(&config).expect("a phantom");
    let mut geometry = volume.geometry().clone();
    for (axis, mm) in spacing.into_iter().enumerate() {
        geometry.world_from_voxel[axis][axis] = mm;
    }
    bench.write(path, &Volume::new(volume.data().to_vec(), geometry));
}

#[test]
fn a_first_configuration_needs_no_file_and_runs() {
    let bench = Bench::new();
    let said = said(&bench, 0, &["init", "first"]);
    assert!(
        said.contains("voxelift train first/train.toml --run first/run --check"),
        "{said}"
    );
    // As it says itself; fewer steps are enough to see it run.
    let set = [
        "--set",
        "steps=1",
        "--set",
        "validation.every=0",
        "--set",
        "data.phantom={extent=[40,40,40],spacing_mm=5.0}",
    ];
    let train = [
        &[
            "train",
            "first/train.toml",
            "--run",
            "first/run",
            "--set",
            "patch.size=8",
        ],
        &set[..],
    ]
    .concat();
    self::said(&bench, 0, &train);
    bench.refuses(2, &["init", "first"], &["train.toml", "--force"]);
}

#[test]
fn a_configuration_follows_from_the_scans() {
    let bench = Bench::new();
    for seed in 1..=4 {
        head(
            &bench,
            &format!("fine/sub-{seed:02}_T1w.nii.gz"),
            [24, 24, 24],
            [1.0; 3],
            seed,
        );
    }
    for seed in 4..=6 {
        head(
            &bench,
            &format!("coarse/sub-{seed:02}_T1w.nii.gz"),
            [24, 24, 6],
            [1.0, 1.0, 4.0],
            seed,
        );
    }
    head(&bench, "fine/sub-09_T1w.nii.gz", [24, 24, 24], [1.5; 3], 9);
    head(&bench, "fine/sub-01_mask.nii.gz", [24, 24, 24], [1.0; 3], 1);
    let said = said(
        &bench,
        0,
        &["init", "p", "--hr", "fine/*.nii.gz", "--lr", "coarse"],
    );
    assert!(
        said.contains("sub-09_T1w.nii.gz: HR voxels of 1.5 x 1.5 x 1.5 mm"),
        "{said}"
    );
    assert!(said.contains("sub-01_mask.nii.gz: looks like a mask"), "{said}");
    assert!(said.contains("1 subject(s) have scans in both domains"), "{said}");
    let toml = fs::read_to_string(bench.path("p/train.toml")).expect("a configuration");
    assert!(
        toml.contains("scale = [1, 1, 4]") && toml.contains("\nsize = 6\n"),
        "{toml}"
    );
    assert!(
        toml.contains("validation = [\n    \"../fine/sub-03_T1w.nii.gz\",\n]"),
        "{toml}"
    );
    assert!(
        !toml.contains("fine/sub-04"),
        "who is in both goes where fewer are: {toml}"
    );

    // The other way round, and with nothing that differs.
    for (hr, lr) in [("coarse", "fine"), ("fine", "fine")] {
        bench.refuses(1, &["init", "q", "--hr", hr, "--lr", lr], &["finer"]);
    }
    bench.refuses(2, &["init", "q", "--lr", "coarse"], &["--hr"]);
    bench.refuses(1, &["init", "q", "--hr", "none/*.nii"], &["finds no file"]);
    let said = self::said(&bench, 0, &["init", "r", "--hr", "fine/", "--scale", "2"]);
    assert!(said.contains("HR: 4 scans of 4 subjects"), "{said}");
    let toml = fs::read_to_string(bench.path("r/train.toml")).expect("a configuration");
    assert!(
        toml.contains("[data.lr]") && toml.contains("degrade = { operator = \"kspace\" }"),
        "{toml}"
    );
}

/// A data set of two participants, one of them with two sessions.
fn data_set(bench: &Bench) {
    put(
        bench,
        "ds/dataset_description.json",
        r#"{"Name": "t", "BIDSVersion": "1.10.0"}"#,
    );
    put(
        bench,
        "ds/T1w.json",
        r#"{"SliceThickness": 3.0, "MRAcquisitionType": "2D", "SkullStripped": false}"#,
    );
    for (name, seed) in [
        ("ds/sub-01/anat/sub-01_T1w.nii.gz", 1),
        ("ds/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz", 2),
        ("ds/sub-02/ses-b/anat/sub-02_ses-b_run-1_FLAIR.nii.gz", 3),
    ] {
        head(bench, name, [16, 16, 6], [1.0, 1.0, 3.0], seed);
    }
    // What is not to be made finer.
    head(
        bench,
        "ds/sub-01/anat/sub-01_part-phase_T1w.nii.gz",
        [8, 8, 8],
        [1.0; 3],
        4,
    );
    head(
        bench,
        "ds/derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
        [8, 8, 8],
        [1.0; 3],
        5,
    );
}

#[test]
fn a_bids_data_set_becomes_a_derivative() {
    let bench = Bench::new();
    data_set(&bench);
    let out = "ds/derivatives/voxelift";
    let participant = [
        "bids",
        "ds",
        out,
        "participant",
        "--method",
        "trilinear",
        "--spacing",
        "1",
    ];
    let said = said(&bench, 0, &participant);
    assert!(
        said.contains("sub-01_part-phase_T1w.nii.gz: left out: phase"),
        "{said}"
    );
    let image = format!("{out}/sub-01/anat/sub-01_res-1mm_desc-sr_T1w.nii.gz");
    assert_eq!(bench.read(&image).extent(), [16, 16, 18]);
    for name in [
        "sub-02/ses-a/anat/sub-02_ses-a_res-1mm_desc-sr_T1w.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_run-1_res-1mm_desc-sr_FLAIR.nii.gz",
        "sub-01.html",
        "sub-02.html",
        ".bidsignore",
    ] {
        assert!(bench.path(&format!("{out}/{name}")).is_file(), "{name}");
    }
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(bench.path(&format!("{out}/{name}"))).expect(name)).expect("JSON")
    };
    let sidecar = json("sub-01/anat/sub-01_res-1mm_desc-sr_T1w.json");
    assert_eq!(
        sidecar["Sources"],
        json!(["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"])
    );
    assert_eq!(sidecar["SkullStripped"], json!(false));
    assert!(
        sidecar["Resolution"]
            .as_str()
            .is_some_and(|said| said.contains("1 x 1 x 1 mm"))
    );
    assert!(
        sidecar["SliceThickness"].is_null(),
        "the finer grid has no such slices"
    );
    assert_eq!(json("dataset_description.json")["DatasetType"], "derivative");

    // Again: nothing is made anew; one participant; the table of all.
    let before = fs::read(bench.path(&image)).expect("an output");
    let one = [&participant[..], &["--participant-label", "sub-01"]].concat();
    assert!(self::said(&bench, 0, &one).contains("there already"));
    assert_eq!(fs::read(bench.path(&image)).expect("an output"), before);

    // A scan that was replaced is refused, and what is told of its earlier output stays true; one that cannot be read stops no other.
    let (raw, kept) = ("ds/sub-01/anat/sub-01_T1w.nii.gz", bench.path("kept.nii.gz"));
    fs::copy(bench.path(raw), &kept).expect("kept");
    let replace = || {
        fs::remove_file(bench.path(raw)).expect("removed");
        head(&bench, raw, [16, 16, 6], [2.0, 2.0, 3.0], 9);
    };
    replace();
    let refused = self::said(&bench, 3, &participant);
    assert!(refused.contains("another content"), "{refused}");
    assert_eq!(json("sub-01/anat/sub-01_res-1mm_desc-sr_T1w.json"), sidecar);
    fs::write(bench.path(raw), "no scan").expect("damaged");
    head(
        &bench,
        "ds/sub-03/anat/sub-03_T1w.nii.gz",
        [16, 16, 6],
        [1.0, 1.0, 3.0],
        6,
    );
    self::said(&bench, 3, &participant);
    let third = format!("{out}/sub-03/anat/sub-03_res-1mm_desc-sr_T1w.nii.gz");
    assert!(bench.path(&third).is_file());
    // Made anew at another size, the outputs of the content that is gone go; those of the content that is there stay.
    replace();
    let forced = |spacing: &'static str| {
        let arguments = [&participant[..6], &["--force", "--spacing", spacing]].concat();
        self::said(&bench, 0, &arguments)
    };
    let told = forced("0.5");
    assert!(
        told.contains("removed, since it was made of another content"),
        "{told}"
    );
    let anat = bench.path(&format!("{out}/sub-01/anat"));
    let finer = || fs::read_dir(&anat).expect("a folder").count();
    assert_eq!(finer(), 2, "an image and its sidecar");
    assert!(!forced("1").contains("removed"));
    assert_eq!(finer(), 4);
    fs::copy(&kept, bench.path(raw)).expect("back");
    forced("1");
    assert_eq!(finer(), 2);
    fs::remove_dir_all(bench.path("ds/sub-03")).expect("removed");
    fs::remove_dir_all(bench.path(&format!("{out}/sub-03"))).expect("removed");
    for old in ["sub-02/ses-a/anat", "sub-02/ses-b/anat"] {
        for entry in fs::read_dir(bench.path(&format!("{out}/{old}"))).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.to_string_lossy().contains("res-0p5mm") {
                fs::remove_file(path).expect("removed");
            }
        }
    }
    self::said(&bench, 0, &["bids", "ds", out, "group"]);
    let table = fs::read_to_string(bench.path(&format!("{out}/group_sr.tsv"))).expect("a table");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("sub-02\tses-b\t"), "{table}");

    // A scan that is damaged fails alone.
    put(&bench, "ds/sub-03/anat/sub-03_T1w.nii.gz", "no scan");
    let said = self::said(&bench, 3, &participant);
    assert!(said.contains("sub-03_T1w.nii.gz"), "{said}");

    bench.refuses(
        2,
        &["bids", "ds", out, "participant", "--participant-label", "77"],
        &["sub-77"],
    );
    bench.refuses(2, &["bids", "ds", "ds", "participant"], &["is the raw data set"]);
    bench.refuses(
        2,
        &["bids", "ds/sub-01", "o", "participant"],
        &["dataset_description.json"],
    );
    bench.refuses(1, &["bids", out, "o", "participant"], &["derivative"]);
}

#[test]
fn models_leave_for_other_programs_and_shells_are_told() {
    let bench = Bench::new();
    let said = said(
        &bench,
        0,
        &["export", "--onnx", "m.onnx", "--torch", "t/m.safetensors"],
    );
    assert_eq!(said.lines().count(), 3, "{said}");
    let onnx = fs::read(bench.path("m.onnx")).expect("a file");
    assert!(onnx.windows(13).any(|bytes| bytes == b"ConvTranspose"));
    assert!(bench.path("t/voxelift_torch.py").is_file());
    // The state dict is a model file, too.
    self::said(&bench, 0, &["info", "--model", "t/m.safetensors"]);
    bench.refuses(2, &["export", "--onnx", "m.onnx"], &["m.onnx", "--force"]);
    bench.refuses(2, &["export"], &["--onnx"]);

    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = self::said(&bench, 0, &["completions", shell]);
        assert!(script.contains("upscale") && script.contains("bids"), "{shell}");
    }
    self::said(&bench, 0, &["man", "man1"]);
    let page = fs::read_to_string(bench.path("man1/voxelift-upscale.1")).expect("a page");
    assert!(
        page.contains(".TH voxelift-upscale 1") && page.contains("\\-\\-consistency"),
        "{page}"
    );
    let version = self::said(&bench, 0, &["--version"]);
    assert!(
        version.contains("commit: ") && version.contains("features: "),
        "{version}"
    );
    assert_eq!(self::said(&bench, 0, &["-V"]).lines().count(), 1);
}

/// `docs/commands.md` as it should be: the help of every command.
fn commands(bench: &Bench) -> String {
    let help = said(bench, 0, &["--help"]);
    let listed = help.split("Commands:\n").nth(1).expect("a list of commands");
    let names = listed.lines().take_while(|line| !line.is_empty());
    let names = names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let mut page = "# Command reference\n\nWhat `voxelift --help` and `voxelift COMMAND --help` say. This page is made from the program.\n\n"
        .to_owned();
    let block = |title: &str, text: &str| format!("## {title}\n\n```text\n{}\n```\n\n", text.trim_end());
    page.push_str(&block("voxelift", &help));
    for name in names {
        page.push_str(&block(
            &format!("voxelift {name}"),
            &said(bench, 0, &[name, "--help"]),
        ));
    }
    let lines = page.lines().map(|line| format!("{}\n", line.trim_end()));
    format!("{}\n", lines.collect::<String>().trim_end())
}

fn command_page() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md")
}

#[test]
fn the_command_reference_is_what_the_program_says() {
    let there = fs::read_to_string(command_page()).unwrap_or_default();
    assert!(
        there == commands(&Bench::new()),
        "docs/commands.md is not what the program says: cargo test --release --workspace --test cli write_the_command_reference -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/commands.md"]
fn write_the_command_reference() {
    fs::write(command_page(), commands(&Bench::new())).expect("written");
}
