//! `voxelift bids`: the anatomical scans of a BIDS data set, made finer into a derivative data set.

mod dataset;
mod derivative;
mod pages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};
use serde_json::Value;
use voxelift_model::cache;
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::{Geometry, VolumeError, scan};

use self::dataset::RawScan;
use super::files::{self, Found};
use super::upscale::{self, MethodArgument, sidecar};
use super::{Arguments, Command};
use crate::failure::{Outcome, message, usage};
use crate::terminal::{self, Terminal};

/// A voxel is long along an axis where it is so many times as long as along the shortest.
const THICK: f64 = 2.0;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift bids study study/derivatives/voxelift participant\n  \
                  voxelift bids study study/derivatives/voxelift participant --participant-label 01 02 --method self\n  \
                  voxelift bids study study/derivatives/voxelift group"
)]
pub struct BidsArguments {
    /// The raw BIDS data set
    #[arg(value_name = "BIDS_DIR")]
    dataset: PathBuf,
    /// The derivative data set to write
    #[arg(value_name = "OUT_DIR")]
    output: PathBuf,
    /// participant makes the scans finer, group makes one table of what is there
    #[arg(value_enum)]
    level: Level,
    /// Only these participants, as 01 or sub-01 [default: all]
    #[arg(long, alias = "participant_label", value_name = "LABEL", num_args = 1..)]
    participant_label: Vec<String>,
    /// Only these sessions, as pre or ses-pre [default: all]
    #[arg(long, alias = "session_label", value_name = "LABEL", num_args = 1..)]
    session_label: Vec<String>,
    /// How the finer voxels are made [default: self for scans of thick slices; for the others what `upscale` takes without a method]
    #[arg(long, value_enum)]
    method: Option<MethodArgument>,
    /// A trained model, for --method model [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The voxel size of the outputs in mm [default: the method's]
    #[arg(long, value_name = "MM")]
    spacing: Option<String>,
    /// The most time that --method self takes for a scan, as 2m
    #[arg(long, value_name = "TIME")]
    budget: Option<String>,
    /// Where outputs are made before they get their names [default: OUT_DIR/work]
    #[arg(long, alias = "work_dir", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Make outputs anew that are there already
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Participant,
    Group,
}

/// # Errors
/// When the folders are no data sets, or all scans fail.
pub fn run(arguments: &BidsArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (dataset, output) = (&arguments.dataset, &arguments.output);
    if files::same_file(dataset, output) {
        return Err(usage(format!(
            "OUT_DIR {}: is the raw data set; name another folder, as {}/derivatives/voxelift",
            output.display(),
            dataset.display()
        )));
    }
    if arguments.level == Level::Group {
        return pages::group(output);
    }
    let (scans, notes) = dataset::scans(dataset, &arguments.participant_label, &arguments.session_label)?;
    notes.iter().for_each(|note| terminal.warn(note));
    if scans.is_empty() {
        anyhow::bail!(
            "{}: holds no T1w, T2w or FLAIR scan of these participants in anat folders",
            dataset.display()
        );
    }
    derivative::describe(output, dataset)?;
    let work = arguments.work_dir.clone().unwrap_or_else(|| output.join("work"));
    let mut outcome = Outcome::Done;
    let mut failed: Vec<anyhow::Error> = Vec::new();
    for &method in MethodArgument::value_variants() {
        let of_method = scans.iter().filter(|scan| arguments.method_for(scan) == method);
        let of_method: Vec<&RawScan> = of_method.collect();
        if of_method.is_empty() {
            continue;
        }
        let how = match (method, arguments.method) {
            (MethodArgument::Model, None) => "what does best on each".to_owned(),
            _ => format!("--method {}", method.name()),
        };
        terminal.say(format!(
            "{} by {how}",
            voxelift_volume::words::counted(of_method.len(), "scan")
        ));
        match arguments.upscaled(&of_method, method, &work, terminal) {
            Ok(Outcome::Interrupted) => return Ok(Outcome::Interrupted),
            Ok(Outcome::InPart) => outcome = Outcome::InPart,
            Ok(Outcome::Done) => {}
            Err(error) => failed.push(error),
        }
    }
    let mut published = Vec::new();
    for raw in &scans {
        if let Some(done) = publish(raw, dataset, output, &work, terminal)? {
            published.push(done);
        }
    }
    if published.is_empty() {
        return Err(failed
            .into_iter()
            .next()
            .unwrap_or_else(|| anyhow::anyhow!("no scan was made finer")));
    }
    for error in &failed {
        terminal.complain(message(error));
    }
    let participants: BTreeSet<&str> = published
        .iter()
        .filter_map(|done| done.raw.entity("sub"))
        .collect();
    for participant in participants {
        let own: Vec<&Published> = published
            .iter()
            .filter(|done| done.raw.entity("sub") == Some(participant))
            .collect();
        pages::participant(participant, &own, output, terminal)?;
    }
    terminal::print(format!("{}\n", output.display()))?;
    Ok(if failed.is_empty() {
        outcome
    } else {
        Outcome::InPart
    })
}

/// An output under its name in the data set.
#[derive(Debug)]
struct Published<'a> {
    raw: &'a RawScan,
    path: PathBuf,
    sidecar: Value,
}

