//! `voxelift train`: trains, or goes on where the run stopped.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use voxelift_model::config::{Config, Mode};
use voxelift_model::device::DeviceChoice;
use voxelift_model::error::Result;
use voxelift_model::memory;
use voxelift_model::run::{Record, RunDir, ValidationScores};
use voxelift_model::train::{self, Event, Prepared};
use voxelift_volume::files::write_atomically;

use super::report;
use crate::failure::{Outcome, usage};
use crate::picture::comparison;
use crate::report::of_run;
use crate::tensorboard::EventFile;
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
    /// Number format of the computation: f32, or bf16 on a GPU
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16"])]
    precision: String,
    /// Read the data, compare the domains and the people, time a few steps and say what would be trained; train nothing
    #[arg(long)]
    check: bool,
}

/// # Errors
/// When the configuration is refused, the data cannot be trained on, or the run fails.
pub fn run(arguments: &TrainArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if arguments.precision != "f32" {
        return Err(usage(format!(
            "--precision {}: this build computes on the CPU, in f32; leave it out",
            arguments.precision
        )));
    }
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
    let begun = RunDir::open(&arguments.run).and_then(|run| run.list_checkpoints());
    let fresh = begun.map_or(true, |checkpoints| checkpoints.is_empty());
    let domains = if arguments.check || fresh {
        let found = train::examine(&config, &mut |_| {})?;
        found.warnings.iter().for_each(|warning| terminal.warn(warning));
        Some(found)
    } else {
        None
    };
    let prepared = train::prepare(&config, &mut |note| terminal.say(note))?;
    if arguments.check {
        let lines = domains.map(|found| found.lines).unwrap_or_default();
        terminal::print(plan(&config, &prepared, &lines, arguments.device)?)?;
        return Ok(Outcome::Done);
    }
    for line in domains.iter().flat_map(|found| &found.lines) {
        terminal.say(line);
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
    choice: DeviceChoice,
    stop: &AtomicBool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let (device, name) = choice.open()?;
    terminal.say(format!(
        "training {} steps, {}, on {name}",
        config.steps,
        config.mode.name()
    ));
    let mut screen = Screen {
        run,
        terminal,
        progress: terminal.progress("train", "steps", config.steps),
        batch: config.patch.batch,
        pace: None,
        events: None,
        events_failed: false,
    };
    let outcome = train::train(config, run, prepared, &device, stop, &mut |event| {
        screen.show(event)
    })?;
    drop(screen);
    // An interrupted run has no time for more than what is written already.
    report::write(&run.report(), &of_run(run, None)?)?;
    match outcome {
        train::Outcome::Done => {
            let trial = report::of_prepared(run, &prepared.validation, choice, terminal)?;
            if trial.is_some() {
                report::write(&run.report(), &of_run(run, trial.as_ref())?)?;
            }
            terminal::print(format!("{}\n", run.model().display()))?;
            Ok(Outcome::Done)
        }
        train::Outcome::Interrupted => {
            terminal.warn("interrupted; the state is kept, the same command goes on from here");
            Ok(Outcome::Interrupted)
        }
    }
}

/// What training says, as progress, log lines, pictures and event files.
struct Screen<'a> {
    run: &'a RunDir,
    terminal: &'a Terminal,
    progress: Progress<'a>,
    batch: usize,
    /// Seconds a step, recent ones weighing most.
    pace: Option<f64>,
    /// Made at the first record.
    events: Option<EventFile>,
    events_failed: bool,
}

