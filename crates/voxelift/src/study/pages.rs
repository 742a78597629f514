//! The table as Markdown, as a page, and as rows of a long CSV file.

use std::fmt::Write;

use super::chapters::{Chapter, cell_of, chapters, compared, is_listed, quoted, titled};
use super::table::{Observation, ScoreTable, Table};
use crate::report::{Page, Spread, spreads};
use crate::terminal;

/// For terminals and for pasting.
pub fn markdown(table: &Table) -> String {
    let mut text = format!("# Study: {}\n", table.study);
    for Chapter { title, sheets } in chapters(table) {
        let _ = write!(text, "\n## {title}\n");
        let mut said = "";
        for sheet in sheets {
            let mut lines = terminal::table(sheet.header);
            lines.add_rows(sheet.rows);
            let _ = write!(text, "\n{lines}\n");
            if sheet.note != said {
                said = sheet.note;
                let _ = write!(text, "\n{}{}\n", said[..1].to_uppercase(), &said[1..]);
            }
        }
    }
    text
}

/// A self-contained page.
pub fn html(table: &Table, definition: &str) -> String {
    let title = format!("Study: {}", table.study);
    let mut page = Page::new(
        &title,
        "Every method on every test set, its differences to the baseline, and what it cost.",
    );
    page.folded("The study as it was written (study.toml)", definition);
    let mut tests = table.tests.iter();
    for Chapter { title, sheets } in chapters(table) {
        page.heading(&title);
        if let Some(test) = tests.next() {
            let charts: Vec<String> = quoted(test)
                .iter()
                .filter(|score| is_listed(score))
                .filter_map(|score| chart(score, table))
                .collect();
            if !charts.is_empty() {
                page.charts(
                    &charts,
                    "differences to the baseline: a dot is one subject with one seed, the bar the bootstrap interval of the mean over \
                     subjects, and over seeds where there are several. What lies right of the line is more than the baseline's.",
                );
            }
        }
        for sheet in sheets {
            let header: Vec<&str> = sheet.header.iter().map(String::as_str).collect();
            page.table(&header, &sheet.rows, &sheet.best, sheet.note);
        }
    }
    page.html()
}

/// The variants' differences to their baselines.
fn chart(score: &ScoreTable, table: &Table) -> Option<String> {
    let spread = |method| {
        let difference = cell_of(score, method)?.difference.as_ref()?;
        Some(Spread {
            name: compared(method),
            values: difference.each.iter().map(|each| each.difference).collect(),
            mean: difference.paired.summary.mean,
            interval: difference.paired.summary.interval,
        })
    };
    let variants = table.methods.iter().filter(|method| !method.is_floor);
    let all: Vec<Spread> = variants.filter_map(spread).collect();
    (!all.is_empty()).then(|| spreads(&titled(score), &all))
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
            out.write_record([
                o.method,
                &seed,
                test,
                o.scan,
                o.person,
                &o.region,
                o.score.key(),
                &value,
            ])?;
        }
    }
    Ok(out.into_inner()?)
}
