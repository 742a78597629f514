//! How a file is read, and how large a volume may be.

/// What becomes of voxels that are NaN, infinite or beyond f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanPolicy {
    /// They become zero, and a warning counts them.
    Zero,
    /// The file is refused.
    Error,
}

/// Which part of each value becomes a voxel. Two parts hold whole numbers that f32 alone rounds, as the codes of label maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The value, as f32 has it.
    #[default]
    Whole,
    /// Of a value the multiple of [`BASE`]: `floor(value / BASE)`.
    Upper,
    /// What is left: `value - BASE * floor(value / BASE)`.
    Lower,
}

/// Whole numbers up to this one are all exact in f32; both parts of one below its square are.
pub const BASE: f64 = 16_777_216.0;

impl Part {
    /// The part of a value.
    pub(crate) fn of(self, value: f64) -> f64 {
        match self {
            Self::Whole => value,
            Self::Upper => (value / BASE).floor(),
            Self::Lower => value - BASE * (value / BASE).floor(),
        }
    }
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The most voxels, in all frames together, that are read.
    pub max_voxels: u64,
    /// Whether `max_voxels` was asked for: then a large volume in a tiny file is read too.
    pub large: bool,
    /// What becomes of voxels that are not finite.
    pub nan: NanPolicy,
    /// Which part of the values is read.
    pub part: Part,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_voxels: 1 << 31,
            large: false,
            nan: NanPolicy::Zero,
            part: Part::Whole,
        }
    }
}
