//! `--method self`: a network learned from the slices of the scan itself.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, value_parser};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use voxelift_model::cache;
use voxelift_model::device::Device;
use voxelift_model::error::ModelError;
use voxelift_model::self_learning::{
    Applied, DEFAULT_STEPS, Event, Keeping, Learned, LearningConfig, Length, SelfModel, SliceProtocol, apply,
    baseline, calibrate, gaussian, learn, state_key, thick_axis,
};
use voxelift_volume::consistency::Acquired;
use voxelift_volume::nifti::{Header, OutputType, ReadOptions, WriteOptions};
use voxelift_volume::resample::{Interpolation, resize};
use voxelift_volume::{Geometry, Volume};

use super::super::files::{self, Inputs, Job};
use super::super::{batch, words};
use super::sidecar::Turn;
use super::target::Target;
use super::{UpscaleArguments, acquired, labels, sidecar};
use crate::failure::{Outcome, usage};
use crate::terminal::{self, Terminal};

/// What only `--method self` takes.
#[derive(Debug, Args)]
pub struct SelfArguments {
    /// Learn from the scan for so many steps [default: 1600]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), conflicts_with = "budget", help_heading = HEADING)]
    steps: Option<u64>,
    /// Learn and apply within about this time, as 90s, 2m or 1h; how many steps that makes is said, and the same number of
    /// --steps gives the same bytes
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    budget: Option<Time>,
    /// Keys the random draws of learning
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = HEADING)]
    seed: u64,
    /// Keep what was learned in this file, for other scans of the same protocol (--model FILE)
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    keep_model: Option<PathBuf>,
    /// Go on where an interrupted call of the same command stopped
    #[arg(long, help_heading = HEADING)]
    resume: bool,
    /// Apply what was learned even where the scan's own test shows no gain over the best baseline
    #[arg(long, help_heading = HEADING)]
    allow_no_gain: bool,
}

const HEADING: &str = "Learning from the scan itself (--method self)";

impl SelfArguments {
    /// The first of these arguments that was given.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--steps", self.steps.is_some()),
            ("--budget", self.budget.is_some()),
            ("--seed", self.seed != 0),
            ("--keep-model", self.keep_model.is_some()),
            ("--resume", self.resume),
            ("--allow-no-gain", self.allow_no_gain),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }

    fn config(&self) -> LearningConfig {
        let length = match (self.budget, self.steps) {
            (Some(Time(budget)), _) => Length::Budget(budget),
            (None, steps) => Length::Steps(steps.unwrap_or(DEFAULT_STEPS)),
        };
        LearningConfig {
            length,
            seed: self.seed,
            ..LearningConfig::default()
        }
    }
}

