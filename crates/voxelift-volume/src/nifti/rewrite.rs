//! The same voxels, byte for byte, behind another header.

use std::io;
use std::path::Path;

use super::compose::header_bytes;
use super::encoder::Encoder;
use super::header::Header;
use super::read::AtVoxels;
use super::write::{is_gzip_name, packed, refuse_inputs};
use crate::error::Result;
use crate::files::write_atomically;
use crate::nifti::ReadOptions;

/// Bytes copied at a time: a whole number of voxels of every type.
const CHUNK_BYTES: usize = 1 << 16;

/// Copies a NIfTI file into a single file with its header changed and every field of it written anew. The stored voxels
/// are not touched, but for their byte order, which becomes little-endian.
///
/// # Errors
/// As [`read`](super::read) and [`write`](super::write); a file damaged anywhere is not copied.
pub fn rewrite(
    input: &Path,
    output: &Path,
    force: bool,
    options: &ReadOptions,
    change: impl FnOnce(&mut Header),
) -> Result<()> {
    let gzip = is_gzip_name(output)?;
    refuse_inputs(output, &[input.to_owned()])?;
    let mut file = AtVoxels::open(input, options)?;
    change(&mut file.header);
    let (slope, inter) = file.header.scaling.unwrap_or((1.0, 0.0));
    let encoder = Encoder {
        datatype: file.header.datatype,
        slope,
        inter,
        clamped: 0,
    };
    let head = header_bytes(&file.header, &encoder);
    let mut trouble = None;
    let copied = write_atomically(output, force, |writer| {
        packed(writer, gzip, |writer| {
            writer.write_all(&head)?;
            copy_voxels(file, writer).map_err(|error| match error {
                Trouble::Writing(error) => error,
                Trouble::Reading(error) => {
                    trouble = Some(error);
                    io::Error::other("the input could not be read")
                }
            })
        })
    });
    // An error of the input names the input.
    trouble.map_or(copied, Err)
}

enum Trouble {
    Reading(crate::error::VolumeError),
    Writing(io::Error),
}

fn copy_voxels(file: AtVoxels, writer: &mut dyn io::Write) -> std::result::Result<(), Trouble> {
    let mut source = file.source;
    let width = file.header.datatype.bytes();
    let mut left = file.voxels_a_frame * file.header.frames() * width;
    let mut buffer = vec![0; CHUNK_BYTES];
    while left > 0 {
        let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
        source.take("voxel data", chunk).map_err(Trouble::Reading)?;
        if file.big_endian {
            chunk.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        writer.write_all(chunk).map_err(Trouble::Writing)?;
        left -= chunk.len();
    }
    // To the end, where a gzip stream's checksum is.
    source.finish().map_err(Trouble::Reading)?;
    Ok(())
}
