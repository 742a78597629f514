//! Many pairs from a table, and their summary by method.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;
use serde_json::{Value, json};
use voxelift_model::memory;
use voxelift_model::scoring::CaseScores;
use voxelift_volume::metrics::{
    BOOTSTRAP_SEED, EVALUATION_BYTES, RegionScores, Score, Scores, SetMember, SetScores, Summary, by_subject,
    set_scores, summarize,
};
use voxelift_volume::{VolumeError, scan};

use super::super::files::Inputs;
use super::table::{self, Row};
use super::{PAIR_BYTES, Protocol, tell};
use crate::failure::{Outcome, message};
use crate::terminal::{self, Terminal};

/// The scored rows, each with its scores, and how the methods' images compare with the references as sets.
#[derive(Debug)]
pub struct ScoredPairs {
    rows: Vec<(Row, CaseScores)>,
    sets: BTreeMap<String, SetScores>,
}

/// What scoring a pair leaves: its scores, what it adds to the two sets, and a hash of the mask that it was given.
type Scored = (CaseScores, [Option<SetMember>; 2], Option<u64>);

/// Where a pair was scored: a hash of the mask that was given, voxels in the mask and in the brain.
type Region = (Option<u64>, usize, Option<usize>);

/// Scores the rows side by side as far as memory allows; one that fails is said and left out.
///
/// # Errors
/// When no row could be scored.
pub fn run(
    table: &Path,
    rows: Vec<Row>,
    protocol: &Protocol,
    terminal: &Terminal,
) -> anyhow::Result<(ScoredPairs, Outcome)> {
    let folder = table.parent().unwrap_or(Path::new(""));
    let count = rows.len();
    let score = |row: &Row| -> anyhow::Result<Scored> {
        let at = |path: &PathBuf| folder.join(path);
        let mask = row.mask.as_ref().map(at);
        let pair = protocol.read(&at(&row.reference), &at(&row.image), mask.as_deref(), terminal)?;
        let scores = pair.score(&protocol.options)?;
        let members = [&pair.image, &pair.reference].map(SetMember::of);
        let mask = pair.mask.as_ref().map(|mask| {
            let mut hasher = DefaultHasher::new();
            mask.data().hash(&mut hasher);
            hasher.finish()
        });
        Ok((scores, members, mask))
    };
    let mut regions: BTreeMap<PathBuf, (PathBuf, Region)> = BTreeMap::new();
    let mut differ = None;
    let mut progress = terminal.progress("evaluate", "pairs", count as u64);
    let mut scored: Vec<(Row, CaseScores)> = Vec::with_capacity(count);
    let mut members: BTreeMap<String, [Vec<SetMember>; 2]> = BTreeMap::new();
    let mut references = BTreeSet::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(next) = rows.peek().cloned() {
        let done = count - rows.len();
        progress.set(done as u64, &next.image.display().to_string());
        let header = scan::read_header(&folder.join(&next.reference));
        let voxels: u64 = header.map_or(0, |(header, _)| header.extent.iter().map(|n| *n as u64).product());
        let at_once = memory::side_by_side(voxels * (EVALUATION_BYTES + PAIR_BYTES));
        let together: Vec<Row> = rows.by_ref().take(at_once).collect();
        let results: Vec<anyhow::Result<Scored>> = together.par_iter().map(score).collect();
        for (row, result) in together.into_iter().zip(results) {
            let image = row.image.display();
            match result {
                Ok((scores, [of_image, of_reference], mask)) => {
                    let region = (mask, scores.scores.mask_voxels, scores.scores.brain_voxels);
                    let (first, of_first) = regions
                        .entry(row.reference.clone())
                        .or_insert_with(|| (row.image.clone(), region));
                    if *of_first != region && differ.is_none() {
                        differ = Some(in_different_regions(&row, first, of_first.0 != mask));
                    }
                    tell(&scores.scores, &format!("{image}: "), terminal);
                    if scores.scores.masked.psnr_db.is_infinite() {
                        terminal.warn(format!(
                            "{image}: the same as its reference; its PSNR is infinite, and left out of the means"
                        ));
                    }
                    let method = row.method().to_owned();
                    let [images, of_references] = members.entry(method.clone()).or_default();
                    images.extend(of_image);
                    if references.insert((method, row.reference.clone())) {
                        of_references.extend(of_reference);
                    }
                    scored.push((row, scores));
                }
                Err(error) => terminal.complain(format!("{image}: {}", message(&error))),
            }
        }
    }
    drop(progress);
    let mut by_method: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for (row, _) in &scored {
        by_method.entry(row.method()).or_default().insert(&row.reference);
    }
    for differ in [not_in_all(&by_method), differ].into_iter().flatten() {
        terminal.warn(format!("{}: {differ}", table.display()));
    }
    let sets = members
        .into_iter()
        .filter_map(|(method, [images, references])| Some((method, set_scores(&images, &references)?)))
        .collect();
    let outcome = match scored.len() {
        0 => anyhow::bail!("{}: none of the {count} pairs could be scored", table.display()),
        n if n < count => Outcome::InPart,
        _ => Outcome::Done,
    };
    Ok((ScoredPairs { rows: scored, sets }, outcome))
}

