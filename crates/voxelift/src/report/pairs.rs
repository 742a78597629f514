//! Scored images, by method, person and head.

use std::collections::BTreeMap;

use serde_json::Value;
use voxelift_volume::metrics::{BOOTSTRAP_SEED, Summary, by_person, summarize};

use crate::scoreboard::{FLOORS, Score};

/// The floor that others are measured against.
pub const ZERO_FILL: &str = FLOORS[0];

/// One scored image.
pub struct Row<'a> {
    /// How it was made.
    pub method: String,
    /// Whose head.
    pub person: String,
    /// Its scores.
    pub scores: &'a Value,
}

/// The scored images of an evaluation.
pub struct Pairs<'a>(Vec<Row<'a>>);

impl<'a> Pairs<'a> {
    /// From the JSON of `evaluate`: of one image, or of many pairs.
    pub fn of(scores: &'a Value) -> Self {
        let text = |pair: &Value, key: &str| pair.get(key).and_then(Value::as_str).map(str::to_owned);
        let rows = match scores.get("pairs").and_then(Value::as_array) {
            Some(pairs) => pairs
                .iter()
                .map(|pair| Row {
                    method: text(pair, "method").unwrap_or_else(|| "all".to_owned()),
                    person: text(pair, "subject")
                        .or_else(|| text(pair, "image"))
                        .unwrap_or_default(),
                    scores: pair,
                })
                .collect(),
            None => vec![Row {
                method: "image".to_owned(),
                person: String::new(),
                scores,
            }],
        };
        Self(rows)
    }

    /// What every number rests on; said once where all pairs agree.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let common = |key: &str| {
            let mut values: Vec<String> = self
                .0
                .iter()
                .filter_map(|row| row.scores.get(key))
                .map(plain)
                .collect();
            values.sort();
            values.dedup();
            match values.as_slice() {
                [] => "not recorded".to_owned(),
                [one] => one.clone(),
                several => format!("differs between pairs ({} values)", several.len()),
            }
        };
        let people: Vec<&str> = self.people().map(|(person, _)| person).collect();
        vec![
            ("images", self.0.len().to_string()),
            ("people", people.len().to_string()),
            ("data range L", common("data_range")),
            ("range p99.5", common("data_range_p995")),
            ("mask", common("mask")),
            ("voxels", common("voxels")),
        ]
    }

    /// What a reader of the numbers has to know, each said once.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for row in &self.0 {
            let own = row.scores.get("notes").and_then(Value::as_array);
            for note in own.into_iter().flatten().filter_map(Value::as_str) {
                if !notes.iter().any(|there| there == note) {
                    notes.push(note.to_owned());
                }
            }
        }
        notes
    }

    /// The images in the order of the scores.
    pub fn rows(&self) -> &[Row<'a>] {
        &self.0
    }

    /// The scores of all.
    pub fn all(&self) -> Vec<&Value> {
        self.0.iter().map(|row| row.scores).collect()
    }

    /// Methods in the order of the pairs.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = Vec::new();
        for row in &self.0 {
            if !methods.contains(&row.method.as_str()) {
                methods.push(&row.method);
            }
        }
        methods
    }

    /// People in the order of the pairs, each with the rows of their scans.
    pub fn people(&self) -> impl Iterator<Item = (&str, Vec<&Row<'a>>)> {
        let mut people: Vec<(&str, Vec<&Row<'a>>)> = Vec::new();
        for row in &self.0 {
            match people.iter_mut().find(|(person, _)| *person == row.person) {
                Some((_, rows)) => rows.push(row),
                None => people.push((&row.person, vec![row])),
            }
        }
        people.into_iter()
    }

    /// Heads with the rows that share a truth: a person scanned twice is two of them.
    pub fn heads(&self) -> Vec<(String, Vec<&Row<'a>>)> {
        let truth = |row: &Row<'a>| {
            row.scores
                .get("reference")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut heads: Vec<(String, Vec<&Row<'a>>)> = Vec::new();
        for (person, rows) in self.people() {
            let mut scans: Vec<(Option<String>, Vec<&Row<'a>>)> = Vec::new();
            for row in rows {
                match scans.iter_mut().find(|(reference, _)| *reference == truth(row)) {
                    Some((_, rows)) => rows.push(row),
                    None => scans.push((truth(row), vec![row])),
                }
            }
            let name = if person.is_empty() { "the image" } else { person };
            for (i, (_, rows)) in scans.into_iter().enumerate() {
                let title = if i == 0 {
                    name.to_owned()
                } else {
                    format!("{name}, scan {}", i + 1)
                };
                heads.push((title, rows));
            }
        }
        heads
    }

    /// A score of a method, one value a person.
    pub fn by_person(&self, score: &Score, method: &str, masked: bool) -> BTreeMap<&str, f64> {
        let rows = self.0.iter().filter(|row| row.method == method);
        by_person(rows.filter_map(|row| Some((row.person.as_str(), score.of(row.scores, masked)?))))
    }

    /// A score of a method over people.
    pub fn summary(&self, score: &Score, method: &str, masked: bool) -> Option<Summary> {
        let people: Vec<f64> = self.by_person(score, method, masked).into_values().collect();
        summarize(&people, BOOTSTRAP_SEED)
    }
}

fn plain(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) if number.fract() != 0.0 => format!("{number:.3}"),
        (None, _) => value.to_string(),
    }
}
