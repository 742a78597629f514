//! `voxelift report`: a page from a run, an evaluation or a study.

mod evaluated;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use voxelift_model::run::RunDir;
use voxelift_volume::VolumeError;
use voxelift_volume::files::write_atomically;

pub use evaluated::{covers, scan_behind};
pub use trial::of_prepared;

use super::files;
use crate::failure::{Outcome, message, usage};
use crate::report;
use crate::study;
use crate::terminal::{self, Terminal};

/// An evaluation in its folder: what `evaluate --json` wrote.
pub const SCORES: &str = "scores.json";
/// The page of a study, which `study` keeps up to date.
const STUDY: &str = study::PAGE;
/// A picture that may stand beside it.
pub const MONTAGE: &str = "montage.png";
/// The training run behind it, where there was one.
pub const RUN: &str = "run";
/// Stands in every folder that a demo wrote.
pub const DEMO: &str = ".voxelift-demo";
/// In the folder of a demo, what the built-in model did with a real scan.
pub const BUILT_IN: &str = "built-in";

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voxelift report runs/first -o report.html")]
pub struct ReportArguments {
    /// A run folder of `train`, the folder of a `study`, or a folder with the scores.json of `evaluate --json`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The page to write [default: DIR/report.html, replaced where it exists]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
    /// Overwrite an existing page
    #[arg(long)]
    force: bool,
}

/// # Errors
/// When the folder holds neither, or a file cannot be read or written.
pub fn run(arguments: &ReportArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let folder = &arguments.folder;
    if let Some(output) = &arguments.output {
        let is_page = output
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("html") || ending.eq_ignore_ascii_case("htm"));
        if !is_page {
            return Err(usage(format!(
                "-o {}: expected a name ending in .html; a page never replaces a file of another kind",
                output.display()
            )));
        }
        files::refuse_existing(output, arguments.force)?;
    }
    let html = page(folder, terminal)?;
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| folder.join(RunDir::REPORT));
    write(&output, &html)?;
    terminal::print(format!("{}\n", output.display()))?;
    Ok(Outcome::Done)
}

/// Writes a page, replacing an older one.
///
/// # Errors
/// When it cannot be written.
pub fn write(output: &Path, html: &str) -> anyhow::Result<()> {
    files::make_parent(output)?;
    Ok(write_atomically(output, true, |out| {
        out.write_all(html.as_bytes())
    })?)
}

fn page(folder: &Path, terminal: &Terminal) -> anyhow::Result<String> {
    let study = folder.join(STUDY);
    if study.is_file() {
        return Ok(fs::read_to_string(&study).map_err(|error| VolumeError::io(&study, "read", error))?);
    }
    if folder.join(SCORES).is_file() {
        let evaluated = evaluated::read(folder)?;
        let run = RunDir::open(&folder.join(RUN)).ok();
        let built_in = folder.join(BUILT_IN);
        if folder.join(DEMO).is_file() && built_in.join(SCORES).is_file() {
            return report::of_demo(&evaluated::made(&built_in)?, &evaluated, run.as_ref());
        }
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let title = format!(
            "Evaluation: {}",
            name.file_name().unwrap_or_default().to_string_lossy()
        );
        return report::of_evaluation(&title, &evaluated, run.as_ref());
    }
    if !folder.join(RunDir::CONFIG).is_file() {
        bail!(
            "{}: holds neither {} (a run) nor {SCORES} (an evaluation) nor {STUDY} (a study)",
            folder.display(),
            RunDir::CONFIG
        );
    }
    let run = RunDir::open(folder)?;
    let trial = trial::of_run(&run, terminal).unwrap_or_else(|error| {
        terminal.warn(format!(
            "the page shows no new output of the model: {}",
            message(&error)
        ));
        None
    });
    report::of_run(&run, trial.as_ref())
}
