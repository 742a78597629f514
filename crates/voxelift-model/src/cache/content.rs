//! What files hold, as one hash.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use voxelift_volume::{VolumeError, nifti};

use crate::error::Result;

/// What a scan's file holds as one SHA-256 in hexadecimal digits: of a header and image pair both files, of a folder each file
/// with its name.
///
/// # Errors
/// When it cannot be read.
pub fn content(path: &Path) -> Result<String> {
    let read = |e| VolumeError::io(path, "read", e);
    let mut hash = Sha256::new();
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(read)?;
        let mut files = entries
            .map(|entry| Ok(entry.map_err(read)?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let length = fs::metadata(file).map_err(read)?.len();
            hash.update(format!("{name} {length} "));
            update(&mut hash, file)?;
        }
    } else {
        update(&mut hash, path)?;
        if let Some(other) = nifti::other_half(path) {
            update(&mut hash, &other)?;
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Adds a file's bytes to a hash, a piece at a time.
fn update(hash: &mut Sha256, path: &Path) -> Result<()> {
    let read = |e| VolumeError::io(path, "read", e);
    let mut file = File::open(path).map_err(read)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece).map_err(read)? {
            0 => return Ok(()),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
