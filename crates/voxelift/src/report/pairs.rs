//! Scored images, by method, subject and head.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use voxelift_model::scoring::CaseScores;
use voxelift_volume::metrics::{BOOTSTRAP_SEED, Score, Scores, Summary, by_subject, summarize};

/// One scored image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Row {
    /// How it was made.
    pub method: Option<String>,
    /// Whose head.
    pub subject: Option<String>,
    /// The file of its reference.
    pub reference: Option<String>,
    /// Its own file.
    pub image: Option<String>,
    /// Its scores.
    #[serde(flatten)]
    pub scored: CaseScores,
}

impl Row {
    /// How it was made; images of which that is not known stand together.
    pub fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("all")
    }

    /// Whose head; an image without a subject is a subject of its own.
    pub fn subject(&self) -> &str {
        let named = self.subject.as_deref().or(self.image.as_deref());
        named.unwrap_or_default()
    }

    /// Its scores, those of the classes not among them.
    pub fn scores(&self) -> &Scores {
        &self.scored.scores
    }
}

/// Which voxels a score is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The brain alone, or the mask given: the scores to quote.
    Headline,
    /// The default mask, dilated.
    Dilated,
    /// All.
    Whole,
}

/// The scored images of an evaluation.
#[derive(Clone, Debug)]
pub struct Pairs(Vec<Row>);

impl Pairs {
    /// Of rows in their order.
    pub fn new(rows: Vec<Row>) -> Self {
        Self(rows)
    }

    /// From the JSON of `evaluate`: of one image, or of many pairs.
    ///
    /// # Errors
    /// When it is other JSON.
    pub fn read(mut json: Value) -> serde_json::Result<Self> {
        match json.get_mut("pairs").map(Value::take) {
            Some(pairs) => Ok(Self(serde_json::from_value(pairs)?)),
            None => {
                let row = Row {
                    method: Some("image".to_owned()),
                    scored: serde_json::from_value(json)?,
                    ..Row::default()
                };
                Ok(Self(vec![row]))
            }
        }
    }

    /// What every number rests on; said once where all pairs agree.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let common = |of: &dyn Fn(&Scores) -> Option<String>| {
            let mut values: Vec<String> = self.0.iter().filter_map(|row| of(row.scores())).collect();
            values.sort();
            values.dedup();
            match values.as_slice() {
                [] => "not recorded".to_owned(),
                [one] => one.clone(),
                // Numbers by their size, texts by their letters.
                several => {
                    let number = |text: &String| text.parse::<f64>().ok();
                    let numbers: Option<Vec<f64>> = several.iter().map(number).collect();
                    match numbers {
                        Some(numbers) => {
                            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
                            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                            format!("{low} to {high}, by image")
                        }
                        None => several.join("; or "),
                    }
                }
            }
        };
        let subjects: Vec<&str> = self.subjects().map(|(subject, _)| subject).collect();
        vec![
            ("images", self.0.len().to_string()),
            ("subjects", subjects.len().to_string()),
            (
                "data range L",
                common(&|scores| (!scores.data_range.is_nan()).then(|| plain(scores.data_range))),
            ),
            ("range p99.5", common(&|scores| scores.data_range_p995.map(plain))),
            (
                "mask",
                common(&|scores| (!scores.mask.is_empty()).then(|| scores.mask.clone())),
            ),
            (
                "brain",
                common(&|scores| (!scores.brain_mask.is_empty()).then(|| scores.brain_mask.clone())),
            ),
            (
                "voxels",
                common(&|scores| (scores.voxels > 0).then(|| scores.voxels.to_string())),
            ),
        ]
    }

    /// What a reader of the numbers has to know, each said once.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for note in self.0.iter().flat_map(|row| &row.scores().notes) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        notes
    }

    /// The images in the order of the scores.
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// The scores that at least one image has.
    pub fn present(&self) -> Vec<Score> {
        Score::present(self.0.iter().map(Row::scores))
    }

    /// Where the scores to quote are taken, in words.
    pub fn headline_region(&self) -> &'static str {
        let mut regions = self.0.iter().map(|row| row.scores().headline_region());
        let first = regions.next().unwrap_or("in the mask");
        if regions.all(|other| other == first) {
            first
        } else {
            "in the mask"
        }
    }

    /// Whether a dilated mask was scored beside that.
    pub fn has_dilated(&self) -> bool {
        let brain = |row: &Row| row.scores().brain.is_some();
        self.0.iter().any(brain) && self.headline_region() == "in the brain"
    }

    /// Methods in the order of the pairs.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods: Vec<&str> = Vec::new();
        for row in &self.0 {
            if !methods.contains(&row.method()) {
                methods.push(row.method());
            }
        }
        methods
    }

    /// People in the order of the pairs, each with the rows of their scans.
    pub fn subjects(&self) -> impl Iterator<Item = (&str, Vec<&Row>)> {
        let mut subjects: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in &self.0 {
            match subjects.iter_mut().find(|(subject, _)| *subject == row.subject()) {
                Some((_, rows)) => rows.push(row),
                None => subjects.push((row.subject(), vec![row])),
            }
        }
        subjects.into_iter()
    }

    /// Scans, each a reference with the rows that share it: a subject scanned twice is two of them.
    pub fn scans(&self) -> Vec<(String, Vec<&Row>)> {
        let mut scans: Vec<(String, Vec<&Row>)> = Vec::new();
        for (subject, rows) in self.subjects() {
            let mut of_subject: Vec<(Option<&String>, Vec<&Row>)> = Vec::new();
            for row in rows {
                match of_subject
                    .iter_mut()
                    .find(|(reference, _)| *reference == row.reference.as_ref())
                {
                    Some((_, rows)) => rows.push(row),
                    None => of_subject.push((row.reference.as_ref(), vec![row])),
                }
            }
            let name = if subject.is_empty() { "the image" } else { subject };
            for (i, (_, rows)) in of_subject.into_iter().enumerate() {
                let title = if i == 0 {
                    name.to_owned()
                } else {
                    format!("{name}, scan {}", i + 1)
                };
                scans.push((title, rows));
            }
        }
        scans
    }

    /// A score of a method, one value a subject.
    pub fn by_person(&self, score: Score, method: &str, region: Region) -> BTreeMap<&str, f64> {
        let rows = self.0.iter().filter(|row| row.method() == method);
        by_subject(rows.filter_map(|row| {
            let scores = row.scores();
            let of_region = match region {
                Region::Headline => scores.headline(),
                Region::Dilated => &scores.masked,
                Region::Whole => &scores.whole,
            };
            Some((row.subject(), score.of(of_region)?))
        }))
    }

    /// A score of a method over subjects.
    pub fn summary(&self, score: Score, method: &str, region: Region) -> Option<Summary> {
        let subjects: Vec<f64> = self.by_person(score, method, region).into_values().collect();
        summarize(&subjects, BOOTSTRAP_SEED)
    }
}

fn plain(number: f64) -> String {
    if number.fract() == 0.0 {
        format!("{number:?}")
    } else {
        format!("{number:.3}")
    }
}
