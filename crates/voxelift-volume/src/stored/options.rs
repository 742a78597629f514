//! How much of a file is believed.

/// What becomes of voxels that are NaN, infinite or beyond f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanPolicy {
    /// They become zero, and a warning counts them.
    Zero,
    /// The file is refused.
    Error,
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The most voxels, in all frames together, that are believed.
    pub max_voxels: u64,
    /// Whether `max_voxels` was asked for: then a large volume in a tiny file is believed too.
    pub large: bool,
    /// What becomes of voxels that are not finite.
    pub nan: NanPolicy,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_voxels: 1 << 31,
            large: false,
            nan: NanPolicy::Zero,
        }
    }
}
