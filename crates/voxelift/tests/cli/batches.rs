//! Folders of scans: what is there already, what is under way, what a killed process left, and what is told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use voxelift_volume::Volume;

use super::support::{Bench, spawned, text, until};

/// `scans/` with two small heads.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("scans")).expect("a folder");
    for (name, seed) in [("a", 1), ("b", 2)] {
        bench.phantom(&format!("scans/{name}.nii.gz"), [16, 18, 16], seed);
    }
    bench
}

const BATCH: [&str; 6] = ["upscale", "scans", "-o", "out", "--method", "trilinear"];

/// Exit code and what was printed.
fn upscale(bench: &Bench, more: &[&str]) -> (i32, String) {
    let words: Vec<&str> = BATCH
        .into_iter()
        .filter(|word| !more.contains(&"--method") || !["--method", "trilinear"].contains(word))
        .collect();
    let assert = bench.run(&[&words, more].concat());
    let output = assert.get_output();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().expect("an exit code"), said)
}

fn sidecar(bench: &Bench, name: &str) -> Value {
    serde_json::from_slice(&fs::read(bench.path(name)).expect("a sidecar")).expect("JSON")
}

#[test]
fn there_already_is_said_only_of_what_a_fresh_run_would_write() {
    let bench = bench();
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 0, "{said}");
    let made = fs::read(bench.path("out/a_sr.nii.gz")).expect("an output");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!((code, said.matches("there already").count()), (0, 2), "{said}");
    for (more, word) in [
        (&["--method", "cubic"][..], "another method"),
        (&["--dtype", "int16"], "another dtype"),
        (&["--nan", "error"], "another nan"),
        (&["--scale", "3"], "another target"),
        (&["--anonymise"], "another anonymise"),
    ] {
        let (code, said) = upscale(&bench, more);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(word) && said.contains("--force"), "{said}");
    }
    let kept = fs::read(bench.path("scans/a.nii.gz")).expect("a scan");
    fs::copy(bench.path("scans/b.nii.gz"), bench.path("scans/a.nii.gz")).expect("copied");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!((code, said.matches("there already").count()), (3, 1), "{said}");
    assert!(said.contains("another content of the input"), "{said}");
    fs::write(bench.path("scans/a.nii.gz"), kept).expect("written");
    fs::write(bench.path("out/b_sr.nii.gz"), &made[..100]).expect("written");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!((code, said.matches("there already").count()), (3, 1), "{said}");
    assert!(
        said.contains("b_sr.nii.gz: exists, and is not what was written"),
        "{said}"
    );
    fs::remove_file(bench.path("out/b_sr.nii.gz")).expect("removed");
    assert_eq!(upscale(&bench, &[]).0, 0);
    assert_eq!(
        fs::read(bench.path("out/a_sr.nii.gz")).expect("an output"),
        made,
        "never touched"
    );
    // What was written beside it belongs to it.
    let mut told = sidecar(&bench, "out/a_sr.json");
    told["outputs"]["a_sr_added.nii.gz"] = json!("0123");
    fs::write(bench.path("out/a_sr.json"), told.to_string()).expect("written");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("a_sr_added.nii.gz beside it is gone"), "{said}");
}

#[test]
fn a_batch_that_was_killed_goes_on_and_ends_in_the_same_bytes() {
    let bench = bench();
    assert_eq!(upscale(&bench, &[]).0, 0);
    let files = ["a_sr.nii.gz", "b_sr.nii.gz", "a_sr.json", "b_sr.json"];
    let whole = files.map(|name| fs::read(bench.path("out").join(name)).expect("a file"));
    // Between the output and its sidecar.
    let mut under_way = sidecar(&bench, "out/a_sr.json");
    under_way.as_object_mut().expect("an object").remove("outputs");
    under_way["under_way"] = json!(true);
    fs::write(bench.path("out/a_sr.json"), under_way.to_string()).expect("written");
    fs::write(bench.path("out/a_sr.nii.gz"), "of a process that is gone").expect("written");
    // Before the output.
    fs::write(bench.path("out/b_sr.json"), under_way.to_string()).expect("written");
    fs::remove_file(bench.path("out/b_sr.nii.gz")).expect("removed");
    fs::write(bench.path("out/.b_sr.nii.gz.aBc123.part"), "half").expect("written");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        files.map(|name| fs::read(bench.path("out").join(name)).expect("a file")),
        whole
    );
    assert!(!bench.path("out/.b_sr.nii.gz.aBc123.part").exists());
    // At any moment.
    fs::remove_dir_all(bench.path("out")).expect("removed");
    for round in 0..12_u64 {
        let mut child = spawned(&bench, &[&BATCH[..], &["--threads", "1"]].concat());
        std::thread::sleep(std::time::Duration::from_millis(7 * round));
        let _ = child.kill();
        let _ = child.wait();
    }
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        files.map(|name| fs::read(bench.path("out").join(name)).expect("a file")),
        whole
    );
    assert_eq!(
        fs::read_dir(bench.path("out")).expect("a folder").count(),
        files.len()
    );
}

