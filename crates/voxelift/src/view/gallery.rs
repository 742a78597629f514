//! The volumes that a viewer shows, and the bytes it gets of them.

use std::io::{self, Write};

use serde_json::{Value, json};
use voxelift_volume::{Geometry, Volume};

use crate::picture::Window;

/// What a volume is, which chooses its colours and whether it shares its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An image: grey, in one window with the others.
    Image,
    /// A map of both signs.
    Signed,
    /// A map of magnitudes.
    Magnitude,
}

/// A volume under a name that nobody can guess.
struct Shown {
    id: String,
    name: String,
    kind: Kind,
    volume: Volume,
}

/// Volumes in the order of the viewer.
#[derive(Default)]
pub struct Gallery(Vec<Shown>);

impl Gallery {
    /// Adds a volume; `name` is what the viewer calls it.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn add(&mut self, name: &str, kind: Kind, volume: Volume) -> io::Result<()> {
        self.0.push(Shown {
            id: secret(16)?,
            name: name.to_owned(),
            kind,
            volume,
        });
        Ok(())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What the page has to know of each, as JSON: images share the window of the last of them.
    pub fn described(&self) -> Value {
        let mut images = self.0.iter().filter(|shown| shown.kind == Kind::Image);
        let shared = images.next_back().map(|shown| Window::of(&shown.volume));
        let one = |shown: &Shown| {
            let (colours, window) = match shown.kind {
                Kind::Image => ("gray", shared.expect("it is an image")),
                Kind::Signed => ("signed", Window::around_zero(&shown.volume)),
                Kind::Magnitude => ("inferno", Window::of(&shown.volume)),
            };
            let geometry = shown.volume.geometry();
            json!({
                "url": format!("volume/{}.nii", shown.id),
                "name": shown.name,
                "colours": colours,
                "window": [window.black, window.white],
                "extent": geometry.extent,
                "spacing_mm": geometry.spacing_mm(),
            })
        };
        Value::Array(self.0.iter().map(one).collect())
    }

    /// The volume of an id.
    pub fn volume(&self, id: &str) -> Option<&Volume> {
        let found = self.0.iter().find(|shown| same(&shown.id, id));
        found.map(|shown| &shown.volume)
    }
}

/// Whether two secrets are the same, in a time that does not say where they differ.
pub fn same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// Random bytes of the system's, in hexadecimal.
///
/// # Errors
/// When the system gives none.
pub fn secret(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

const HEADER: usize = 352;

/// Bytes of a volume as a NIfTI-1 file.
pub fn nifti_bytes(volume: &Volume) -> u64 {
    (HEADER + 4 * volume.data().len()) as u64
}

/// A volume as a NIfTI-1 file of float32 voxels, placed by the affine that voxelift read: the viewer shows what the
/// program saw, whatever the file said.
///
/// # Errors
/// When it cannot be written; an axis of more than 32767 voxels.
pub fn write_nifti(volume: &Volume, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&header(volume.geometry())?)?;
    let mut bytes = Vec::with_capacity(1 << 18);
    for values in volume.data().chunks(1 << 16) {
        bytes.clear();
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn header(geometry: &Geometry) -> io::Result<[u8; HEADER]> {
    let mut header = [0; HEADER];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348_i32.to_le_bytes());
    put(40, &3_i16.to_le_bytes());
    for (axis, count) in geometry.extent.into_iter().enumerate() {
        let count =
            i16::try_from(count).map_err(|_| io::Error::other("an axis of more than 32767 voxels"))?;
        put(42 + 2 * axis, &count.to_le_bytes());
    }
    (3..7).for_each(|axis| put(42 + 2 * axis, &1_i16.to_le_bytes()));
    put(70, &16_i16.to_le_bytes());
    put(72, &32_i16.to_le_bytes());
    put(76, &1_f32.to_le_bytes());
    for (axis, mm) in geometry.spacing_mm().into_iter().enumerate() {
        put(80 + 4 * axis, &(mm as f32).to_le_bytes());
    }
    put(108, &(HEADER as f32).to_le_bytes());
    put(112, &1_f32.to_le_bytes());
    put(123, &[2]);
    put(254, &1_i16.to_le_bytes());
    for (row, values) in geometry.world_from_voxel.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            put(280 + 16 * row + 4 * column, &(*value as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::nifti::{self, ReadOptions};

    #[test]
    fn the_viewer_gets_the_volume_that_was_read() {
        let geometry = Geometry {
            extent: [3, 4, 5],
            world_from_voxel: [
                [-2.0, 0.25, 0.0, 7.0],
                [0.25, 2.0, 0.0, 3.0],
                [0.0, 0.0, 3.0, -5.0],
            ],
        };
        let volume = Volume::new((0..60).map(|i| i as f32 - 20.5).collect(), geometry);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.nii");
        let mut bytes = Vec::new();
        write_nifti(&volume, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, nifti_bytes(&volume));
        std::fs::write(&path, bytes).unwrap();
        let read = nifti::read(&path, &ReadOptions::default()).unwrap();
        assert_eq!(read.volume().unwrap(), &volume);
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    }

    #[test]
    fn secrets_differ_and_are_compared_whole() {
        let (a, b) = (secret(32).unwrap(), secret(32).unwrap());
        assert!(a != b && a.len() == 64);
        assert!(same(&a, &a.clone()) && !same(&a, &b) && !same(&a, &a[1..]) && !same("", "a"));
    }
}
