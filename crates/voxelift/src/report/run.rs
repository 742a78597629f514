//! The page of a training run, from what its folder holds.

use std::collections::BTreeMap;
use std::fs;

use voxelift_model::run::{Record, RunDir, ValidationScores};

use super::chart::{Series, chart};
use super::page::Page;

/// The name under which the averaged model stands among the floors.
const SR: &str = "sr";

/// A page from a run folder: what was done, the curves, the scores with the floors, the previews.
///
/// # Errors
/// When the folder's files cannot be read.
pub fn of_run(run: &RunDir) -> anyhow::Result<String> {
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
    add_run(&mut page, run)?;
    Ok(page.html())
}

/// Adds the sections of a training run.
///
/// # Errors
/// When the folder's files cannot be read.
pub fn add_run(page: &mut Page, run: &RunDir) -> anyhow::Result<()> {
    let records = run.records()?;
    page.heading("What was trained");
    page.facts(&facts(&records));
    let config = fs::read_to_string(run.config()).unwrap_or_default();
    page.folded("The resolved configuration (config.toml)", &config);
    scores(page, &records);
    preview(page, run, &records)?;
    curves(page, &records);
    Ok(())
}

fn facts(records: &[Record]) -> Vec<(&'static str, String)> {
    let (mut steps, mut seconds, mut validations) = (0, 0.0, 0);
    for record in records {
        match record {
            Record::Step {
                step, seconds: more, ..
            } => (steps, seconds) = (*step, seconds + more),
            Record::Validation { .. } => validations += 1,
        }
    }
    let per_step = if steps > 0 { seconds / steps as f64 } else { 0.0 };
    vec![
        ("steps", steps.to_string()),
        (
            "time in steps",
            format!("{:.1} min ({per_step:.3} s a step)", seconds / 60.0),
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

const COLUMNS: [ScoreColumn; 4] = [
    ("PSNR in the mask (dB)", |s| s.masked_psnr_db, 2),
    ("SSIM in the mask", |s| s.masked_ssim, 4),
    ("PSNR (dB)", |s| s.psnr_db, 2),
    ("SSIM", |s| s.ssim, 4),
];

fn scores(page: &mut Page, records: &[Record]) {
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
        "means over the validation heads after step {step}; higher is better, the best of each column is marked. \
         On k-space-truncated input zero-fill is the floor to beat."
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
        is_floor: name != SR,
    };
    let charts: Vec<String> = COLUMNS[..2]
        .iter()
        .map(|(title, of, _)| {
            chart(
                title,
                "step",
                &names.iter().map(|name| line(name, *of)).collect::<Vec<_>>(),
            )
        })
        .collect();
    page.charts(&charts, "the averaged model against the floors, which do not learn (dashed); it should rise above all of them and stay.");
}

fn curves(page: &mut Page, records: &[Record]) {
    page.heading("Training curves");
    let mut terms: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    let mut rate = Vec::new();
    for record in records {
        if let Record::Step {
            step,
            learning_rate,
            terms: values,
            ..
        } = record
        {
            rate.push([*step as f64, *learning_rate]);
            for (name, value) in values {
                terms.entry(name).or_default().push([*step as f64, *value]);
            }
        }
    }
    let one = |name: &str, points: Vec<[f64; 2]>| {
        chart(
            name,
            "step",
            &[Series {
                name: name.to_owned(),
                points,
                is_floor: false,
            }],
        )
    };
    let mut charts: Vec<String> = terms
        .into_iter()
        .map(|(name, points)| one(name, points))
        .collect();
    charts.push(one("learning_rate", rate));
    page.charts(
        &charts,
        "each loss term unweighted, averaged over neighbouring steps. Reconstruction terms should fall; the discriminators' and the \
         adversarial terms should hold each other near a balance, and one that runs to 0 has won.",
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
            "after step {step}; rows are an axial, a coronal and a sagittal plane, the subject's left at the left. Grey pictures share one window (under the labels)."
        ),
    );
    Ok(())
}

/// The model first, then the floors by name.
fn ordered(scores: &BTreeMap<String, ValidationScores>) -> Vec<&str> {
    let floors = scores.keys().map(String::as_str).filter(|name| *name != SR);
    scores
        .contains_key(SR)
        .then_some(SR)
        .into_iter()
        .chain(floors)
        .collect()
}

fn display(name: &str) -> String {
    if name == SR {
        "model".to_owned()
    } else {
        name.replace('_', "-")
    }
}