#[test]
fn two_batches_share_a_folder() {
    let bench = bench();
    for seed in 3..11 {
        bench.phantom(&format!("scans/s{seed}.nii.gz"), [24, 26, 24], seed);
    }
    let both = [0, 1].map(|_| spawned(&bench, &BATCH));
    for child in both {
        let ended = child.wait_with_output().expect("an end");
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    }
    let (code, said) = upscale(&bench, &[]);
    assert_eq!((code, said.matches("there already").count()), (0, 10), "{said}");
}

#[test]
fn what_another_process_is_at_is_waited_for() {
    let bench = bench();
    assert_eq!(upscale(&bench, &[]).0, 0);
    // As another batch holds it: under way, locked.
    let path = bench.path("out/a_sr.json");
    let mut under_way = sidecar(&bench, "out/a_sr.json");
    under_way.as_object_mut().expect("an object").remove("outputs");
    under_way["under_way"] = json!(true);
    fs::write(&path, under_way.to_string()).expect("written");
    for output in ["a_sr.nii.gz", "b_sr.nii.gz", "b_sr.json"] {
        fs::remove_file(bench.path("out").join(output)).expect("removed");
    }
    let held = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("there");
    held.lock().expect("locked");
    let mut child = spawned(&bench, &BATCH);
    until("the other scan", || bench.path("out/b_sr.json").is_file());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().expect("a state").is_none(), "it waits");
    assert!(!bench.path("out/a_sr.nii.gz").exists());
    drop(held);
    let ended = child.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(bench.path("out/a_sr.nii.gz").is_file());
}

#[test]
fn what_a_folder_holds_beside_its_scans_is_told() {
    let bench = bench();
    let marked = [&[0; 128][..], b"DICM"].concat();
    fs::write(bench.path("scans/IM0001"), marked).expect("written");
    fs::write(bench.path("scans/lone.img"), "voxels").expect("written");
    let deep = (0..33).fold(bench.path("scans"), |folder, _| folder.join("f"));
    fs::create_dir_all(&deep).expect("a folder");
    fs::copy(bench.path("scans/a.nii.gz"), deep.join("c.nii.gz")).expect("copied");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 0, "{said}");
    for word in [
        "scans: holds DICOM files beside image files",
        "scans/lone.img: its .hdr file is missing",
        "lies more than 32 folders deep",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(fs::read_dir(bench.path("out")).expect("a folder").count(), 4);
}

#[test]
fn a_foreign_file_beside_an_output_is_never_replaced() {
    let bench = bench();
    fs::create_dir(bench.path("bids")).expect("a folder");
    let foreign = r#"{"EchoTime": 0.003}"#;
    fs::write(bench.path("bids/sub-01_T1w.json"), foreign).expect("written");
    let words = [
        "upscale",
        "scans/a.nii.gz",
        "-o",
        "bids/sub-01_T1w.nii.gz",
        "--method",
        "zero-fill",
        "--consistency",
        "hard",
        "--force",
    ];
    bench.refuses(2, &words, &["bids/sub-01_T1w.json", "another name"]);
    // Without a sidecar there is nothing to replace.
    bench
        .run(&[
            "upscale",
            "scans/a.nii.gz",
            "-o",
            "bids/sub-01_T1w.nii.gz",
            "--method",
            "trilinear",
        ])
        .code(0);
    assert_eq!(
        fs::read_to_string(bench.path("bids/sub-01_T1w.json")).expect("still there"),
        foreign
    );
}

#[test]
fn names_as_long_as_the_system_takes_work() {
    let bench = bench();
    for length in [230, 243, 250, 255] {
        let name = "x".repeat(length - "_sr.nii.gz".len());
        fs::create_dir(bench.path("long")).expect("a folder");
        fs::copy(
            bench.path("scans/a.nii.gz"),
            bench.path(&format!("long/{name}.nii.gz")),
        )
        .expect("copied");
        bench
            .run(&["upscale", "long", "-o", "of-long", "--method", "trilinear"])
            .code(0);
        assert!(bench.path(&format!("of-long/{name}_sr.nii.gz")).is_file());
        fs::remove_dir_all(bench.path("long")).expect("removed");
    }
}

