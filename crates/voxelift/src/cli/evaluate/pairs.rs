//! Many pairs from a table, and their summary by method.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use voxelift_volume::VolumeError;
use voxelift_volume::metrics::{Summary, by_person, summarize};

use super::Protocol;
use crate::failure::{Outcome, told};
use crate::scoreboard::{Score, present};
use crate::terminal::{self, Terminal};

/// The same table gives the same intervals.
const BOOTSTRAP_SEED: u64 = 0;

/// A row of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    reference: PathBuf,
    image: PathBuf,
    // In the JSON `mask` says in words where the mask of the scores comes from.
    #[serde(
        default,
        rename(serialize = "mask_file"),
        skip_serializing_if = "Option::is_none"
    )]
    mask: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
}

/// The scored rows, each with its scores as JSON.
#[derive(Debug)]
pub struct ScoredPairs {
    rows: Vec<(Row, Value)>,
}

/// Scores every row; one that fails is said and left out.
///
/// # Errors
/// When the table cannot be read, or no row could be scored.
pub fn run(table: &Path, protocol: &Protocol, terminal: &Terminal) -> anyhow::Result<(ScoredPairs, Outcome)> {
    let folder = table.parent().unwrap_or(Path::new(""));
    let rows = rows(table)?;
    let mut progress = terminal.progress("evaluate", "pairs", rows.len() as u64);
    let mut scored = Vec::with_capacity(rows.len());
    let count = rows.len();
    for (done, row) in rows.into_iter().enumerate() {
        progress.set(done as u64, &row.image.display().to_string());
        let at = |path: &PathBuf| folder.join(path);
        let mask = row.mask.as_ref().map(at);
        match protocol.score(&at(&row.reference), &at(&row.image), mask.as_deref(), terminal) {
            Ok(scores) => {
                scores
                    .notes
                    .iter()
                    .for_each(|note| terminal.detail(format!("{}: {note}", row.image.display())));
                scored.push((row, serde_json::to_value(scores)?));
            }
            Err(error) => terminal.complain(format!("{}: {}", row.image.display(), told(&error))),
        }
    }
    drop(progress);
    match scored.len() {
        0 => Err(anyhow::anyhow!(
            "{}: none of the {count} pairs could be scored",
            table.display()
        )),
        n if n < count => Ok((ScoredPairs { rows: scored }, Outcome::InPart)),
        _ => Ok((ScoredPairs { rows: scored }, Outcome::Done)),
    }
}

fn rows(table: &Path) -> anyhow::Result<Vec<Row>> {
    let file = File::open(table).map_err(|error| VolumeError::io(table, "read", error))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    let rows = rows.map_err(|error| {
        let expected = "expected the columns reference,image[,mask][,subject][,method]";
        anyhow::anyhow!("{}: {error}; {expected}", table.display())
    })?;
    anyhow::ensure!(
        !rows.is_empty(),
        "{}: holds no pair; expected a row a pair below the header",
        table.display()
    );
    Ok(rows)
}

impl ScoredPairs {
    /// `{"pairs": [...], "summary": {method: {region: {score: {people, mean, sd, interval}}}}}`. A person scanned twice
    /// counts once; a row without a subject is a person of its own.
    pub fn json(&self) -> String {
        let pairs = self.rows.iter().map(|(row, scores)| {
            let mut object = serde_json::to_value(row).unwrap_or(Value::Null);
            if let (Some(object), Some(scores)) = (object.as_object_mut(), scores.as_object()) {
                object.extend(scores.clone());
            }
            object
        });
        let pairs: Vec<Value> = pairs.collect();
        let summary: BTreeMap<&str, Value> = self
            .methods()
            .map(|(method, rows)| (method, summary(&rows)))
            .collect();
        let object = json!({"pairs": pairs, "summary": summary});
        serde_json::to_string_pretty(&object).unwrap_or_default()
    }

    /// A row a score, a column a method: mean and standard deviation over people in the mask.
    pub fn text(&self) -> String {
        let all: Vec<&Value> = self.rows.iter().map(|(_, scores)| scores).collect();
        let methods: Vec<_> = self.methods().collect();
        let header = methods.iter().map(|(method, rows)| match rows.len() {
            1 => (*method).to_owned(),
            n => format!("{method} ({n})"),
        });
        let mut table = terminal::table(std::iter::once("in the mask".to_owned()).chain(header));
        for score in present(&all) {
            let cells = methods
                .iter()
                .map(|(_, rows)| match summary_of(score, rows, true) {
                    Some(Summary {
                        mean, sd: Some(sd), ..
                    }) => {
                        format!("{} ± {}", score.shown(Some(mean)), score.shown(Some(sd)))
                    }
                    one => score.shown(one.map(|summary| summary.mean)),
                });
            table.add_row(std::iter::once(score.name.to_owned()).chain(cells));
        }
        format!("{table}\n")
    }

    /// Rows by method, in the order of the table; rows without one stand together. Each row with its person.
    fn methods(&self) -> impl Iterator<Item = (&str, Vec<(&str, &Value)>)> {
        let mut methods: Vec<(&str, Vec<(&str, &Value)>)> = Vec::new();
        for (row, scores) in &self.rows {
            let method = row.method.as_deref().unwrap_or("all");
            let person = row.subject.as_deref().or(row.image.to_str()).unwrap_or_default();
            match methods.iter_mut().find(|(name, _)| *name == method) {
                Some((_, rows)) => rows.push((person, scores)),
                None => methods.push((method, vec![(person, scores)])),
            }
        }
        methods.into_iter()
    }
}

fn summary_of(score: &Score, rows: &[(&str, &Value)], masked: bool) -> Option<Summary> {
    let values = rows
        .iter()
        .filter_map(|(person, scores)| Some((*person, score.of(scores, masked)?)));
    let people: Vec<f64> = by_person(values).into_values().collect();
    summarize(&people, BOOTSTRAP_SEED)
}

fn summary(rows: &[(&str, &Value)]) -> Value {
    let all: Vec<&Value> = rows.iter().map(|(_, scores)| *scores).collect();
    let region = |masked: bool| -> BTreeMap<&str, Option<Summary>> {
        present(&all)
            .iter()
            .map(|score| (score.key, summary_of(score, rows, masked)))
            .collect()
    };
    json!({"whole": region(false), "masked": region(true)})
}
