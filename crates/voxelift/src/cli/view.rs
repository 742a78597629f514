//! `voxelift view`: scans, outputs and what was made of them, in a browser on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Args;
use voxelift_volume::Volume;
use voxelift_volume::baseline::Baseline;
use voxelift_volume::nifti::ReadOptions;
use voxelift_volume::scan;

use super::report::{covers, scan_behind};
use super::upscale::AuditFiles;
use super::{files, stop};
use crate::failure::Outcome;
use crate::terminal::{self, Terminal};
use crate::view::{Gallery, Kind, Server};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voxelift view sr.nii.gz hr.nii.gz")]
pub struct ViewArguments {
    /// Scans, outputs, maps, references: the files that `upscale` reads. To an output of `upscale` come the scan that it was
    /// made from, that scan zero-filled, and the maps of its audit, where they are beside it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the address and do not open a browser
    #[arg(long)]
    no_browser: bool,
    /// Listen on this port of 127.0.0.1 [default: any free one]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

impl ViewArguments {
    /// The same of outputs that have just been written.
    pub fn of(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            no_browser: false,
            port: 0,
        }
    }
}

/// # Errors
/// When a file cannot be read, or the port is taken.
pub fn run(arguments: &ViewArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let stop = stop::on_request()?;
    let gallery = gallery(&arguments.files, terminal)?;
    let shown = gallery.len();
    let server = Server::new(gallery, arguments.port)
        .with_context(|| format!("--port {}: cannot listen on 127.0.0.1", arguments.port))?;
    terminal.say(format!(
        "{shown} volumes for this machine alone, to whoever has the address; Ctrl-C ends it"
    ));
    terminal::print(format!("{}\n", server.address()))?;
    if !arguments.no_browser && !opened(&server.address_once()) {
        terminal.warn("no browser could be opened; open the address above in one on this machine");
    }
    server.serve(&stop)?;
    terminal.say("ended");
    Ok(Outcome::Done)
}

/// The files, each with what belongs to it.
fn gallery(paths: &[PathBuf], terminal: &Terminal) -> anyhow::Result<Gallery> {
    let mut gallery = Gallery::default();
    let mut added: Vec<PathBuf> = Vec::new();
    for path in paths {
        let volume = first_volume(path, terminal)?;
        let name = scan::stem(path);
        if let Some((source, scan)) = scan_behind(path) {
            if !paths.contains(&source) && !added.contains(&source) {
                gallery.add(
                    &format!("{} (scan)", scan::stem(&source)),
                    Kind::Image,
                    scan.clone(),
                )?;
                added.push(source);
            }
            if covers(&scan, &volume) {
                let baseline = Baseline::ZeroFill.apply(&scan, volume.extent());
                gallery.add(&format!("{name}: the scan zero-filled"), Kind::Image, baseline)?;
            }
        }
        gallery.add(&name, kind(path), volume)?;
        for map in AuditFiles::beside(path).maps() {
            if map.is_file() && !paths.contains(map) {
                gallery.add(&scan::stem(map), kind(map), first_volume(map, terminal)?)?;
            }
        }
    }
    Ok(gallery)
}

/// A file's volume; of several the first.
fn first_volume(path: &Path, terminal: &Terminal) -> anyhow::Result<Volume> {
    let image = files::read(path, &ReadOptions::default(), terminal)?;
    let count = image.frames.len();
    if count > 1 {
        terminal.warn(format!(
            "{}: the first of its {count} volumes is shown",
            path.display()
        ));
    }
    let first = image.frames.into_iter().next();
    first.with_context(|| format!("{}: holds no volume", path.display()))
}

/// By the names that `upscale --audit` gives.
fn kind(path: &Path) -> Kind {
    let stem = scan::stem(path);
    if stem.ends_with("_null-space") {
        Kind::Signed
    } else if stem.ends_with("_null-space-spread") {
        Kind::Magnitude
    } else {
        Kind::Image
    }
}

/// Opens an address in the system's browser, when there is one.
fn opened(address: &str) -> bool {
    let (program, arguments): (&str, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("rundll32", &["url.dll,FileProtocolHandler"]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(address).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    // It hands the address on and ends, or is the browser itself; either way nobody waits for it here.
    child.is_ok()
}
