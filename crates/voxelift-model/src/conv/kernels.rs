//! The four inner loops, each written once over [`Lanes`], and the table of their compiled versions.

use std::ops::Range;

use super::grid::Grid;
use super::lanes::{Array8, Lanes};
#[cfg(target_arch = "x86_64")]
use super::lanes::{F32x8, F32x16};
use super::peak::SPINNING;

/// What one call of a sweep kernel computes: every output voxel is a weighted sum over rows of taps, and in
/// channels-last memory a row of taps is `run` consecutive input values.
pub(super) struct Sweep<'a> {
    /// Padded, channels-last; at least [`SLACK`](super::buffer::SLACK) values follow the last voxel.
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
pub(super) struct Finish<'a> {
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

    fn is_none(&self) -> bool {
        self.gate.is_none() && self.slope == 1.0 && self.add.is_none()
    }
}

/// Sums over voxels of one value times another: `sums[item][lane] += a * b`.
pub(super) struct Correlation<'a> {
    /// The side walked by `Grid::input`.
    pub input: &'a [f32],
    /// The side walked by `Grid::output`.
    pub gradient: &'a [f32],
    /// Offsets into `input` from a voxel's origin, at most `tile` of them.
    pub items: &'a [usize],
}

/// Computes the voxels `range` of `grid` and writes them through the pointer.
pub(super) type SweepFn = unsafe fn(&Sweep, &Grid, Range<usize>, *mut f32);

/// Adds the sums over some voxels, given as (input offset, gradient offset), to `[items][width]` values.
pub(super) type CorrelateFn = unsafe fn(&Correlation, &[(usize, usize)], &mut [f32]);

/// The versions for one number of output channels.
pub(super) struct Block {
    pub width: usize,
    pub sweep: SweepFn,
    pub correlate: CorrelateFn,
    /// Items of one `correlate` call.
    pub items: usize,
}

/// All kernels of one instruction set.
pub(super) struct Kernels {
    #[cfg(test)]
    pub name: &'static str,
    /// Widest first.
    pub blocks: &'static [Block],
    /// For one or two output channels: lanes run along the input instead of the output channels.
    pub dot: SweepFn,
    /// The weight gradient of the same: items are vectors of `lanes` input values.
    pub axpy: CorrelateFn,
    pub axpy_items: usize,
    pub lanes: usize,
    /// Rounds of multiply-adds on registers, for [`fma_peak`](super::fma_peak).
    pub spin: unsafe fn(usize) -> f32,
}

impl Kernels {
    /// The widest instruction set of this processor.
    pub fn best() -> &'static Kernels {
        Self::available()[0]
    }

    /// Every instruction set that this processor can run, widest first.
    pub fn available() -> &'static [&'static Kernels] {
        static PORTABLE_ONLY: [&Kernels; 1] = [&PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            static FROM_AVX512: [&Kernels; 3] = [&AVX512, &AVX2, &PORTABLE];
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                return &FROM_AVX512;
            }
            if avx2 {
                return &FROM_AVX512[1..];
            }
        }
        &PORTABLE_ONLY
    }

    /// The block to use where `channels` remain: the widest that is not more than half empty.
    pub fn block(&self, channels: usize) -> &'static Block {
        let fits = |block: &&Block| channels * 2 > block.width;
        self.blocks
            .iter()
            .find(fits)
            .unwrap_or(&self.blocks[self.blocks.len() - 1])
    }
}

