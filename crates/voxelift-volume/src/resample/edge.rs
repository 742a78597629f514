//! What lies beyond the ends of a line.

/// How a line goes on beyond its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The end values repeat: `a a | a b c | c c`.
    Replicate,
    /// Mirrored at the end voxels' centres: `c b | a b c | b a`.
    Mirror,
    /// Not at all: weights beyond the ends are dropped and the others raised to the same sum.
    Drop,
}

impl Edge {
    /// The voxel that stands for index `i` of a line of `n`.
    pub(super) fn inside(self, i: i64, n: usize) -> Option<usize> {
        let last = n as i64 - 1;
        match self {
            Self::Replicate => Some(i.clamp(0, last) as usize),
            Self::Mirror if last == 0 => Some(0),
            Self::Mirror => {
                let i = i.rem_euclid(2 * last);
                Some(i.min(2 * last - i) as usize)
            }
            Self::Drop => (0..=last).contains(&i).then_some(i as usize),
        }
    }
}
