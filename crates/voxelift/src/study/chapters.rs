//! The table in chapters of small tables, whatever they are shown in.

use std::fmt::Write;

use voxelift_volume::metrics::Score;
use voxelift_volume::words::counted;

use super::CONSISTENT;
use super::cost::Cost;
use super::table::{Cell, Each, MethodHead, ScoreTable, Table, TestTable};

/// Whether the differences of a score are listed for each subject and seed.
pub fn is_listed(score: &ScoreTable) -> bool {
    Score::GAINS.iter().any(|listed| listed.key() == score.key)
}

/// What stands together under one heading.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// The heading.
    pub title: String,
    /// In order.
    pub sheets: Vec<Sheet>,
}

/// A table of text whose first column names the row.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The first names the rows.
    pub header: Vec<String>,
    /// As many cells as the header.
    pub rows: Vec<Vec<String>>,
    /// The best cell of each column: row, column.
    pub best: Vec<(usize, usize)>,
    /// How to read it.
    pub note: &'static str,
}

/// A chapter a test set, then what it has cost.
pub fn chapters(table: &Table) -> Vec<Chapter> {
    let methods = table.methods.as_slice();
    let of_test = |test: &TestTable| {
        let head = &test.head;
        let columns = quoted(test);
        let mut sheets = vec![scores(&columns, methods), differences(&columns, methods)];
        let listed_scores = columns.iter().filter(|score| is_listed(score));
        sheets.extend(listed_scores.map(|score| listed(score, methods)));
        let classes = [Score::Psnr, Score::Ssim].map(|score| scores(&of_classes(test, score.key()), methods));
        sheets.extend(classes);
        sheets.retain(|sheet| !sheet.rows.is_empty());
        Chapter {
            title: format!(
                "{}: {}, {} of {}",
                head.name,
                head.degradation,
                counted(head.scans, "scan"),
                counted(head.people, "subject")
            ),
            sheets,
        }
    };
    let costs = Chapter {
        title: "What it cost".to_owned(),
        sheets: vec![costs(methods)],
    };
    table.tests.iter().map(of_test).chain([costs]).collect()
}

/// The scores of a test set in the region that a table shows: the brain where a score has one, else the mask.
pub fn quoted(test: &TestTable) -> Vec<ScoreTable> {
    let has = |key: &str, region: &str| test.scores.iter().any(|s| s.key == key && s.region == region);
    let is_shown = |s: &&ScoreTable| match s.region.as_str() {
        "brain" | "set" => true,
        "masked" => !has(&s.key, "brain"),
        "whole" => !has(&s.key, "brain") && !has(&s.key, "masked"),
        _ => false,
    };
    test.scores.iter().filter(is_shown).cloned().collect()
}

/// One score of the classes that are scored by themselves, where there are some.
fn of_classes(test: &TestTable, key: &str) -> Vec<ScoreTable> {
    let of_key = test.scores.iter().filter(|s| s.key == key);
    of_key
        .filter(|s| !["brain", "masked", "whole", "set"].contains(&s.region.as_str()))
        .map(|s| ScoreTable {
            name: format!("{}, {}", s.name, s.region),
            ..s.clone()
        })
        .collect()
}

/// The cell of a method.
pub fn cell_of<'a>(score: &'a ScoreTable, method: &MethodHead) -> Option<&'a Cell> {
    score.methods.iter().find(|cell| cell.method == method.name)
}

/// A score's name with the way that is better.
pub fn titled(score: &ScoreTable) -> String {
    format!(
        "{} {}",
        score.name,
        if score.higher_is_better { "↑" } else { "↓" }
    )
}

/// A method's name, and how many of its runs stand behind its numbers.
fn named(method: &MethodHead) -> String {
    match method.is_floor {
        true => method.name.clone(),
        false => format!("{} ({}/{})", method.name, method.seeds.len(), method.planned),
    }
}

/// What is compared with what.
pub fn compared(method: &MethodHead) -> String {
    match &method.baseline {
        Some(baseline) => format!("{} - {baseline}", method.name),
        None => method.name.clone(),
    }
}

/// A row a method, a column a score; methods without any are left out.
fn by_method(
    columns: &[ScoreTable],
    methods: &[MethodHead],
    title: impl Fn(&MethodHead) -> String,
    text: impl Fn(&ScoreTable, &Cell) -> Option<String>,
    note: &'static str,
) -> Sheet {
    let mut rows = Vec::new();
    for method in methods {
        let cells: Vec<Option<String>> = columns
            .iter()
            .map(|score| cell_of(score, method).and_then(|cell| text(score, cell)))
            .collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(Option::unwrap_or_default);
            rows.push(std::iter::once(title(method)).chain(cells).collect());
        }
    }
    let header = std::iter::once("method".to_owned()).chain(columns.iter().map(titled));
    Sheet {
        header: header.collect(),
        rows,
        best: Vec::new(),
        note,
    }
}

