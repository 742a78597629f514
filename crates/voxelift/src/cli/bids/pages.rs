//! A page for each participant, and one table of all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::files::write_atomically;

use super::super::report;
use super::Published;
use crate::failure::Outcome;
use crate::report::{Exhibit, Output, of_group, of_outputs};
use crate::terminal::{self, Terminal};

/// A page of a participant's scans: what went in, the simplest baseline, what came out.
///
/// # Errors
/// When it cannot be written.
pub fn participant(
    label: &str,
    published: &[&Published],
    out: &Path,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let mut shown = Vec::new();
    for done in published {
        let facts = facts(&done.sidecar);
        let images = super::volume(&out.join(&done.path)).zip(super::volume(&done.raw.path));
        let exhibit = images.map(|(output, raw)| exhibit(&done.path, raw, output));
        if exhibit.is_none() {
            terminal.detail(format!(
                "{}: no pictures of a file of several volumes",
                done.path.display()
            ));
        }
        shown.push(Output {
            name: done.path.display().to_string(),
            facts,
            exhibit,
        });
    }
    let html = of_outputs(&format!("sub-{label}"), &shown);
    report::write(&out.join(format!("sub-{label}.html")), &html)
}

fn exhibit(path: &Path, raw: Volume, output: Volume) -> Exhibit {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let baseline = Baseline::CubicBSpline;
    let simple = baseline.apply(&raw, output.extent());
    Exhibit {
        name,
        lr: Some(raw),
        images: vec![
            (baseline.name().to_owned(), simple),
            ("output".to_owned(), output),
        ],
        hr: None,
        added: None,
        disagreements: Vec::new(),
        tiles: None,
    }
}

/// What a sidecar says, for people.
fn facts(sidecar: &Value) -> Vec<(&'static str, String)> {
    let how = &sidecar["VoxeliftProvenance"];
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    [
        ("resolution", text(&sidecar["Resolution"])),
        ("method", text(&how["method"])),
        ("what made the scan", text(&how["acquired"]["operators"])),
        ("because", text(&how["acquired"]["because"])),
        ("consistency", text(&how["consistency"]["mode"])),
        ("scan's SHA-256", text(&how["source_sha256"])),
        ("voxelift", text(&how["voxelift"])),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// One table of every output that is there, as group_sr.tsv and group_sr.html.
///
/// # Errors
/// When the folder holds no output, or a file cannot be written.
pub fn group(out: &Path) -> anyhow::Result<Outcome> {
    let mut sidecars = Vec::new();
    find(out, 0, &mut sidecars)?;
    sidecars.sort();
    let header = [
        "participant_id",
        "session",
        "file",
        "resolution",
        "method",
        "acquired",
        "consistency",
    ];
    let mut rows = Vec::new();
    for path in &sidecars {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let keys: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(out).unwrap_or(path).with_extension("nii.gz");
        let entity = |key: &str| {
            let stem = name
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let part = stem
                .split('_')
                .find(|part| part.starts_with(key))
                .map(str::to_owned);
            part.unwrap_or_else(|| "n/a".to_owned())
        };
        let how = &keys["VoxeliftProvenance"];
        let text = |value: &Value| value.as_str().unwrap_or("n/a").replace(['\t', '\n'], " ");
        rows.push(vec![
            entity("sub-"),
            entity("ses-"),
            name.display().to_string(),
            text(&keys["Resolution"]),
            text(&how["method"]),
            text(&how["acquired"]["operators"]),
            text(&how["consistency"]["mode"]),
        ]);
    }
    if rows.is_empty() {
        anyhow::bail!(
            "{}: holds no output of voxelift; run the participant level first",
            out.display()
        );
    }
    let line = |cells: &[String]| format!("{}\n", cells.join("\t"));
    let table: String = std::iter::once(line(&header.map(str::to_owned)))
        .chain(rows.iter().map(|row| line(row)))
        .collect();
    write_atomically(&out.join("group_sr.tsv"), true, |file| {
        file.write_all(table.as_bytes())
    })?;
    report::write(&out.join("group_sr.html"), &of_group(&header, &rows))?;
    terminal::print(format!("{}\n", out.join("group_sr.tsv").display()))?;
    Ok(Outcome::Done)
}

/// Sidecars of outputs within the subjects' folders.
fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let leads_on = match depth {
            0 => name.starts_with("sub-"),
            1 | 2 => name.starts_with("ses-") || name == "anat",
            _ => false,
        };
        if path.is_dir() && leads_on {
            find(&path, depth + 1, found)?;
        } else if depth > 0 && name.ends_with(".json") && name.contains("_desc-sr_") {
            found.push(path);
        }
    }
    Ok(())
}
