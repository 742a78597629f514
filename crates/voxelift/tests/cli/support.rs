//! A folder with generated scans, and the program run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use tempfile::TempDir;
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::{Geometry, Volume};

/// A folder of its own, removed at the end.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A phantom of 2.5 mm voxels under `name`.
    pub fn phantom(&self, name: &str, extent: [usize; 3], seed: u64) -> Volume {
        let config = PhantomConfig {
            seed,
            extent,
            spacing_mm: [2.5; 3],
        };
        let volume = phantom::head(&config).expect("a phantom");
        self.write(name, &volume);
        volume
    }

    pub fn write(&self, name: &str, volume: &Volume) {
        let image = NiftiImage::from_volume(volume.clone());
        nifti::write(&self.path(name), &image, &WriteOptions::default()).expect("a written file");
    }

    pub fn read(&self, name: &str) -> Volume {
        let image = nifti::read(&self.path(name), &ReadOptions::default()).expect("a readable file");
        image.into_single().expect("one volume")
    }

    /// Runs the program in the folder.
    pub fn run(&self, arguments: &[&str]) -> Assert {
        let mut command = Command::cargo_bin("voxelift").expect("the program");
        command.current_dir(self.folder.path()).args(arguments).assert()
    }

    /// Runs the program, which must refuse with this exit code and one line that holds every word of `words`; no
    /// file may appear or change.
    pub fn refuses(&self, code: i32, arguments: &[&str], words: &[&str]) {
        let before = self.listing();
        let assert = self.run(arguments).code(code);
        let output = assert.get_output();
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        assert!(out.is_empty(), "{arguments:?} wrote to stdout: {out}");
        assert_eq!(said.lines().count(), 1, "{arguments:?} said: {said}");
        assert!(
            said.starts_with("voxelift: error: "),
            "{arguments:?} said: {said}"
        );
        for word in words {
            assert!(
                said.contains(word),
                "{arguments:?} said {said:?} without {word:?}"
            );
        }
        assert_eq!(self.listing(), before, "{arguments:?} left something behind");
    }

    fn listing(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a readable folder") {
                let path = entry.expect("a readable entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(&path).unwrap_or_default()));
                }
            }
        }
        files.sort();
        files
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A small grid whose axes run obliquely, left-handed.
pub fn oblique(extent: [usize; 3]) -> Geometry {
    let world_from_voxel = [
        [-2.4, 0.3, 0.1, 20.0],
        [0.3, 2.4, -0.4, -30.0],
        [0.1, 0.4, 2.4, 10.0],
    ];
    Geometry {
        extent,
        world_from_voxel,
    }
}

/// The development data, where it is.
pub fn shared_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    folder.is_dir().then_some(folder)
}

/// Says why a test did not look, past the harness, which would swallow it.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// The program in the bench's folder, its stderr to be read or killed with it.
pub fn spawned(bench: &Bench, arguments: &[&str]) -> Child {
    let mut process = Process::new(assert_cmd::cargo::cargo_bin("voxelift"));
    let process = process.current_dir(bench.path("")).args(arguments);
    process
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program")
}

/// Steps of the newest checkpoint.
pub fn newest(run: &Path) -> u64 {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let steps = names.filter_map(|name| {
        name.strip_prefix("step-")?
            .strip_suffix(".safetensors")?
            .parse()
            .ok()
    });
    steps.max().unwrap_or(0)
}

/// Waits for what another process is to do.
///
/// # Panics
/// After five minutes.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(
            begin.elapsed() < Duration::from_secs(300),
            "{what} did not happen"
        );
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// SIGINT by its name and number; SIGTERM where this process was started to ignore it, as in the background of a script, since the
/// program then ignores it too.
pub fn interrupt() -> (&'static str, i32) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    if mask.is_some_and(|mask| mask & 2 != 0) {
        skipped("SIGINT is ignored here; SIGTERM in its place");
        return ("TERM", 15);
    }
    ("INT", 2)
}
