//! `voxelift init`: a first configuration for somebody's own scans.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use voxelift_model::device::{Device, DeviceChoice};
use voxelift_model::error::ModelError;
use voxelift_model::train::{DraftOptions, draft};
use voxelift_volume::files::write_atomically;
use voxelift_volume::{Scale, VolumeError};

use super::{files, stop};
use crate::failure::Outcome;
use crate::terminal::{self, Terminal};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift init first                                          (synthetic heads, no file needed)\n  \
                  voxelift init first --hr 'hr/*.nii.gz' --lr 'lr/*.nii.gz'\n  \
                  voxelift init first --hr bids/ --scale 1,1,4                 (low-resolution scans are simulated)"
)]
pub struct InitArguments {
    /// The folder to write train.toml into; where it holds folders `hr` and `lr` (or `hr` alone), their scans are taken
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// High-resolution scans: files, globs or folders, from the current folder
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    hr: Vec<String>,
    /// Low-resolution scans of other subjects; without them some of the high-resolution scans are degraded
    #[arg(long, value_name = "GLOB", num_args = 1.., requires = "hr")]
    lr: Vec<String>,
    /// Where low-resolution scans are simulated, how many of their voxels become one: one number, or x,y,z [default: 2]
    #[arg(long, value_parser = Scale::parse, conflicts_with = "lr")]
    scale: Option<Scale>,
    /// Overwrite an existing train.toml
    #[arg(long)]
    force: bool,
}

/// # Errors
/// When the scans are too few or not one domain finer than the other, or the file cannot be written.
pub fn run(arguments: &InitArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let path = arguments.folder.join("train.toml");
    files::refuse_existing(&path, arguments.force)?;
    let stop = stop::on_request()?;
    let (hr, lr) = domains(arguments);
    let options = DraftOptions {
        hr,
        lr,
        scale: arguments.scale,
        gpu: DeviceChoice::Auto
            .open()
            .is_ok_and(|(device, _)| device != Device::flex()),
    };
    // Relative paths of the configuration lead through it.
    let is_new = !arguments.folder.exists();
    fs::create_dir_all(&arguments.folder)
        .map_err(|error| VolumeError::io(&arguments.folder, "create the folder", error))?;
    let draft = draft(&arguments.folder, &options, &stop);
    if draft.is_err() && is_new {
        let _ = fs::remove_dir(&arguments.folder);
    }
    let draft = match draft {
        Err(ModelError::Stopped) => {
            terminal.warn(ModelError::Stopped);
            return Ok(Outcome::Interrupted);
        }
        draft => draft?,
    };
    draft.notes.iter().for_each(|note| terminal.warn(note));
    draft.found.iter().for_each(|line| terminal.say(line));
    write_atomically(&path, arguments.force, |out| out.write_all(draft.text.as_bytes()))?;
    let (config, folder) = (as_shell_word(&path), as_shell_word(&arguments.folder.join("run")));
    terminal::print(format!(
        "{}\nRead it, then look before you train:\n  voxelift train {config} --run {folder} --check\nTrain, or go on where it stopped:\n  \
         voxelift train {config} --run {folder}\n",
        path.display()
    ))?;
    Ok(Outcome::Done)
}

/// The globs that were given, or the folders that are there already.
fn domains(arguments: &InitArguments) -> (Vec<String>, Vec<String>) {
    if !arguments.hr.is_empty() {
        return (arguments.hr.clone(), arguments.lr.clone());
    }
    let of = |name: &str| {
        let folder = arguments.folder.join(name);
        folder
            .is_dir()
            .then(|| folder.to_string_lossy().into_owned())
            .into_iter()
            .collect::<Vec<_>>()
    };
    match of("hr") {
        hr if hr.is_empty() => (hr, Vec::new()),
        hr => (
            hr,
            if arguments.scale.is_some() {
                Vec::new()
            } else {
                of("lr")
            },
        ),
    }
}

/// A path as a shell takes it.
fn as_shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=@%".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
