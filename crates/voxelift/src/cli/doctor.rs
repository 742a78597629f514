//! `voxelift doctor`: what is wrong with scans' files, and their headers mended.

use std::path::{Path, PathBuf};

use clap::Args;
use voxelift_volume::doctor::{examine, mend};

use super::files;
use super::options::ReadArguments;
use crate::failure::{Outcome, message};
use crate::terminal;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  voxelift doctor scan.nii.gz --fix mended.nii.gz --anonymise\n\nExit codes: 0 nothing found (with --fix: nothing left) · 1 a file cannot be opened · 3 findings"
)]
pub struct DoctorArguments {
    /// Scans: NIfTI, MGH or MGZ files, or folders of one DICOM series each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write each NIfTI file anew with its header mended and its stored voxels untouched: for one FILE a file or an existing
    /// folder, for several a folder, files named <stem>_mended.nii.gz
    #[arg(long, value_name = "OUT")]
    fix: Option<PathBuf>,
    /// Overwrite existing outputs (never an input)
    #[arg(long, requires = "fix")]
    force: bool,
    /// With --fix: drop the free text of the header (descrip, aux_file, intent_name) and all extensions, which may name somebody
    #[arg(long, requires = "fix")]
    anonymise: bool,
    #[command(flatten)]
    read: ReadArguments,
}

/// # Errors
/// When the arguments are refused, or none of the files can be opened.
pub fn run(arguments: &DoctorArguments) -> anyhow::Result<Outcome> {
    let jobs = match &arguments.fix {
        Some(out) => {
            let batch = arguments.files.len() > 1;
            files::jobs(&arguments.files, batch, out, "_mended", arguments.force)?
        }
        None => Vec::new(),
    };
    let (mut found, mut failed) = (false, 0);
    for (i, file) in arguments.files.iter().enumerate() {
        let output = jobs.get(i).map(|job| job.output.as_path());
        match look(file, output, arguments) {
            Ok(clean) => found |= !clean,
            Err(error) if arguments.files.len() == 1 => return Err(error),
            Err(error) => {
                terminal::error(message(&error));
                failed += 1;
            }
        }
    }
    match (failed, found) {
        (0, false) => Ok(Outcome::Done),
        (n, _) if n == arguments.files.len() => {
            Err(anyhow::anyhow!("none of the {n} files could be examined"))
        }
        _ => Ok(Outcome::InPart),
    }
}

/// Says what is wrong with a file and, once it is mended, what is left. Returns whether nothing is.
fn look(file: &Path, output: Option<&Path>, arguments: &DoctorArguments) -> anyhow::Result<bool> {
    let options = arguments.read.options();
    let findings = examine(file, &options)?;
    say(file, "clean", &findings)?;
    let Some(output) = output else {
        return Ok(findings.is_empty());
    };
    files::make_parent(output)?;
    mend(file, output, arguments.force, arguments.anonymise, &options)?;
    let left = examine(output, &options)?;
    say(output, "written, clean", &left)?;
    Ok(left.is_empty())
}

fn say(file: &Path, clean: &str, findings: &[String]) -> anyhow::Result<()> {
    let said = if findings.is_empty() {
        clean.to_owned()
    } else {
        format!("{} finding(s)", findings.len())
    };
    let lines: String = findings.iter().map(|finding| format!("  {finding}\n")).collect();
    terminal::print(format!("{}: {said}\n{lines}", file.display()))
}
