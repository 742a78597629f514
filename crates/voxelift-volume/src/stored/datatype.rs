//! The scalar types that voxels are stored in.

/// A scalar voxel type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datatype {
    /// Unsigned 8-bit.
    Uint8,
    /// Signed 8-bit.
    Int8,
    /// Unsigned 16-bit.
    Uint16,
    /// Signed 16-bit.
    Int16,
    /// Unsigned 32-bit.
    Uint32,
    /// Signed 32-bit.
    Int32,
    /// Unsigned 64-bit.
    Uint64,
    /// Signed 64-bit.
    Int64,
    /// IEEE single.
    Float32,
    /// IEEE double.
    Float64,
}

impl Datatype {
    /// Every type that is read.
    pub const ALL: [Self; 10] = [
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Uint32,
        Self::Int32,
        Self::Uint64,
        Self::Int64,
        Self::Float32,
        Self::Float64,
    ];

    /// The number in a NIfTI header's field `datatype`.
    pub fn code(self) -> i64 {
        match self {
            Self::Uint8 => 2,
            Self::Int16 => 4,
            Self::Int32 => 8,
            Self::Float32 => 16,
            Self::Float64 => 64,
            Self::Int8 => 256,
            Self::Uint16 => 512,
            Self::Uint32 => 768,
            Self::Int64 => 1024,
            Self::Uint64 => 1280,
        }
    }

    /// The type of a NIfTI code, where it is one that is read.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.code() == code)
    }

    /// Bytes a voxel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 => 8,
        }
    }

    /// Smallest and largest value of an integer type; `None` for the two float types.
    pub fn integer_range(self) -> Option<(f64, f64)> {
        match self {
            Self::Uint8 => Some((0.0, f64::from(u8::MAX))),
            Self::Int8 => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
            Self::Uint16 => Some((0.0, f64::from(u16::MAX))),
            Self::Int16 => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
            Self::Uint32 => Some((0.0, f64::from(u32::MAX))),
            Self::Int32 => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
            Self::Uint64 => Some((0.0, u64::MAX as f64)),
            Self::Int64 => Some((i64::MIN as f64, i64::MAX as f64)),
            Self::Float32 | Self::Float64 => None,
        }
    }

    /// The type's name as NumPy spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Uint32 => "uint32",
            Self::Int32 => "int32",
            Self::Uint64 => "uint64",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

impl std::fmt::Display for Datatype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
