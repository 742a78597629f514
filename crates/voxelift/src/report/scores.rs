//! Scored images as tables and curves.

use voxelift_volume::baseline::Baseline;
use voxelift_volume::metrics::{ClassAgreement, Direction, Score, Summary};

use super::findings::add_findings;
use super::page::Page;
use super::pairs::{Pairs, Region, Row};
use super::shells::add_shells;

/// What the others are measured against.
const BASELINE: Baseline = Baseline::ZeroFill;

/// Adds the tables and curves of scored images; `lr_nyquist` in cycles per mm is marked where it is known.
pub fn add_scores(page: &mut Page, pairs: &Pairs, lr_nyquist: Option<f64>) {
    add_findings(page, pairs, lr_nyquist);
    let place = pairs.headline_region();
    page.heading(&format!("Scores {place}"));
    by_method(page, pairs, Region::Headline);
    if pairs.has_dilated() {
        page.heading("Scores in the dilated mask");
        by_method(page, pairs, Region::Dilated);
    }
    page.heading("Scores over the whole volume");
    by_method(page, pairs, Region::Whole);
    add_shells(page, pairs, lr_nyquist);
    against_baseline(page, pairs);
    if pairs.rows().len() > 1 {
        page.heading(&format!("Every image, {place}"));
        every_image(page, pairs);
    }
    tissue(page, pairs);
}

fn by_method(page: &mut Page, pairs: &Pairs, region: Region) {
    let methods = pairs.methods();
    // A row a score: there are many scores and few methods, and pages are narrow.
    let mut cells = Vec::new();
    let mut best = Vec::new();
    for (y, score) in pairs.present().into_iter().enumerate() {
        let summaries: Vec<Option<Summary>> = methods
            .iter()
            .map(|method| pairs.summary(score, method, region))
            .collect();
        let means: Vec<Option<f64>> = summaries.iter().map(|s| s.map(|s| s.mean)).collect();
        best.extend(best_of(score, &means).into_iter().map(|x| (y, x + 1)));
        let values = summaries.iter().map(|summary| {
            let interval = summary
                .and_then(|s| s.interval)
                .map_or_else(String::new, |[low, high]| {
                    format!("\n[{}, {}]", score.format(Some(low)), score.format(Some(high)))
                });
            score.format(summary.map(|s| s.mean)) + &interval
        });
        cells.push(
            std::iter::once(format!("{} {}", score.label(), score.direction().arrow()))
                .chain(values)
                .collect(),
        );
    }
    let header: Vec<&str> = std::iter::once("").chain(methods).collect();
    page.table_of_scores(
        &header,
        &cells,
        &best,
        "means over subjects, with the 95 % bootstrap interval over subjects where there are several; ↑ higher is better, ↓ lower \
         is better, the best of each row is marked. On k-space-truncated input zero-fill is the baseline to beat.",
    );
}

/// The places of the best value, by the digits that are shown; none where all are the same.
fn best_of(score: Score, means: &[Option<f64>]) -> Vec<usize> {
    let better = |value: &f64| match score.direction() {
        Direction::Higher => *value,
        Direction::Lower => -value,
    };
    let known = means.iter().flatten();
    let Some(best) = known.max_by(|a, b| better(a).total_cmp(&better(b))) else {
        return Vec::new();
    };
    let best = score.format(Some(*best));
    let is_best = |mean: &Option<f64>| mean.is_some() && score.format(*mean) == best;
    let places: Vec<usize> = (0..means.len()).filter(|x| is_best(&means[*x])).collect();
    if places.len() > 1 && places.len() == means.iter().flatten().count() {
        return Vec::new();
    }
    places
}

