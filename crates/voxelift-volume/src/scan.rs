//! Layer 4 · Any file or folder that holds a scan: NIfTI, MGH, or a DICOM series.
//!
//! ```no_run
//! use voxelift_volume::nifti::ReadOptions;
//! use voxelift_volume::{scan, words};
//!
//! // A file or a folder, whatever it is stored as; warnings say what is odd about it.
//! let image = scan::read("sub-01_T1w.mgz".as_ref(), &ReadOptions::default())?;
//! println!("{}", image.warnings.join("; "));
//! println!("{}", words::grid(image.volume()?.geometry()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

#[cfg(feature = "dicom")]
use crate::dicom::open as open_series;
use crate::error::Result;
use crate::mgh;
use crate::nifti::{self, Frames, Header, NiftiImage, ReadOptions};
use crate::volume::Volume;

/// Endings of the files that a folder is searched for; of a pair the header stands for both.
const ENDINGS: [&str; 7] = [".nii", ".nii.gz", ".hdr", ".hdr.gz", ".mgh", ".mgz", ".mgh.gz"];

/// Whether a file is an image by its name, upper or lower case.
pub fn is_image(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Reads a scan, whatever it is stored as: a folder is a DICOM series, `.mgh` and `.mgz` are FreeSurfer's, all else is
/// NIfTI.
///
/// # Errors
/// As the format's own reader.
pub fn read(path: &Path, options: &ReadOptions) -> Result<NiftiImage> {
    frames(path, options)?.into_image()
}

/// A file's name without the endings of image files: `sub-01_res-0.7_T1w.nii.gz` -> `sub-01_res-0.7_T1w`.
pub fn stem(path: &Path) -> String {
    let mut stem = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for ending in [".gz", ".nii", ".hdr", ".img", ".mgh", ".mgz"] {
        if stem.to_lowercase().ends_with(ending) && stem.len() > ending.len() {
            stem.truncate(stem.len() - ending.len());
        }
    }
    stem
}

/// A scan that can be read to its end, with at most one of its volumes in memory.
pub struct Scan {
    /// The header.
    pub header: Header,
    /// What was odd about the scan, a sentence each; to be shown to the user.
    pub warnings: Vec<String>,
    /// The volumes, one after another.
    pub frames: Box<dyn Iterator<Item = Result<Volume>>>,
}

/// Reads a scan to its end, so that whatever is wrong with it is known before any work is done. Of several volumes none
/// is kept: they are read once more, one after another.
///
/// # Errors
/// As [`read`].
pub fn open(path: &Path, options: &ReadOptions) -> Result<Scan> {
    let mut survey = frames(path, options)?;
    let mut first = None;
    while let Some(frame) = survey.next() {
        let frame = frame?;
        if survey.header.frames() == 1 {
            first = Some(Ok(frame));
        }
    }
    Ok(Scan {
        header: survey.header,
        warnings: survey.warnings,
        frames: match first {
            Some(first) => Box::new(std::iter::once(first)),
            None => Box::new(frames(path, options)?),
        },
    })
}

fn frames(path: &Path, options: &ReadOptions) -> Result<Frames> {
    if path.is_dir() {
        return open_series(path, options);
    }
    if mgh::is_name(path) {
        return mgh::open(path, options);
    }
    nifti::open(path, options)
}

/// Whether [`read`] takes a path for NIfTI.
pub fn is_nifti(path: &Path) -> bool {
    !path.is_dir() && !mgh::is_name(path)
}

/// Reads a scan's header alone.
///
/// # Errors
/// As [`read`], as far as the header tells.
pub fn read_header(path: &Path) -> Result<(Header, Vec<String>)> {
    if path.is_dir() {
        let series = open_series(path, &ReadOptions::default())?;
        return Ok((series.header, series.warnings));
    }
    if mgh::is_name(path) {
        return mgh::read_header(path);
    }
    nifti::read_header(path)
}

#[cfg(not(feature = "dicom"))]
fn open_series(folder: &Path, _: &ReadOptions) -> Result<Frames> {
    let advice = "this program was built without the feature `dicom`; name a file";
    Err(crate::error::VolumeError::unsupported(folder, "a folder", advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_lose_the_endings_of_image_files_only() {
        for (name, expected) in [
            ("a/sub-01_res-0.7_T1w.nii.gz", "sub-01_res-0.7_T1w"),
            ("scan.NII", "scan"),
            ("scan.hdr", "scan"),
            ("scan.v2", "scan.v2"),
            (".nii", ".nii"),
        ] {
            assert_eq!(stem(Path::new(name)), expected);
        }
    }
}
