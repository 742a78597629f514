//! `voxelift evaluate`: how far an image is from its reference.

mod pairs;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use voxelift_model::memory;
use voxelift_model::scoring::{Case, CaseScores};
use voxelift_volume::files::write_atomically;
use voxelift_volume::intensity::Mask;
use voxelift_volume::metrics::{EVALUATION_BYTES, EvaluateOptions, Score, Scores, mask_on};
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::words::millimetres;
use voxelift_volume::{Turn, Volume, scan};

use super::files::{self, Inputs};
use super::options::{ReadArguments, Spacing};
use crate::failure::{Outcome, usage};
use crate::terminal::{self, Terminal};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift evaluate --reference hr.nii.gz --image sr.nii.gz --json scores.json\n  voxelift evaluate --pairs table.csv --csv scores.csv"
)]
pub struct EvaluateArguments {
    /// The reference image
    #[arg(
        long,
        value_name = "HR",
        required_unless_present = "pairs",
        requires = "image"
    )]
    reference: Option<PathBuf>,
    /// The image to score
    #[arg(long, value_name = "SR", requires = "reference")]
    image: Option<PathBuf>,
    /// Restrict scores to this mask: voxels above zero, nearest in the world where its grid is not the reference's [default: the brain alone, above 5 % of the reference's maximum; beside it, as "masked", Otsu on the reference, dilated]
    #[arg(long, value_name = "M")]
    mask: Option<PathBuf>,
    /// A table of many: reference,image[,mask][,subject][,method], paths relative to the table
    #[arg(long, value_name = "TABLE.csv", conflicts_with_all = ["reference", "image", "mask"])]
    pairs: Option<PathBuf>,
    /// The range L of PSNR and SSIM [default: the reference's maximum minus its minimum]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    data_range: Option<f64>,
    /// Voxel size of the LR image behind SR: adds the scores beyond the frequencies it holds
    #[arg(long, value_name = "MM", allow_negative_numbers = true)]
    lr_spacing: Option<Spacing>,
    /// Write the scores as JSON; - for stdout, in place of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write the scores of --pairs as CSV, one row a pair, region and score
    #[arg(long, value_name = "FILE", requires = "pairs")]
    csv: Option<PathBuf>,
    /// Overwrite the JSON or CSV file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    read: ReadArguments,
}

/// The volumes of a pair: reference, image, mask, and what the set-level scores make of them for a moment.
const PAIR_BYTES: u64 = 60;

/// What a range of intensities may be; its square is a number too.
const RANGES: std::ops::RangeInclusive<f64> = 1e-30..=1e38;

/// What is compared with what, and how.
#[derive(Debug)]
struct Protocol {
    read: ReadOptions,
    options: EvaluateOptions,
}

