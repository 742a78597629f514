//! The page of an evaluation, from the JSON that `voxelift evaluate` writes.

use serde_json::Value;

use super::page::Page;
use crate::scoreboard::{Score, present};

/// A page from the scores of one image or of many pairs, with a montage where there is one.
pub fn of_evaluation(title: &str, lead: &str, scores: &Value, picture: Option<&[u8]>) -> String {
    let mut page = Page::new(title, lead);
    let rows = rows(scores);
    page.facts(&facts(&rows));
    let all: Vec<&Value> = rows.iter().map(|row| row.scores).collect();
    let shown = present(&all);
    for (masked, heading) in [
        (true, "Scores in the mask"),
        (false, "Scores over the whole volume"),
    ] {
        page.heading(heading);
        by_method(&mut page, &rows, &shown, masked);
    }
    if let Some(png) = picture {
        page.heading("Pictures");
        page.picture(
            png,
            "montage of the low resolution, each method, the reference and the errors",
            "rows are an axial, a coronal and a sagittal plane, the subject's left at the left. All grey pictures share one window, \
             errors a tenth of it (under each label); brighter is worse.",
        );
    }
    if rows.len() > 1 {
        page.heading("Every pair, in the mask");
        every_pair(&mut page, &rows, &shown);
    }
    page.html()
}

/// One scored image.
struct Row<'a> {
    method: String,
    name: String,
    scores: &'a Value,
}

fn rows(scores: &Value) -> Vec<Row<'_>> {
    let text = |pair: &Value, key: &str| pair.get(key).and_then(Value::as_str).map(str::to_owned);
    match scores.get("pairs").and_then(Value::as_array) {
        Some(pairs) => pairs
            .iter()
            .map(|pair| Row {
                method: text(pair, "method").unwrap_or_else(|| "all".to_owned()),
                name: text(pair, "subject")
                    .or_else(|| text(pair, "image"))
                    .unwrap_or_default(),
                scores: pair,
            })
            .collect(),
        None => vec![Row {
            method: "image".to_owned(),
            name: String::new(),
            scores,
        }],
    }
}

/// What every number on the page rests on; said once where all pairs agree.
fn facts(rows: &[Row]) -> Vec<(&'static str, String)> {
    let common = |key: &str| {
        let mut values: Vec<String> = rows
            .iter()
            .filter_map(|row| row.scores.get(key))
            .map(plain)
            .collect();
        values.dedup();
        match values.as_slice() {
            [] => "not recorded".to_owned(),
            [one] => one.clone(),
            several => format!("differs between pairs ({} values)", several.len()),
        }
    };
    vec![
        ("pairs", rows.len().to_string()),
        ("data range L", common("data_range")),
        ("range p99.5", common("data_range_p995")),
        ("mask", common("mask")),
        ("voxels", common("voxels")),
    ]
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn by_method(page: &mut Page, rows: &[Row], shown: &[&Score], masked: bool) {
    let mut methods: Vec<(&str, Vec<&Value>)> = Vec::new();
    for row in rows {
        match methods.iter_mut().find(|(method, _)| *method == row.method) {
            Some((_, scores)) => scores.push(row.scores),
            None => methods.push((&row.method, vec![row.scores])),
        }
    }
    let mean = |score: &Score, scores: &[&Value]| {
        let values: Vec<f64> = scores.iter().filter_map(|s| score.of(s, masked)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let table: Vec<Vec<Option<f64>>> = methods
        .iter()
        .map(|(_, scores)| shown.iter().map(|score| mean(score, scores)).collect())
        .collect();
    let best: Vec<(usize, usize)> = shown
        .iter()
        .enumerate()
        .filter_map(|(x, score)| Some((best(score, x, &table)?, x + 1)))
        .collect();
    let cells = methods.iter().zip(&table).map(|((method, _), means)| {
        let means = shown.iter().zip(means).map(|(score, mean)| score.shown(*mean));
        std::iter::once((*method).to_owned()).chain(means).collect()
    });
    let arrow = |score: &&Score| {
        format!(
            "{} {}",
            score.name,
            if score.higher_is_better { "↑" } else { "↓" }
        )
    };
    let header: Vec<String> = std::iter::once(String::new())
        .chain(shown.iter().map(arrow))
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    page.table(
        &header,
        &cells.collect::<Vec<_>>(),
        &best,
        "means over the pairs of a method; ↑ higher is better, ↓ lower is better, the best of each column is marked. On \
         k-space-truncated input zero-fill is the floor to beat.",
    );
}

/// The row with the best value of a column.
fn best(score: &Score, column: usize, table: &[Vec<Option<f64>>]) -> Option<usize> {
    let values = table
        .iter()
        .enumerate()
        .filter_map(|(row, means)| Some((row, means[column]?)));
    let better = |value: f64| if score.higher_is_better { value } else { -value };
    values
        .max_by(|a, b| better(a.1).total_cmp(&better(b.1)))
        .map(|(row, _)| row)
}

fn every_pair(page: &mut Page, rows: &[Row], shown: &[&Score]) {
    let header: Vec<&str> = ["pair", "method"]
        .into_iter()
        .chain(shown.iter().map(|s| s.name))
        .collect();
    let cells = rows.iter().map(|row| {
        let scores = shown.iter().map(|score| score.shown(score.of(row.scores, true)));
        [row.name.clone(), row.method.clone()]
            .into_iter()
            .chain(scores)
            .collect()
    });
    page.table(
        &header,
        &cells.collect::<Vec<_>>(),
        &[],
        "one row an image; the spread between people is often larger than between methods.",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_best_method_of_each_column_is_marked_whichever_way_is_better() {
        let pair = |method: &str, psnr: f64, nrmse: f64| json!({"method": method, "subject": "a", "psnr_db": psnr, "nrmse": nrmse, "masked": {"psnr_db": psnr, "nrmse": nrmse}});
        let scores = json!({"pairs": [pair("zero-fill", 29.0, 0.2), pair("model", 30.0, 0.1), pair("model", 32.0, 0.1)]});
        let html = of_evaluation("t", "l", &scores, None);
        assert!(
            html.contains(
                "<th scope=\"row\">model</th><td class=\"best\">31.00</td><td class=\"best\">0.1000</td>"
            ),
            "{html}"
        );
        assert!(html.contains("<th scope=\"row\">zero-fill</th><td>29.00</td><td>0.2000</td>"));
    }

    #[test]
    fn one_image_is_a_page_too() {
        let html = of_evaluation(
            "t",
            "l",
            &json!({"psnr_db": 30.0, "mask": "given", "masked": {}}),
            None,
        );
        assert!(html.contains("30.00") && html.contains("given") && !html.contains("Every pair"));
    }
}
