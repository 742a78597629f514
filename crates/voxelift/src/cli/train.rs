//! `voxelift train`: trains, or goes on where the run stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use voxelift_model::config::{Config, Mode};
use voxelift_model::device::DeviceChoice;
use voxelift_model::error::Result;
use voxelift_model::run::{Record, RunDir, ValidationScores};
use voxelift_model::train::{self, Event, Prepared};
use voxelift_volume::files::write_atomically;

use super::report;
use crate::failure::Outcome;
use crate::picture::comparison;
use crate::report::of_run;
use crate::terminal::{self, Progress, Terminal};

#[derive(Debug, Args)]
pub struct TrainArguments {
    /// The configuration
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// The run folder; a run that is already in it goes on
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Change a key of the configuration, as steps=500 or optimizer.learning_rate=1e-4
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to compute: auto or cpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Read the data and say what would be trained, without a step
    #[arg(long)]
    check: bool,
}

/// # Errors
/// When the configuration is refused, the data cannot be trained on, or the run fails.
pub fn run(arguments: &TrainArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let resolved = Config::load(&arguments.config, &arguments.set)?;
    for change in &resolved.overrides {
        terminal.say(format!("set {change}"));
    }
    let config = resolved.config;
    // Listened to from here on: a signal while the scans are read must not lose the run either.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let prepared = train::prepare(&config, &mut |note| terminal.say(note))?;
    if arguments.check {
        terminal::print(plan(&config, &prepared))?;
        return Ok(Outcome::Done);
    }
    into_folder(
        &config,
        &RunDir::create(&arguments.run)?,
        &prepared,
        arguments.device,
        &stop,
        terminal,
    )
}

/// Trains into a run folder and writes its page.
///
/// # Errors
/// As [`train::train`].
pub fn into_folder(
    config: &Config,
    run: &RunDir,
    prepared: &Prepared,
    device: DeviceChoice,
    stop: &AtomicBool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let (device, name) = device.open()?;
    terminal.say(format!(
        "training {} steps, {}, on {name}",
        config.steps,
        config.mode.name()
    ));
    let mut progress = terminal.progress("train", "steps", config.steps);
    let outcome = train::train(config, run, prepared, &device, stop, &mut |event| {
        show(event, run, &mut progress, terminal)
    })?;
    drop(progress);
    report::write(&run.report(), &of_run(run)?)?;
    match outcome {
        train::Outcome::Done => {
            terminal::print(format!("{}\n", run.model().display()))?;
            Ok(Outcome::Done)
        }
        train::Outcome::Interrupted => {
            terminal.warn("interrupted; the state is kept, the same command goes on from here");
            Ok(Outcome::Interrupted)
        }
    }
}

/// What training says, as progress, log lines and pictures.
fn show(event: Event<'_>, run: &RunDir, progress: &mut Progress<'_>, terminal: &Terminal) -> Result<()> {
    match event {
        Event::Note(note) => terminal.say(note),
        Event::Warning(warning) => terminal.warn(warning),
        Event::Record(Record::Step {
            step, seconds, terms, ..
        }) => {
            let loss = terms
                .get("reconstruction")
                .map_or(String::new(), |l| format!("reconstruction {l:.4}, "));
            progress.set(*step, &format!("{loss}{seconds:.2} s a step"));
        }
        Event::Record(Record::Validation { step, scores }) => {
            let said = |name: &str, s: &ValidationScores| {
                format!("{name} {:.2} dB (SSIM {:.4})", s.masked_psnr_db, s.masked_ssim)
            };
            let floors = scores
                .iter()
                .filter(|(name, _)| *name != "sr")
                .map(|(name, s)| said(name, s));
            let floors: Vec<String> = floors.collect();
            let sr = scores.get("sr").map_or(String::new(), |s| said("SR", s));
            terminal.say(format!(
                "validation after {step} steps, in the mask: {sr}; {}",
                floors.join(", ")
            ));
        }
        Event::Preview {
            step,
            lr,
            zero_fill,
            sr,
            hr,
        } => {
            let png = comparison(lr, &[("zero-fill", zero_fill), ("SR", sr)], Some(hr));
            write_atomically(&run.preview(step), true, |out| out.write_all(&png))?;
        }
    }
    Ok(())
}

/// What would be trained, in a few lines.
fn plan(config: &Config, prepared: &Prepared) -> String {
    let network = &config.network;
    let dataset = &prepared.dataset;
    let mut lines = vec![
        format!(
            "mode: {}, {} steps, scale {}",
            config.mode.name(),
            config.steps,
            config.scale.scale()
        ),
        format!(
            "HR: {} scans of {} people",
            prepared.hr_scans.len(),
            dataset.source_people()
        ),
    ];
    if config.mode == Mode::Unpaired {
        lines.push(format!(
            "LR: {} scans of {} people",
            prepared.lr_scans.len(),
            dataset.target_people()
        ));
    }
    lines.extend([
        format!("validation: {} scans", prepared.validation.len()),
        format!("source operator: {}", prepared.source_operators.join("; ")),
        format!(
            "patches: {} a step, {} LR voxels a side",
            config.patch.batch, config.patch.size
        ),
        format!(
            "network: {} features, {} groups of {} blocks",
            network.n_feats, network.n_resgroups, network.n_resblocks
        ),
    ]);
    lines.iter().map(|line| format!("{line}\n")).collect()
}
