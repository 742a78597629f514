//! Where each header field lies in NIfTI-1 and NIfTI-2, for reading and for writing alike.

use super::header::Version;

/// How a field's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Byte,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// A field: the offset of its first byte, and its type.
pub(super) type Slot = (usize, Kind);

/// The fields of one version of the header.
pub(super) struct Layout {
    pub size: usize,
    pub magic: &'static [u8],
    pub pair_magic: &'static [u8],
    pub magic_at: usize,
    pub dim_info: Slot,
    pub dim: Slot,
    pub intent_p: Slot,
    pub intent_code: Slot,
    pub datatype: Slot,
    pub bitpix: Slot,
    pub slice_start: Slot,
    pub pixdim: Slot,
    pub vox_offset: Slot,
    pub scl_slope: Slot,
    pub scl_inter: Slot,
    pub slice_end: Slot,
    pub slice_code: Slot,
    pub xyzt_units: Slot,
    pub slice_duration: Slot,
    pub toffset: Slot,
    /// 80 bytes.
    pub descrip: usize,
    /// 24 bytes.
    pub aux_file: usize,
    pub qform_code: Slot,
    pub sform_code: Slot,
    /// b, c, d.
    pub quatern: Slot,
    pub qoffset: Slot,
    /// Three rows of four.
    pub srow: Slot,
    /// 16 bytes.
    pub intent_name: usize,
    /// Name, offset and length of fields that hold text and that nothing uses.
    pub unused_text: &'static [(&'static str, usize, usize)],
}

/// NIfTI-1 (`nifti1.h`).
static ONE: Layout = Layout {
    size: 348,
    magic: b"n+1\0",
    pair_magic: b"ni1\0",
    magic_at: 344,
    dim_info: (39, Kind::Byte),
    dim: (40, Kind::I16),
    intent_p: (56, Kind::F32),
    intent_code: (68, Kind::I16),
    datatype: (70, Kind::I16),
    bitpix: (72, Kind::I16),
    slice_start: (74, Kind::I16),
    pixdim: (76, Kind::F32),
    vox_offset: (108, Kind::F32),
    scl_slope: (112, Kind::F32),
    scl_inter: (116, Kind::F32),
    slice_end: (120, Kind::I16),
    slice_code: (122, Kind::Byte),
    xyzt_units: (123, Kind::Byte),
    slice_duration: (132, Kind::F32),
    toffset: (136, Kind::F32),
    descrip: 148,
    aux_file: 228,
    qform_code: (252, Kind::I16),
    sform_code: (254, Kind::I16),
    quatern: (256, Kind::F32),
    qoffset: (268, Kind::F32),
    srow: (280, Kind::F32),
    intent_name: 328,
    unused_text: &[("data_type", 4, 10), ("db_name", 14, 18)],
};

/// NIfTI-2 (`nifti2.h`).
static TWO: Layout = Layout {
    size: 540,
    magic: b"n+2\0\r\n\x1a\n",
    pair_magic: b"ni2\0\r\n\x1a\n",
    magic_at: 4,
    datatype: (12, Kind::I16),
    bitpix: (14, Kind::I16),
    dim: (16, Kind::I64),
    intent_p: (80, Kind::F64),
    pixdim: (104, Kind::F64),
    vox_offset: (168, Kind::I64),
    scl_slope: (176, Kind::F64),
    scl_inter: (184, Kind::F64),
    slice_duration: (208, Kind::F64),
    toffset: (216, Kind::F64),
    slice_start: (224, Kind::I64),
    slice_end: (232, Kind::I64),
    descrip: 240,
    aux_file: 320,
    qform_code: (344, Kind::I32),
    sform_code: (348, Kind::I32),
    quatern: (352, Kind::F64),
    qoffset: (376, Kind::F64),
    srow: (400, Kind::F64),
    slice_code: (496, Kind::I32),
    xyzt_units: (500, Kind::I32),
    intent_code: (504, Kind::I32),
    intent_name: 508,
    dim_info: (524, Kind::Byte),
    unused_text: &[("unused_str", 525, 15)],
};

impl Layout {
    pub fn of(version: Version) -> &'static Self {
        match version {
            Version::One => &ONE,
            Version::Two => &TWO,
        }
    }
}

