//! What a patch is, and where one lies that shows enough of the head.

use voxelift_volume::random::Stream;

/// Draws of a patch before one with less foreground than asked for is taken.
const MOST_TRIES: usize = 24;

/// What a training patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchSize {
    /// Thick slices across a patch.
    pub rows: usize,
    /// Voxels along it.
    pub columns: usize,
    /// Patches a step.
    pub batch: usize,
}

/// A place that `draw` gives with at least this share of foreground, or the one with the most of those tried.
pub(super) fn with_foreground(
    stream: &mut Stream,
    least: f64,
    draw: impl Fn(&mut Stream) -> [usize; 3],
    share: impl Fn([usize; 3]) -> f64,
) -> [usize; 3] {
    let mut best = ([0; 3], -1.0);
    for _ in 0..MOST_TRIES {
        let place = draw(stream);
        let share = share(place);
        if share >= least {
            return place;
        }
        if share > best.1 {
            best = (place, share);
        }
    }
    best.0
}

/// The share of foreground in `height x width` voxels of planes of this shape, from `[plane, row, column]` on.
pub(super) fn share_inside(
    inside: &[bool],
    [_, rows, columns]: [usize; 3],
    [plane, row, column]: [usize; 3],
    [height, width]: [usize; 2],
) -> f64 {
    let first = plane * rows * columns;
    let count: usize = (row..row + height)
        .map(|r| {
            let line = &inside[first + r * columns + column..][..width];
            line.iter().filter(|inside| **inside).count()
        })
        .sum();
    count as f64 / (height * width) as f64
}
