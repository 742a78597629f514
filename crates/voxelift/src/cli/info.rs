//! `voxelift info`: what is in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use voxelift_model::model_file::ModelFile;
use voxelift_volume::intensity::{Mask, Normalization, percentile};
use voxelift_volume::nifti::{Header, ReadOptions};
use voxelift_volume::{Result, Volume, scan, words};

use super::card;
use super::options::ReadArguments;
use crate::failure::Outcome;
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  voxelift info scan.nii.gz\n  voxelift info --model model.safetensors")]
pub struct InfoArguments {
    /// Scans: NIfTI, MGH or MGZ files, or folders of one DICOM series each
    #[arg(required_unless_present = "model")]
    files: Vec<PathBuf>,
    /// Show the card of a model file instead; without FILE, of the built-in model
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "files")]
    model: Option<Option<PathBuf>>,
    /// One JSON object a file, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArguments,
}

/// # Errors
/// When the only file cannot be read; of several, those that can are shown.
pub fn run(arguments: &InfoArguments) -> anyhow::Result<Outcome> {
    if let Some(model) = &arguments.model {
        let file = model.as_deref();
        let file = file.map_or_else(|| Ok(ModelFile::built_in()), ModelFile::open)?;
        let card = file.card()?;
        let shown = if arguments.json {
            serde_json::to_string(&card)?
        } else {
            card::in_words(file.origin(), &card)
        };
        terminal::print(format!("{}\n", shown.trim_end()))?;
        return Ok(Outcome::Done);
    }
    let mut failed = 0;
    for file in &arguments.files {
        match Seen::of(file, &arguments.read.options()) {
            Ok(seen) => {
                let shown = if arguments.json {
                    as_json(file, &seen)
                } else {
                    as_text(file, &seen)
                };
                terminal::print(shown)?;
            }
            Err(error) if arguments.files.len() == 1 => return Err(error.into()),
            Err(error) => {
                terminal::error(&error);
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(Outcome::Done),
        n if n < arguments.files.len() => Ok(Outcome::InPart),
        n => Err(anyhow::anyhow!("none of the {n} files could be read")),
    }
}

/// A scan that was read to its end, of whose volumes the first is kept.
struct Seen {
    header: Header,
    warnings: Vec<String>,
    first: Volume,
}

impl Seen {
    fn of(file: &Path, options: &ReadOptions) -> Result<Self> {
        let mut scan = scan::open(file, options)?;
        let first = scan.frames.next().expect("a scan has a volume")?;
        Ok(Self {
            header: scan.header,
            warnings: scan.warnings,
            first,
        })
    }
}

/// Intensities of a volume.
struct Intensities {
    min: f32,
    max: f32,
    mean: f64,
    standard_deviation: f64,
    zero_share: f64,
    foreground_share: f64,
    foreground_p995: Option<f64>,
    zero: Option<f32>,
}

impl Intensities {
    fn of(volume: &Volume) -> Self {
        let data = volume.data();
        let n = data.len() as f64;
        let mean = data.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = data.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let mask = Mask::foreground(volume);
        let inside = data.iter().zip(mask.data()).filter(|(_, inside)| **inside);
        let mut foreground: Vec<f32> = inside.map(|(value, _)| *value).collect();
        Self {
            min: data.iter().copied().fold(f32::INFINITY, f32::min),
            max: data.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            mean,
            standard_deviation: variance.sqrt(),
            zero_share: data.iter().filter(|v| **v == 0.0).count() as f64 / n,
            foreground_share: foreground.len() as f64 / n,
            foreground_p995: percentile(&mut foreground, 99.5),
            zero: Normalization::of(volume).ok().map(|scale| scale.zero),
        }
    }
}

fn as_text(file: &Path, seen: &Seen) -> String {
    let (header, geometry) = (&seen.header, seen.first.geometry());
    let values = Intensities::of(&seen.first);
    let frames = match header.frames() {
        1 => String::new(),
        n => format!(", {n} volumes (statistics of the first)"),
    };
    let field_of_view: [f64; 3] =
        std::array::from_fn(|a| geometry.extent[a] as f64 * geometry.spacing_mm()[a]);
    let p995 = values
        .foreground_p995
        .map_or_else(|| "none".to_owned(), words::number);
    let mut text = format!("{}\n", file.display());
    let mut row = |name: &str, value: String| text.push_str(&format!("  {name:<14}{value}\n"));
    row("grid", format!("{}{frames}", words::grid(geometry)));
    row("field of view", words::millimetres(field_of_view));
    row(
        "orientation",
        format!("{}, {}", words::orientation(geometry), placed_by(header)),
    );
    row("type", format!("{}, {}", header.datatype.name(), scaling(header)));
    row("range", format!("{} to {}", values.min, values.max));
    let (mean, deviation) = (
        words::number(values.mean),
        words::number(values.standard_deviation),
    );
    row("mean", format!("{mean}, standard deviation {deviation}"));
    let (share, zero) = (100.0 * values.foreground_share, 100.0 * values.zero_share);
    row(
        "foreground",
        format!("{share:.1} % of the voxels ({zero:.1} % are 0), 99.5th percentile {p995}"),
    );
    if let Some(zero) = values.zero.filter(|zero| *zero != 0.0) {
        row(
            "zero",
            format!("{zero}: the background's level, taken off for a model"),
        );
    }
    seen.warnings
        .iter()
        .for_each(|warning| row("warning", warning.clone()));
    text
}

fn placed_by(header: &Header) -> String {
    match (&header.sform, &header.qform) {
        (Some(s), Some(q)) => format!("by the sform (code {}; qform code {})", s.code, q.code),
        (Some(s), None) => format!("by the sform (code {})", s.code),
        (None, Some(q)) => format!("by the qform (code {})", q.code),
        (None, None) => "by the voxel sizes alone: no sform, no qform".to_owned(),
    }
}

fn scaling(header: &Header) -> String {
    let scaled = |(slope, inter)| format!("scaled by {slope} plus {inter}");
    header.scaling.map_or_else(|| "not scaled".to_owned(), scaled)
}

fn as_json(file: &Path, seen: &Seen) -> String {
    let (header, geometry) = (&seen.header, seen.first.geometry());
    let values = Intensities::of(&seen.first);
    let object = json!({
        "file": file.to_string_lossy(),
        "extent": geometry.extent,
        "volumes": header.frames(),
        "spacing_mm": geometry.spacing_mm(),
        "orientation": words::orientation(geometry),
        "world_from_voxel": geometry.world_from_voxel,
        "sform_code": header.sform.as_ref().map_or(0, |s| s.code),
        "qform_code": header.qform.as_ref().map_or(0, |q| q.code),
        "datatype": header.datatype.name(),
        "scaling": header.scaling,
        "min": values.min,
        "max": values.max,
        "mean": values.mean,
        "standard_deviation": values.standard_deviation,
        "zero_share": values.zero_share,
        "foreground_share": values.foreground_share,
        "foreground_p995": values.foreground_p995,
        "zero": values.zero,
        "warnings": seen.warnings,
    });
    format!("{object}\n")
}
