//! `voxelift degrade`: a low-resolution acquisition of a high-resolution scan.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use voxelift_volume::nifti::{self, NiftiImage};
use voxelift_volume::{Scale, VoxelMap};

use super::options::{ReadArguments, Spacing, WriteArguments, fraction};
use super::{files, words};
use crate::failure::Outcome;
use crate::terminal::{self, Terminal};

#[derive(Debug, Args)]
pub struct DegradeArguments {
    /// The scan
    input: PathBuf,
    /// The file to write
    output: PathBuf,
    /// HR voxels per LR voxel: one number, or x,y,z in file order [default: 2]
    #[arg(long, value_parser = Scale::parse, conflicts_with = "spacing")]
    scale: Option<Scale>,
    /// The LR voxel size in mm: one number, or x,y,z in file order
    #[arg(long, value_name = "MM")]
    spacing: Option<Spacing>,
    /// How the scanner averages
    #[arg(long, value_enum, default_value_t = OperatorArgument::Kspace)]
    operator: OperatorArgument,
    /// Rician noise, as a fraction of the 99.5th percentile of the foreground
    #[arg(long, value_name = "FRACTION", default_value = "0", value_parser = fraction)]
    noise: f64,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    read: ReadArguments,
    #[command(flatten)]
    write: WriteArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OperatorArgument {
    /// Truncation of k-space: what a scanner does that acquires fewer lines
    Kspace,
    /// Antialiased cubic interpolation
    Cubic,
    /// Gaussian blur, then sampling
    Gaussian,
    /// The mean over each LR voxel
    Box,
}
