//! The table as Markdown, and as rows of a long CSV file.

use std::fmt::Write;

use super::cost::Cost;
use super::table::{Cell, Each, MethodHead, Observation, ScoreTable, Table, TestTable};
use crate::terminal;

/// The scores whose differences are listed for each person and seed.
const LISTED: [&str; 4] = ["psnr_db", "ssim", "haarpsi", "fsc.beyond_nyquist.gain"];

/// The table for people: for each test set scores, differences to the baseline, each of them by person and seed; then
/// what it has cost.
pub fn markdown(table: &Table) -> String {
    let mut text = format!("# Study: {}\n", table.study);
    for test in &table.tests {
        let head = &test.head;
        let _ = write!(
            text,
            "\n## {}: {}, {} scans of {} people\n\n{}\n",
            head.name,
            head.degradation,
            head.scans,
            head.people,
            scores(test, &table.methods)
        );
        text.push_str(
            "\nMean over people ± standard deviation over people; in the mask, data consistency over the whole volume.\n",
        );
        if table.methods.iter().any(|method| method.baseline.is_some()) {
            let _ = write!(
                text,
                "\n### Differences to the baseline\n\n{}\n\nMean over people [95 % bootstrap interval over people]; p of Wilcoxon's signed-rank \
                 test from six people on.\n",
                differences(test, &table.methods)
            );
            text.push_str(&listed(test, &table.methods));
        }
        text.push_str(&by_class(test, &table.methods));
    }
    let _ = write!(text, "\n## What it cost\n\n{}\n", costs(&table.methods));
    text
}

/// The columns of a test set in the region that a table shows: the mask where a score has one.
pub fn shown(test: &TestTable) -> Vec<&ScoreTable> {
    let masked = |key: &str| test.scores.iter().any(|s| s.key == key && s.region == "masked");
    test.scores
        .iter()
        .filter(|s| match s.region.as_str() {
            "masked" | "set" => true,
            "whole" => !masked(&s.key),
            _ => false,
        })
        .collect()
}

fn cell_of<'a>(score: &'a ScoreTable, method: &MethodHead) -> Option<&'a Cell> {
    score.methods.iter().find(|cell| cell.method == method.name)
}

fn titled(score: &ScoreTable) -> String {
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
fn compared(method: &MethodHead) -> String {
    match &method.baseline {
        Some(baseline) => format!("{} - {baseline}", method.name),
        None => method.name.clone(),
    }
}

/// A row a method, a column a score.
fn rows(
    columns: &[&ScoreTable],
    methods: &[MethodHead],
    title: impl Fn(&MethodHead) -> String,
    text: impl Fn(&ScoreTable, &Cell) -> Option<String>,
) -> String {
    let header = std::iter::once("method".to_owned()).chain(columns.iter().map(|score| titled(score)));
    let mut table = terminal::table(header);
    for method in methods {
        let cells: Vec<Option<String>> = columns
            .iter()
            .map(|score| cell_of(score, method).and_then(|cell| text(score, cell)))
            .collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(Option::unwrap_or_default);
            table.add_row(std::iter::once(title(method)).chain(cells));
        }
    }
    table.to_string()
}

/// Mean and spread over people.
fn scored(score: &ScoreTable, cell: &Cell) -> String {
    let digits = score.digits;
    match cell.summary.sd {
        Some(sd) => format!("{:.digits$} ± {sd:.digits$}", cell.summary.mean),
        None => format!("{:.digits$}", cell.summary.mean),
    }
}

fn scores(test: &TestTable, methods: &[MethodHead]) -> String {
    rows(&shown(test), methods, named, |score, cell| {
        Some(scored(score, cell))
    })
}

fn differences(test: &TestTable, methods: &[MethodHead]) -> String {
    rows(&shown(test), methods, compared, |score, cell| {
        let difference = &cell.difference.as_ref()?.paired;
        let digits = score.digits + 1;
        let mut text = format!("{:+.digits$}", difference.summary.mean);
        if let Some([low, high]) = difference.summary.interval {
            let _ = write!(text, " [{low:+.digits$}, {high:+.digits$}]");
        }
        if let Some(p) = difference.wilcoxon_p {
            let _ = write!(text, ", p {p:.3}");
        }
        Some(text)
    })
}