/// Direct convolution: `TILE` voxels by `VECTORS` registers of output channels stay in registers over all taps.
///
/// # Safety
/// The instruction set of `V`; offsets of `grid` and `sweep` inside `sweep.input` and the output; no other
/// thread writes the voxels of `range`.
#[inline(always)]
unsafe fn sweep<V: Lanes, const TILE: usize, const VECTORS: usize>(
    sweep: &Sweep,
    grid: &Grid,
    range: Range<usize>,
    output: *mut f32,
) {
    let width = VECTORS * V::COUNT;
    let input = sweep.input.as_ptr();
    let (mut walk, mut left) = (grid.walk(range.start), range.len());
    while left > 0 {
        // The last tile repeats its last voxel: computed twice, stored twice with the same values.
        let mut places = [(0, 0); TILE];
        for slot in 0..TILE {
            places[slot] = if slot < left {
                walk.advance()
            } else {
                places[slot - 1]
            };
        }
        left -= left.min(TILE);

        // SAFETY: the contract of this function.
        unsafe {
            let mut sums = [[V::splat(0.0); VECTORS]; TILE];
            for sums in &mut sums {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(sweep.bias.as_ptr().add(vector * V::COUNT));
                }
            }
            let mut weights = sweep.weights.as_ptr();
            for &row in sweep.rows {
                let origins = places.map(|(origin, _)| input.add(origin + row));
                for tap in 0..sweep.run {
                    let mut weight = [V::splat(0.0); VECTORS];
                    for (vector, weight) in weight.iter_mut().enumerate() {
                        *weight = V::load(weights.add(vector * V::COUNT));
                    }
                    weights = weights.add(width);
                    for (sums, origin) in sums.iter_mut().zip(origins) {
                        let value = V::splat(*origin.add(tap));
                        for (sum, weight) in sums.iter_mut().zip(weight) {
                            *sum = sum.add_product(value, weight);
                        }
                    }
                }
            }
            // Through memory: a loop with branches over the registers themselves would keep them there always.
            let mut finished = [[V::splat(0.0); VECTORS]; TILE];
            for (sums, finished) in sums.iter().zip(&mut finished) {
                for (sum, finished) in sums.iter().zip(finished) {
                    sum.store(std::ptr::from_mut(finished).cast());
                }
            }
            if sweep.channels == width && sweep.finish.is_none() {
                for (values, (_, to)) in finished.iter().zip(places) {
                    for (vector, value) in values.iter().enumerate() {
                        value.store(output.add(to + vector * V::COUNT));
                    }
                }
                continue;
            }
            for (values, (_, to)) in finished.iter().zip(places) {
                for (vector, value) in values.iter().enumerate() {
                    let first = vector * V::COUNT;
                    if sweep.channels > first {
                        let count = V::COUNT.min(sweep.channels - first);
                        store_finished(*value, &sweep.finish, to + first, count, output);
                    }
                }
            }
        }
    }
}

/// # Safety
/// The instruction set of `V`; `count` values at `to` inside the output, the gate and what is added.
#[inline(always)]
unsafe fn store_finished<V: Lanes>(mut value: V, finish: &Finish, to: usize, count: usize, output: *mut f32) {
    // SAFETY: the contract of this function.
    unsafe {
        if let Some(gate) = finish.gate {
            value = value.where_positive(V::load_first(gate.as_ptr().add(to), count));
        }
        if finish.slope != 1.0 {
            value = value.scale_negative(finish.slope);
        }
        if let Some(add) = finish.add {
            value = value.add(V::load_first(add.as_ptr().add(to), count));
        }
        if count == V::COUNT {
            value.store(output.add(to));
        } else {
            value.store_first(output.add(to), count);
        }
    }
}

/// Direct convolution for a few output channels, one at a time: a dot product along each row of taps.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn dot<V: Lanes, const TILE: usize>(
    sweep: &Sweep,
    grid: &Grid,
    range: Range<usize>,
    output: *mut f32,
) {
    let input = sweep.input.as_ptr();
    let vectors = sweep.run.div_ceil(V::COUNT);
    let (mut walk, mut left) = (grid.walk(range.start), range.len());
    while left > 0 {
        let mut places = [(0, 0); TILE];
        for slot in 0..TILE {
            places[slot] = if slot < left {
                walk.advance()
            } else {
                places[slot - 1]
            };
        }
        left -= left.min(TILE);

        let mut weights = sweep.weights.as_ptr();
        for channel in 0..sweep.channels {
            // SAFETY: the contract of this function. Reading past a row of taps meets a weight of zero.
            unsafe {
                let mut sums = [V::splat(0.0); TILE];
                for &row in sweep.rows {
                    let origins = places.map(|(origin, _)| input.add(origin + row));
                    for vector in 0..vectors {
                        let weight = V::load(weights);
                        weights = weights.add(V::COUNT);
                        for (sum, origin) in sums.iter_mut().zip(origins) {
                            *sum = sum.add_product(V::load(origin.add(vector * V::COUNT)), weight);
                        }
                    }
                }
                for (sum, (_, to)) in sums.iter().zip(places) {
                    let value = V::splat(sum.sum() + sweep.bias[channel]);
                    store_finished(value, &sweep.finish, to + channel, 1, output);
                }
            }
        }
    }
}