impl BidsArguments {
    /// What was asked for; else thick slices learn from themselves.
    fn method_for(&self, raw: &RawScan) -> MethodArgument {
        self.method.unwrap_or_else(|| {
            let is_thick = scan::read_header(&raw.path).is_ok_and(|(header, _)| {
                let spacing = header.geometry().spacing_mm();
                let [least, most] =
                    [f64::min, f64::max].map(|of| spacing.into_iter().reduce(of).expect("three"));
                most >= THICK * least
            });
            match is_thick && self.model.is_none() {
                true => MethodArgument::SelfLearned,
                false => MethodArgument::Model,
            }
        })
    }

    /// Makes scans finer into the work folder, as `upscale` does it with a batch.
    fn upscaled(
        &self,
        scans: &[&RawScan],
        method: MethodArgument,
        work: &Path,
        terminal: &Terminal,
    ) -> anyhow::Result<Outcome> {
        let mut words: Vec<std::ffi::OsString> = ["voxelift", "upscale"].map(Into::into).into();
        words.extend(scans.iter().map(|raw| raw.path.clone().into()));
        // Without a method every scan is served by what does best on it.
        if method != MethodArgument::Model || self.method.is_some() {
            words.extend(["--method", method.name()].map(Into::into));
        }
        words.push("-o".into());
        words.push(work.into());
        let options = [
            ("--spacing", self.spacing.clone().map(Into::into)),
            (
                "--budget",
                self.budget
                    .clone()
                    .filter(|_| method == MethodArgument::SelfLearned)
                    .map(Into::into),
            ),
            (
                "--model",
                self.model
                    .clone()
                    .filter(|_| method == MethodArgument::Model)
                    .map(PathBuf::into_os_string),
            ),
        ];
        for (word, value) in options {
            if let Some(value) = value {
                words.extend([word.into(), value]);
            }
        }
        words.extend(self.force.then(|| "--force".into()));
        let parsed = Arguments::try_parse_from(words).map_err(|error| usage(error.to_string()))?;
        let Command::Upscale(upscale) = parsed.command else {
            unreachable!("it was asked for upscale")
        };
        let inputs = scans.iter().map(|raw| Found {
            path: raw.path.clone(),
            within: raw.folder(),
        });
        upscale::run_on(&upscale, &inputs.collect::<Vec<_>>(), true, terminal)
    }
}

/// Where the work folder holds the output of a scan.
fn in_work(raw: &RawScan, work: &Path) -> PathBuf {
    work.join(raw.folder())
        .join(format!("{}_sr.nii.gz", scan::stem(&raw.path)))
}

/// Gives a finished output its name and its sidecar, in the place of earlier ones; nothing where it was not finished, or the scan has
/// changed since.
fn publish<'a>(
    raw: &'a RawScan,
    dataset: &Path,
    out: &Path,
    work: &Path,
    terminal: &Terminal,
) -> anyhow::Result<Option<Published<'a>>> {
    let made = in_work(raw, work);
    let Some(how) = sidecar::finished(&made) else {
        return Ok(None);
    };
    // An output of other content, which this run did not replace, stays as it was published.
    if !cache::content(&raw.path).is_ok_and(|content| how["source_sha256"] == content) {
        return Ok(None);
    }
    let fine: Geometry = scan::read_header(&made)?.0.geometry();
    let own: Geometry = scan::read_header(&raw.path)?.0.geometry();
    let name = derivative::name(raw, &fine);
    let path = out.join(&name);
    files::make_parent(&path)?;
    // A link where the file system can: the voxels are there once.
    let unfinished = path.with_file_name(format!(".{}.part", scan::stem(&path)));
    let _ = fs::remove_file(&unfinished);
    let failed = |error| VolumeError::io(&path, "write", error);
    if fs::hard_link(&made, &unfinished).is_err() {
        fs::copy(&made, &unfinished).map_err(failed)?;
    }
    fs::rename(&unfinished, &path).map_err(failed)?;
    // Where both names are links to one file, a rename leaves the other name there.
    let _ = fs::remove_file(&unfinished);
    let sidecar = derivative::sidecar(raw, &own, &fine, dataset, &how);
    derivative::put(
        &path.with_file_name(format!("{}.json", scan::stem(&path))),
        &sidecar,
    )?;
    terminal.detail(format!("{}", path.display()));
    for outdated in derivative::outdated(raw, out, &how)? {
        fs::remove_file(&outdated).map_err(|error| VolumeError::io(&outdated, "remove", error))?;
        let description = outdated.with_file_name(format!("{}.json", scan::stem(&outdated)));
        fs::remove_file(&description).map_err(|error| VolumeError::io(&description, "remove", error))?;
        terminal.say(format!(
            "{}: removed, since it was made of another content of {}",
            outdated.display(),
            raw.path.display()
        ));
    }
    Ok(Some(Published {
        raw,
        path: name,
        sidecar,
    }))
}

/// One volume of a file, for its page.
fn volume(path: &Path) -> Option<voxelift_volume::Volume> {
    scan::read(path, &ReadOptions::default()).ok()?.into_single().ok()
}
