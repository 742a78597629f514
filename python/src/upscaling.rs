//! A scan on a finer grid.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use voxelift_model::device::{Computing, DeviceChoice, Precision};
use voxelift_model::infer::UpscaleOptions;
use voxelift_model::model_file::ModelFile;
use voxelift_model::self_learning::{self, DEFAULT_STEPS, Learned, LearningConfig, Length, SelfModel};
use voxelift_model::upscale::{
    BuiltIn, Event, Method, Methods, Model, SliceUpscaler, SliceWishes, Upscaler, Wishes, gains,
};
use voxelift_volume::baseline::Baseline;
use voxelift_volume::consistency::{Acquired, Dimensions, Mode, Protocol};
use voxelift_volume::target::Target;
use voxelift_volume::{Geometry, Scale, Volume};

use crate::models::{Kind, LoadedModel};
use crate::volumes::{Arrays, Frames, arrays, volumes};
use crate::{VoxeliftError, refused};

/// What Python asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: Option<String>,
    spacing: Option<[f64; 3]>,
    scale: Option<String>,
    consistency: Option<String>,
    acquired: String,
    tile: Option<usize>,
    ensemble: bool,
    audit: bool,
    memory: Option<u64>,
    allow_out_of_range: bool,
    steps: Option<u64>,
    budget: Option<f64>,
    seed: u64,
    from_scratch: bool,
    allow_no_gain: bool,
    keep_model: Option<std::path::PathBuf>,
    precision: String,
    device: String,
    thickness_mm: Option<f64>,
    distance_mm: Option<f64>,
    axis: Option<usize>,
    two_dimensional: Option<bool>,
}

/// What a volume is made of: the finer volumes, and what is told about them.
type Made = (Vec<Volume>, Value);

impl Asked {
    fn protocol(&self) -> Protocol {
        Protocol {
            dimensions: self.two_dimensional.map(|two| match two {
                true => Dimensions::Two,
                false => Dimensions::Three,
            }),
            thickness_mm: self.thickness_mm,
            distance_mm: self.distance_mm,
            axis: self.axis,
        }
    }

    fn target(&self) -> PyResult<Option<Target>> {
        Ok(match (self.spacing, &self.scale) {
            (Some(_), Some(_)) => return Err(VoxeliftError::new_err("scale and spacing exclude each other")),
            (Some(spacing), None) => Some(Target::Spacing(spacing)),
            (None, Some(scale)) => Some(Target::Scale(Scale::parse(scale).map_err(refused)?)),
            (None, None) => None,
        })
    }

    fn mode(&self) -> PyResult<Option<Mode>> {
        let Some(name) = &self.consistency else {
            return Ok(None);
        };
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        mode.map(Some)
            .ok_or_else(|| VoxeliftError::new_err(format!("consistency {name}; expected off, soft or hard")))
    }

    fn computing(&self) -> PyResult<Computing> {
        Ok(Computing {
            device: self.device.parse::<DeviceChoice>().map_err(refused)?,
            precision: self.precision.parse::<Precision>().map_err(refused)?,
        })
    }

    fn acquired(&self) -> PyResult<Acquired> {
        self.acquired.parse().map_err(refused)
    }

    /// Whether nothing says how the finer voxels are to be made.
    fn leaves_the_choice(&self, model: Option<&LoadedModel>) -> bool {
        self.method.is_none() && model.is_none() && !self.allow_out_of_range
    }

    fn slice_wishes(&self, learns: bool) -> PyResult<SliceWishes> {
        let length = match (learns, self.budget) {
            (false, _) => Length::Steps(0),
            (true, Some(seconds)) if seconds >= 1.0 => Length::Budget(Duration::from_secs_f64(seconds)),
            (true, Some(seconds)) => {
                return Err(VoxeliftError::new_err(format!(
                    "budget {seconds}; expected at least 1 second"
                )));
            }
            (true, None) => Length::Steps(self.steps.unwrap_or(DEFAULT_STEPS)),
        };
        Ok(SliceWishes {
            target: self.target()?,
            acquired: self.acquired()?,
            learning: LearningConfig {
                length,
                seed: self.seed,
                from_scratch: self.from_scratch,
                precision: self.computing()?.precision,
                ..LearningConfig::default()
            },
            may_gain_nothing: self.allow_no_gain,
            orientations: false,
            memory: self.memory,
            ..SliceWishes::default()
        })
    }
}

