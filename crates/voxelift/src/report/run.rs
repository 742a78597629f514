//! The page of a training run, from what its folder holds.

use std::collections::BTreeMap;
use std::fs;

use voxelift_model::model_file::{self, ModelCard};
use voxelift_model::run::{Record, RunDir, ValidationScores};
use voxelift_model::scoring::{SR, SR_CONSISTENT};
use voxelift_model::train::Watch;
use voxelift_volume::baseline::Baseline;

use super::chart::{Chart, Series};
use super::curves::add_curves;
use super::exhibit::Exhibit;
use super::page::Page;
use super::pairs::Pairs;
use super::scores::add_scores;

/// The model of a run, applied to heads whose reference is known.
#[derive(Clone, Debug)]
pub struct Trial {
    /// One of the heads.
    pub exhibit: Exhibit,
    /// The scores of all.
    pub pairs: Pairs,
}

/// A page from a run folder: what was done, the curves, the scores with the baselines, and the model's output for validation
/// heads where they are at hand; without them the last preview.
///
/// # Errors
/// When the folder's files cannot be read.
pub fn of_run(run: &RunDir, trial: Option<&Trial>) -> anyhow::Result<String> {
    let folder = run
        .root()
        .canonicalize()
        .unwrap_or_else(|_| run.root().to_owned());
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut page = Page::new(
        &format!("Training: {name}"),
        "What was trained, how it went, and what came out.",
    );
    let records = run.records()?;
    what(&mut page, run, &records);
    gains(&mut page, &records);
    match trial {
        Some(Trial { exhibit, pairs }) => {
            exhibit.show(&mut page);
            page.notes(&pairs.notes());
            add_scores(&mut page, pairs, exhibit.lr_nyquist());
        }
        None => preview(&mut page, run, &records)?,
    }
    add_curves(&mut page, &records);
    Ok(page.html())
}

/// Adds what was trained and how that went to a page about something else.
///
/// # Errors
/// When the folder's files cannot be read.
pub fn add_training(page: &mut Page, run: &RunDir) -> anyhow::Result<()> {
    let records = run.records()?;
    what(page, run, &records);
    gains(page, &records);
    add_curves(page, &records);
    Ok(())
}

fn what(page: &mut Page, run: &RunDir, records: &[Record]) {
    page.heading("What was trained");
    let card = model_file::read_card(&run.model()).ok();
    let mut facts = facts(records);
    facts.extend(card.as_ref().map(card_facts).unwrap_or_default());
    page.facts(&facts);
    let notes = card.iter().map(|card| card.notes.clone());
    page.notes(&notes.filter(|notes| !notes.is_empty()).collect::<Vec<_>>());
    let config = fs::read_to_string(run.config()).unwrap_or_default();
    page.folded("The resolved configuration (config.toml)", &config);
    if let Some(card) = &card {
        page.folded("HR scans", &card.hr_scans.join("\n"));
        page.folded("LR scans", &card.lr_scans.join("\n"));
    }
    let mut watch = Watch::default();
    let warnings: Vec<String> = records.iter().flat_map(|record| watch.see(record)).collect();
    page.warnings(&warnings);
}

/// What the model's card says of it.
fn card_facts(card: &ModelCard) -> Vec<(&'static str, String)> {
    let spacing = card.lr_spacing_mm.map(|[least, most]| {
        if most - least < 1e-3 {
            format!("{least:.2}")
        } else {
            format!("{least:.2} to {most:.2}")
        }
    });
    let misfit = card.calibration_misfit.map_or_else(String::new, |misfit| {
        format!("; found from the spectra, misfit {misfit:.3}")
    });
    vec![
        ("method", format!("{}, seed {}", card.method, card.seed)),
        ("scale", card.scale().to_string()),
        ("source operator", card.operators_in_words() + &misfit),
        ("LR voxels (mm)", spacing.join(" x ")),
        (
            "network",
            format!(
                "{}, {} of {}, tile {}",
                counted(card.network.n_feats, "feature"),
                counted(card.network.n_resgroups, "group"),
                counted(card.network.n_resblocks, "block"),
                card.tile
            ),
        ),
        (
            "scans",
            format!("{} HR, {} LR", card.hr_scans.len(), card.lr_scans.len()),
        ),
        ("written by", format!("voxelift {}", card.version)),
    ]
}

fn facts(records: &[Record]) -> Vec<(&'static str, String)> {
    let (mut steps, mut seconds, mut validations) = (0, Vec::new(), 0);
    for record in records {
        match record {
            Record::Step {
                step, seconds: more, ..
            } => {
                steps = *step;
                seconds.push(*more);
            }
            Record::Validation { .. } => validations += 1,
        }
    }
    let total: f64 = seconds.iter().sum();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
    vec![
        ("steps", steps.to_string()),
        (
            "time in steps",
            format!("{:.1} min (median {median:.3} s a step)", total / 60.0),
        ),
        ("validations", validations.to_string()),
    ]
}

type Validation<'a> = (u64, &'a BTreeMap<String, ValidationScores>);

fn validations(records: &[Record]) -> Vec<Validation<'_>> {
    let scores = records.iter().filter_map(|record| match record {
        Record::Validation { step, scores } => Some((*step, scores)),
        Record::Step { .. } => None,
    });
    scores.collect()
}

