//! A model's card in words.

use std::path::Path;

use voxelift_model::model_file::{ModelCard, SelfTest};
use voxelift_model::scoring::{SR, SR_CONSISTENT};
use voxelift_model::tensor_file::Format;
use voxelift_volume::appearance::CONTRAST;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::error::one_line;
use voxelift_volume::metrics::{Direction, Score};
use voxelift_volume::words::{counted, number};

/// The card, a line or a few each for what a user asks of a model.
pub fn in_words(path: &Path, card: &ModelCard) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let weights = match card.weights {
        Format::F32 => "f32",
        Format::F16 => "f16",
    };
    let network = &card.network;
    let started = card
        .start
        .as_ref()
        .map_or_else(String::new, |start| format!(", from {start}"));
    rows.push((
        "made by",
        format!(
            "voxelift {}, {}, {} steps, seed {}{started}",
            card.version, card.method, card.steps, card.seed
        ),
    ));
    rows.push((
        "network",
        format!(
            "{}, {} of {}, weights {weights}",
            counted(network.n_feats, "feature"),
            counted(network.n_resgroups, "group"),
            counted(network.n_resblocks, "block")
        ),
    ));
    rows.push((
        "scale",
        if card.network.placed {
            format!(
                "any spacing onto any finer grid, in tiles of {} voxels",
                card.tile
            )
        } else {
            format!("{}, in tiles of {} voxels", card.scale(), card.tile)
        },
    ));
    rows.push((
        "trained on",
        if card.network.placed {
            let maps = counted(card.lr_scans.len(), "label map");
            format!(
                "{} and {maps}, acquired at random",
                counted(card.hr_scans.len(), "scan")
            )
        } else {
            format!(
                "{} HR and {}",
                card.hr_scans.len(),
                counted(card.lr_scans.len(), "LR scan")
            )
        },
    ));
    let misfit = card
        .calibration_misfit
        .map_or_else(String::new, |misfit| format!(" (misfit {misfit:.3})"));
    rows.push(("operators", format!("{}{misfit}", card.operators_in_words())));
    let range = |[least, largest]: [f64; 2]| match (number(least), number(largest)) {
        (least, largest) if least == largest => least,
        (least, largest) => format!("{least} to {largest}"),
    };
    rows.push((
        "voxels",
        format!("{} mm", card.lr_spacing_mm.map(range).join(" x ")),
    ));
    if let Some(seen) = &card.appearance {
        let short = |[least, largest]: [f64; 2]| format!("{least:.2} to {largest:.2}");
        let contrast = CONTRAST.iter().zip(seen.contrast);
        let contrast: Vec<String> = contrast
            .map(|(p, limits)| format!("{p:.0} %: {}", short(limits)))
            .collect();
        rows.push((
            "contrast",
            format!(
                "percentiles of the foreground over its 99.5th: {}",
                contrast.join(", ")
            ),
        ));
        if let Some(ratio) = seen.core_to_shell {
            rows.push((
                "",
                format!("the foreground's inside over its outside: {}", short(ratio)),
            ));
        }
        let [least, most] = seen.noise;
        rows.push((
            "noise",
            format!("{least:.3} to {most:.3} of the peak, fine texture among it"),
        ));
        let [least, most] = seen.foreground_ml;
        rows.push(("size", format!("{least:.0} to {most:.0} ml of foreground")));
    }
    for test in &card.self_test {
        rows.extend(tested(test));
    }
    rows.push(("grid", card.grid.clone()));
    rows.push(("intensities", card.normalization.clone()));
    rows.extend(card.limits.iter().map(|limit| ("known limit", limit.clone())));
    if !card.notes.is_empty() {
        rows.push(("notes", card.notes.clone()));
    }
    let mut text = format!("{}\n", path.display());
    for (name, value) in rows {
        text.push_str(&format!("  {name:<14}{}\n", one_line(&value)));
    }
    text
}

/// What is expected after one acquisition: a line of what was done, then one a score.
fn tested(test: &SelfTest) -> Vec<(&'static str, String)> {
    let Some(alone) = test.scores.get(SR) else {
        return Vec::new();
    };
    // What `upscale` writes; models of earlier versions were tested alone.
    let consistent = test.scores.get(SR_CONSISTENT);
    let model = consistent.unwrap_or(alone);
    let people = match model.values().map(|summary| summary.people).max().unwrap_or(0) {
        1 => "1 subject".to_owned(),
        several => format!("{several} subjects"),
    };
    let mut rows = vec![(
        "self-test",
        format!(
            "{} ({people}, {}, {}{})",
            test.degradation,
            counted(test.scans.len(), "scan"),
            test.region,
            if consistent.is_some() {
                ", with what the scan measured put back"
            } else {
                ", the network alone"
            }
        ),
    )];
    for score in [Score::Psnr, Score::Ssim, Score::HaarPsi, Score::Resolution] {
        let (key, digits) = (score.short_key(), score.digits());
        let higher = score.direction() == Direction::Higher;
        let Some(summary) = model.get(key) else { continue };
        let interval = |of: Option<[f64; 2]>| {
            of.map_or_else(String::new, |[low, high]| {
                format!(" [{low:.digits$}, {high:.digits$}]")
            })
        };
        let baselines = Baseline::ALL
            .into_iter()
            .filter_map(|baseline| Some((baseline, test.scores.get(baseline.name())?.get(key)?.mean)));
        let best = baselines.reduce(|best, other| if (other.1 > best.1) == higher { other } else { best });
        let best = best.map_or_else(String::new, |(baseline, mean)| {
            format!("; {baseline}, the best baseline, {mean:.digits$}")
        });
        rows.push((
            "",
            format!(
                "{}: {:.digits$}{}{best}",
                score.label(),
                summary.mean,
                interval(summary.interval)
            ),
        ));
    }
    let told = [
        (
            "over zero-fill",
            &test.consistent_gain,
            &test.least_consistent_gain,
        ),
        (
            if consistent.is_some() {
                "the network alone over zero-fill"
            } else {
                "over zero-fill"
            },
            &test.gain,
            &test.least_gain,
        ),
    ];
    for (what, gain, least) in told {
        let key = Score::Psnr.short_key();
        if let (Some(gain), Some(least)) = (gain.get(key), least.get(key)) {
            let line = format!("{what}: {:+.2} dB, no subject below {least:+.2}", gain.mean);
            rows.push(("", line));
        }
    }
    rows
}
