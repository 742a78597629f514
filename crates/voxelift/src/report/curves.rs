//! What the losses did, step by step.

use std::collections::BTreeMap;

use voxelift_model::run::Record;

use super::chart::{Chart, Series};
use super::page::Page;

/// Terms of one kind, which share a chart; those that belong to none have one each.
struct Group {
    title: &'static str,
    terms: &'static [&'static str],
}

const GROUPS: [Group; 5] = [
    Group {
        title: "reconstruction and cycle (L1, with SSIM where it has a weight)",
        terms: &["reconstruction", "cycle"],
    },
    Group {
        title: "contrastive losses",
        terms: &["feature_contrastive", "reconstruction_contrastive"],
    },
    Group {
        title: "cosines of embeddings: the same place, other places",
        terms: &["cosine_positive", "cosine_negative"],
    },
    Group {
        title: "right answers of the discriminators (share)",
        terms: &["accuracy_source", "accuracy_feature", "accuracy_target"],
    },
    Group {
        title: "losses of the discriminators",
        terms: &[
            "discriminator_source",
            "discriminator_feature",
            "discriminator_target",
        ],
    },
];

/// Adds the curves of a run's steps.
pub fn add_curves(page: &mut Page, records: &[Record]) {
    let mut terms: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for record in records {
        if let Record::Step {
            step,
            learning_rate,
            terms: values,
            ..
        } = record
        {
            let rate = ("learning_rate", learning_rate);
            let values = values.iter().map(|(name, value)| (name.as_str(), value));
            for (name, value) in values.chain([rate]) {
                terms.entry(name).or_default().push([*step as f64, *value]);
            }
        }
    }
    page.heading("Training curves");
    let mut charts = Vec::new();
    for Group { title, terms: names } in &GROUPS {
        let series: Vec<Series> = names
            .iter()
            .filter_map(|name| Some(line(name, terms.remove(name)?)))
            .collect();
        match series.as_slice() {
            [] => {}
            [one] => charts.push(over_steps(&words(&one.name), &series)),
            _ => charts.push(over_steps(title, &series)),
        }
    }
    charts.extend(
        terms
            .into_iter()
            .map(|(name, points)| over_steps(&words(name), &[line(name, points)])),
    );
    page.charts(
        &charts,
        "each term unweighted, averaged over neighbouring steps. Reconstruction and cycle should fall and stay down. Discriminators \
         should be right a little more often than half of the time: one that is always right has won and teaches nothing, one at \
         a half cannot tell the domains apart any more. Cosines of the same place should stay above those of other places: where \
         both come near 1, the features have collapsed.",
    );
}

fn over_steps(title: &str, series: &[Series]) -> String {
    let chart = Chart {
        title,
        x: "training step",
        y: "value",
        series,
        ..Chart::default()
    };
    chart.html()
}

fn line(name: &str, points: Vec<[f64; 2]>) -> Series {
    Series {
        name: words(name),
        points,
        ..Series::default()
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}
