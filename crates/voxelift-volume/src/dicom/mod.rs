//! Floor 3 · A classic DICOM MR series, one image a file in one folder: read only; the only room that names dicom-rs.
//!
//! Only what places and scales the voxels is taken from a file. Nothing that names a person, a place or a time is kept:
//! the header is a new one.

mod series;
mod slice;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, VolumeError};
use crate::nifti::{Datatype, Header, NanPolicy, NiftiImage, ReadOptions};
use crate::volume::Volume;
use series::Series;
use slice::Slice;

/// Reads the one series in a folder (files in folders below are left alone), with a new header: sform and qform of code
/// 1, the scanner's world. Slices keep the orientation that they are stored in.
///
/// # Errors
/// Naming the file and the attribute: several series, images of several frames, colours, slices that do not lie at one
/// distance from one another, or do not share size, spacing and orientation.
pub fn read(folder: &Path, options: &ReadOptions) -> Result<NiftiImage> {
    let (slices, skipped) = slices(folder)?;
    let series = Series::sorted(folder, slices)?;
    let voxels = series.geometry.voxels() as u64;
    if voxels.saturating_mul(series.frames.len() as u64) > options.max_voxels {
        let value = format!(
            "{:?} in {} volume(s)",
            series.geometry.extent,
            series.frames.len()
        );
        let expected = format!("at most {} voxels (see --max-voxels)", options.max_voxels);
        return Err(VolumeError::malformed(
            folder,
            "Rows, Columns, slices",
            value,
            expected,
        ));
    }
    let mut warnings = Vec::new();
    if skipped > 0 {
        warnings.push(format!("{skipped} files that are no DICOM images were left out"));
    }
    let mut not_finite = 0;
    let mut frames = Vec::with_capacity(series.frames.len());
    for slices in &series.frames {
        let mut data = Vec::with_capacity(voxels as usize);
        for slice in slices {
            not_finite += slice.append_voxels(&mut data)?;
        }
        frames.push(Volume::new(data, series.geometry.clone()));
    }
    if not_finite > 0 {
        let value = format!("not finite, or beyond float32, at {not_finite} places");
        if options.nan == NanPolicy::Error {
            let expected = "finite values, or --nan zero";
            return Err(VolumeError::malformed(folder, "voxel data", value, expected));
        }
        warnings.push(format!("voxel data is {value}; set to zero"));
    }
    Ok(NiftiImage {
        header: header(&series),
        frames,
        warnings,
    })
}

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