fn against_baseline(page: &mut Page, pairs: &Pairs) {
    let methods: Vec<&str> = pairs
        .methods()
        .into_iter()
        .filter(|m| *m != BASELINE.name())
        .collect();
    let mut scores = pairs.present();
    scores.retain(|score| Score::GAINS.contains(score));
    let mut rows = Vec::new();
    for method in methods {
        for (subject, _) in pairs.subjects() {
            let cells: Vec<Option<String>> = scores
                .iter()
                .map(|score| {
                    let of = |method| {
                        pairs
                            .by_person(*score, method, Region::Headline)
                            .get(subject)
                            .copied()
                    };
                    Some(format!(
                        "{:+.*}",
                        score.digits(),
                        of(method)? - of(BASELINE.name())?
                    ))
                })
                .collect();
            if cells.iter().any(Option::is_some) {
                let cells = cells
                    .into_iter()
                    .map(|cell| cell.unwrap_or_else(|| "none".to_owned()));
                rows.push(
                    [subject.to_owned(), method.to_owned()]
                        .into_iter()
                        .chain(cells)
                        .collect(),
                );
            }
        }
    }
    if rows.is_empty() {
        return;
    }
    page.heading(&format!(
        "Each subject against zero-fill, {}",
        pairs.headline_region()
    ));
    let header: Vec<&str> = ["subject", "method"]
        .into_iter()
        .chain(scores.iter().map(|s| s.label()))
        .collect();
    page.table(
        &header,
        &rows,
        &[],
        "differences to zero-fill of the same scan; more is better. A method that does not gain on every subject has not been shown to gain.",
    );
}

fn every_image(page: &mut Page, pairs: &Pairs) {
    let shown = pairs.present();
    let titles: Vec<String> = shown
        .iter()
        .map(|score| format!("{} {}", score.label(), score.direction().arrow()))
        .collect();
    let header: Vec<&str> = ["image", "method"]
        .into_iter()
        .chain(titles.iter().map(String::as_str))
        .collect();
    // Subject by subject, the best PSNR first.
    let mut rows: Vec<&Row> = pairs.rows().iter().collect();
    let psnr = |row: &Row| row.scores().headline().psnr_db;
    rows.sort_by(|a, b| a.subject().cmp(b.subject()).then(psnr(b).total_cmp(&psnr(a))));
    let mut best = Vec::new();
    let mut start = 0;
    for of_one in rows.chunk_by(|a, b| a.subject() == b.subject()) {
        for (x, score) in shown.iter().enumerate().filter(|_| of_one.len() > 1) {
            let values: Vec<Option<f64>> = of_one
                .iter()
                .map(|row| score.of(row.scores().headline()))
                .collect();
            best.extend(best_of(*score, &values).into_iter().map(|y| (start + y, x + 2)));
        }
        start += of_one.len();
    }
    let cells = rows.into_iter().map(|row| {
        let scores = shown
            .iter()
            .map(|score| score.format(score.of(row.scores().headline())));
        [row.subject().to_owned(), row.method().to_owned()]
            .into_iter()
            .chain(scores)
            .collect()
    });
    page.table(
        &header,
        &cells.collect::<Vec<_>>(),
        &best,
        "one row an image, the highest PSNR of each subject first, the best of each subject marked; a click on a head sorts. The spread between subjects is often larger than between methods.",
    );
}

fn tissue(page: &mut Page, pairs: &Pairs) {
    fn classes(row: &Row) -> &[ClassAgreement] {
        row.scores().tissue.as_deref().unwrap_or_default()
    }
    let mut names: Vec<&str> = Vec::new();
    for class in pairs.rows().iter().flat_map(classes) {
        if !names.contains(&class.class.as_str()) {
            names.push(&class.class);
        }
    }
    if names.is_empty() {
        return;
    }
    let rows = pairs.rows().iter().map(|row| {
        let cells = names.iter().flat_map(|wanted| {
            let class = classes(row).iter().find(|class| class.class == *wanted);
            let number = |of: fn(&ClassAgreement) -> f64| class.map(of).filter(|v| v.is_finite());
            let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            [
                shown(number(|class| class.dice).map(|v| format!("{v:.4}"))),
                shown(number(|class| class.volume_difference).map(|v| format!("{:+.1} %", 100.0 * v))),
            ]
        });
        [row.subject().to_owned(), row.method().to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    let header = names
        .iter()
        .flat_map(|name| [format!("{name}: Dice ↑"), format!("{name}: volume")]);
    let header: Vec<String> = ["image", "method"]
        .map(str::to_owned)
        .into_iter()
        .chain(header)
        .collect();
    page.heading("Tissue classes");
    page.table(
        &header.iter().map(String::as_str).collect::<Vec<_>>(),
        &rows.collect::<Vec<_>>(),
        &[],
        "overlap of three classes by brightness (in a T1-weighted head fluid, grey and white matter) between the image and its \
         reference, and how much larger or smaller each class became: how a segmentation would change.",
    );
}