/// `sums[item][channel] += input[origin + item] * gradient[voxel][channel]`, `ITEMS` by `VECTORS` in registers.
///
/// # Safety
/// The instruction set of `V`; every place plus every item inside `input`, every place plus the width inside
/// `gradient`; `sums` of `items.len()` times the width.
#[inline(always)]
unsafe fn correlate<V: Lanes, const ITEMS: usize, const VECTORS: usize>(
    with: &Correlation,
    places: &[(usize, usize)],
    sums: &mut [f32],
) {
    let width = VECTORS * V::COUNT;
    debug_assert_eq!(sums.len(), with.items.len() * width);
    // SAFETY: the contract of this function. Missing items repeat the last one and are not stored.
    unsafe {
        let last = with.items.len() - 1;
        let items: [*const f32; ITEMS] =
            std::array::from_fn(|item| with.input.as_ptr().add(with.items[item.min(last)]));
        let mut registers = [[V::splat(0.0); VECTORS]; ITEMS];
        for &(origin, voxel) in places {
            let mut gradient = [V::splat(0.0); VECTORS];
            for (vector, gradient) in gradient.iter_mut().enumerate() {
                *gradient = V::load(with.gradient.as_ptr().add(voxel + vector * V::COUNT));
            }
            for (registers, item) in registers.iter_mut().zip(items) {
                let value = V::splat(*item.add(origin));
                for (register, gradient) in registers.iter_mut().zip(gradient) {
                    // Kept in order, or the compiler loads all items first and has no registers left for the sums.
                    *register = register.add_product(value, gradient).in_order();
                }
            }
        }
        let mut finished = [[V::splat(0.0); VECTORS]; ITEMS];
        for (registers, finished) in registers.iter().zip(&mut finished) {
            for (register, finished) in registers.iter().zip(finished) {
                register.store(std::ptr::from_mut(finished).cast());
            }
        }
        for (value, sum) in finished.iter().flatten().zip(sums.chunks_exact_mut(V::COUNT)) {
            V::load(sum.as_ptr())
                .add_product(*value, V::splat(1.0))
                .store(sum.as_mut_ptr());
        }
    }
}

/// `sums[item][lane] += input[origin + item + lane] * gradient[voxel]`: the few-channel case of [`correlate`].
///
/// # Safety
/// As [`correlate`], where every item reads the lanes of one vector.
#[inline(always)]
unsafe fn axpy<V: Lanes, const ITEMS: usize>(
    with: &Correlation,
    places: &[(usize, usize)],
    sums: &mut [f32],
) {
    debug_assert_eq!(sums.len(), with.items.len() * V::COUNT);
    // SAFETY: the contract of this function. Missing items repeat the last one and are not stored.
    unsafe {
        let last = with.items.len() - 1;
        let items: [*const f32; ITEMS] =
            std::array::from_fn(|item| with.input.as_ptr().add(with.items[item.min(last)]));
        let mut registers = [V::splat(0.0); ITEMS];
        for &(origin, voxel) in places {
            let gradient = V::splat(*with.gradient.as_ptr().add(voxel));
            for (register, item) in registers.iter_mut().zip(items) {
                *register = register.add_product(V::load(item.add(origin)), gradient);
            }
        }
        let mut finished = [V::splat(0.0); ITEMS];
        for (register, finished) in registers.iter().zip(&mut finished) {
            register.store(std::ptr::from_mut(finished).cast());
        }
        for (value, sum) in finished.iter().zip(sums.chunks_exact_mut(V::COUNT)) {
            V::load(sum.as_ptr())
                .add_product(*value, V::splat(1.0))
                .store(sum.as_mut_ptr());
        }
    }
}