/// # Errors
/// When the arguments are refused, or files cannot be read or compared; of several pairs, those that can are scored.
pub fn run(arguments: &EvaluateArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if let Some(range) = arguments.data_range.filter(|range| !RANGES.contains(range)) {
        return Err(usage(format!(
            "--data-range {range}: expected a positive number, from {:e} to {:e}",
            RANGES.start(),
            RANGES.end()
        )));
    }
    let given = [
        &arguments.reference,
        &arguments.image,
        &arguments.mask,
        &arguments.pairs,
    ];
    let mut inputs = Inputs::of(given.into_iter().flatten().map(PathBuf::as_path));
    let rows = arguments
        .pairs
        .as_deref()
        .map(|table| pairs::rows(table, &mut inputs, terminal))
        .transpose()?;
    let json = arguments.json.as_deref().filter(|path| !is_stdout(path));
    if let (Some(json), Some(csv)) = (json, arguments.csv.as_deref())
        && files::same_file(json, csv)
    {
        return Err(usage("--json and --csv name one file; give each its own"));
    }
    for path in json.into_iter().chain(arguments.csv.as_deref()) {
        inputs.refuse(path)?;
        files::refuse_existing(path, arguments.force)?;
    }
    let options = EvaluateOptions {
        data_range: arguments.data_range,
        measured_spacing_mm: arguments.lr_spacing.map(|spacing| spacing.0),
        ..EvaluateOptions::default()
    };
    let protocol = Protocol {
        read: arguments.read.options(),
        options,
    };
    if let (Some(table), Some(rows)) = (&arguments.pairs, rows) {
        let (result, outcome) = pairs::run(table, rows, &protocol, terminal)?;
        if let Some(path) = &arguments.csv {
            let rows = result.csv()?;
            files::make_parent(path)?;
            write_atomically(path, arguments.force, |out| out.write_all(&rows))?;
        }
        deliver(arguments, &result.json(), || result.text())?;
        return Ok(outcome);
    }
    let (Some(reference), Some(image)) = (&arguments.reference, &arguments.image) else {
        return Err(usage("--reference and --image, or --pairs, are needed"));
    };
    let pair = protocol.read(reference, image, arguments.mask.as_deref(), terminal)?;
    let scores = pair.score(&protocol.options)?;
    tell(&scores.scores, "", terminal);
    let json = serde_json::to_string_pretty(&scores)?;
    deliver(arguments, &json, || text(&scores))?;
    Ok(Outcome::Done)
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// JSON to where it was asked for; text to stdout unless the JSON is there.
fn deliver(arguments: &EvaluateArguments, json: &str, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    match arguments.json.as_deref() {
        Some(path) if is_stdout(path) => return terminal::print(format!("{json}\n")),
        Some(path) => {
            files::make_parent(path)?;
            write_atomically(path, arguments.force, |out| writeln!(out, "{json}"))?;
        }
        None => {}
    }
    terminal::print(text())
}

/// Says the notes of an evaluation; as a warning where part of the mask was not compared, or spikes make the numbers large.
fn tell(scores: &Scores, of: &str, terminal: &Terminal) {
    for note in &scores.notes {
        if scores.mask_share < 1.0 && note.contains("of the mask") || note.contains("flatter") {
            terminal.warn(format!("{of}{note}"));
        } else if of.is_empty() {
            terminal.say(note);
        } else {
            terminal.detail(format!("{of}{note}"));
        }
    }
}

/// Two volumes that have been read, and where they are compared.
struct Volumes {
    reference: Volume,
    image: Volume,
    mask: Option<Mask>,
    /// What they are, in words.
    names: String,
}

impl Protocol {
    fn read(
        &self,
        reference: &Path,
        image: &Path,
        mask: Option<&Path>,
        terminal: &Terminal,
    ) -> anyhow::Result<Volumes> {
        let read = |path: &Path| {
            let scan = files::read(path, &self.read, terminal)?;
            let placed = scan.header.sform.is_some() || scan.header.qform.is_some();
            let volume = scan.into_single().map_err(|error| error.in_file(path))?;
            Ok::<_, anyhow::Error>((volume, placed))
        };
        let names = format!("{} against {}", image.display(), reference.display());
        if let Ok((header, _)) = scan::read_header(reference) {
            let voxels: u64 = header.extent.iter().map(|n| *n as u64).product();
            memory::expect_room("the comparison", voxels * (EVALUATION_BYTES + PAIR_BYTES))
                .map_err(|what| anyhow::anyhow!("{names}: {what}"))?;
        }
        let ((reference, reference_placed), (image, image_placed)) = (read(reference)?, read(image)?);
        let image = if reference_placed == image_placed {
            // One order of storage for both: whole voxels change places.
            let turn = Turn::along(image.geometry(), reference.geometry());
            if turn.is_none() {
                image
            } else {
                turn.applied_to(&image)
            }
        } else {
            by_voxels(image, &reference, "the image").with_context(|| names.clone())?
        };
        let mask = match mask {
            Some(path) => {
                let (mut mask, placed) = read(path)?;
                if mask.data().iter().any(|v| v.fract() != 0.0) {
                    terminal.warn(format!(
                        "{}: holds fractions, as a map of probabilities does; every voxel above 0 counts",
                        path.display()
                    ));
                }
                if placed != reference_placed {
                    mask = by_voxels(mask, &reference, "the mask")
                        .with_context(|| path.display().to_string())?;
                }
                let (mask, how) = mask_on(reference.geometry(), &mask)
                    .map_err(anyhow::Error::from)
                    .with_context(|| path.display().to_string())?;
                if let Some(how) = how {
                    terminal.warn(format!("{}: {how}", path.display()));
                }
                Some(mask)
            }
            None => None,
        };
        Ok(Volumes {
            reference,
            image,
            mask,
            names,
        })
    }
}

/// Voxel sizes within this share of one another are the same, rounded otherwise.
const SAME_SPACING: f64 = 0.01;

/// A volume onto the reference's grid voxel by voxel, where only one of the two says where it lies.
fn by_voxels(volume: Volume, reference: &Volume, what: &str) -> anyhow::Result<Volume> {
    anyhow::ensure!(
        volume.extent() == reference.extent(),
        "only one of the reference and {what} says where its voxels are (sform, qform), and their extents differ: {:?} and {:?}; \
         give both a place",
        reference.extent(),
        volume.extent()
    );
    let [own, expected] = [&volume, reference].map(|volume| volume.geometry().spacing_mm());
    let differ = (0..3).any(|axis| (own[axis] / expected[axis] - 1.0).abs() > SAME_SPACING);
    anyhow::ensure!(
        !differ,
        "only one of the reference and {what} says where its voxels are (sform, qform), and their sizes differ: {} and {}; give \
         both a place",
        millimetres(expected),
        millimetres(own)
    );
    Ok(Volume::new(volume.into_data(), reference.geometry().clone()))
}

impl Volumes {
    fn score(&self, options: &EvaluateOptions) -> anyhow::Result<CaseScores> {
        let case = Case {
            reference: &self.reference,
            mask: self.mask.as_ref(),
            options: options.clone(),
            measured: None,
            classes: &[],
        };
        case.score(&self.image).with_context(|| self.names.clone())
    }
}

fn text(scored: &CaseScores) -> String {
    let scores = &scored.scores;
    let mut regions = vec![(scores.headline_region(), scores.headline())];
    if regions[0].0 == "in the brain" {
        regions.push(("in the dilated mask", &scores.masked));
    }
    regions.push(("whole volume", &scores.whole));
    let header = std::iter::once("score")
        .chain(regions.iter().map(|(name, _)| *name))
        .map(str::to_owned);
    let mut table = terminal::table(header);
    for score in Score::present([scores]) {
        let cells = regions.iter().map(|(_, region)| score.format(score.of(region)));
        table.add_row(std::iter::once(score.label().to_owned()).chain(cells));
    }
    let share = 100.0 * scores.mask_voxels as f64 / scores.voxels as f64;
    let brain = match scores.brain_voxels {
        Some(voxels) if regions.len() > 2 => format!(
            " · brain: {:.1} % of them, {}",
            100.0 * voxels as f64 / scores.voxels as f64,
            scores.brain_mask
        ),
        _ => String::new(),
    };
    let p995 = scores
        .data_range_p995
        .map_or_else(|| "none".to_owned(), |range| format!("{range}"));
    let covered = if scores.mask_share < 1.0 {
        format!(", {:.1} % of it in both volumes", 100.0 * scores.mask_share)
    } else {
        String::new()
    };
    format!(
        "{table}\ndata range {} (p99.5: {p995}) · {} voxels{brain} · mask: {share:.1} % of them, {}{covered}\n",
        scores.data_range, scores.voxels, scores.mask
    )
}
