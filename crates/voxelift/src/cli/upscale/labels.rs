//! Masks and label maps, carried onto the finer grid of the scan that they belong to.

use std::path::{Path, PathBuf};

use voxelift_volume::VolumeError;
use voxelift_volume::nifti::{Header, NiftiImage, OutputType, ReadOptions, Slices, WriteOptions};
use voxelift_volume::resample::{Interpolation, resample_like};

use super::super::files;
use crate::terminal::Terminal;

/// Whole numbers from here on are not all exact in f32.
const INEXACT: f32 = 16_777_216.0;

/// Where the labels of an output go: beside it, as `<stem>_labels.nii.gz`.
pub fn output(of: &Path) -> PathBuf {
    of.with_file_name(format!("{}_labels.nii.gz", files::stem(of)))
}

/// A label map on the grid of `fine`: at each voxel the value that is nearest in the world, whatever grid and orientation
/// the map has; 0 outside its field of view.
///
/// # Errors
/// When it cannot be read, holds numbers that f32 does not, or lies elsewhere.
pub fn on_grid(
    labels: &Path,
    fine: &Header,
    options: &ReadOptions,
    terminal: &Terminal,
) -> anyhow::Result<NiftiImage> {
    let image = files::read(labels, options, terminal)?;
    let refuse = |value: String, expected: &str| VolumeError::malformed(labels, "labels", value, expected);
    let values = || image.frames.iter().flat_map(|frame| frame.data());
    if let Some(large) = values().find(|v| v.abs() >= INEXACT) {
        return Err(refuse(
            large.to_string(),
            "numbers below 2^24, which come through unchanged",
        )
        .into());
    }
    let grid = fine.geometry();
    let frames: Vec<_> = image
        .frames
        .iter()
        .map(|frame| resample_like(frame, &grid, Interpolation::Nearest))
        .collect();
    let nothing = !frames.iter().flat_map(|frame| frame.data()).any(|v| *v != 0.0);
    if nothing && values().any(|v| *v != 0.0) {
        let value = "all outside the scan's field of view".to_owned();
        return Err(refuse(
            value,
            "a map that lies where the scan does; compare both with `voxelift info`",
        )
        .into());
    }
    let header = Header {
        extent: fine.extent,
        spacing_mm: fine.spacing_mm,
        sform: fine.sform,
        qform: fine.qform,
        xyzt_units: fine.xyzt_units,
        slices: Slices::default(),
        dim_info: fine.dim_info,
        extensions: image.header.extensions_of_any_grid(),
        ..image.header
    };
    Ok(NiftiImage {
        header,
        frames,
        warnings: Vec::new(),
    })
}

/// Writes the labels of an output beside it, and answers with the file.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    labels: NiftiImage,
    of: &Path,
    scan: &WriteOptions,
    anonymise: bool,
    terminal: &Terminal,
) -> anyhow::Result<PathBuf> {
    let (path, mut header) = (output(of), labels.header);
    if anonymise {
        header.anonymise();
    }
    let frames = labels.frames.into_iter().map(Ok);
    files::write(&path, &header, frames, &write_options(scan), terminal)?;
    terminal.say(format!("{}: labels", path.display()));
    Ok(path)
}

/// Labels keep their type.
fn write_options(scan: &WriteOptions) -> WriteOptions {
    WriteOptions {
        dtype: OutputType::Same,
        ..scan.clone()
    }
}
