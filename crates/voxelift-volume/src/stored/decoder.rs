//! Stored numbers -> voxels.

use super::datatype::Datatype;
use super::options::{BASE, Part};

/// Turns stored values into f32, counting what does not come through.
pub(crate) struct Decoder {
    pub datatype: Datatype,
    pub big_endian: bool,
    pub scaling: Option<(f64, f64)>,
    /// Which part of the scaled values becomes a voxel.
    pub part: Part,
    /// Values that are NaN, infinite or beyond f32; each becomes zero.
    pub not_finite: u64,
    /// Stored integers that f32 rounds.
    pub rounded: u64,
}

impl Decoder {
    /// Nothing decoded yet; `scaling` is slope and intercept.
    pub fn new(datatype: Datatype, big_endian: bool, scaling: Option<(f64, f64)>) -> Self {
        Self {
            datatype,
            big_endian,
            scaling,
            part: Part::Whole,
            not_finite: 0,
            rounded: 0,
        }
    }

    /// Appends the voxels of `bytes`, whose length is a multiple of the voxel's.
    pub fn decode(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        match self.datatype {
            Datatype::Uint8 => self.each(bytes, out, |[b]| f64::from(b)),
            Datatype::Int8 => self.each(bytes, out, |b| f64::from(i8::from_le_bytes(b))),
            Datatype::Uint16 => self.each(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
            Datatype::Int16 => self.each(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
            Datatype::Uint32 => self.each(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
            Datatype::Int32 => self.each(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
            Datatype::Uint64 => self.each(bytes, out, |b| u64::from_le_bytes(b) as f64),
            Datatype::Int64 => self.each(bytes, out, |b| i64::from_le_bytes(b) as f64),
            Datatype::Float32 => self.each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
            Datatype::Float64 => self.each(bytes, out, f64::from_le_bytes),
        }
    }

    fn each<const N: usize>(&mut self, bytes: &[u8], out: &mut Vec<f32>, value: impl Fn([u8; N]) -> f64) {
        let (voxels, rest) = bytes.as_chunks::<N>();
        assert!(
            rest.is_empty(),
            "{} bytes are no whole number of {N}-byte voxels",
            bytes.len()
        );
        // Adding -0.0 changes nothing; +0.0 would change a stored -0.0.
        let (slope, inter) = self.scaling.unwrap_or((1.0, -0.0));
        let part = self.part;
        let integers = part == Part::Whole && self.datatype.integer_range().is_some();
        let (mut not_finite, mut rounded) = (0, 0);
        out.extend(voxels.iter().map(|stored| {
            let mut stored = *stored;
            if self.big_endian {
                stored.reverse();
            }
            let stored = value(stored);
            rounded += u64::from(integers && stored.abs() > BASE && f64::from(stored as f32) != stored);
            let scaled = part.of(stored * slope + inter) as f32;
            if scaled.is_finite() {
                return scaled;
            }
            not_finite += 1;
            0.0
        }));
        self.not_finite += not_finite;
        self.rounded += rounded;
    }
}
