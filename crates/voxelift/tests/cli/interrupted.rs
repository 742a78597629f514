//! A file appears whole or not at all: killed at any moment, on a full disk, in a folder that cannot be written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use crate::support::{Bench, interrupt, skipped, spawned, text, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_voxelift");

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    names.filter(|name| !name.ends_with(".part")).collect()
}

fn upscale(bench: &Bench, out: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args([
            "-q",
            "upscale",
            "lr.nii",
            "--method",
            "trilinear",
            "--scale",
            "2",
            "--force",
            "-o",
        ])
        .arg(out)
        .current_dir(bench.path(""))
        .stdout(Stdio::null());
    command
}

#[test]
fn killed_at_any_moment_it_leaves_the_old_file_or_the_new_one() {
    let bench = Bench::new();
    bench.phantom("lr.nii", [48, 48, 40], 1);
    let out = bench.path("out");
    fs::create_dir(&out).expect("a folder");
    let target = out.join("sr.nii.gz");
    let start = Instant::now();
    assert!(upscale(&bench, &target).status().expect("the program").success());
    let whole = start.elapsed();
    let new = fs::read(&target).expect("the output");
    let old = b"what was there before".to_vec();
    let (mut kept, mut replaced) = (0, 0);
    for round in 0..24_u32 {
        let before = round % 2 == 0;
        if before {
            fs::write(&target, &old).expect("a file");
        } else {
            let _ = fs::remove_file(&target);
        }
        let mut child = upscale(&bench, &target).spawn().expect("the program");
        sleep(whole * (round + 1) / 24);
        // SIGKILL; it may be done already.
        let _ = child.kill();
        let done = child.wait().expect("an end").success();
        match fs::read(&target) {
            Ok(bytes) if bytes == new => replaced += 1,
            Ok(bytes) => {
                assert!(
                    before && bytes == old && !done,
                    "round {round}: {} bytes",
                    bytes.len()
                );
                kept += 1;
            }
            Err(_) => {
                assert!(!before && !done, "round {round}: nothing there");
                kept += 1;
            }
        }
        assert!(
            names(&out).iter().all(|name| name == "sr.nii.gz"),
            "{:?}",
            names(&out)
        );
    }
    assert!(kept > 3, "{kept} kills came before the end, {replaced} after");
}

#[cfg(unix)]
#[test]
fn asked_to_end_it_takes_back_what_it_has_half_written() {
    use std::os::unix::process::ExitStatusExt;
    let bench = Bench::new();
    bench.phantom("lr.nii", [72, 72, 64], 1);
    let out = bench.path("out");
    fs::create_dir(&out).expect("a folder");
    let listed = || {
        let entries = fs::read_dir(&out).expect("a readable folder");
        let named = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        named.collect::<Vec<_>>()
    };
    let contents = || {
        let read = |name: String| (name.clone(), fs::read(out.join(name)).expect("a file"));
        listed().into_iter().map(read).collect::<BTreeMap<_, _>>()
    };
    let with_model = [
        "--method",
        "model",
        "--allow-out-of-range",
        "--consistency",
        "off",
        "--threads",
        "1",
    ];
    let arguments = [
        &["upscale", "lr.nii", "-o", "out/sr.nii.gz", "--force"],
        &with_model[..],
    ]
    .concat();
    // Nothing is there before the first; before the second, what a whole call leaves.
    for (signal, number) in [("TERM", 15), interrupt()] {
        let before = contents();
        let mut child = spawned(&bench, &arguments);
        until("a file under way", || {
            assert!(
                child.try_wait().expect("a process").is_none(),
                "it ended too early"
            );
            let under_way = |name: &String| name.starts_with(".sr.nii.gz") && name.ends_with(".part");
            listed().iter().any(under_way)
        });
        assert_ne!(fs::read(out.join("sr.json")).ok(), before.get("sr.json").cloned());
        let id = child.id().to_string();
        let asked = Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(asked.expect("kill").success());
        assert_eq!(child.wait().expect("an end").signal(), Some(number));
        assert!(contents() == before, "after {signal}: {:?}", listed());
        bench.run(&arguments).success();
        assert_eq!(listed().len(), 2, "the output and its sidecar");
    }
}

#[cfg(unix)]
#[test]
fn asked_to_end_as_the_output_appears_it_leaves_what_the_next_call_mends() {
    let bench = Bench::new();
    let one = ["upscale", "in", "-o", "out", "--method", "cubic", "--scale", "2"];
    fs::create_dir(bench.path("in")).expect("a folder");
    bench.phantom("in/a.nii.gz", [48, 48, 40], 1);
    let output = bench.path("out/a_sr.nii.gz");
    for round in 0..6 {
        let _ = fs::remove_dir_all(bench.path("out"));
        let mut child = spawned(&bench, &one);
        until("an output", || output.is_file());
        let asked = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        assert!(asked.is_ok(), "kill");
        child.wait().expect("an end");
        let again = bench.run(&one);
        let said = text(&again.get_output().stderr);
        assert_eq!(again.get_output().status.code(), Some(0), "round {round}: {said}");
    }
}

/// A file system of our own, gone at the end; only the superuser has one.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(at: &'a Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        mount
            .output()
            .is_ok_and(|output| output.status.success())
            .then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Exit code 1, one line that names the file and holds `word`, and no file.
fn fails(output: std::process::Output, out: &Path, word: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("sr.nii: cannot") && said.contains(word) && said.lines().count() == 1,
        "{said}"
    );
    let left: Vec<_> = fs::read_dir(out).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left() {
    let bench = Bench::new();
    bench.phantom("lr.nii", [24; 3], 2);
    let out = bench.path("small");
    fs::create_dir(&out).expect("a folder");
    let Some(_disk) = Mounted::new(&out, "size=64k") else {
        return skipped("no right to mount a small disk");
    };
    fails(
        upscale(&bench, &out.join("sr.nii"))
            .output()
            .expect("the program"),
        &out,
        "No space left",
    );
}

#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes_is_said_and_nothing_is_left() {
    let bench = Bench::new();
    bench.phantom("lr.nii", [24; 3], 2);
    let out = bench.path("out");
    fs::create_dir(&out).expect("a folder");
    // Ignored, the signal becomes an error of the write.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" -q upscale lr.nii -o out/sr.nii --method trilinear";
    let output = Command::new("sh")
        .args(["-c", script, PROGRAM])
        .current_dir(bench.path(""))
        .output()
        .expect("a shell");
    fails(output, &out, "File too large");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_said_and_nothing_is_left() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.phantom("lr.nii", [12; 3], 3);
    let out = bench.path("locked");
    fs::create_dir(&out).expect("a folder");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o555)).expect("permissions");
    let probe = out.join("probe");
    // The superuser writes everywhere but on a disk that is read-only itself.
    let mounted = if fs::write(&probe, "").is_ok() {
        fs::remove_file(&probe).expect("the probe");
        let Some(disk) = Mounted::new(&out, "ro") else {
            return skipped("the superuser writes everywhere, and may not mount here");
        };
        Some(disk)
    } else {
        None
    };
    let word = if mounted.is_some() { "Read-only" } else { "denied" };
    fails(
        upscale(&bench, &out.join("sr.nii"))
            .output()
            .expect("the program"),
        &out,
        word,
    );
}