/// That an image was scored in another region of its reference than the `first` one, in words; such scores do not compare.
fn in_different_regions(row: &Row, first: &Path, by_masks: bool) -> String {
    format!(
        "{} and {} were scored in different regions of {}, so that they do not compare: {}",
        first.display(),
        row.image.display(),
        row.reference.display(),
        match by_masks {
            true => "give every row of a reference the same mask, or none",
            false =>
                "their fields of view differ; bring one onto the grid of the other, or give both a mask that lies in both",
        }
    )
}

/// References that not every method was scored on, in words; the means of methods on different ones do not compare.
fn not_in_all(by_method: &BTreeMap<&str, BTreeSet<&Path>>) -> Option<String> {
    let all: BTreeSet<&Path> = by_method.values().flatten().copied().collect();
    let in_all = all
        .iter()
        .filter(|one| by_method.values().all(|of| of.contains(*one)))
        .count();
    let counts: Vec<String> = by_method
        .iter()
        .map(|(method, of)| format!("{method} on {}", of.len()))
        .collect();
    (in_all < all.len()).then(|| {
        format!(
            "the methods were not scored on the same references ({}; {in_all} of {} have all of them), so that their means do not \
             compare: leave out the rows of references that some method lacks",
            counts.join(", "),
            all.len()
        )
    })
}

/// The rows of a table, whose files are added to the `inputs`; a row that stands twice is told.
///
/// # Errors
/// When it cannot be read, holds no row, or one without a file.
pub fn rows(table: &Path, inputs: &mut Inputs, terminal: &Terminal) -> anyhow::Result<Vec<Row>> {
    let text = fs::read(table).map_err(|error| VolumeError::io(table, "read", error))?;
    let rows = table::parse(&text).with_context(|| table.display().to_string())?;
    for (first, again) in table::repeated(&rows) {
        terminal.warn(format!(
            "{}: rows {} and {} below the header are the same pair; it is scored twice",
            table.display(),
            first + 1,
            again + 1
        ));
    }
    let folder = table.parent().unwrap_or(Path::new(""));
    for row in &rows {
        let files = [Some(&row.reference), Some(&row.image), row.mask.as_ref()];
        files
            .into_iter()
            .flatten()
            .for_each(|file| inputs.add(&folder.join(file)));
    }
    Ok(rows)
}

impl ScoredPairs {
    /// `{"pairs": [...], "summary": {method: {region: {score: {subjects, mean, sd, interval}}}}}`, the region `set` with the
    /// set-level scores as they are. A subject scanned twice counts once; a row without a subject is a subject of its own.
    pub fn json(&self) -> String {
        let pairs = self.rows.iter().map(|(row, scores)| {
            let mut object = serde_json::to_value(row).unwrap_or(Value::Null);
            let scores = serde_json::to_value(scores).unwrap_or(Value::Null);
            if let (Some(object), Value::Object(scores)) = (object.as_object_mut(), scores) {
                object.extend(scores);
            }
            object
        });
        let pairs: Vec<Value> = pairs.collect();
        let summary: BTreeMap<&str, Value> = self
            .methods()
            .map(|(method, rows)| {
                let mut summary = summary(&rows);
                summary["set"] = json!(self.sets.get(method));
                (method, summary)
            })
            .collect();
        let object = json!({"pairs": pairs, "summary": summary});
        serde_json::to_string_pretty(&object).unwrap_or_default()
    }

