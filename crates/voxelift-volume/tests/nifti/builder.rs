//! NIfTI files byte by byte, from the offsets in `nifti1.h` and `nifti2.h`, without the crate under test.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use voxelift_volume::nifti::Datatype;

/// A file to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    pub two: bool,
    pub big: bool,
    pub datatype: Datatype,
    /// The axes, as many as there are.
    pub dim: Vec<i64>,
    pub scaling: (f64, f64),
    pub srow: [f64; 12],
    /// Bytes of nothing between header and voxels.
    pub gap: usize,
    /// Stored values, each within the type.
    pub stored: Vec<f64>,
}

impl Plan {
    /// An int16 file of 4x3x2 voxels that count up.
    pub fn plain() -> Self {
        Self {
            two: false,
            big: false,
            datatype: Datatype::Int16,
            dim: vec![4, 3, 2],
            scaling: (1.0, 0.0),
            srow: [1.5, 0.0, 0.0, -7.0, 0.0, 2.0, 0.25, 8.0, 0.0, 0.0, 2.5, 9.0],
            gap: 0,
            stored: (0..24).map(f64::from).collect(),
        }
    }

    fn size(&self) -> usize {
        if self.two { 540 } else { 348 }
    }

    /// The header's bytes, without the extension flag.
    pub fn header(&self, pair: bool) -> Vec<u8> {
        let mut bytes = vec![0; self.size()];
        let big = self.big;
        put(&mut bytes, 0, (self.size() as i32).to_le_bytes(), big);
        let axes = self.dim.len() as i64;
        let code = [2_i16, 256, 512, 4, 768, 8, 1280, 1024, 16, 64]
            [ORDER.iter().position(|d| *d == self.datatype).unwrap()];
        let bits = 8 * self.datatype.bytes() as i16;
        let offset = if pair {
            self.gap
        } else {
            self.size() + 4 + self.gap
        };
        let dim = (0..8).map(|axis| {
            if axis == 0 {
                axes
            } else {
                self.dim.get(axis - 1).copied().unwrap_or(1)
            }
        });
        let pixdim = [1.0, 1.5, 2.0, 2.5, 3.0, 0.0, 0.0, 0.0];
        if self.two {
            let magic: &[u8] = if pair {
                b"ni2\0\r\n\x1a\n"
            } else {
                b"n+2\0\r\n\x1a\n"
            };
            bytes[4..12].copy_from_slice(magic);
            put(&mut bytes, 12, code.to_le_bytes(), big);
            put(&mut bytes, 14, bits.to_le_bytes(), big);
            for (axis, count) in dim.enumerate() {
                put(&mut bytes, 16 + 8 * axis, count.to_le_bytes(), big);
                put(&mut bytes, 104 + 8 * axis, f64::to_le_bytes(pixdim[axis]), big);
            }
            put(&mut bytes, 168, (offset as i64).to_le_bytes(), big);
            put(&mut bytes, 176, self.scaling.0.to_le_bytes(), big);
            put(&mut bytes, 184, self.scaling.1.to_le_bytes(), big);
            put(&mut bytes, 348, 2_i32.to_le_bytes(), big);
            for (place, value) in self.srow.iter().enumerate() {
                put(&mut bytes, 400 + 8 * place, value.to_le_bytes(), big);
            }
        } else {
            for (axis, count) in dim.enumerate() {
                put(&mut bytes, 40 + 2 * axis, (count as i16).to_le_bytes(), big);
                put(
                    &mut bytes,
                    76 + 4 * axis,
                    (pixdim[axis] as f32).to_le_bytes(),
                    big,
                );
            }
            put(&mut bytes, 70, code.to_le_bytes(), big);
            put(&mut bytes, 72, bits.to_le_bytes(), big);
            put(&mut bytes, 108, (offset as f32).to_le_bytes(), big);
            put(&mut bytes, 112, (self.scaling.0 as f32).to_le_bytes(), big);
            put(&mut bytes, 116, (self.scaling.1 as f32).to_le_bytes(), big);
            put(&mut bytes, 254, 2_i16.to_le_bytes(), big);
            for (place, value) in self.srow.iter().enumerate() {
                put(&mut bytes, 280 + 4 * place, (*value as f32).to_le_bytes(), big);
            }
            bytes[344..348].copy_from_slice(if pair { b"ni1\0" } else { b"n+1\0" });
        }
        bytes
    }

    /// The voxels' bytes.
    pub fn voxels(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for v in self.stored.iter().copied() {
            let mut voxel: Vec<u8> = match self.datatype {
                Datatype::Uint8 => (v as u8).to_le_bytes().into(),
                Datatype::Int8 => (v as i8).to_le_bytes().into(),
                Datatype::Uint16 => (v as u16).to_le_bytes().into(),
                Datatype::Int16 => (v as i16).to_le_bytes().into(),
                Datatype::Uint32 => (v as u32).to_le_bytes().into(),
                Datatype::Int32 => (v as i32).to_le_bytes().into(),
                Datatype::Uint64 => (v as u64).to_le_bytes().into(),
                Datatype::Int64 => (v as i64).to_le_bytes().into(),
                Datatype::Float32 => (v as f32).to_le_bytes().into(),
                Datatype::Float64 => v.to_le_bytes().into(),
            };
            if self.big {
                voxel.reverse();
            }
            bytes.extend(voxel);
        }
        bytes
    }

    /// The whole of a single file.
    pub fn single(&self) -> Vec<u8> {
        let mut bytes = self.header(false);
        bytes.extend(vec![0; 4 + self.gap]);
        bytes.extend(self.voxels());
        bytes
    }

    /// What a reader must make of the stored values: scaled in f64 by what the header can hold, kept in f32.
    pub fn expected(&self) -> Vec<f32> {
        let held = |value: f64| if self.two { value } else { f64::from(value as f32) };
        let (slope, inter) = (held(self.scaling.0), held(self.scaling.1));
        self.stored
            .iter()
            .map(|v| {
                if slope == 0.0 {
                    *v as f32
                } else {
                    (v * slope + inter) as f32
                }
            })
            .collect()
    }
}

/// Every type, in the order of the codes in [`Plan::header`].
pub const ORDER: [Datatype; 10] = [
    Datatype::Uint8,
    Datatype::Int8,
    Datatype::Uint16,
    Datatype::Int16,
    Datatype::Uint32,
    Datatype::Int32,
    Datatype::Uint64,
    Datatype::Int64,
    Datatype::Float32,
    Datatype::Float64,
];

/// Puts a number's little-endian bytes at an offset, turned round for a big-endian file.
pub fn put<const N: usize>(bytes: &mut [u8], at: usize, mut number: [u8; N], big: bool) {
    if big {
        number.reverse();
    }
    bytes[at..at + N].copy_from_slice(&number);
}

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A file of these bytes in a folder.
pub fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
