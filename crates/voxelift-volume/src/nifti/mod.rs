//! Layer 2 · Bytes <-> Volume + header; atomic writes.
//!
//! NIfTI-1 and NIfTI-2 in every container, byte order and scalar type ([`read`]), and out again with the
//! header carried along ([`write()`]); files of several volumes one volume at a time ([`open`], [`write_frames`]). Nothing in a file is used before it is checked: `parse` has the
//! header's fields, `stored` the bytes and their end.
//!
//! ```no_run
//! use voxelift_volume::nifti::{self, NiftiImage, ReadOptions, WriteOptions};
//!
//! // One volume, with what its header says beside the voxels; what is odd about the file is in `warnings`.
//! let image = nifti::read("scan.nii.gz".as_ref(), &ReadOptions::default())?;
//! println!("{:?} {:?}", image.volume()?.extent(), image.warnings);
//! // The same header around other voxels, as a new file: whole or not at all, and never over another one.
//! let brighter = image.volume()?.clone().map(|value| 2.0 * value);
//! let image = NiftiImage { frames: vec![brighter], ..image };
//! nifti::write("brighter.nii.gz".as_ref(), &image, &WriteOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```
//! use voxelift_volume::nifti::NiftiImage;
//! use voxelift_volume::{Geometry, Volume};
//!
//! // A volume that comes from no file gets a header of its own, which places it where it lies.
//! let volume = Volume::filled(1.0, Geometry::axis_aligned([4, 4, 2], [1.0, 1.0, 3.0]));
//! let image = NiftiImage::from_volume(volume.clone());
//! assert_eq!(image.header.geometry(), *volume.geometry());
//! ```

mod compose;
mod encoder;
mod frames;
mod gzip;
mod header;
mod layout;
mod parse;
mod placement;
mod qform;
mod read;
mod rewrite;
mod span;
mod spool;
mod write;

pub use crate::stored::{BASE, Datatype, NanPolicy, Part, ReadOptions};
pub(crate) use frames::FrameSource;
pub use frames::Frames;
pub use header::{CodedAffine, Extension, Header, Intent, Slices, Version};
pub use qform::{lean, upright};
pub use read::{leftovers, open, other_half, read, read_header};
pub use rewrite::rewrite;
pub use write::{OutputType, WriteOptions, WriteReport, write, write_frames, write_parts};

use crate::error::{Result, VolumeError};
use crate::volume::Volume;

/// A NIfTI file in memory: what its header says and its volumes, which all lie on the header's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct NiftiImage {
    /// What is carried to the files made from this one.
    pub header: Header,
    /// The volumes in file order: one for a 3-D file, one a time point for a 4-D one.
    pub frames: Vec<Volume>,
    /// What was odd about the file, a sentence each; to be shown to the user.
    pub warnings: Vec<String>,
}

impl NiftiImage {
    /// A volume that comes from no file, with a new header ([`Header::new`]).
    pub fn from_volume(volume: Volume) -> Self {
        Self {
            header: Header::new(volume.geometry()),
            frames: vec![volume],
            warnings: Vec::new(),
        }
    }

    /// The one volume.
    ///
    /// # Errors
    /// Naming the count, when there are several.
    pub fn volume(&self) -> Result<&Volume> {
        match self.frames.as_slice() {
            [volume] => Ok(volume),
            frames => Err(one_volume(frames.len())),
        }
    }

    /// The one volume itself.
    ///
    /// # Errors
    /// As [`NiftiImage::volume`].
    pub fn into_single(mut self) -> Result<Volume> {
        match (self.frames.pop(), self.frames.len()) {
            (Some(volume), 0) => Ok(volume),
            (last, rest) => Err(one_volume(rest + usize::from(last.is_some()))),
        }
    }
}

fn one_volume(count: usize) -> VolumeError {
    VolumeError::content("volumes in the file", count, "one; split the 4-D file first")
}
