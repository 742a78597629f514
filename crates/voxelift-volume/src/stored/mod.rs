//! Layer 1 · What a file stores: bytes whose end is checked, numbers of ten types, and voxels made of them.
//!
//! Whatever the format says about itself, its voxels come through here: counted before memory is asked for
//! ([`checked_voxels`]), and read once into f32, a volume at a time ([`StoredFrames`]).

mod datatype;
mod decoder;
mod frames;
mod kind;
mod options;
mod source;

pub use datatype::Datatype;
pub(crate) use decoder::Decoder;
#[cfg(feature = "dicom")]
pub(crate) use frames::not_finite;
pub(crate) use frames::{StoredFrames, checked_voxels};
pub(crate) use kind::{START, foreign};
pub use options::{BASE, NanPolicy, Part, ReadOptions};
pub(crate) use source::Source;