/// A time, as `90s`, `2m` or `1.5h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: expected a time as 90s, 2m or 1h");
        let text = text.trim();
        let factor = match text.chars().last() {
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        let seconds = number * factor;
        if !(1.0..=1e7).contains(&seconds) {
            return Err(wrong());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// What does not depend on the scan.
struct Plan<'a> {
    arguments: &'a UpscaleArguments,
    config: LearningConfig,
    /// Learned before, in place of learning now.
    model: Option<SelfModel>,
    /// The grid asked for; none for voxels as long in each direction as in plane.
    target: Option<Target>,
    device: Device,
    read: ReadOptions,
    write: WriteOptions,
    stop: Arc<AtomicBool>,
}

/// Carries out `upscale --method self`.
///
/// # Errors
/// When the arguments are refused, or the only input fails; of several, those that fail are listed.
pub fn run(
    arguments: &UpscaleArguments,
    protected: &Inputs,
    jobs: &[Job],
    in_batch: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let own = &arguments.learning;
    if own.keep_model.is_some() && (in_batch || arguments.model.is_some()) {
        return Err(usage(
            "--keep-model FILE keeps what was learned from one IN; leave --model out, and bring several scans one by one",
        ));
    }
    if let Some(path) = &own.keep_model {
        files::refuse_existing(path, arguments.write.force)?;
    }
    let (device, name) = arguments.device.open()?;
    terminal.detail(format!("learning on {name}"));
    let model = arguments
        .model
        .as_deref()
        .map(|path| SelfModel::read(path, &device));
    let target = match (arguments.spacing, &arguments.like) {
        (_, Some(reference)) => Some(Target::Like(Box::new(
            voxelift_volume::scan::read_header(reference)?.0,
        ))),
        (Some(spacing), None) => Some(Target::Spacing(spacing.0)),
        (None, None) => None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let plan = Plan {
        arguments,
        config: own.config(),
        model: model.transpose()?,
        target,
        device,
        read: arguments.read.options(),
        write: arguments.write.options(&[]),
        stop,
    };
    if !in_batch {
        jobs.iter()
            .try_for_each(|job| plan.refuse_existing(job, protected))?;
    }
    let interrupted = AtomicBool::new(false);
    // Learning takes all threads, so scans go one after the other.
    let outcome = batch::run(jobs, "upscale", 1, terminal, |job, waits| {
        let made = match plan.stop.load(Ordering::Relaxed) {
            true => Made::Interrupted,
            false => plan.carry_out(job, in_batch, waits, terminal)?,
        };
        Ok(match made {
            Made::Written(what) => Some(what),
            Made::Elsewhere => None,
            Made::Interrupted => {
                interrupted.store(true, Ordering::Relaxed);
                Some("interrupted; the same command with --resume goes on".to_owned())
            }
        })
    })?;
    Ok(if interrupted.load(Ordering::Relaxed) {
        Outcome::Interrupted
    } else {
        outcome
    })
}

/// What became of a scan.
enum Made {
    /// An output, now or before, in words.
    Written(String),
    /// Nothing: another process is at it.
    Elsewhere,
    /// The state from which learning goes on.
    Interrupted,
}

/// Beside an output: the state of an interrupted call, and the map of `--audit`.
struct Beside {
    state: PathBuf,
    orientations: PathBuf,
}

impl Beside {
    fn of(output: &Path) -> Self {
        let named = |ending: &str| output.with_file_name(format!("{}_{ending}", files::stem(output)));
        Self {
            state: named("self-state.safetensors"),
            orientations: named("orientations.nii.gz"),
        }
    }
}

impl Plan<'_> {
    fn refuse_existing(&self, job: &Job, protected: &Inputs) -> anyhow::Result<()> {
        let force = self.write.force;
        sidecar::refuse_existing(&job.output, force)?;
        if self.arguments.audit {
            files::check_output_beside(&Beside::of(&job.output).orientations, protected, force)?;
        }
        Ok(())
    }

    /// Reads, learns, applies, writes.
    fn carry_out(&self, job: &Job, in_batch: bool, waits: bool, terminal: &Terminal) -> anyhow::Result<Made> {
        let input = job.input.display().to_string();
        files::refuse_dangling(&job.input)?;
        let how = self.described(job)?;
        let beside = Beside::of(&job.output);
        let mut write = WriteOptions {
            inputs: vec![job.input.clone()],
            ..self.write.clone()
        };
        let alone = match self.arguments.audit {
            true => vec![beside.orientations.clone()],
            false => Vec::new(),
        };
        let mut claim = match sidecar::turn(job, &how, in_batch, waits, write.force, &alone)? {
            Turn::Done => return Ok(Made::Written("there already".to_owned())),
            Turn::Elsewhere => return Ok(Made::Elsewhere),
            Turn::Ours(claim) => claim,
        };
        write.force |= in_batch;
        let mut written = vec![job.output.clone()];
        let scan = files::open(&job.input, &self.read, terminal)?;
        let geometry = scan.header.geometry();
        thick_axis(&geometry).with_context(|| input.clone())?;
        let mut frames = scan.frames;
        let first = frames.next().context("a scan without a volume")??;
        let protocol = self
            .protocol(&first, &scan.header, job, terminal)
            .with_context(|| input.clone())?;
        let grid = self.grid(&geometry, &protocol, scan.header.frames())?;
        let mut header = match &self.target {
            Some(target) => target.header(&scan.header, &grid),
            None => Target::Spacing(grid.spacing_mm()).header(&scan.header, &grid),
        };
        if self.arguments.write.anonymise {
            header.anonymise();
        }
        let labels = self
            .arguments
            .labels
            .as_ref()
            .map(|path| labels::on_grid(path, &header, &self.read, terminal))
            .transpose()?;
        let Some(model) = self.learned(&first, &protocol, job, &beside.state, terminal)? else {
            return Ok(Made::Interrupted);
        };
        let gains = model.card.self_test.as_ref().is_none_or(|test| test.gains());
        let replaced = !gains && !self.arguments.learning.allow_no_gain;
        if !gains {
            let instead = if replaced {
                "the cubic B-spline made consistent with the scan is written instead; pass --allow-no-gain for what was learned"
            } else {
                "what was learned is written all the same, as asked for"
            };
            terminal.warn(format!(
                "{input}: on slices that were kept out, learning gains nothing over the best baseline; {instead}"
            ));
        }
        let name = job
            .input
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut found: Vec<Value> = Vec::new();
        let mut map = None;
        let finer = std::iter::once(Ok(first)).chain(frames).map(|frame| {
            let frame = frame?;
            let fine = if replaced {
                baseline(&frame, &protocol)?
            } else {
                let applied = self.applied(&model, &frame, &protocol, &name, terminal)?;
                found.push(told_of(&applied, &frame));
                if self.arguments.audit && map.is_none() {
                    map = Some(applied.disagreement);
                }
                applied.image
            };
            Ok(self.placed(fine, &grid))
        });
        files::write(&job.output, &header, finer, &write, terminal)?;
        if let Some(labels) = labels {
            let anonymise = self.arguments.write.anonymise;
            written.push(labels::write(labels, &job.output, &write, anonymise, terminal)?);
        }
        if let Some(map) = map {
            let options = WriteOptions {
                dtype: OutputType::Float32,
                ..write
            };
            let placed = self.placed(map, &grid);
            files::write(&beside.orientations, &header, [Ok(placed)], &options, terminal)?;
            written.push(beside.orientations.clone());
        }
        let mut said = vec![words::grid(&grid)];
        said.push(format!(
            "slices {} mm apart along {}, {} fine ones each; acquired by {} ({})",
            words::number(protocol.distance_mm),
            ["x", "y", "z"][protocol.axis],
            protocol.scale,
            protocol.operator,
            protocol.because
        ));
        said.extend(model.card.self_test.as_ref().map(|test| test.told()));
        if let Some(agreement) = found
            .first()
            .and_then(|found| found["orientations_differ"].as_f64())
        {
            said.push(format!(
                "the two orientations differ by {:.2} % of the foreground's peak (rms of half the difference)",
                100.0 * agreement
            ));
        }
        claim.add("protocol", json!(protocol));
        claim.add(
            "learned",
            json!({
                "steps": model.card.steps,
                "seconds": model.card.seconds,
                "seed": model.card.seed,
                "from": model.card.scan,
                "network": model.card.network,
            }),
        );
        claim.add("self_test", json!(model.card.self_test));
        claim.add(
            "applied",
            json!(if replaced { "cubic, consistent" } else { "self" }),
        );
        claim.add("frames", json!(found));
        claim.done(&written, &[])?;
        let _ = std::fs::remove_file(&beside.state);
        Ok(Made::Written(said.join("\n")))
    }

    /// What an output depends on.
    fn described(&self, job: &Job) -> anyhow::Result<Value> {
        let own = &self.arguments.learning;
        let model = self.arguments.model.as_deref();
        let mut how = json!({
            "method": "self",
            "target": self.target.as_ref().map_or("isotropic".to_owned(), Target::to_string),
            "acquired": self.arguments.acquired.to_string(),
            "model": model,
            "model_sha256": model.map(cache::content).transpose()?,
            "asked_for": {
                "steps": own.steps,
                "budget_s": own.budget.map(|Time(budget)| budget.as_secs_f64()),
                "seed": own.seed,
                "allow_no_gain": own.allow_no_gain,
            },
        });
        if self.arguments.write.anonymise {
            how["anonymise"] = json!(true);
        }
        let beside = [&self.arguments.labels, &self.arguments.like];
        sidecar::of_files(how, job, &self.read, &self.write, self.arguments.audit, beside)
    }

    /// What is thick, and by which profile: as stated, as the sidecar says, or calibrated.
    fn protocol(
        &self,
        scan: &Volume,
        header: &Header,
        job: &Job,
        terminal: &Terminal,
    ) -> anyhow::Result<SliceProtocol> {
        let grid = scan.geometry();
        let beside = acquired::protocol(&job.input, header);
        let like_distance = SliceProtocol::new(grid, gaussian(1.0), String::new())?;
        if self.arguments.acquired != Acquired::Auto {
            let made_by = self.arguments.acquired.of(grid, &beside, None)?;
            let operator = made_by.operators.0[like_distance.axis];
            return Ok(SliceProtocol::new(grid, operator, made_by.because)?);
        }
        if let Some(model) = &self.model {
            let learned = &model.card.protocol;
            let because = "as the model was learned for".to_owned();
            return Ok(SliceProtocol::new(grid, learned.operator, because)?);
        }
        if let Some(thickness) = beside.thickness_mm {
            let share = thickness / like_distance.distance_mm;
            let because = format!(
                "SliceThickness {} mm in {}",
                words::number(thickness),
                sidecar::beside(&job.input).display()
            );
            anyhow::ensure!(
                (0.2..=4.0).contains(&share),
                "{because}: slices are {} mm apart; state the profile with --acquired slice:gaussian,MM",
                words::number(like_distance.distance_mm)
            );
            return Ok(SliceProtocol::new(grid, gaussian(share), because)?);
        }
        let Some(calibrated) = calibrate(scan, &like_distance)? else {
            let because = "nothing is known: as thick as the slices are apart".to_owned();
            return Ok(SliceProtocol::new(grid, gaussian(1.0), because)?);
        };
        terminal.detail(format!(
            "{}: {} fits the spectrum across slices best, misfit {:.3} ({:.3} for slices as thick as they are apart)",
            job.input.display(),
            calibrated.operator,
            calibrated.misfit,
            calibrated.misfit_of_one
        ));
        let because = format!(
            "calibrated between the spectra in plane and across slices, misfit {:.2}; state it with --acquired if you know it",
            calibrated.misfit
        );
        Ok(SliceProtocol::new(grid, calibrated.operator, because)?)
    }

    /// The grid of the output.
    fn grid(&self, input: &Geometry, protocol: &SliceProtocol, frames: usize) -> anyhow::Result<Geometry> {
        let grid = match &self.target {
            Some(target) => target.grid(input)?,
            None => {
                let [p, q] = protocol.in_plane_mm;
                let finest = p.min(q);
                let fine = input.with_extent(protocol.fine_extent(input.extent));
                if (protocol.fine_mm() / finest).ln().abs() < SAME_SPACING {
                    fine
                } else {
                    let mut spacing = input.spacing_mm();
                    spacing[protocol.axis] = finest;
                    Target::Spacing(spacing).grid(input)?
                }
            }
        };
        let voxels = grid
            .extent
            .iter()
            .map(|n| *n as u64)
            .fold(frames as u64, u64::saturating_mul);
        anyhow::ensure!(
            voxels <= self.read.max_voxels,
            "the finer grid {:?} in {frames} volume(s) has more than {} voxels; see --max-voxels",
            grid.extent,
            self.read.max_voxels
        );
        Ok(grid)
    }

    fn placed(&self, fine: Volume, grid: &Geometry) -> Volume {
        match &self.target {
            Some(target) => target.placed(fine, grid).0,
            None if fine.geometry() == grid => fine,
            // Voxels that differ by a few percent: nothing aliases.
            None => resize(&fine, grid.extent, Interpolation::CubicBSpline),
        }
    }

    /// What was learned, now or before; nothing when interrupted.
    fn learned(
        &self,
        scan: &Volume,
        protocol: &SliceProtocol,
        job: &Job,
        state: &Path,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<SelfModel>> {
        if let Some(model) = &self.model {
            protocol.check_same(&model.card.protocol)?;
            return Ok(Some(model.clone()));
        }
        let resume = self.arguments.learning.resume && state.is_file();
        if self.arguments.learning.resume && !resume {
            terminal.say(format!("{}: nothing to resume; beginning", state.display()));
        }
        files::make_parent(state)?;
        let keeping = Keeping {
            path: state.to_owned(),
            key: state_key(scan, protocol, &self.config),
            resume,
        };
        let name = job
            .input
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut progress: Option<terminal::Progress<'_>> = None;
        let mut smoothed = None;
        let mut sink = |event: Event| -> Result<(), ModelError> {
            match event {
                Event::Note(note) => terminal.say(note),
                Event::Planned { steps, done } => {
                    terminal.say(format!(
                        "{name}: learning {steps} steps from its own slices, {done} done"
                    ));
                    progress = Some(terminal.progress(&name, "steps", steps));
                }
                Event::Step { step, error } => {
                    let mean = smoothed.map_or(error, |mean: f64| 0.95 * mean + 0.05 * error);
                    smoothed = Some(mean);
                    if let Some(progress) = &mut progress {
                        progress.set(step, &format!("error {mean:.4}"));
                    }
                }
            }
            Ok(())
        };
        let learned = learn(
            scan,
            protocol,
            &self.config,
            Some(&keeping),
            &self.device,
            &self.stop,
            &mut sink,
        )?;
        drop(progress);
        match learned {
            Learned::Interrupted { step, steps } => {
                terminal.say(format!(
                    "{name}: interrupted after step {step} of {steps}; {} keeps what was learned",
                    state.display()
                ));
                Ok(None)
            }
            Learned::Done(mut model) => {
                model.card.scan = name;
                if let Some(path) = &self.arguments.learning.keep_model {
                    files::make_parent(path)?;
                    model.write(path)?;
                }
                Ok(Some(*model))
            }
        }
    }

    fn applied(
        &self,
        model: &SelfModel,
        frame: &Volume,
        protocol: &SliceProtocol,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<Applied> {
        let mut progress = None;
        let mut hear = |done: usize, planes: usize| {
            let progress = progress.get_or_insert_with(|| terminal.progress(name, "planes", planes as u64));
            progress.set(done as u64, "");
            Ok(())
        };
        Ok(apply(&model.network, frame, protocol, &self.device, &mut hear)?)
    }
}

/// A fine spacing this near (natural logarithm) to that in plane makes an isotropic grid.
const SAME_SPACING: f64 = 0.051;

fn told_of(applied: &Applied, scan: &Volume) -> Value {
    let differ = voxelift_volume::intensity::foreground_peak(scan)
        .map(|peak| applied.disagreement_rms() / f64::from(peak))
        .ok();
    json!({
        "orientations_differ": differ,
        "consistency": {"mode": "soft", "noise_sigma": applied.noise_sigma, "mean_weight": applied.consistency_weight},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let seconds = |text: &str| text.parse::<Time>().map(|Time(time)| time.as_secs_f64());
        assert_eq!(seconds("90s"), Ok(90.0));
        assert_eq!(seconds("2m"), Ok(120.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        for wrong in ["", "2", "m", "-2m", "2d", "nanm", "0s", "é"] {
            assert!(wrong.parse::<Time>().is_err(), "{wrong}");
        }
    }
}
