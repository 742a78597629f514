//! Voxels -> stored numbers.

use crate::stored::Datatype;

/// Turns f32 into stored values, counting those that the type cannot hold.
pub(super) struct Encoder {
    pub datatype: Datatype,
    pub slope: f64,
    pub inter: f64,
    /// Values set to the nearest one that the type holds; NaN to zero.
    pub clamped: u64,
}

impl Encoder {
    /// Appends the bytes of `voxels`, little-endian.
    pub fn encode(&mut self, voxels: impl Iterator<Item = f64>, out: &mut Vec<u8>) {
        match self.datatype {
            Datatype::Uint8 => self.each(voxels, out, |v| (v as u8).to_le_bytes()),
            Datatype::Int8 => self.each(voxels, out, |v| (v as i8).to_le_bytes()),
            Datatype::Uint16 => self.each(voxels, out, |v| (v as u16).to_le_bytes()),
            Datatype::Int16 => self.each(voxels, out, |v| (v as i16).to_le_bytes()),
            Datatype::Uint32 => self.each(voxels, out, |v| (v as u32).to_le_bytes()),
            Datatype::Int32 => self.each(voxels, out, |v| (v as i32).to_le_bytes()),
            Datatype::Uint64 => self.each(voxels, out, |v| (v as u64).to_le_bytes()),
            Datatype::Int64 => self.each(voxels, out, |v| (v as i64).to_le_bytes()),
            Datatype::Float32 => self.each(voxels, out, |v| (v as f32).to_le_bytes()),
            Datatype::Float64 => self.each(voxels, out, f64::to_le_bytes),
        }
    }

    fn each<const N: usize>(
        &mut self,
        voxels: impl Iterator<Item = f64>,
        out: &mut Vec<u8>,
        bytes: impl Fn(f64) -> [u8; N],
    ) {
        let Some((least, most)) = self.datatype.integer_range() else {
            return out.extend(voxels.flat_map(bytes));
        };
        let mut clamped = 0;
        out.extend(voxels.flat_map(|v| {
            let wanted = ((v - self.inter) / self.slope).round_ties_even();
            clamped += u64::from(!(least..=most).contains(&wanted));
            // A cast saturates and sends NaN to zero: the clamp itself.
            bytes(wanted)
        }));
        self.clamped += clamped;
    }
}