/// What is heard goes to Python; an exception there stops learning.
struct Hearing<'a> {
    progress: Option<&'a Py<PyAny>>,
    stop: &'a AtomicBool,
    failed: Option<PyErr>,
    warnings: Vec<String>,
}

impl Hearing<'_> {
    fn hear(&mut self, event: Event) {
        let (what, done, of) = match event {
            Event::Warning(warning) => return self.warnings.push(warning),
            Event::Doubt(doubt) => {
                return self.warnings.push(format!(
                    "{doubt:?}: the profile of the slices is not sure; state it with acquired"
                ));
            }
            Event::Tiles { done, of, .. } => ("tiles", done as u64, of as u64),
            Event::Planes { done, of } => ("planes", done as u64, of as u64),
            Event::Learning(self_learning::Event::Planned { steps, done }) => ("steps", done, steps),
            Event::Learning(self_learning::Event::Step { step, .. }) => ("step", step, 0),
            _ => return,
        };
        let told = Python::attach(|py| {
            py.check_signals()?;
            match self.progress {
                Some(progress) => progress.call1(py, (what, done, of)).map(|_| ()),
                None => Ok(()),
            }
        });
        if let Err(error) = told {
            self.failed.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Makes a scan finer: by the method that is named, by a model, or by what does best on the scan itself.
#[pyfunction]
pub fn upscale<'py>(
    py: Python<'py>,
    frames: Frames<'py>,
    extent: [usize; 3],
    affine: [[f64; 4]; 3],
    model: Option<PyRef<'py, LoadedModel>>,
    asked: &str,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Arrays<'py>, String)> {
    let scan = volumes(&frames, extent, affine)?;
    let asked: Asked = serde_json::from_str(asked).map_err(refused)?;
    let model = model.as_deref();
    let stop = AtomicBool::new(false);
    let mut hearing = Hearing {
        progress: progress.as_ref(),
        stop: &stop,
        failed: None,
        warnings: Vec::new(),
    };
    let made = py.detach(|| made(&scan, &asked, model, &mut hearing));
    if let Some(error) = hearing.failed {
        return Err(error);
    }
    let (finer, mut about) = made?;
    about["warnings"] = json!(hearing.warnings);
    Ok((arrays(py, finer), about.to_string()))
}

fn made(
    scan: &[Volume],
    asked: &Asked,
    model: Option<&LoadedModel>,
    hearing: &mut Hearing<'_>,
) -> PyResult<Made> {
    let grid: &Geometry = scan[0].geometry();
    let (of_slices, trained) = match model.map(|model| &model.kind) {
        Some(Kind::OfSlices(model)) => (Some(&**model), None),
        Some(Kind::Trained(file)) => (None, Some(file)),
        None => (None, None),
    };
    if asked.method.as_deref() == Some("self") || of_slices.is_some() {
        return by_slices(scan, asked, of_slices, true, hearing);
    }
    let soft = asked.mode()?.is_none_or(|mode| mode == Mode::Soft);
    let plain = soft && !asked.ensemble && !asked.audit && asked.tile.is_none();
    if asked.leaves_the_choice(model) && plain && SliceUpscaler::suits(grid, scan.len()) {
        return by_slices(scan, asked, None, false, hearing);
    }
    let options = UpscaleOptions {
        tile: asked.tile,
        ensemble: asked.ensemble,
    };
    let computing = asked.computing()?;
    let named = |file: &ModelFile| -> PyResult<Methods> {
        let model = Model::of(file, computing, options).map_err(refused)?;
        let model = model.allowing_out_of_range(asked.allow_out_of_range);
        Ok(Methods::Named(Method::Model(Box::new(model))))
    };
    let methods = match (asked.method.as_deref(), trained) {
        (None | Some("model"), Some(file)) => named(file)?,
        (None, None) if !asked.allow_out_of_range => {
            Methods::BuiltIn(Box::new(BuiltIn::load(computing, options).map_err(refused)?))
        }
        (None | Some("model"), None) => named(&ModelFile::built_in())?,
        (Some(name), None) => Methods::Named(name.parse::<Baseline>().map_err(refused)?.into()),
        (Some(name), Some(_)) => {
            return Err(VoxeliftError::new_err(format!(
                "method {name} uses no model; leave the model out"
            )));
        }
    };
    let wishes = Wishes {
        target: asked.target()?,
        consistency: asked.mode()?,
        acquired: asked.acquired()?,
        audit: asked.audit,
        memory: asked.memory,
        ..Wishes::default()
    };
    let upscaler = Upscaler::new(methods, wishes).map_err(refused)?;
    let made_by = upscaler.acquisition(grid, &asked.protocol()).map_err(refused)?;
    let first = scan
        .iter()
        .find(|volume| volume.only_value().is_none())
        .or(scan.last());
    let upscaling = upscaler
        .plan(grid, made_by, first, scan.len(), &mut |event| hearing.hear(event))
        .map_err(refused)?;
    let _share = upscaler.share(&upscaling);
    let (mut finer, mut agreements, mut audits) = (Vec::new(), Vec::new(), Vec::new());
    for volume in scan {
        let upscaled = upscaling
            .run(volume, &mut |event| hearing.hear(event))
            .map_err(refused)?;
        agreements.push(json!(upscaled.consistency));
        audits.extend(upscaled.audit.map(|audit| json!(audit)));
        finer.push(upscaled.image);
    }
    let expected = upscaling.expected().map(|expected| {
        json!({
            "gain_db": expected.gain_db,
            "baseline": expected.baseline.name(),
            "factors": expected.factors,
        })
    });
    let mut about = json!(upscaling.provenance());
    about["chosen"] = json!(upscaling.because());
    about["expected"] = json!(expected);
    about["consistency"] = json!(agreements);
    about["audit"] = json!(audits);
    about["halved"] = json!(upscaling.is_halved());
    Ok((finer, about))
}

fn by_slices(
    scan: &[Volume],
    asked: &Asked,
    model: Option<&SelfModel>,
    learns: bool,
    hearing: &mut Hearing<'_>,
) -> PyResult<Made> {
    let stop = hearing.stop;
    let upscaler = SliceUpscaler::new(asked.computing()?, asked.slice_wishes(learns)?).map_err(refused)?;
    let (first, protocol) = (&scan[0], asked.protocol());
    let upscaling = upscaler
        .plan(first, &protocol, model, scan.len(), &mut |event| {
            hearing.hear(event)
        })
        .map_err(refused)?;
    let learned = match model {
        Some(model) => model.clone(),
        None => match upscaling.learn(first, None, stop, &mut |event| hearing.hear(event)) {
            Ok(Learned::Done(model)) => *model,
            Ok(Learned::Interrupted { step, steps }) => {
                return Err(VoxeliftError::new_err(format!(
                    "stopped after step {step} of {steps}"
                )));
            }
            Err(error) => return Err(refused(error)),
        },
    };
    if let Some(path) = &asked.keep_model {
        learned.write(path).map_err(refused)?;
    }
    let (mut finer, mut told) = (Vec::new(), Vec::new());
    for volume in scan {
        let fine = upscaling
            .run(&learned, volume, &mut |event| hearing.hear(event))
            .map_err(refused)?;
        told.extend(fine.by_network.map(|by_network| {
            json!({
                "orientations_differ": by_network.orientations_differ,
                "noise_sigma": by_network.noise_sigma,
                "mean_weight": by_network.consistency_weight,
            })
        }));
        finer.push(fine.image);
    }
    let about = json!({
        "method": "self",
        "learned": learns && model.is_none(),
        "steps": learned.card.steps,
        "seed": learned.card.seed,
        "protocol": upscaling.protocol(),
        "self_test": learned.card.self_test,
        "gains": gains(&learned),
        "applied": if upscaling.applies(&learned) { "self" } else { "cubic, consistent" },
        "frames": told,
    });
    Ok((finer, about))
}
