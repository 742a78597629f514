//! The page of an evaluation, from the JSON that `voxelift evaluate` writes.

use serde_json::Value;
use voxelift_model::run::RunDir;

use super::page::Page;
use super::run::add_run;
use crate::scoreboard::{Score, present};

/// A page from the scores of one image or of many pairs, with a montage where there is one.
///
/// # Errors
/// When the folder of the training run behind it is given and cannot be read.
pub fn of_evaluation(
    title: &str,
    scores: &Value,
    picture: Option<&[u8]>,
    run: Option<&RunDir>,
) -> anyhow::Result<String> {
    let mut page = Page::new(title, "Images against their references.");
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
            "rows are an axial, a coronal and a sagittal plane, the subject's left at the left. Grey pictures share one \
             window, errors another (both under the labels); brighter errors are worse.",
        );
    }
    if rows.len() > 1 {
        page.heading("Every pair, in the mask");
        every_pair(&mut page, &rows, &shown);
    }
    if let Some(run) = run {
        add_run(&mut page, run)?;
    }
    Ok(page.html())
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
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) if number.fract() != 0.0 => format!("{number:.3}"),
        (None, _) => value.to_string(),
    }
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
    // A row a score: there are many scores and few methods, and pages are narrow.
    let mut cells = Vec::with_capacity(shown.len());
    let mut best = Vec::new();
    for (y, score) in shown.iter().enumerate() {
        let means: Vec<Option<f64>> = methods.iter().map(|(_, scores)| mean(score, scores)).collect();
        best.extend(best_of(score, &means).map(|x| (y, x + 1)));
        let name = format!(
            "{} {}",
            score.name,
            if score.higher_is_better { "↑" } else { "↓" }
        );
        cells.push(
            std::iter::once(name)
                .chain(means.iter().map(|mean| score.shown(*mean)))
                .collect(),
        );
    }
    let header: Vec<&str> = std::iter::once("")
        .chain(methods.iter().map(|(method, _)| *method))
        .collect();
    page.table(
        &header,
        &cells,
        &best,
        "means over the images of a method; ↑ higher is better, ↓ lower is better, the best of each row is marked. On \
         k-space-truncated input zero-fill is the floor to beat.",
    );
}

/// The place of the best value.
fn best_of(score: &Score, means: &[Option<f64>]) -> Option<usize> {
    let values = means
        .iter()
        .enumerate()
        .filter_map(|(x, mean)| Some((x, (*mean)?)));
    let better = |value: f64| if score.higher_is_better { value } else { -value };
    values
        .max_by(|a, b| better(a.1).total_cmp(&better(b.1)))
        .map(|(x, _)| x)
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
        let html = of_evaluation("t", &scores, None, None).unwrap();
        assert!(
            html.contains("PSNR (dB) ↑</th><td>29.00</td><td class=\"best\">31.00</td>"),
            "{html}"
        );
        assert!(
            html.contains("NRMSE ↓</th><td>0.2000</td><td class=\"best\">0.1000</td>"),
            "{html}"
        );
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