/// A score's heading, where it stands, and its digits.
type ScoreColumn = (&'static str, fn(&ValidationScores) -> f64, usize);

const COLUMNS: [ScoreColumn; 6] = [
    ("PSNR in the brain (dB)", |s| s.headline()[0], 2),
    ("SSIM in the brain", |s| s.headline()[1], 4),
    ("PSNR in the dilated mask (dB)", |s| s.masked_psnr_db, 2),
    ("SSIM in the dilated mask", |s| s.masked_ssim, 4),
    ("PSNR (dB)", |s| s.psnr_db, 2),
    ("SSIM", |s| s.ssim, 4),
];

fn gains(page: &mut Page, records: &[Record]) {
    page.heading("Scores on the validation heads");
    let all = validations(records);
    let Some((step, last)) = all.last() else {
        page.paragraph("No validation has been made yet.");
        return;
    };
    let header: Vec<&str> = std::iter::once("").chain(COLUMNS.iter().map(|c| c.0)).collect();
    let names = ordered(last);
    let rows = names.iter().map(|name| {
        let scores = &last[*name];
        std::iter::once(display(name))
            .chain(
                COLUMNS
                    .iter()
                    .map(|(_, of, digits)| format!("{:.*}", digits, of(scores))),
            )
            .collect()
    });
    let best = COLUMNS.iter().enumerate().filter_map(|(x, (_, of, _))| {
        let best = (0..names.len()).max_by(|a, b| of(&last[names[*a]]).total_cmp(&of(&last[names[*b]])))?;
        Some((best, x + 1))
    });
    let how = format!(
        "means over the validation heads after step {step}; higher is better, the best of each column is marked. The model is scored with \
         what its scan measured put back, as `upscale` writes it, and alone. \
         On k-space-truncated input zero-fill is the baseline to beat."
    );
    page.table(
        &header,
        &rows.collect::<Vec<_>>(),
        &best.collect::<Vec<_>>(),
        &how,
    );

    let line = |name: &str, of: fn(&ValidationScores) -> f64| Series {
        name: display(name),
        points: all
            .iter()
            .filter_map(|(step, s)| Some([*step as f64, of(s.get(name)?)]))
            .collect(),
        is_baseline: ![SR, SR_CONSISTENT].contains(&name),
        ..Series::default()
    };
    let drawn = |title: &str, series: &[Series]| {
        let chart = Chart {
            title,
            x: "training step",
            y: title,
            series,
            ..Chart::default()
        };
        chart.html()
    };
    let mut charts: Vec<String> = COLUMNS[..2]
        .iter()
        .map(|(title, of, _)| {
            drawn(
                title,
                &names.iter().map(|name| line(name, *of)).collect::<Vec<_>>(),
            )
        })
        .collect();
    charts.extend(COLUMNS[..2].iter().map(|(title, of, _)| {
        let gain = |(step, s): &Validation| {
            Some([
                *step as f64,
                of(s.get(SR_CONSISTENT).or_else(|| s.get(SR))?) - of(s.get(Baseline::ZeroFill.name())?),
            ])
        };
        let gains: Vec<[f64; 2]> = all.iter().filter_map(gain).collect();
        let ends = [gains.first(), gains.last()].into_iter().flatten();
        let nothing = ends.map(|[step, _]| [*step, 0.0]).collect();
        let series = [
            Series {
                name: "gain".to_owned(),
                points: gains,
                ..Series::default()
            },
            Series {
                name: Baseline::ZeroFill.name().to_owned(),
                points: nothing,
                is_baseline: true,
                ..Series::default()
            },
        ];
        drawn(&format!("{title}, over zero-fill"), &series)
    }));
    page.charts(
        &charts,
        "the averaged model against the baselines, which do not learn (dashed); it should rise above all of them and stay. Below: the \
         same as a gain over zero-fill, the baseline that counts.",
    );
}

fn preview(page: &mut Page, run: &RunDir, records: &[Record]) -> anyhow::Result<()> {
    let newest = validations(records)
        .iter()
        .rev()
        .map(|(step, _)| (*step, run.preview(*step)))
        .find(|(_, path)| path.is_file());
    let Some((step, path)) = newest else { return Ok(()) };
    let bytes = fs::read(&path).map_err(|error| voxelift_volume::VolumeError::io(&path, "read", error))?;
    page.heading("The first validation head");
    page.picture(
        &bytes,
        &format!("montage of the first validation head after step {step}"),
        &format!(
            "after step {step}; rows are an axial, a coronal and a sagittal plane, with the subject's sides at their edges (radiological: the subject's left is on the right). Grey pictures share one window, errors another."
        ),
    );
    Ok(())
}

/// The model first, with what its scan measured put back and alone, then the baselines by name.
fn ordered(scores: &BTreeMap<String, ValidationScores>) -> Vec<&str> {
    let ours = [SR_CONSISTENT, SR];
    let there = ours.into_iter().filter(|name| scores.contains_key(*name));
    let baselines = scores
        .keys()
        .map(String::as_str)
        .filter(|name| !ours.contains(name));
    there.chain(baselines).collect()
}

fn display(name: &str) -> String {
    match name {
        SR => "model alone".to_owned(),
        SR_CONSISTENT => "model".to_owned(),
        name => name.replace('_', "-"),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