/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn spin<V: Lanes>(rounds: usize) -> f32 {
    // SAFETY: the contract of this function.
    unsafe {
        let (shrink, step) = (
            V::splat(std::hint::black_box(0.999)),
            V::splat(std::hint::black_box(0.001)),
        );
        let mut registers = [step; SPINNING];
        for _ in 0..rounds {
            for register in &mut registers {
                *register = step.add_product(*register, shrink);
            }
        }
        registers.iter().map(|register| register.sum()).sum()
    }
}

/// Compiles the kernels of one x86 instruction set: `#[target_feature]` goes on the outermost function, into
/// which everything above is inlined.
#[cfg(target_arch = "x86_64")]
macro_rules! compile {
    ($table:ident, $module:ident, $name:literal, $features:literal, $lanes:ty, dot $dot:literal, axpy $axpy:literal,
     blocks [$($block:ident: $block_lanes:ty, $vectors:literal vectors, $tile:literal tile, $items:literal items;)+]) => {
        mod $module {
            use super::*;
            $(pub(super) mod $block {
                use super::*;
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn sweep(s: &Sweep, grid: &Grid, range: Range<usize>, out: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { super::super::sweep::<$block_lanes, $tile, $vectors>(s, grid, range, out) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn correlate(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { super::super::correlate::<$block_lanes, $items, $vectors>(c, places, sums) }
                }
            })+
            #[target_feature(enable = $features)]
            pub(super) unsafe fn dot(s: &Sweep, grid: &Grid, range: Range<usize>, out: *mut f32) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { super::dot::<$lanes, $dot>(s, grid, range, out) }
            }
            #[target_feature(enable = $features)]
            pub(super) unsafe fn axpy(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { super::axpy::<$lanes, $axpy>(c, places, sums) }
            }
            #[target_feature(enable = $features)]
            pub(super) unsafe fn spin(rounds: usize) -> f32 {
                // SAFETY: the instruction set of this version.
                unsafe { super::spin::<$lanes>(rounds) }
            }
        }
        static $table: Kernels = Kernels {
            #[cfg(test)]
            name: $name,
            blocks: &[$(Block {
                width: $vectors * <$block_lanes>::COUNT,
                sweep: $module::$block::sweep,
                correlate: $module::$block::correlate,
                items: $items,
            }),+],
            dot: $module::dot,
            axpy: $module::axpy,
            axpy_items: $axpy,
            lanes: <$lanes>::COUNT,
            spin: $module::spin,
        };
    };
}

// Tile sizes fill the register file: 32 registers with AVX-512 (14 x 2 sums, 2 weights, 1 value), 16 without.
#[cfg(target_arch = "x86_64")]
compile!(AVX512, avx512, "avx512", "avx2,fma,avx512f,avx512vl", F32x16, dot 8, axpy 12, blocks [
    wide: F32x16, 2 vectors, 14 tile, 14 items;
    middle: F32x16, 1 vectors, 14 tile, 14 items;
    narrow: F32x8, 1 vectors, 14 tile, 14 items;
]);
#[cfg(target_arch = "x86_64")]
compile!(AVX2, avx2, "avx2", "avx2,fma", F32x8, dot 8, axpy 8, blocks [
    wide: F32x8, 2 vectors, 6 tile, 6 items;
    narrow: F32x8, 1 vectors, 10 tile, 10 items;
]);

static PORTABLE: Kernels = Kernels {
    #[cfg(test)]
    name: "portable",
    blocks: &[Block {
        width: Array8::COUNT,
        sweep: sweep::<Array8, 6, 1>,
        correlate: correlate::<Array8, 6, 1>,
        items: 6,
    }],
    dot: dot::<Array8, 4>,
    axpy: axpy::<Array8, 4>,
    axpy_items: 4,
    lanes: Array8::COUNT,
    spin: spin::<Array8>,
};
