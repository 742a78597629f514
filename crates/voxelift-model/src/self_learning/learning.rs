//! Learning from one scan, from its slices to a tested network.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use sha2::{Digest, Sha256};
use voxelift_conv::computing_in;
use voxelift_volume::Volume;
use voxelift_volume::consistency::{NoiseLevel, NoiseSource};
use voxelift_volume::degrade::Operator;
use voxelift_volume::intensity::Normalization;

use super::across::Across;
use super::config::{LearningConfig, Length};
use super::model::{SelfCard, SelfModel};
use super::network::{NetworkConfig, SliceNetwork};
use super::protocol::SliceProtocol;
use super::self_test::{held_out, self_test};
use super::source::{Source, Sources};
use super::start::Start;
use super::training::State;
use crate::cache::hexadecimal;
use crate::error::Result;

/// Events while a network learns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A line for the log.
    Note(String),
    /// How many steps there will be.
    Planned {
        /// Steps in all.
        steps: u64,
        /// Of these, done by an earlier call.
        done: u64,
    },
    /// A step was done.
    Step {
        /// Steps done.
        step: u64,
        /// The error of this one, in units of the scan's 99.5th percentile.
        error: f64,
    },
}

/// Where the state is kept when learning is interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The file.
    pub path: PathBuf,
    /// Names the scan and the options: only the same go on.
    pub key: String,
    /// Go on from the file.
    pub resume: bool,
}

/// What is learned from: a scan, and others that are learned from with it.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// The scan that is to be made finer.
    pub scan: &'a Volume,
    /// How its slices were made.
    pub protocol: &'a SliceProtocol,
    /// Other scans of thick slices, whose slices teach it too: of the same subject in another contrast, say.
    pub others: &'a [Volume],
}

impl<'a> Lesson<'a> {
    /// A scan that is learned from alone.
    pub fn of(scan: &'a Volume, protocol: &'a SliceProtocol) -> Self {
        let others = &[];
        Self {
            scan,
            protocol,
            others,
        }
    }

    /// What a state belongs to: the scans, the protocol, and all of the configuration but the length.
    pub fn key(&self, config: &LearningConfig) -> String {
        let config = LearningConfig {
            length: Length::Steps(0),
            ..config.clone()
        };
        let mut hash = Sha256::new();
        let mut add = |scan: &Volume| {
            scan.data()
                .iter()
                .for_each(|value| hash.update(value.to_le_bytes()))
        };
        add(self.scan);
        self.others.iter().for_each(&mut add);
        let extents: Vec<_> = self.others.iter().map(Volume::extent).collect();
        let settings = (self.protocol, config, self.scan.extent(), extents);
        hash.update(serde_json::to_string(&settings).expect("plain data"));
        hexadecimal(&hash.finalize())
    }

    /// The slices, without those kept out.
    fn sources(&self, config: &LearningConfig) -> Result<Sources> {
        let slices = held_out(self.scan, self.protocol, config.hold_out);
        let mut across = None;
        let mut scans = vec![source(self.scan, self.protocol, config, |normalised| {
            let looks = config.unpaired.looks_across();
            across = looks.then(|| Across::new(normalised, self.protocol, &slices));
        })?];
        for other in self.others {
            let protocol = self.protocol.taught_by(other.geometry())?;
            scans.push(source(other, &protocol, config, |_| ())?);
        }
        Ok(Sources { scans, across })
    }
}

/// The slices of one scan; `see` is shown the normalised scan.
fn source(
    scan: &Volume,
    protocol: &SliceProtocol,
    config: &LearningConfig,
    see: impl FnOnce(&Volume),
) -> Result<Source> {
    let normalised = Normalization::of(scan)?.apply(scan.clone());
    see(&normalised);
    let noise = if config.noise {
        lost_noise(&normalised, protocol)
    } else {
        0.0
    };
    let slices = held_out(scan, protocol, config.hold_out);
    Ok(Source::new(&normalised, protocol, &slices, noise))
}

/// How learning ended.
#[derive(Clone, Debug)]
pub enum Learned {
    /// All steps are done.
    Done(Box<SelfModel>),
    /// Asked to stop after so many steps of so many; the state is kept where that was asked for.
    Interrupted {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
    },
}

