//! The file of a prepared scan: its layout, and the hash that it ends in.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use voxelift_volume::VolumeError;
use voxelift_volume::appearance::{Appearance, CONTRAST};

use super::Prepared;
use crate::error::Result;

/// Changes with the layout of the files.
pub const MAGIC: &[u8; 8] = b"vxlscan6";
/// Magic, key, extent, spacing, factor, number of starts, appearance.
pub const HEADER: usize = 8 + 32 + 3 * 8 + 3 * 8 + 8 + 8 + 8 * APPEARANCE;
/// The SHA-256 of all that stands before it, at the end of the file.
pub const SUM: usize = 32;
/// Numbers of an appearance; none is as many that are no number.
const APPEARANCE: usize = 4 + CONTRAST.len();

/// Whether a file still ends in the hash of its content: a flipped bit would be trained on.
pub fn is_as_written(file: &File, path: &Path, length: u64) -> Result<bool> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 18]);
    let (mut at, end) = (0, length as usize - SUM);
    while at < end {
        let next = piece.len().min(end - at);
        read_at(file, path, &mut piece[..next], at)?;
        hash.update(&piece[..next]);
        at += next;
    }
    let mut sum = [0; SUM];
    read_at(file, path, &mut sum, end)?;
    Ok(hash.finalize()[..] == sum)
}

/// Hashes what goes through it.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a prepared scan and, behind it, the hash of all that.
pub fn write(out: &mut dyn Write, key: &[u8; 32], prepared: &Prepared) -> io::Result<()> {
    let hash = Sha256::new();
    let mut hashed = io::BufWriter::with_capacity(1 << 16, Hashed { out, hash });
    write_content(&mut hashed, key, prepared)?;
    let Hashed { out, hash } = hashed.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.write_all(&hash.finalize())
}

fn write_content(out: &mut dyn Write, key: &[u8; 32], prepared: &Prepared) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(key)?;
    for n in prepared.volume.extent() {
        out.write_all(&(n as u64).to_le_bytes())?;
    }
    for mm in prepared.volume.geometry().spacing_mm() {
        out.write_all(&mm.to_le_bytes())?;
    }
    out.write_all(&f64::from(prepared.factor).to_le_bytes())?;
    out.write_all(&(prepared.starts.len() as u64).to_le_bytes())?;
    for number in numbers(prepared.appearance) {
        out.write_all(&number.to_le_bytes())?;
    }
    for value in prepared.volume.data() {
        out.write_all(&value.to_le_bytes())?;
    }
    for inside in &prepared.foreground {
        out.write_all(&[u8::from(*inside)])?;
    }
    for start in &prepared.starts {
        out.write_all(&start.to_le_bytes())?;
    }
    Ok(())
}

fn numbers(appearance: Option<Appearance>) -> [f64; APPEARANCE] {
    appearance.map_or([f64::NAN; APPEARANCE], |seen| {
        let [a, b, c, d, e] = seen.contrast;
        let core_to_shell = seen.core_to_shell.unwrap_or(f64::NAN);
        [
            seen.foreground,
            seen.foreground_ml,
            seen.noise,
            core_to_shell,
            a,
            b,
            c,
            d,
            e,
        ]
    })
}

/// The appearance that [`numbers`] made numbers of.
pub fn stored(numbers: [f64; APPEARANCE]) -> Option<Appearance> {
    let [foreground, foreground_ml, noise, core_to_shell, contrast @ ..] = numbers;
    (!foreground.is_nan()).then_some(Appearance {
        foreground,
        foreground_ml,
        contrast,
        noise,
        core_to_shell: (!core_to_shell.is_nan()).then_some(core_to_shell),
    })
}

/// Fills `bytes` from a place in the file.
pub fn read_at(file: &File, path: &Path, bytes: &mut [u8], offset: usize) -> Result<()> {
    Ok(positioned(file, bytes, offset as u64)
        .map_err(|e| VolumeError::io(path, "read the cached scan", e))?)
}

#[cfg(unix)]
fn positioned(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn positioned(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}