#[test]
fn a_tree_of_folders_is_kept_and_its_outputs_are_no_inputs() {
    let bench = bench();
    for (to, from) in [
        ("tree/sub-1/anat/t1.nii.gz", "a"),
        ("tree/sub-2/anat/t1.nii.gz", "b"),
    ] {
        fs::create_dir_all(bench.path(to).parent().expect("a folder")).expect("a folder");
        fs::copy(bench.path(&format!("scans/{from}.nii.gz")), bench.path(to)).expect("copied");
    }
    let words = ["upscale", "tree", "-o", "tree/derivatives", "--method", "cubic"];
    bench.run(&words).code(0);
    for subject in [1, 2] {
        assert!(
            bench
                .path(&format!("tree/derivatives/sub-{subject}/anat/t1_sr.nii.gz"))
                .is_file()
        );
    }
    let said = text(&bench.run(&words).code(0).get_output().stdout);
    assert_eq!(said.matches("there already").count(), 2, "{said}");
}

#[test]
fn an_empty_folder_and_two_scans_of_one_name_are_told() {
    let bench = bench();
    fs::create_dir(bench.path("empty")).expect("a folder");
    bench.refuses(1, &["upscale", "empty", "-o", "out"], &["empty: holds no scan"]);
    let into = ["upscale", "scans", "-o", "scans", "--method", "trilinear"];
    bench.refuses(2, &into, &["is the folder of the scans"]);
    fs::create_dir(bench.path("other")).expect("a folder");
    fs::copy(bench.path("scans/a.nii.gz"), bench.path("other/a.nii.gz")).expect("copied");
    bench.refuses(
        2,
        &["upscale", "scans", "other", "-o", "out"],
        &["other/a.nii.gz", "both be written", "two -o folders"],
    );
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_fail_and_names_beyond_utf_8_do_not() {
    use std::os::unix::ffi::OsStrExt;
    let bench = bench();
    let annexed = "../.git/annex/objects/x/y/MD5E-s123--abc.nii.gz";
    std::os::unix::fs::symlink(annexed, bench.path("scans/c.nii.gz")).expect("a link");
    let strange = std::ffi::OsStr::from_bytes(b"d\xff.nii.gz");
    fs::copy(bench.path("scans/a.nii.gz"), bench.path("scans").join(strange)).expect("copied");
    let (code, said) = upscale(&bench, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("scans/c.nii.gz: is a link to") && said.contains("datalad get"),
        "{said}"
    );
    assert!(bench.path("out/d\u{fffd}_sr.nii.gz").is_file(), "{said}");
    let mut command = assert_cmd::Command::cargo_bin("voxelift").expect("the program");
    let assert = command
        .current_dir(bench.path("scans"))
        .arg("info")
        .arg("--json")
        .arg(Path::new(strange))
        .assert()
        .code(0);
    let found: Value = serde_json::from_slice(&assert.get_output().stdout).expect("JSON");
    assert_eq!(found["file"], "d\u{fffd}.nii.gz");
}

#[test]
fn a_choice_that_was_made_is_not_made_again() {
    let bench = Bench::new();
    fs::create_dir(bench.path("scans")).expect("a folder");
    for (name, seed) in [("a", 1), ("b", 2)] {
        let head = bench.phantom(&format!("{name}.nii.gz"), [36, 38, 34], seed);
        let mut geometry = head.geometry().clone();
        (0..3).for_each(|axis| geometry.world_from_voxel[axis][axis] = 1.0);
        bench.write(
            &format!("scans/{name}.nii.gz"),
            &Volume::new(head.data().to_vec(), geometry),
        );
    }
    let batch = ["upscale", "scans", "-o", "out"];
    let said = |more: &[&str]| {
        let assert = bench.run(&[&batch, more].concat()).code(0);
        let output = assert.get_output();
        text(&output.stdout) + &text(&output.stderr)
    };
    // The grid is chosen with the method, by looking at the scan.
    let first = said(&[]);
    assert_eq!(first.matches("its voxels are halved").count(), 2, "{first}");
    let again = said(&[]);
    assert_eq!(again.matches("there already").count(), 2, "{again}");
    assert_eq!(again.matches("its voxels are halved").count(), 0, "{again}");
    let sidecar = sidecar(&bench, "out/a_sr.json");
    assert_eq!(sidecar["asked"]["consistency"], json!("soft"));
    let assert = bench
        .run(&[&batch[..], &["--consistency", "off"]].concat())
        .code(1);
    assert!(text(&assert.get_output().stderr).contains("another consistency"));
}
