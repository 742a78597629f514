//! `voxelift train`: trains, or goes on where the run stopped.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use clap::Args;
use voxelift_model::config::{Config, Mode};
use voxelift_model::device::{Device, DeviceChoice, Precision};
use voxelift_model::error::{ModelError, Result};
use voxelift_model::memory;
use voxelift_model::run::{Record, RunDir, ValidationScores};
use voxelift_model::scoring::{SR, SR_CONSISTENT};
use voxelift_model::train::{self, Event, Prepared};
use voxelift_volume::baseline::Baseline;
use voxelift_volume::files::write_atomically;
use voxelift_volume::words::counted;

use super::{report, stop};

use crate::failure::Outcome;
use crate::picture::comparison;
use crate::report::of_run;
use crate::tensorboard::EventFile;
use crate::terminal::{self, Progress, Terminal};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift train train.toml --run runs/first --check\n  voxelift train train.toml --run runs/first --set steps=2000"
)]
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
    /// Where to compute: auto, cpu, cuda:N or wgpu:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// The number format that networks compute in, f32 or bf16; as --set precision=bf16
    #[arg(long)]
    precision: Option<Precision>,
    /// Read the data, compare the domains and the subjects, time a few steps and say what would be trained; train nothing
    #[arg(long)]
    check: bool,
}

/// # Errors
/// When the configuration is refused, the data cannot be trained on, or the run fails.
pub fn run(arguments: &TrainArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let precision = arguments.precision.map(|p| format!("precision={}", p.name()));
    let set: Vec<String> = arguments.set.iter().cloned().chain(precision).collect();
    let resolved = Config::load(&arguments.config, &set)?;
    for change in &resolved.overrides {
        terminal.say(format!("set {change}"));
    }
    let config = resolved.config;
    let place = Place::open(arguments.device, config.precision, terminal)?;
    // Listened to from here on: a signal while the scans are read must not lose the run either.
    let stop = stop::on_request_or_warning()?;
    let begun = RunDir::open(&arguments.run).and_then(|run| run.list_checkpoints());
    let fresh = begun.map_or(true, |checkpoints| checkpoints.is_empty());
    let mut say = |note| terminal.say(note);
    let earlier = Some(arguments.run.as_path());
    // What was found out about the same scans is kept in the run folder; others are looked at when a run goes on too.
    let (prepared, found) = match train::prepare_until(&config, earlier, true, &stop, &mut say) {
        Err(ModelError::Stopped) => {
            terminal.warn(ModelError::Stopped);
            return Ok(Outcome::Interrupted);
        }
        prepared => prepared?,
    };
    let warnings = prepared.warnings.iter().chain(&found.warnings);
    warnings.for_each(|warning| terminal.warn(warning));
    if arguments.check {
        terminal::print(plan(&config, &prepared, &found.lines, &place)?)?;
        return Ok(Outcome::Done);
    }
    if fresh {
        found.lines.iter().for_each(|line| terminal.say(line));
    }
    let run = RunDir::create(&arguments.run)?;
    prepared.keep_findings(&run);
    into_folder(&config, &run, &prepared, &place, &stop, terminal)
}

/// Where it is computed, and in words.
struct Place {
    device: Device,
    name: String,
}

impl Place {
    fn open(choice: DeviceChoice, precision: Precision, terminal: &Terminal) -> anyhow::Result<Self> {
        let (device, name) = choice.open()?;
        if let Some(warning) = precision.check(&device, &name)? {
            terminal.warn(warning);
        }
        Ok(Self { device, name })
    }
}

