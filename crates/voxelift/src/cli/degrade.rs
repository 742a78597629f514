//! `voxelift degrade`: a low-resolution acquisition of a high-resolution scan.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use voxelift_volume::degrade::{Degradation, Grid, Operators};
use voxelift_volume::{Scale, VoxelMap, words};

use super::files;
use super::options::{ReadArguments, Spacing, WriteArguments, fraction};
use super::upscale::sidecar;
use crate::failure::Outcome;
use crate::terminal::{self, Terminal};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift degrade hr.nii.gz lr.nii.gz --scale 2\n  voxelift degrade hr.nii.gz thick.nii.gz --scale 1,1,4 --operator kspace/kspace/slice:gaussian,1 --noise 0.02"
)]
pub struct DegradeArguments {
    /// The scan
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// HR voxels per LR voxel: one number, or x,y,z in file order [default: 2]
    #[arg(long, value_parser = Scale::parse, conflicts_with = "spacing")]
    scale: Option<Scale>,
    /// The LR voxel size in mm: one number, or x,y,z in file order
    #[arg(long, value_name = "MM", allow_negative_numbers = true)]
    spacing: Option<Spacing>,
    /// How voxels become fewer: kspace, cubic, box, gaussian[:SIGMA] or slice:PROFILE,THICKNESS, lengths in LR voxels and not in mm; one
    /// for all axes, or three as x/y/z
    #[arg(long, default_value = "kspace")]
    operator: Operators,
    /// Rician noise, as a fraction of the 99.5th percentile of the foreground
    #[arg(long, value_name = "FRACTION", default_value = "0", value_parser = fraction, allow_negative_numbers = true)]
    noise: f64,
    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    write: WriteArguments,
}

/// # Errors
/// When the arguments are refused, or a file cannot be read or written.
pub fn run(arguments: &DegradeArguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let inputs = [arguments.input.clone()];
    files::check_output(&arguments.output, &inputs, arguments.write.force)?;
    let grid = match (arguments.scale, arguments.spacing) {
        (_, Some(spacing)) => Grid::SpacingMm(spacing.0),
        (scale, None) => Grid::Scale(scale.unwrap_or(Scale::isotropic(2))),
    };
    let degradation = Degradation {
        operator: arguments.operator,
        grid,
        noise: arguments.noise,
        ..Degradation::default()
    };
    degradation.check()?;

    let scan = files::open(&arguments.input, &arguments.read.options(), terminal)?;
    let mut frames = scan.frames.zip(arguments.seed..).map(|(frame, seed)| {
        let degraded = degradation.apply(&frame?, seed);
        degraded.with_context(|| arguments.input.display().to_string())
    });
    let first = frames.next().expect("a scan has a volume")?;
    terminal.say(degradation);
    let (hr, lr) = (scan.header.extent, first.extent());
    let padded = degradation.padded_extent(hr);
    if padded != hr {
        terminal.say(format!(
            "{hr:?} voxels are no multiple of the scale: mirrored at the high end to {padded:?}; the field of view grows with them"
        ));
    }
    if let Some(axis) = (0..3).find(|axis| hr[*axis] == 1) {
        let axis = ["x", "y", "z"][axis];
        terminal.say(format!("one voxel along {axis}: it stays as it is"));
    }
    let mut header = scan.header.resampled(lr, &VoxelMap::field_of_view(padded, lr));
    if arguments.write.anonymise {
        header.anonymise();
    }
    let made = words::grid(first.geometry());
    files::write(
        &arguments.output,
        &header,
        std::iter::once(Ok(first)).chain(frames),
        &arguments.write.options(&inputs),
        terminal,
    )?;
    sidecar::forget(&arguments.output, terminal)?;
    terminal::print(format!("{}: {made}\n", arguments.output.display()))?;
    Ok(Outcome::Done)
}
