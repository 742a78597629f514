//! Floor 1 · What a file stores: bytes whose end is checked, numbers of ten types, and voxels made of them.
//!
//! Whatever the format says about itself, its voxels come through here: counted before memory is asked for
//! ([`checked_voxels`]), and read once into f32 ([`read_frames`]).

mod datatype;
mod decoder;
mod frames;
mod options;
mod source;

pub use datatype::Datatype;
pub(crate) use decoder::Decoder;
pub(crate) use frames::{checked_voxels, read_frames};
pub use options::{NanPolicy, ReadOptions};
pub(crate) use source::Source;
