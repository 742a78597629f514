//! Layer 2 · Bytes <-> Volume + header; atomic writes.
//!
//! NIfTI-1 and NIfTI-2 in every container, byte order and scalar type ([`read`]), and out again with the
//! header carried along ([`write()`]); files of several volumes one volume at a time ([`open`], [`write_frames`]). Nothing in a file is used before it is checked: `parse` has the
//! header's fields, `stored` the bytes and their end.

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
