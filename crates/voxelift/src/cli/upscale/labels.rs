//! Masks and label maps, carried onto the finer grid of the scan that they belong to.

use std::path::{Path, PathBuf};

use voxelift_volume::nifti::{self, BASE, Header, OutputType, Part, ReadOptions, Slices, WriteOptions};
use voxelift_volume::resample::{Interpolation, resample_like};
use voxelift_volume::scan;
use voxelift_volume::{Geometry, Volume, VolumeError};

use super::super::files;
use crate::terminal::Terminal;

/// A map of which a smaller share than this lies in the scan's field of view may be another scan's.
const ALMOST_ALL: f64 = 0.95;

/// Where the labels of an output go: beside it, as `<stem>_labels.nii.gz`.
pub fn output(of: &Path) -> PathBuf {
    of.with_file_name(format!("{}_labels.nii.gz", scan::stem(of)))
}

/// A label map on the grid of an output.
pub struct Labels {
    header: Header,
    /// Its values; of codes that f32 would round the upper parts, and the lower ones in `lower`.
    frames: Vec<Volume>,
    lower: Option<Vec<Volume>>,
}

/// A label map on the grid of `fine`: at each voxel the value that is nearest in the world, whatever grid and orientation
/// the map has; 0 outside its field of view.
///
/// # Errors
/// When it cannot be read, holds codes of 2^48 and more, or lies elsewhere.
pub fn on_grid(
    labels: &Path,
    fine: &Header,
    options: &ReadOptions,
    terminal: &Terminal,
) -> anyhow::Result<Labels> {
    let refuse = |value: String, expected: &str| VolumeError::malformed(labels, "labels", value, expected);
    let largest = |frames: &[Volume]| {
        let values = frames.iter().flat_map(|frame| frame.data());
        values.fold(0.0_f32, |most, v| most.max(v.abs()))
    };
    let whole = scan::read(labels, options)?;
    // f32 has every whole number below the base; the codes of some atlases are larger.
    let (image, lower) = if f64::from(largest(&whole.frames)) < BASE {
        (whole, None)
    } else {
        drop(whole);
        let read = |part| {
            let options = ReadOptions {
                part,
                ..options.clone()
            };
            scan::read(labels, &options)
        };
        let (upper, lower) = (read(Part::Upper)?, read(Part::Lower)?);
        if f64::from(largest(&upper.frames)) >= BASE {
            return Err(refuse(
                "2^48 and more".to_owned(),
                "numbers below 2^48, which come through unchanged",
            )
            .into());
        }
        (upper, Some(lower.frames))
    };
    for warning in &image.warnings {
        terminal.warn(format!("{}: {warning}", labels.display()));
    }
    let grid = fine.geometry();
    let placed = |frames: &[Volume]| -> Vec<Volume> {
        let placed = |frame| resample_like(frame, &grid, Interpolation::Nearest);
        frames.iter().map(placed).collect()
    };
    let (frames, lower_placed) = (placed(&image.frames), lower.as_deref().map(placed));
    let any = |frames: &[Volume], lower: Option<&Vec<Volume>>| {
        let all = frames.iter().chain(lower.into_iter().flatten());
        all.flat_map(|frame| frame.data()).any(|v| *v != 0.0)
    };
    if !any(&frames, lower_placed.as_ref()) && any(&image.frames, lower.as_ref()) {
        let value = "all outside the scan's field of view".to_owned();
        return Err(refuse(
            value,
            "a map that lies where the scan does; compare both with `voxelift info`",
        )
        .into());
    }
    let share = image.frames.first().and_then(|map| labelled_within(map, &grid));
    if let Some(share) = share.filter(|share| *share < ALMOST_ALL) {
        terminal.warn(format!(
            "{}: {:.1} % of its labelled voxels lie in the scan's field of view; the others are not in the output. If the map is this \
             scan's, compare both with `voxelift info`",
            labels.display(),
            100.0 * share
        ));
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
    Ok(Labels {
        header,
        frames,
        lower: lower_placed,
    })
}

/// How many of the voxels of a map that are not 0 lie on a grid, as a share of all that are not 0.
fn labelled_within(map: &Volume, grid: &Geometry) -> Option<f64> {
    let [nx, ny, _] = map.extent();
    let (mut all, mut within) = (0_usize, 0_usize);
    for (i, _) in map.data().iter().enumerate().filter(|(_, value)| **value != 0.0) {
        let voxel = [i % nx, i / nx % ny, i / (nx * ny)].map(|at| at as f64);
        let at = grid.voxel(map.geometry().world(voxel));
        all += 1;
        within += usize::from((0..3).all(|a| at[a] >= -0.5 && at[a] <= grid.extent[a] as f64 - 0.5));
    }
    (all > 0).then(|| within as f64 / all as f64)
}

/// Writes the labels of an output beside it, and returns the file.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    labels: Labels,
    of: &Path,
    scan: &WriteOptions,
    anonymise: bool,
    terminal: &Terminal,
) -> anyhow::Result<PathBuf> {
    let (path, mut header) = (output(of), labels.header);
    if anonymise {
        header.anonymise();
    }
    let options = write_options(scan);
    match &labels.lower {
        None => {
            let frames = labels.frames.into_iter().map(Ok);
            files::write(&path, &header, frames, &options, terminal)?;
        }
        Some(lower) => {
            files::make_parent(&path)?;
            nifti::write_parts(&path, &header, [&labels.frames, lower], &options)?;
        }
    }
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
