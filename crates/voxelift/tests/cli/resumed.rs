//! Runs that go on after their data changed: told, or refused.

use std::fs;

use super::support::{Bench, text};
use super::training::CONFIG;

/// A run of two steps on files: `hr/`, `lr/` and `val/`.
fn bench() -> Bench {
    let bench = Bench::new();
    for (folder, name, seed) in [
        ("hr", "p1", 1),
        ("hr", "p2", 2),
        ("lr", "p3", 3),
        ("lr", "p4", 4),
        ("val", "p5", 5),
    ] {
        fs::create_dir_all(bench.path(&format!("p/{folder}"))).expect("a folder");
        bench.phantom(&format!("p/{folder}/{name}_T1w.nii.gz"), [32, 36, 32], seed);
    }
    let config = CONFIG
        .replace(r#"hr = ["phantom:1-2"]"#, r#"hr = ["hr/*.nii.gz"]"#)
        .replace(r#"files = ["phantom:11-12"]"#, r#"files = ["lr/*.nii.gz"]"#)
        .replace("[patch]", "validation = [\"val/*.nii.gz\"]\n[patch]");
    fs::write(bench.path("p/c.toml"), config).expect("written");
    train(&bench, "p", 2, 0);
    bench
}

fn train(bench: &Bench, folder: &str, steps: u64, code: i32) -> String {
    let (config, run, steps) = (
        format!("{folder}/c.toml"),
        format!("{folder}/run"),
        format!("steps={steps}"),
    );
    let assert = bench
        .run(&["train", &config, "--run", &run, "--set", &steps])
        .code(code);
    text(&assert.get_output().stderr)
}

#[test]
fn a_subject_that_changes_its_role_is_refused_and_other_changes_are_told() {
    let bench = bench();
    let hr = |name: &str| bench.path(&format!("p/hr/{name}_T1w.nii.gz"));
    // The same scans are nothing to speak of.
    assert!(!train(&bench, "p", 3, 0).contains("changed"));
    fs::remove_file(hr("p2")).expect("removed");
    bench.phantom("p/hr/p2_T1w.nii.gz", [32, 36, 32], 22);
    bench.phantom("p/hr/p6_T1w.nii.gz", [32, 36, 32], 6);
    fs::remove_file(bench.path("p/lr/p4_T1w.nii.gz")).expect("removed");
    let said = train(&bench, "p", 4, 0);
    for change in [
        "p2_T1w.nii.gz (hr) holds other",
        "p6_T1w.nii.gz (hr) was added",
        "p4_T1w.nii.gz (lr) is gone",
    ] {
        assert!(said.contains(change), "{said}");
    }
    // The card names what was trained on before too.
    let card = text(
        &bench
            .run(&["info", "--model", "p/run/model.safetensors", "--json"])
            .code(0)
            .get_output()
            .stdout,
    );
    assert!(
        card.contains("p4_T1w.nii.gz") && card.contains("p6_T1w.nii.gz"),
        "{card}"
    );
    // Trained on, then taken for validation: by its name, and by its voxels under another.
    for name in ["p6", "somebody"] {
        let moved = bench.path(&format!("p/val/{name}_T1w.nii.gz"));
        fs::rename(hr("p6"), &moved).expect("moved");
        let said = train(&bench, "p", 5, 1);
        assert!(
            said.contains("stays in its role") && said.contains("hr"),
            "{said}"
        );
        fs::rename(&moved, hr("p6")).expect("moved back");
    }
    // Also after it had been left out for a while.
    fs::remove_file(hr("p6")).expect("removed");
    train(&bench, "p", 5, 0);
    bench.phantom("p/val/p6_T1w.nii.gz", [32, 36, 32], 6);
    assert!(train(&bench, "p", 6, 1).contains("stays in its role"));
}

#[test]
fn a_run_whose_folder_moved_goes_on() {
    let bench = bench();
    fs::rename(bench.path("p"), bench.path("moved")).expect("moved");
    let said = train(&bench, "moved", 3, 0);
    assert!(
        said.contains("going on after step 2") && !said.contains("the data changed"),
        "{said}"
    );
}

#[test]
fn damaged_bytes_in_the_log_and_in_the_newest_checkpoint_do_not_end_a_run() {
    let bench = bench();
    let whole = train(&bench, "p", 4, 0);
    assert!(whole.contains("going on after step 2"), "{whole}");
    let model = fs::read(bench.path("p/run/model.safetensors")).expect("a model");
    let newest = bench.path("p/run/checkpoints/step-00000004.safetensors");
    let mut bytes = fs::read(&newest).expect("a checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 2;
    fs::write(&newest, bytes).expect("written");
    let log = bench.path("p/run/log.jsonl");
    let lines = fs::read(&log).expect("a log");
    fs::write(&log, [b"\xff\xfe\x00 not a line\n", &lines[..]].concat()).expect("written");
    fs::remove_file(bench.path("p/run/model.safetensors")).expect("removed");
    let said = train(&bench, "p", 4, 0);
    assert!(
        said.contains("not what was written") && said.contains("going on after step 3"),
        "{said}"
    );
    assert!(said.contains("1 damaged line"), "{said}");
    assert!(
        fs::read(bench.path("p/run/model.safetensors")).expect("a model") == model,
        "other bytes"
    );
}

#[test]
fn scans_that_do_not_belong_to_their_cohort_are_named() {
    let bench = bench();
    let hr = bench.read("p/hr/p1_T1w.nii.gz");
    // A mask, another voxel size, another orientation.
    let mut mask = hr.clone();
    let half = hr.data().iter().copied().fold(0.0, f32::max) / 2.0;
    mask.data_mut()
        .iter_mut()
        .for_each(|v| *v = f32::from(u8::from(*v > half)));
    bench.write("p/hr/p7_other.nii.gz", &mask);
    let mut turned = hr.geometry().clone();
    turned.world_from_voxel = turned.world_from_voxel.map(|[x, y, z, o]| [y, x, z, o]);
    turned.extent.swap(0, 1);
    let turned = voxelift_volume::resample::resample_like(
        &hr,
        &turned,
        voxelift_volume::resample::Interpolation::Nearest,
    );
    bench.write("p/hr/p8_T1w.nii.gz", &turned);
    let mut coarse = hr.geometry().clone();
    coarse.world_from_voxel = coarse.world_from_voxel.map(|[x, y, z, o]| [2.0 * x, y, z, o]);
    bench.write(
        "p/hr/p9_T1w.nii.gz",
        &voxelift_volume::Volume::new(hr.data().to_vec(), coarse),
    );
    let assert = bench
        .run(&[
            "train",
            "p/c.toml",
            "--run",
            "fresh",
            "--check",
            "--set",
            "data.people=[\"p1+nobody\"]",
        ])
        .code(0);
    let said = text(&assert.get_output().stderr);
    for word in [
        "p7_other.nii.gz: looks like a mask",
        "p9_T1w.nii.gz of 5.00",
        "p8_T1w.nii.gz stored in another orientation",
        "no scan here goes by nobody;",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // What cannot be trained on is named by its file.
    let nothing = voxelift_volume::Volume::filled(5.0, hr.geometry().clone());
    bench.write("p/hr/p10_T1w.nii.gz", &nothing);
    let assert = bench
        .run(&["-q", "train", "p/c.toml", "--run", "fresh", "--check"])
        .code(1);
    assert!(text(&assert.get_output().stderr).contains("p10_T1w.nii.gz"));
    fs::remove_file(bench.path("p/hr/p10_T1w.nii.gz")).expect("removed");
    // Too small for a patch, which only the drawing of patches finds.
    bench.phantom("p/lr/p11_T1w.nii.gz", [12, 12, 12], 11);
    let assert = bench
        .run(&["-q", "train", "p/c.toml", "--run", "fresh", "--check"])
        .code(1);
    let said = text(&assert.get_output().stderr);
    assert!(said.contains("p/lr/p11_T1w.nii.gz"), "{said}");
}

#[test]
fn every_number_out_of_its_range_is_refused_with_the_range() {
    let bench = bench();
    for (set, words) in [
        (
            "patch.batch=4294967296",
            ["patch.batch = 4294967296", "1 to 1024"],
        ),
        ("patch.batch=9223372036854775807", ["patch.batch", "1 to 1024"]),
        ("network.n_feats=4294967296", ["network.n_feats", "1 to 1024"]),
        (
            "network.n_resblocks=4294967296",
            ["network.n_resblocks", "1 to 128"],
        ),
        (
            "network.n_lr_blocks=4294967296",
            ["network.n_lr_blocks", "1 to 128"],
        ),
        (
            "network.n_resgroups=1000000",
            ["network.n_resgroups = 1000000", "1 to 128"],
        ),
        (
            "discriminator.width=4294967296",
            ["discriminator.width", "1 to 1024"],
        ),
        (
            "projection.hidden=4294967296",
            ["projection.hidden", "1 to 16384"],
        ),
        (
            "data.phantom.spacing_mm=1e-300",
            ["data.phantom.spacing_mm", "0.05 to 50"],
        ),
        (
            "optimizer.learning_rate=nan",
            ["optimizer.learning_rate = nan", "expected"],
        ),
        (
            "data.hr=[\"phantom:1-99999999999\"]",
            ["data.hr", "at most 10000"],
        ),
        // In lists and in tables within lists too.
        (
            "data.phantom.extent=[32,36,5000]",
            ["data.phantom.extent = 5000", "8 to 1024"],
        ),
        (
            "data.test_degrade=[{operator=\"kspace\",noise=99.0}]",
            ["noise = 99", "0 to 1"],
        ),
        (
            "data.lr={files=[\"lr/*\"],degrade={operator=\"kspace\",scale=4}}",
            ["data.lr.degrade", "the scale of the model, 2"],
        ),
        (
            "data.lr={files=[\"lr/*\"],degrade={operator=\"kspace\",spacing_mm=9.0}}",
            ["data.lr.degrade", "the scale of the model, 2"],
        ),
        (
            "data.lr={files=[\"lr/*\"],degrade={operator=\"kspace\",shift=0.5}}",
            ["data.lr.degrade", "data.source_shift"],
        ),
        (
            "data.test_degrade=[{operator=\"kspace\",scale=4}]",
            ["data.test_degrade", "the scale of the model, 2"],
        ),
        ("optimizer.beta_1=1", ["optimizer.beta_1 = 1", "0 to 0.999"]),
        ("scale=2.5", ["scale = 2.5", "[1, 1, 4]"]),
        ("scale=\"1,1\"", ["scale = \"1,1\"", "[1, 1, 4]"]),
    ] {
        bench.refuses(
            2,
            &[
                "-q", "train", "p/c.toml", "--run", "fresh", "--check", "--set", set,
            ],
            &words,
        );
    }
    bench.refuses(
        2,
        &[
            "upscale",
            "p/hr/p1_T1w.nii.gz",
            "-o",
            "x.nii",
            "--threads",
            "65535",
        ],
        &["65535", "1024"],
    );
    // What the command line takes, the configuration takes.
    bench
        .run(&[
            "-q",
            "train",
            "p/c.toml",
            "--run",
            "fresh",
            "--check",
            "--set",
            "scale=\"2,2,2\"",
        ])
        .code(0);
}

#[test]
fn a_copy_of_a_scan_in_another_role_is_refused_at_the_start() {
    let bench = bench();
    fs::copy(
        bench.path("p/hr/p1_T1w.nii.gz"),
        bench.path("p/val/somebody_T1w.nii.gz"),
    )
    .expect("copied");
    let words = [
        "somebody_T1w.nii.gz",
        "holds the same as",
        "p1_T1w.nii.gz",
        "validation",
        "hr",
    ];
    bench.refuses(
        1,
        &["-q", "train", "p/c.toml", "--run", "fresh", "--check"],
        &words,
    );
}
