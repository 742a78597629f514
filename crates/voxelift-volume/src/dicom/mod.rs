//! Layer 3 · A classic DICOM MR series, one image a file in one folder: read only.
//!
//! Every file is treated as hostile: its elements are read by our own reader (`elements`), which checks each length against the
//! bytes that are there, and voxels are decoded by our own code but for JPEG, whose decoder is called once the size of the image is known.
//!
//! Only what places and scales the voxels is taken from a file. Nothing that names a person, a place or a time is stored:
//! the header is a new one.
//!
//! ```no_run
//! use voxelift_volume::nifti::ReadOptions;
//! use voxelift_volume::{dicom, words};
//!
//! // The header is known at once; volumes are read one after another, when they are asked for.
//! let frames = dicom::open("series".as_ref(), &ReadOptions::default())?;
//! println!("{}", words::grid(&frames.header.geometry()));
//! for volume in frames {
//!     println!("{:?}", volume?.extent());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod elements;
mod pixels;
mod series;
mod slice;
mod walk;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, VolumeError};
use crate::nifti::{Datatype, FrameSource, Frames, Header, NanPolicy, ReadOptions};
use crate::stored::{checked_voxels, not_finite};
use series::Series;
use slice::Slice;

/// Opens the one series in a folder (files in folders below are left alone), with a new header: sform and qform of code
/// 1, the scanner's world. Slices keep the orientation that they are stored in.
///
/// # Errors
/// Naming the file and the attribute: several series, images of several frames, colours, slices that do not lie at one
/// distance from one another, or do not share size, spacing and orientation.
pub fn open(folder: &Path, options: &ReadOptions) -> Result<Frames> {
    let (slices, skipped) = slices(folder)?;
    let series = Series::sorted(folder, slices)?;
    let (extent, frames) = (series.geometry.extent, series.frames.len());
    let voxels = checked_voxels(folder, "Rows, Columns, slices", extent, frames, options)?;
    let left_out = format!("{skipped} files that are no DICOM images were left out");
    let mut warnings = series.warnings.clone();
    warnings.extend((skipped > 0).then_some(left_out));
    if series.by_number_alone {
        refuse_copies(&series)?;
    }
    let header = header(&series);
    let source = SeriesFrames {
        folder: folder.to_owned(),
        frames: series.frames.into(),
        voxels,
        not_finite: 0,
        nan: options.nan,
    };
    Ok(Frames::new(header, warnings, source))
}

struct SeriesFrames {
    folder: PathBuf,
    frames: VecDeque<Vec<Slice>>,
    voxels: usize,
    not_finite: u64,
    nan: NanPolicy,
}

impl FrameSource for SeriesFrames {
    fn frame(&mut self) -> Result<Vec<f32>> {
        let slices = self
            .frames
            .pop_front()
            .expect("as many volumes as the header has");
        let mut data = Vec::new();
        for slice in &slices {
            self.not_finite += slice.append_voxels(&mut data)?;
            // Only once a slice has shown that the file holds what its attributes say.
            data.reserve_exact(self.voxels - data.len());
        }
        Ok(data)
    }

    fn end(&mut self, _: &mut Header, warnings: &mut Vec<String>) -> Result<()> {
        warnings.extend(not_finite(&self.folder, self.not_finite, self.nan)?);
        Ok(())
    }
}

/// Refuses volumes that differ in nothing but the numbers of their images: a series that was exported twice.
///
/// # Errors
/// Naming both images; what one of them cannot be read for.
fn refuse_copies(series: &Series) -> Result<()> {
    let middle = series.frames[0].len() / 2;
    let mut seen: Vec<(Vec<f32>, &Slice)> = Vec::new();
    for frame in series.frames.iter().take(MOST_COMPARED) {
        let (slice, mut voxels) = (&frame[middle], Vec::new());
        slice.append_voxels(&mut voxels)?;
        let varies = voxels.iter().any(|v| *v != voxels[0]);
        if let Some((_, other)) = seen.iter().find(|(others, _)| varies && *others == voxels) {
            let value = format!("the same as {}, at the same place", other.path.display());
            let expected = "another image: the series was exported twice; keep one copy";
            return Err(VolumeError::malformed(&slice.path, "PixelData", value, expected));
        }
        seen.push((voxels, slice));
    }
    Ok(())
}

/// Volumes that are compared with one another.
const MOST_COMPARED: usize = 8;

/// A header that says nothing of where the slices came from.
fn header(series: &Series) -> Header {
    let mut header = Header::new(&series.geometry);
    let slices = || series.frames.iter().flatten();
    let first = &series.frames[0][0];
    if slices().all(|slice| slice.stored == first.stored && slice.scaling == first.scaling) {
        header.datatype = first.stored;
        header.scaling = (first.scaling != (1.0, 0.0)).then_some(first.scaling);
    } else {
        header.datatype = Datatype::Float32;
    }
    if series.frames.len() > 1 {
        header.extra_extent = vec![series.frames.len()];
        header.extra_spacing[0] = series.repetition_s.unwrap_or(0.0);
    }
    header
}

/// The images in a folder, without their voxels, and how many files are none.
fn slices(folder: &Path) -> Result<(Vec<Slice>, usize)> {
    let failed = |source| VolumeError::io(folder, "read the folder", source);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut slices = Vec::new();
    for path in &paths {
        slices.extend(Slice::open(path)?);
    }
    if slices.is_empty() {
        let advice = "name a file, or the folder of one DICOM series";
        return Err(VolumeError::unsupported(
            folder,
            "a folder without DICOM images",
            advice,
        ));
    }
    let skipped = paths.len() - slices.len();
    Ok((slices, skipped))
}