/// Trains into a run folder and writes its page.
fn into_folder(
    config: &Config,
    run: &RunDir,
    prepared: &Prepared,
    place: &Place,
    stop: &AtomicBool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    terminal.say(format!(
        "training {} steps, {}, in {} on {}",
        config.steps,
        config.mode.name(),
        config.precision.name(),
        place.name
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
    let outcome = train::train(config, run, prepared, &place.device, stop, &mut |event| {
        screen.show(event)
    })?;
    drop(screen);
    // An interrupted run has no time for more than what is written already.
    report::write(&run.report(), &of_run(run, None)?)?;
    match outcome {
        train::Outcome::Done => {
            let trial = report::of_prepared(run, &prepared.validation, &place.device, terminal)?;
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
                self.print_record(record);
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
                                    (format!("validation_brain_psnr_db/{name}"), s.brain_psnr_db),
                                    (format!("validation_brain_ssim/{name}"), s.brain_ssim),
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
                let title = format!("The first validation scan after {step} steps.");
                let images = [(Baseline::ZeroFill.name(), zero_fill), ("SR", sr)];
                let png = comparison(&title, lr, &images, Some(hr));
                self.logged(step, |events| events.picture(step, "preview", &png));
                write_atomically(&self.run.preview(step), true, |out| out.write_all(&png))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A record as progress or as a line.
    fn print_record(&mut self, record: &Record) {
        match record {
            Record::Step {
                step, seconds, terms, ..
            } => {
                let pace = self.pace.map_or(*seconds, |pace| 0.9 * pace + 0.1 * seconds);
                self.pace = Some(pace);
                let patches = format!("{:.1} patches/s", self.batch as f64 / pace.max(1e-9));
                let losses = ["reconstruction", "cycle", "restoration"]
                    .iter()
                    .filter_map(|name| Some(format!("{name} {:.4}", terms.get(*name)?)));
                // The least of it last: a narrow terminal cuts the line.
                let note = [Some(patches), memory::resident().map(mebibytes)]
                    .into_iter()
                    .flatten();
                let note: Vec<String> = note.chain(losses).collect();
                self.progress.set(*step, &note.join(" · "));
            }
            Record::Validation { step, scores } => {
                let said = |name: &str, s: &ValidationScores| {
                    let [psnr_db, ssim] = s.headline();
                    format!("{name} {psnr_db:.2} dB (SSIM {ssim:.4})")
                };
                let baselines = scores
                    .iter()
                    .filter(|(name, _)| ![SR, SR_CONSISTENT].contains(&name.as_str()))
                    .map(|(name, s)| said(name, s));
                let baselines: Vec<String> = baselines.collect();
                let ours = [(SR, "SR alone"), (SR_CONSISTENT, "with its scan put back")];
                let ours = ours
                    .into_iter()
                    .filter_map(|(name, words)| Some(said(words, scores.get(name)?)));
                let ours = ours.collect::<Vec<_>>().join(", ");
                self.terminal.say(format!(
                    "validation after {step} steps, in the brain: {ours}; {}",
                    baselines.join(", ")
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

/// The losses that the supervised mode knows.
const OF_PAIRS: [&str; 3] = ["reconstruction", "null_space", "ssim"];

/// What would be trained, in ten lines.
fn plan(config: &Config, prepared: &Prepared, domains: &[String], place: &Place) -> anyhow::Result<String> {
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
    let mut seconds: Vec<f64> = train::timed_steps(config, prepared, &place.device, 1 + TIMED)?[1..]
        .iter()
        .map(std::time::Duration::as_secs_f64)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let told = |bytes: Option<u64>| bytes.map_or("unknown".into(), mebibytes);
    let used = |name: &str| config.mode != Mode::Supervised || OF_PAIRS.contains(&name);
    let weights = loss
        .weights()
        .into_iter()
        .filter(|(name, weight)| *weight > 0.0 && used(name));
    let weights: Vec<String> = weights.map(|(name, weight)| format!("{name} {weight}")).collect();
    lines.extend([
        format!("source operator: {}", prepared.source_operators.join("; ")),
        format!(
            "patches: {} a step and domain, {} LR voxels a side, from {source} places in HR and {target} in LR scans",
            config.patch.batch, config.patch.size
        ),
        format!(
            "network: {}, {} of {}; losses: {}",
            counted(network.n_feats, "feature"),
            counted(network.n_resgroups, "group"),
            counted(network.n_resblocks, "block"),
            weights.join(", ")
        ),
        format!(
            "rate {} after a warm-up of {} steps, halved at {:?} of the run; checkpoints every {} steps, validation every {}",
            config.optimizer.learning_rate,
            config.optimizer.warmup_steps,
            config.optimizer.halve_at,
            config.checkpoint.every,
            config.validation.every
        ),
        format!(
            "time in {} on {}: {median:.2} s a step, {} in steps",
            config.precision.name(),
            place.name,
            terminal::duration(median * config.steps as f64)
        ),
        format!(
            "memory: {} at most in these steps; the machine has {} left",
            told(memory::peak()),
            told(memory::available())
        ),
    ]);
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}