fn scores(columns: &[ScoreTable], methods: &[MethodHead]) -> Sheet {
    let text = |score: &ScoreTable, cell: &Cell| {
        let (digits, mean) = (score.digits, cell.summary.mean);
        Some(match cell.summary.sd {
            Some(sd) => format!("{mean:.digits$} ± {sd:.digits$}"),
            None => format!("{mean:.digits$}"),
        })
    };
    let note = "mean over subjects ± standard deviation over subjects, each subject the mean of scans and seeds; behind a variant how many \
                of its runs are complete. In the brain alone, or the mask given; data consistency over the whole volume. ↑ higher is better, ↓ lower.";
    let mut sheet = by_method(columns, methods, named, text, note);
    let with_any: Vec<&MethodHead> = methods
        .iter()
        .filter(|method| columns.iter().any(|score| cell_of(score, method).is_some()))
        .collect();
    for (x, score) in columns.iter().enumerate() {
        let value = |method: &&MethodHead| {
            let mean = cell_of(score, method)?.summary.mean;
            Some(if score.higher_is_better { mean } else { -mean })
        };
        let values = with_any
            .iter()
            .enumerate()
            .filter_map(|(y, method)| Some((y, value(method)?)));
        let best = values.max_by(|a, b| a.1.total_cmp(&b.1));
        sheet.best.extend(best.map(|(y, _)| (y, x + 1)));
    }
    sheet
}

fn differences(columns: &[ScoreTable], methods: &[MethodHead]) -> Sheet {
    let text = |score: &ScoreTable, cell: &Cell| {
        let difference = &cell.difference.as_ref()?.paired;
        let digits = score.digits + 1;
        let mut text = signed(difference.summary.mean, digits);
        if let Some([low, high]) = difference.summary.interval {
            let _ = write!(text, " [{low:+.digits$}, {high:+.digits$}]");
        }
        if let Some(p) = difference.wilcoxon_p {
            let _ = write!(text, ", p {p:.3}");
        }
        Some(text)
    };
    let note = "differences to the baseline: mean over subjects [95 % bootstrap interval over subjects, and over seeds where there are \
                several], on the subjects and seeds that both have; p of Wilcoxon's signed-rank test from six subjects on. With few of them \
                the interval is little more than their range.";
    by_method(columns, methods, compared, text, note)
}

/// With its sign, which nothing does not have.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    match text.trim_start_matches(['+', '-']) {
        zero if zero.chars().all(|c| "0.".contains(c)) => zero.to_owned(),
        _ => text,
    }
}

/// Each subject with each seed.
fn listed(score: &ScoreTable, methods: &[MethodHead]) -> Sheet {
    let of = |method: &MethodHead| -> Vec<&Each> {
        let difference = cell_of(score, method).and_then(|cell| cell.difference.as_ref());
        difference.into_iter().flat_map(|d| &d.each).collect()
    };
    let variants: Vec<&MethodHead> = methods
        .iter()
        .filter(|method| !method.is_floor && !of(method).is_empty())
        .collect();
    let mut columns: Vec<(&str, Option<u64>)> = variants
        .iter()
        .flat_map(|method| of(method))
        .map(|each| (each.person.as_str(), each.seed))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let header = columns.iter().map(|(person, seed)| match seed {
        Some(seed) => format!("{person}, seed {seed}"),
        None => (*person).to_owned(),
    });
    let digits = score.digits + 1;
    let row = |method: &&MethodHead| {
        let each = of(method);
        let cells = columns.iter().map(|column| {
            let found = each.iter().find(|e| (e.person.as_str(), e.seed) == *column);
            found.map_or_else(String::new, |e| signed(e.difference, digits))
        });
        std::iter::once(compared(method)).chain(cells).collect()
    };
    Sheet {
        header: std::iter::once(titled(score)).chain(header).collect(),
        rows: variants.iter().map(row).collect(),
        best: Vec::new(),
        note: "the difference to the baseline, of each subject with each seed.",
    }
}

fn costs(methods: &[MethodHead]) -> Sheet {
    let header = [
        "method",
        "runs",
        "steps",
        "seconds a step (median)",
        "seconds in steps",
        "seconds in all",
        "peak memory (MiB)",
    ];
    let row = |method: &MethodHead| {
        let mean = |of: fn(&Cost) -> Option<f64>, digits: usize| {
            let values: Vec<f64> = method.costs.iter().filter_map(of).collect();
            match values.len() {
                0 => "unknown".to_owned(),
                n => format!("{:.digits$}", values.iter().sum::<f64>() / n as f64),
            }
        };
        let peak = method
            .costs
            .iter()
            .filter_map(|cost| cost.peak_memory_bytes)
            .max();
        vec![
            method.name.clone(),
            format!("{}/{}", method.seeds.len(), method.planned),
            mean(|cost| (cost.steps > 0).then_some(cost.steps as f64), 0),
            mean(|cost| cost.step_seconds, 3),
            mean(|cost| cost.training_seconds, 0),
            mean(|cost| cost.wall_seconds, 0),
            peak.map_or_else(|| "unknown".to_owned(), |bytes| (bytes >> 20).to_string()),
        ]
    };
    Sheet {
        header: header.map(str::to_owned).to_vec(),
        rows: methods
            .iter()
            .filter(|method| !method.is_floor && !method.name.ends_with(CONSISTENT))
            .map(row)
            .collect(),
        best: Vec::new(),
        note: "means over the runs, the largest peak. Seconds in all count the reading of the scans, the domain check and the writing of \
               the model too, and the waiting for other work on the machine.",
    }
}