/// A header's bytes with the layout and byte order to understand them.
pub(super) struct Record {
    pub bytes: Vec<u8>,
    pub big_endian: bool,
    pub layout: &'static Layout,
}

impl Record {
    /// A header of zeros but for its size, to be filled; little-endian.
    pub fn new(version: Version) -> Self {
        let layout = Layout::of(version);
        let mut record = Self {
            bytes: vec![0; layout.size],
            big_endian: false,
            layout,
        };
        record.put_whole((0, Kind::I32), 0, layout.size as i64);
        record
    }

    /// The `index`-th number of a field.
    pub fn float(&self, (at, kind): Slot, index: usize) -> f64 {
        let at = at + index * kind.bytes();
        match kind {
            Kind::Byte => f64::from(self.bytes[at]),
            Kind::I16 => f64::from(i16::from_le_bytes(self.take(at))),
            Kind::I32 => f64::from(i32::from_le_bytes(self.take(at))),
            Kind::I64 => i64::from_le_bytes(self.take(at)) as f64,
            Kind::F32 => f64::from(f32::from_le_bytes(self.take(at))),
            Kind::F64 => f64::from_le_bytes(self.take(at)),
        }
    }

    /// The `index`-th number of an integer field; a float field's where it is whole and in range.
    pub fn whole(&self, (at, kind): Slot, index: usize) -> Option<i64> {
        match kind {
            // Exact where a float is not.
            Kind::I64 => Some(i64::from_le_bytes(self.take(at + index * 8))),
            _ => {
                let value = self.float((at, kind), index);
                (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
            }
        }
    }

    /// The `index`-th number of an integer field.
    ///
    /// # Panics
    /// For a float field that holds something else.
    pub fn int(&self, slot: Slot, index: usize) -> i64 {
        self.whole(slot, index)
            .unwrap_or_else(|| panic!("{slot:?} is no integer field"))
    }

    /// Three numbers of a field.
    pub fn triple(&self, slot: Slot) -> [f64; 3] {
        std::array::from_fn(|i| self.float(slot, i))
    }

    /// A text field up to its first zero byte, each byte one character (Latin-1).
    pub fn text(&self, at: usize, length: usize) -> String {
        self.bytes[at..at + length]
            .iter()
            .take_while(|b| **b != 0)
            .map(|b| char::from(*b))
            .collect()
    }

    pub fn put_float(&mut self, (at, kind): Slot, index: usize, value: f64) {
        let at = at + index * kind.bytes();
        match kind {
            Kind::F32 => self.put(at, (value as f32).to_le_bytes()),
            Kind::F64 => self.put(at, value.to_le_bytes()),
            _ => panic!("{kind:?} is no float field"),
        }
    }

    /// # Panics
    /// When the value does not fit: the caller chooses the version so that it does.
    pub fn put_whole(&mut self, (at, kind): Slot, index: usize, value: i64) {
        let at = at + index * kind.bytes();
        let fits = || -> ! { panic!("{value} does not fit into {kind:?}") };
        match kind {
            Kind::Byte => self.bytes[at] = u8::try_from(value).unwrap_or_else(|_| fits()),
            Kind::I16 => self.put(at, i16::try_from(value).unwrap_or_else(|_| fits()).to_le_bytes()),
            Kind::I32 => self.put(at, i32::try_from(value).unwrap_or_else(|_| fits()).to_le_bytes()),
            Kind::I64 => self.put(at, value.to_le_bytes()),
            Kind::F32 | Kind::F64 => self.put_float((at, kind), 0, value as f64),
        }
    }

    /// Text as [`Record::text`] reads it; what does not fit is cut.
    pub fn put_text(&mut self, at: usize, length: usize, text: &str) {
        for (slot, character) in self.bytes[at..at + length].iter_mut().zip(text.chars()) {
            *slot = u8::try_from(character).unwrap_or(b'?');
        }
    }

    fn take<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes: [u8; N] = std::array::from_fn(|i| self.bytes[at + i]);
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn put<const N: usize>(&mut self, at: usize, mut bytes: [u8; N]) {
        if self.big_endian {
            bytes.reverse();
        }
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }
}
