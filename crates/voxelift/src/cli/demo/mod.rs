//! `voxelift demo`: what the built-in model does with a real scan, then the main job on synthetic heads, by the commands that anyone
//! would give for their own scans.

mod scan;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use voxelift_model::run::RunDir;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::files::write_atomically;
use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
use voxelift_volume::phantom::{self, PhantomConfig};
use voxelift_volume::{Volume, VolumeError};

use super::{Arguments, execute, report};
use crate::failure::{Outcome, usage};
use crate::picture::comparison;
use crate::terminal::Terminal;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voxelift demo --quick --out /tmp/demo")]
pub struct DemoArguments {
    /// The folder to write; one that an earlier demo wrote is replaced
    #[arg(long, value_name = "DIR", default_value = "voxelift-demo")]
    out: PathBuf,
    /// Smaller synthetic heads and a handful of steps: a minute, and too few to beat anything
    #[arg(long)]
    quick: bool,
}

/// The configuration of the training; paths are relative to it.
const CONFIG: &str = include_str!("demo.toml");

/// How the synthetic scanner sees: training is not told, it finds out from the spectra of the scans.
const BLUR: &str = "gaussian";

/// Seeds of the synthetic people, role by role: nobody is in two of them.
const HR_PEOPLE: [u64; 3] = [1, 2, 3];
const LR_PEOPLE: [u64; 4] = [11, 12, 13, 14];
const VALIDATION_PERSON: u64 = 21;
const TEST_PERSON: u64 = 31;

/// # Errors
/// When the folder is not a demo's, or a step fails.
pub fn run(arguments: &DemoArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    enter(&arguments.out)?;
    terminal.say(format!("$ cd {}", arguments.out.display()));
    built_in(terminal)?;
    let size = if arguments.quick { Size::QUICK } else { Size::FULL };
    terminal.say("now a model of one's own, in a short training");
    terminal.say("synthetic heads: three subjects in high resolution, four others in low resolution, one to watch the run by");
    terminal.say("and one held out; the low-resolution scanner blurs, and training is not told how");
    for person in HR_PEOPLE.into_iter().chain([VALIDATION_PERSON]) {
        let role = if person == VALIDATION_PERSON {
            "validation"
        } else {
            "hr"
        };
        head(&format!("scans/{role}/person-{person:02}.nii.gz"), person, size)?;
    }
    for person in LR_PEOPLE {
        let [hr, lr] = ["never-seen", "lr"].map(|role| format!("scans/{role}/person-{person:02}.nii.gz"));
        head(&hr, person, size)?;
        command(&["degrade", &hr, &lr, "--operator", BLUR], terminal)?;
    }
    let reference = head("hr.nii.gz", TEST_PERSON, size)?;
    command(
        &["degrade", "hr.nii.gz", "lr.nii.gz", "--operator", BLUR],
        terminal,
    )?;

    write("train.toml", CONFIG.as_bytes())?;
    let set = [
        format!("steps={}", size.steps),
        format!("validation.every={}", size.steps.div_ceil(4)),
    ];
    let train = [
        "train",
        "train.toml",
        "--run",
        "run",
        "--set",
        &set[0],
        "--set",
        &set[1],
    ];
    if command(&train, terminal)? == Outcome::Interrupted {
        return Ok(Outcome::Interrupted);
    }
    command(
        &[
            "upscale",
            "lr.nii.gz",
            "-o",
            "sr.nii.gz",
            "--model",
            "run/model.safetensors",
        ],
        terminal,
    )?;
    beside_baselines("", "synthetic head", terminal)?;
    write(report::MONTAGE, &montage(&reference)?)?;
    let lr_spacing = format!("{}", 2.0 * size.spacing_mm);
    let evaluate = ["evaluate", "--pairs", "pairs.csv", "--json", report::SCORES];
    command(
        &[&evaluate[..], &["--lr-spacing", &lr_spacing]].concat(),
        terminal,
    )?;
    command(&["report", "."], terminal)?;
    terminal.say(format!(
        "look at {}",
        arguments.out.join(RunDir::REPORT).display()
    ));
    Ok(Outcome::Done)
}