    /// A row a score, a column a method: mean and standard deviation over subjects, in the brain.
    pub fn text(&self) -> String {
        let methods: Vec<_> = self.methods().collect();
        let header = methods.iter().map(|(method, rows)| match rows.len() {
            1 => (*method).to_owned(),
            n => format!("{method} ({n})"),
        });
        let mut places = self
            .rows
            .iter()
            .map(|(_, scored)| scored.scores.headline_region());
        let first = places.next().unwrap_or_default();
        let place = if places.all(|other| other == first) {
            first
        } else {
            "in the mask"
        };
        let mut table = terminal::table(std::iter::once(place.to_owned()).chain(header));
        for score in Score::present(self.rows.iter().map(|(_, scores)| &scores.scores)) {
            let cells = methods
                .iter()
                .map(|(_, rows)| match summary_of(score, rows, Scores::headline) {
                    Some(Summary {
                        mean, sd: Some(sd), ..
                    }) => {
                        format!("{} ± {}", score.format(Some(mean)), score.format(Some(sd)))
                    }
                    one => score.format(one.map(|summary| summary.mean)),
                });
            table.add_row(std::iter::once(score.label().to_owned()).chain(cells));
        }
        for score in Score::OF_SETS.into_iter().filter(|_| !self.sets.is_empty()) {
            let cells = methods.iter().map(|(method, _)| {
                let set = self.sets.get(*method);
                score.format(set.and_then(|set| score.of_sets(set)))
            });
            table.add_row(std::iter::once(score.label().to_owned()).chain(cells));
        }
        format!("{table}\n")
    }

    /// One row a pair, region and score, then one a method and set-level score.
    ///
    /// # Errors
    /// When a row cannot be written, which does not happen.
    pub fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record([
            "reference",
            "image",
            "subject",
            "method",
            "region",
            "score",
            "value",
        ])?;
        for (row, scores) in &self.rows {
            let [reference, image] = [&row.reference, &row.image].map(|path| path.to_string_lossy());
            let subject = row.subject.as_deref().unwrap_or_default();
            let scores = &scores.scores;
            let brain = scores.brain.iter().map(|brain| ("brain", brain));
            for (region, of_region) in [("masked", &scores.masked), ("whole", &scores.whole)]
                .into_iter()
                .chain(brain)
            {
                for score in Score::ALL {
                    if let Some(value) = score.of(of_region) {
                        let value = value.to_string();
                        out.write_record([
                            &*inert(&reference),
                            &*inert(&image),
                            &*inert(subject),
                            &*inert(row.method()),
                            region,
                            score.key(),
                            &value,
                        ])?;
                    }
                }
            }
        }
        for (method, set) in &self.sets {
            for score in Score::OF_SETS {
                if let Some(value) = score.of_sets(set) {
                    out.write_record([
                        "",
                        "",
                        "",
                        &*inert(method),
                        "set",
                        score.key(),
                        &value.to_string(),
                    ])?;
                }
            }
        }
        Ok(out.into_inner()?)
    }

    /// Rows by method, in the order of the table. Each row with its subject.
    fn methods(&self) -> impl Iterator<Item = (&str, Vec<(&str, &Scores)>)> {
        let mut methods: Vec<(&str, Vec<(&str, &Scores)>)> = Vec::new();
        for (row, scores) in &self.rows {
            let method = row.method();
            let person = row.subject.as_deref().or(row.image.to_str()).unwrap_or_default();
            match methods.iter_mut().find(|(name, _)| *name == method) {
                Some((_, rows)) => rows.push((person, &scores.scores)),
                None => methods.push((method, vec![(person, &scores.scores)])),
            }
        }
        methods.into_iter()
    }
}

/// Which region of an image's scores is looked at.
type OfRegion = fn(&Scores) -> &RegionScores;

fn summary_of(score: Score, rows: &[(&str, &Scores)], region: OfRegion) -> Option<Summary> {
    let values = rows
        .iter()
        .filter_map(|(person, scores)| Some((*person, score.of(region(scores))?)));
    let people: Vec<f64> = by_subject(values).into_values().collect();
    summarize(&people, BOOTSTRAP_SEED)
}

fn summary(rows: &[(&str, &Scores)]) -> Value {
    let present = Score::present(rows.iter().map(|(_, scores)| *scores));
    let of = |region: OfRegion| -> BTreeMap<&str, Option<Summary>> {
        let scores = present.iter();
        scores
            .map(|score| (score.key(), summary_of(*score, rows, region)))
            .collect()
    };
    json!({"whole": of(|scores| &scores.whole), "masked": of(|scores| &scores.masked), "brain": of(Scores::headline)})
}

/// A cell that no spreadsheet takes for a formula: an apostrophe before what begins like one.
fn inert(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}