/// Between two writings of the state.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// Learns a network from the slices of a scan, and of others beside it.
///
/// The same lesson, configuration and number of steps give the same network, on any number of threads. `stop` is
/// looked at after every step; a stop leaves the state in `keeping`, where there is one, and so does every half minute.
///
/// # Errors
/// For a scan without contrast, one that cannot teach the other, when the state cannot be read or written, or when learning diverges.
pub fn learn(
    lesson: &Lesson<'_>,
    config: &LearningConfig,
    keeping: Option<&Keeping>,
    device: &Device,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Learned> {
    let format = config.precision.products(device);
    computing_in(format, || learn_in(lesson, config, keeping, device, stop, sink))
}

fn learn_in(
    lesson: &Lesson<'_>,
    config: &LearningConfig,
    keeping: Option<&Keeping>,
    device: &Device,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Learned> {
    let begin = Instant::now();
    let Lesson { scan, protocol, .. } = *lesson;
    let network = NetworkConfig {
        n_feats: config.n_feats,
        n_resblocks: config.n_resblocks,
        ..NetworkConfig::new(protocol.scale)
    };
    // A network that is applied as it is reads no slices.
    let learns = config.length != Length::Steps(0);
    let sources = learns.then(|| lesson.sources(config)).transpose()?;
    let start = config.starts().then(Start::built_in);
    let earlier = keeping.filter(|keeping| keeping.resume);
    let asked = config.patch();
    let patch = sources
        .as_ref()
        .map_or([asked.rows, asked.columns], |sources| sources.patch_shape(asked));
    let mut state = match earlier {
        Some(keeping) => State::read(&keeping.path, &network, config, patch, &keeping.key, device)?,
        None => {
            let steps = match config.length {
                Length::Steps(steps) => steps,
                Length::Budget(budget) => {
                    let left = budget.saturating_sub(begin.elapsed());
                    let sources = sources.as_ref().expect("there are steps");
                    let pace = Pace::measured(scan, sources, &network, config, start, device)?;
                    pace.steps(left, scan.data().len())
                }
            };
            State::new(&network, config, patch, steps, start, device)
        }
    };
    sink(Event::Planned {
        steps: state.steps,
        done: state.step,
    })?;
    let mut written = Instant::now();
    while let Some(sources) = sources.as_ref().filter(|_| state.step < state.steps) {
        let error = state.advance(sources, config, device)?;
        sink(Event::Step {
            step: state.step,
            error,
        })?;
        let stopped = stop.load(Ordering::Relaxed);
        if let Some(keeping) = keeping
            && (stopped || written.elapsed() > KEEP_EVERY)
        {
            state.write(&keeping.path, &keeping.key)?;
            written = Instant::now();
        }
        if stopped && state.step < state.steps {
            return Ok(Learned::Interrupted {
                step: state.step,
                steps: state.steps,
            });
        }
    }
    drop(sources);
    let learned = state.applied();
    let slices = held_out(scan, protocol, config.hold_out);
    let test = self_test(&learned, scan, protocol, &slices, device)?;
    let card = SelfCard {
        steps: state.steps,
        seed: config.seed,
        seconds: begin.elapsed().as_secs_f64(),
        self_test: test,
        start: start.map(|start| start.content().to_owned()),
        ..SelfCard::new(network, protocol.clone())
    };
    Ok(Learned::Done(Box::new(SelfModel {
        network: learned,
        card,
    })))
}

/// The standard deviation of the noise that averaging takes from a scan: `sigma sqrt(1 - sum h^2)`, where the scan has a
/// background that says how noisy it is.
fn lost_noise(normalised: &Volume, protocol: &SliceProtocol) -> f64 {
    let noise = NoiseLevel::of(normalised);
    match noise.from {
        NoiseSource::Background => noise.sigma * (1.0 - remaining_power(protocol)).max(0.0).sqrt(),
        NoiseSource::Foreground => 0.0,
    }
}

/// `sum h^2` of the operator on the fine line: the power that it leaves of white noise.
fn remaining_power(protocol: &SliceProtocol) -> f64 {
    let (thick, scale) = (15, protocol.scale);
    let fine = thick * scale;
    let geometry = voxelift_volume::Geometry::axis_aligned([fine, 1, 1], [1.0; 3]);
    let mut power = 0.0;
    for at in 0..fine {
        let mut impulse = Volume::filled(0.0, geometry.clone());
        impulse.data_mut()[at] = 1.0;
        let operators = [protocol.operator, Operator::KSpace, Operator::KSpace];
        let made = voxelift_volume::degrade::Operators(operators).apply(&impulse, [thick, 1, 1]);
        power += f64::from(made.data()[thick / 2]).powi(2);
    }
    power
}

/// How fast this machine is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    step: Duration,
    /// Per voxel of the scan, for one orientation.
    voxel: Duration,
}

/// Steps that are timed, after one that warms up.
const TIMED: u32 = 3;

/// The share of the time for applying that is set aside for what is not measured: consistency, the self-test, writing.
const RESERVE: f64 = 1.5;

/// Fewer steps than this teach nothing.
const FEWEST_STEPS: u64 = 20;

impl Pace {
    /// Times a few steps on a state that is thrown away, and a few planes.
    fn measured(
        scan: &Volume,
        sources: &Sources,
        network: &NetworkConfig,
        config: &LearningConfig,
        start: Option<&Start>,
        device: &Device,
    ) -> Result<Self> {
        // With all terms from the first step on.
        let mut config = config.clone();
        (config.unpaired.quiet, config.unpaired.ramp) = (0.0, 0.0);
        let patch = sources.patch_shape(config.patch());
        let mut state = State::new(network, &config, patch, u64::MAX, start, device);
        state.advance(sources, &config, device)?;
        let begin = Instant::now();
        for _ in 0..TIMED {
            state.advance(sources, &config, device)?;
        }
        let step = begin.elapsed() / TIMED;
        let network: SliceNetwork = state.applied();
        let begin = Instant::now();
        let some = &scan.data()[..scan.data().len().min(1 << 16)];
        let columns = 64.min(some.len());
        let rows = some.len() / columns;
        network.refine(&some[..rows * columns], [1, rows, columns], device, &mut |_| {
            Ok(())
        })?;
        let voxel = begin.elapsed().div_f64((rows * columns) as f64);
        Ok(Self { step, voxel })
    }

    /// As many steps as fit.
    fn steps(&self, left: Duration, voxels: usize) -> u64 {
        let applying = self.voxel.mul_f64(2.0 * RESERVE * voxels as f64);
        let steps = left.saturating_sub(applying).as_secs_f64() / self.step.as_secs_f64();
        (steps as u64).max(FEWEST_STEPS)
    }
}