/// The built-in model on a real scan, which takes no training.
fn built_in(terminal: &Terminal) -> anyhow::Result<()> {
    terminal.say(format!(
        "first the built-in model, on a real scan that it was not trained on: a T1-weighted brain ({}), brought from 1 to 2 mm",
        scan::CREDIT
    ));
    let folder = report::BUILT_IN;
    let [hr, lr, sr] = ["hr", "lr", "sr"].map(|name| format!("{folder}/{name}.nii.gz"));
    written(&hr, scan::real_brain())?;
    command(&["degrade", &hr, &lr], terminal)?;
    command(&["upscale", &lr, "-o", &sr], terminal)?;
    beside_baselines(&format!("{folder}/"), "T1-weighted brain", terminal)?;
    let (pairs, scores) = (
        format!("{folder}/pairs.csv"),
        format!("{folder}/{}", report::SCORES),
    );
    let lr_spacing = ["--lr-spacing", "2"];
    let evaluate = ["evaluate", "--pairs", &pairs, "--json", &scores];
    command(&[&evaluate[..], &lr_spacing].concat(), terminal)?;
    Ok(())
}

/// Brings `lr.nii.gz` of a folder to HR by each baseline, and lists them and `sr.nii.gz` in its `pairs.csv`.
fn beside_baselines(folder: &str, subject: &str, terminal: &Terminal) -> anyhow::Result<()> {
    let mut table = format!("reference,image,subject,method\nhr.nii.gz,sr.nii.gz,{subject},model\n");
    let lr = format!("{folder}lr.nii.gz");
    for baseline in Baseline::ALL {
        let name = baseline.name();
        let image = format!("{folder}{name}.nii.gz");
        command(&["upscale", &lr, "-o", &image, "--method", name], terminal)?;
        table.push_str(&format!("hr.nii.gz,{name}.nii.gz,{subject},{name}\n"));
    }
    write(&format!("{folder}pairs.csv"), table.as_bytes())
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Size {
    extent: [usize; 3],
    spacing_mm: f64,
    steps: u64,
}

impl Size {
    const FULL: Self = Self {
        extent: [81, 97, 81],
        spacing_mm: 1.9,
        steps: 200,
    };
    const QUICK: Self = Self {
        extent: [41, 49, 41],
        spacing_mm: 3.8,
        steps: 8,
    };
}

/// Empties the folder of an earlier demo, or makes a new one, and goes there: the commands then name files as a user
/// would who works in it.
///
/// # Errors
/// When something else is there.
fn enter(path: &Path) -> anyhow::Result<()> {
    let failed = |action| move |error| VolumeError::io(path, action, error);
    let entries = path.read_dir().map(|entries| entries.count()).unwrap_or(0);
    if path.is_file() || (entries > 0 && !path.join(report::DEMO).is_file()) {
        return Err(usage(format!(
            "--out {}: is not the folder of a demo; name a new one",
            path.display()
        )));
    }
    if entries > 0 {
        fs::remove_dir_all(path).map_err(failed("replace the earlier demo"))?;
    }
    fs::create_dir_all(path).map_err(failed("create the folder"))?;
    std::env::set_current_dir(path).map_err(failed("enter"))?;
    write(report::DEMO, b"")
}

/// Gives a command as a user would.
fn command(words: &[&str], terminal: &Terminal) -> anyhow::Result<Outcome> {
    terminal.say(format!("$ voxelift {}", words.join(" ")));
    let arguments = Arguments::try_parse_from(["voxelift"].iter().chain(words))?;
    execute(arguments.command, terminal)
}

fn write(name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(write_atomically(Path::new(name), true, |out| {
        out.write_all(bytes)
    })?)
}

/// A synthetic head, written as a scan.
fn head(name: &str, seed: u64, size: Size) -> anyhow::Result<Volume> {
    let Size {
        extent, spacing_mm, ..
    } = size;
    let head = phantom::head(&PhantomConfig {
        seed,
        extent,
        spacing_mm: [spacing_mm; 3],
    })?;
    written(name, head)
}

fn written(name: &str, volume: Volume) -> anyhow::Result<Volume> {
    super::files::make_parent(Path::new(name))?;
    let image = NiftiImage::from_volume(volume.clone());
    nifti::write(Path::new(name), &image, &WriteOptions::default())?;
    Ok(volume)
}

fn read(name: &str) -> anyhow::Result<Volume> {
    Ok(nifti::read(Path::new(name), &ReadOptions::default())?.into_single()?)
}

/// The held-out head: LR, zero-filled, super-resolved, true, and the errors.
fn montage(hr: &Volume) -> anyhow::Result<Vec<u8>> {
    let [lr, sr, zero_fill] =
        ["lr", "sr", Baseline::ZeroFill.name()].map(|name| read(&format!("{name}.nii.gz")));
    let on_reference = |image: Volume| image.crop([0; 3], hr.extent());
    let (sr, zero_fill) = (on_reference(sr?), on_reference(zero_fill?));
    Ok(comparison(
        "The demo's held-out synthetic head.",
        &lr?,
        &[(Baseline::ZeroFill.name(), &zero_fill), ("SR", &sr)],
        Some(hr),
    ))
}