impl Screen<'_> {
    fn show(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Note(note) => self.terminal.say(note),
            Event::Warning(warning) => self.terminal.warn(warning),
            Event::Record(record) => {
                self.said(record);
                self.logged(record.step(), |events| match record {
                    Record::Step {
                        step,
                        seconds,
                        waiting,
                        learning_rate,
                        terms,
                    } => {
                        let own = [
                            ("time/seconds", *seconds),
                            ("time/waiting", *waiting),
                            ("learning_rate", *learning_rate),
                        ];
                        let terms: Vec<(String, f64)> = terms
                            .iter()
                            .map(|(name, value)| (format!("terms/{name}"), *value))
                            .collect();
                        let terms = terms.iter().map(|(name, value)| (name.as_str(), *value));
                        events.scalars(*step, own.into_iter().chain(terms))
                    }
                    Record::Validation { step, scores } => {
                        let values: Vec<(String, f64)> = scores
                            .iter()
                            .flat_map(|(name, s)| {
                                [
                                    (format!("validation_psnr_db/{name}"), s.masked_psnr_db),
                                    (format!("validation_ssim/{name}"), s.masked_ssim),
                                ]
                            })
                            .collect();
                        events.scalars(*step, values.iter().map(|(name, value)| (name.as_str(), *value)))
                    }
                });
            }
            Event::Preview {
                step,
                lr,
                zero_fill,
                sr,
                hr,
            } => {
                let png = comparison(lr, &[("zero-fill", zero_fill), ("SR", sr)], Some(hr));
                self.logged(step, |events| events.picture(step, "preview", &png));
                write_atomically(&self.run.preview(step), true, |out| out.write_all(&png))?;
            }
        }
        Ok(())
    }

    /// A record as progress or as a line.
    fn said(&mut self, record: &Record) {
        match record {
            Record::Step {
                step, seconds, terms, ..
            } => {
                let pace = self.pace.map_or(*seconds, |pace| 0.9 * pace + 0.1 * seconds);
                self.pace = Some(pace);
                let loss = terms
                    .get("reconstruction")
                    .map_or(String::new(), |l| format!("reconstruction {l:.4} · "));
                let memory =
                    memory::resident().map_or(String::new(), |bytes| format!(" · {}", mebibytes(bytes)));
                let patches = self.batch as f64 / pace.max(1e-9);
                self.progress.set(
                    *step,
                    &format!("{loss}{pace:.2} s a step, {patches:.1} patches/s{memory}"),
                );
            }
            Record::Validation { step, scores } => {
                let said = |name: &str, s: &ValidationScores| {
                    format!("{name} {:.2} dB (SSIM {:.4})", s.masked_psnr_db, s.masked_ssim)
                };
                let floors = scores
                    .iter()
                    .filter(|(name, _)| *name != "sr")
                    .map(|(name, s)| said(name, s));
                let floors: Vec<String> = floors.collect();
                let sr = scores.get("sr").map_or(String::new(), |s| said("SR", s));
                self.terminal.say(format!(
                    "validation after {step} steps, in the mask: {sr}; {}",
                    floors.join(", ")
                ));
            }
        }
    }

    /// Into the event file, or not at all once that has failed: a run does not end for it.
    fn logged(&mut self, step: u64, write: impl FnOnce(&mut EventFile) -> io::Result<()>) {
        if self.events_failed {
            return;
        }
        let events = match self.events.take() {
            Some(events) => Ok(events),
            None => EventFile::create(self.run.root(), step.saturating_sub(1)),
        };
        match events.and_then(|mut events| write(&mut events).map(|()| events)) {
            Ok(events) => self.events = Some(events),
            Err(error) => {
                self.events_failed = true;
                self.terminal.warn(format!(
                    "{}: cannot write the TensorBoard events: {error}; training goes on without them",
                    self.run.root().display()
                ));
            }
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Steps that are timed for the plan, after one that warms up.
const TIMED: u64 = 3;

/// What would be trained, in ten lines.
fn plan(
    config: &Config,
    prepared: &Prepared,
    domains: &[String],
    device: DeviceChoice,
) -> anyhow::Result<String> {
    let (network, loss, dataset) = (&config.network, &config.loss, &prepared.dataset);
    let mut lines = vec![format!(
        "{}, {} steps, scale {}, seed {}",
        config.mode.name(),
        config.steps,
        config.scale.scale(),
        config.seed
    )];
    lines.extend(domains.iter().cloned());
    let [source, target] = dataset.places();
    let (device, name) = device.open()?;
    let mut seconds: Vec<f64> = train::timed_steps(config, prepared, &device, 1 + TIMED)?[1..]
        .iter()
        .map(std::time::Duration::as_secs_f64)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let told = |bytes: Option<u64>| bytes.map_or("unknown".into(), mebibytes);
    let weights = loss.weights().into_iter().filter(|(_, weight)| *weight > 0.0);
    let weights: Vec<String> = weights.map(|(name, weight)| format!("{name} {weight}")).collect();
    lines.extend([
        format!("source operator: {}", prepared.source_operators.join("; ")),
        format!(
            "patches: {} a step and domain, {} LR voxels a side, from {source} places in HR and {target} in LR scans",
            config.patch.batch, config.patch.size
        ),
        format!(
            "network: {} features, {} groups of {} blocks; losses: {}",
            network.n_feats,
            network.n_resgroups,
            network.n_resblocks,
            if config.mode == Mode::Supervised {
                format!("reconstruction 1, ssim {}", loss.ssim)
            } else {
                weights.join(", ")
            }
        ),
        format!(
            "rate {} after a warm-up of {} steps, halved at {:?} of the run; checkpoints every {} steps, validation every {}",
            config.optimizer.learning_rate,
            config.optimizer.warmup_steps,
            config.optimizer.halve_at,
            config.checkpoint.every,
            config.validation.every
        ),
        format!("time on {name}: {median:.2} s a step, {} in steps", terminal::duration(median * config.steps as f64)),
        format!(
            "memory: {} at most in these steps; the machine has {} left",
            told(memory::peak()),
            told(memory::available())
        ),
    ]);
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}
