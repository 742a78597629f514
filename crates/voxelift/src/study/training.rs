//! A run is trained by a process of its own: its memory is its own, and what goes wrong there stays there.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use voxelift_model::device::DeviceChoice;
use voxelift_model::memory;

use super::cost::Watched;
use super::plan::Run;
use crate::failure::Outcome;

/// Between two looks at the process.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Asks a process to keep its state and end. It may have ended in this moment, and from a terminal it has heard it already.
#[cfg(unix)]
fn end(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// Nothing: what asks a program to end on Windows comes from its terminal, and reaches every process there.
#[cfg(not(unix))]
fn end(_child: &Child) {}

/// How runs are trained.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// This program.
    pub program: PathBuf,
    /// The base configuration.
    pub base: PathBuf,
    /// What every run is told before its command: threads, how much is said.
    pub arguments: Vec<String>,
    /// Where to compute.
    pub device: DeviceChoice,
}

impl Trainer {
    /// Trains a run, or goes on with it; a wish to stop is passed on.
    ///
    /// # Errors
    /// When the process cannot be started, or fails.
    pub fn train(&self, run: &Run, set: &[String], stop: &AtomicBool) -> anyhow::Result<Outcome> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("train").arg(&self.base);
        command.arg("--run").arg(&run.folder);
        command.args(["--device", &self.device.to_string()]);
        set.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        let begin = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let (mut peak, mut asked) = (None, false);
        let status = loop {
            peak = peak.max(memory::peak_of(child.id()));
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if stop.load(Ordering::Relaxed) && !asked {
                end(&child);
                asked = true;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        if run.folder.is_dir() {
            Watched::add(&run.folder, begin.elapsed().as_secs_f64(), peak)?;
        }
        match status.code() {
            Some(0) => Ok(Outcome::Done),
            Some(4) => Ok(Outcome::Interrupted),
            _ => anyhow::bail!("{}: `train` ended with {status}", run.title()),
        }
    }
}
