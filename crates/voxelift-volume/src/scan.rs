//! Floor 4 · Any file or folder that holds a scan: NIfTI, MGH, or a DICOM series.

use std::path::Path;

#[cfg(feature = "dicom")]
use crate::dicom::read as read_series;
use crate::error::Result;
use crate::mgh;
use crate::nifti::{self, Header, NiftiImage, ReadOptions};

/// Reads a scan, whatever it is stored as: a folder is a DICOM series, `.mgh` and `.mgz` are FreeSurfer's, all else is
/// NIfTI.
///
/// # Errors
/// As the format's own reader.
pub fn read(path: &Path, options: &ReadOptions) -> Result<NiftiImage> {
    if path.is_dir() {
        return read_series(path, options);
    }
    if mgh::is_name(path) {
        return mgh::read(path, options);
    }
    nifti::read(path, options)
}

/// Whether [`read`] takes a path for NIfTI.
pub fn is_nifti(path: &Path) -> bool {
    !path.is_dir() && !mgh::is_name(path)
}

/// Reads a scan's header alone, where the format has one apart from the voxels.
///
/// # Errors
/// As [`read`], as far as the header tells.
pub fn read_header(path: &Path) -> Result<(Header, Vec<String>)> {
    if path.is_dir() {
        let image = read_series(path, &ReadOptions::default())?;
        return Ok((image.header, image.warnings));
    }
    if mgh::is_name(path) {
        return mgh::read_header(path);
    }
    nifti::read_header(path)
}

#[cfg(not(feature = "dicom"))]
fn read_series(folder: &Path, _: &ReadOptions) -> Result<NiftiImage> {
    let advice = "this program was built without the feature `dicom`; name a file";
    Err(crate::error::VolumeError::unsupported(folder, "a folder", advice))
}