/// Each person with each seed, of the scores that a reader asks for first.
fn listed(test: &TestTable, methods: &[MethodHead]) -> String {
    let mut text = String::new();
    for score in shown(test)
        .into_iter()
        .filter(|s| LISTED.contains(&s.key.as_str()))
    {
        let of = |method: &MethodHead| -> Vec<&Each> {
            let difference = cell_of(score, method).and_then(|cell| cell.difference.as_ref());
            difference.into_iter().flat_map(|d| &d.each).collect()
        };
        let mut columns: Vec<(&str, Option<u64>)> = methods
            .iter()
            .filter(|method| !method.is_floor)
            .flat_map(of)
            .map(|each| (each.person.as_str(), each.seed))
            .collect();
        columns.sort_unstable();
        columns.dedup();
        if columns.is_empty() {
            continue;
        }
        let header = columns.iter().map(|(person, seed)| match seed {
            Some(seed) => format!("{person}, seed {seed}"),
            None => (*person).to_owned(),
        });
        let mut table = terminal::table(std::iter::once(titled(score)).chain(header));
        for method in methods.iter().filter(|method| !method.is_floor) {
            let each = of(method);
            if each.is_empty() {
                continue;
            }
            let digits = score.digits + 1;
            let cells = columns.iter().map(|column| {
                let found = each.iter().find(|e| (e.person.as_str(), e.seed) == *column);
                found.map_or_else(String::new, |e| format!("{:+.digits$}", e.difference))
            });
            table.add_row(std::iter::once(compared(method)).chain(cells));
        }
        let _ = write!(text, "\n{table}\n");
    }
    text
}

/// The classes that are scored by themselves, where there are some.
fn by_class(test: &TestTable, methods: &[MethodHead]) -> String {
    let mut text = String::new();
    for key in ["psnr_db", "ssim"] {
        let columns: Vec<ScoreTable> = test
            .scores
            .iter()
            .filter(|s| s.key == key && !["masked", "whole", "set"].contains(&s.region.as_str()))
            .map(|s| ScoreTable {
                name: format!("{}, {}", s.name, s.region),
                ..s.clone()
            })
            .collect();
        if !columns.is_empty() {
            let columns: Vec<&ScoreTable> = columns.iter().collect();
            let table = rows(&columns, methods, named, |score, cell| Some(scored(score, cell)));
            let _ = write!(text, "\n{table}\n");
        }
    }
    text
}

fn costs(methods: &[MethodHead]) -> String {
    let header = [
        "method",
        "runs",
        "steps",
        "seconds a step (median)",
        "seconds in steps",
        "seconds in all",
        "peak memory (MiB)",
    ];
    let mut table = terminal::table(header.map(str::to_owned));
    for method in methods.iter().filter(|method| !method.is_floor) {
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
        table.add_row([
            method.name.clone(),
            format!("{}/{}", method.seeds.len(), method.planned),
            mean(|cost| (cost.steps > 0).then_some(cost.steps as f64), 0),
            mean(|cost| cost.step_seconds, 3),
            mean(|cost| cost.training_seconds, 0),
            mean(|cost| cost.wall_seconds, 0),
            peak.map_or_else(|| "unknown".to_owned(), |bytes| (bytes >> 20).to_string()),
        ]);
    }
    table.to_string()
}

/// The long table: one row a variant, seed, test set, scan, region and score.
///
/// # Errors
/// When a number cannot be written, which does not happen.
pub fn long_csv<'a>(tests: impl Iterator<Item = (&'a str, Vec<Observation<'a>>)>) -> anyhow::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record([
        "variant", "seed", "test", "subject", "person", "region", "score", "value",
    ])?;
    for (test, observations) in tests {
        for o in observations {
            let seed = o.seed.map_or_else(String::new, |seed| seed.to_string());
            let value = o.value.to_string();
            out.write_record([o.method, &seed, test, o.scan, o.person, &o.region, o.key, &value])?;
        }
    }
    Ok(out.into_inner()?)
}
