//! Layer 1 · The contracts of the inner loops: the arguments of every kernel, and its function type.

use std::ops::Range;

use crate::grid::Grid;

/// What one call of a sweep kernel computes: every output voxel is a weighted sum over rows of taps, and in
/// channels-last memory a row of taps is `run` consecutive input values.
pub(crate) struct Sweep<'a> {
    /// Padded, channels-last; at least [`SLACK`](crate::buffer::SLACK) values follow the last voxel.
    pub input: &'a [f32],
    /// Where each row of taps begins, from a voxel's origin.
    pub rows: &'a [usize],
    pub run: usize,
    /// `[rows][run][width]` for a direct kernel, `[channels][rows][run rounded up to lanes]` for a dot kernel.
    pub weights: &'a [f32],
    /// One for each of `width` channels.
    pub bias: &'a [f32],
    /// Channels stored, at most `width`.
    pub channels: usize,
    pub finish: Finish<'a>,
}

/// What happens to a sum before it is stored, in this order.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// Keeps the values where this is above zero, at the same place as the output.
    pub gate: Option<&'a [f32]>,
    /// Values below zero are multiplied by this: 1 leaves them, 0 is ReLU.
    pub slope: f32,
    /// Added, from the same place as the output.
    pub add: Option<&'a [f32]>,
}

impl Finish<'_> {
    /// Nothing happens.
    pub const NONE: Self = Self {
        gate: None,
        slope: 1.0,
        add: None,
    };

    /// For an output that begins at this channel.
    pub fn beginning_at(self, channel: usize) -> Self {
        Self {
            gate: self.gate.map(|gate| &gate[channel..]),
            add: self.add.map(|add| &add[channel..]),
            ..self
        }
    }

    pub fn is_none(&self) -> bool {
        self.gate.is_none() && self.slope == 1.0 && self.add.is_none()
    }
}

/// Sums over voxels of one value times another: `sums[item][lane] += a * b`.
pub(crate) struct Correlation<'a> {
    /// The side walked by `Grid::input`.
    pub input: &'a [f32],
    /// The side walked by `Grid::output`.
    pub gradient: &'a [f32],
    /// Offsets into `input` from a voxel's origin, at most `tile` of them.
    pub items: &'a [usize],
}

/// Computes the voxels `range` of `grid` and writes them through the pointer.
pub(crate) type SweepFn = unsafe fn(&Sweep, &Grid, Range<usize>, *mut f32);

/// Adds the sums over some voxels, given as (input offset, gradient offset), to `[items][width]` values.
pub(crate) type CorrelateFn = unsafe fn(&Correlation, &[(usize, usize)], &mut [f32]);

/// `B^T d B` of tiles that lie side by side.
pub(crate) struct Gather<'a> {
    pub input: &'a [f32],
    /// Where column 0 of each line `[z][y]` of 4x4 lies; none for zeros.
    pub lines: [Option<isize>; 16],
    /// The columns that are read; the others are zero.
    pub inside: Range<usize>,
    pub channels: usize,
    pub tiles: usize,
    /// Values, f32 or bf16, from one frequency to the next in the result `[frequencies][tiles][channels]`.
    pub pitch: usize,
}

/// Transforms some tiles into the memory given.
pub(crate) type GatherFn = unsafe fn(&Gather, *mut f32);

/// Two rows of values to pairs of bf16: `to[i] = (low[i], high[i])`, or `(low[i], 0)` without the second.
pub(crate) type PairFn = unsafe fn(low: *const f32, high: Option<*const f32>, count: usize, to: *mut f32);

/// Values to bf16, one after the other, so that two neighbours are a pair; the count is a multiple of 16.
pub(crate) type RoundFn = unsafe fn(values: *const f32, count: usize, to: *mut f32);

/// How values become bf16.
#[derive(Clone, Copy)]
pub(crate) struct Rounding {
    pub round: RoundFn,
    pub pair: PairFn,
}

/// One frequency's matrix product.
pub(crate) struct Products<'a> {
    /// `[tiles][from]`.
    pub input: &'a [f32],
    /// `[from][width]`.
    pub weights: &'a [f32],
    pub from: usize,
    pub tiles: usize,
}

/// Writes `[tiles][width]`.
pub(crate) type ProductsFn = unsafe fn(&Products, *mut f32);

/// `A^T m A` of one tile, with bias.
pub(crate) struct Scatter<'a> {
    /// `[frequencies][..][width]`, from the tile's place in the first.
    pub input: &'a [f32],
    pub pitch: usize,
    /// One for each of `width` channels.
    pub bias: &'a [f32],
    /// Channels stored, at most `width`.
    pub channels: usize,
    pub finish: Finish<'a>,
    /// Where each voxel is stored.
    pub voxels: [Option<usize>; 8],
}

/// Transforms one tile and writes its voxels.
pub(crate) type ScatterFn = unsafe fn(&Scatter, *mut f32);

/// `A g A^T` of one tile's gradient: the transpose of [`Scatter`].
pub(crate) struct Spread<'a> {
    pub gradient: &'a [f32],
    pub voxels: [Option<usize>; 8],
    /// Channels read, at most `width`.
    pub channels: usize,
    pub pitch: usize,
}

/// Writes one tile's `[frequencies][..][width]`.
pub(crate) type SpreadFn = unsafe fn(&Spread, *mut f32);
