//! Layer 4 · The table of the inner loops' compiled versions.

#[cfg(target_arch = "x86_64")]
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::contracts::{CorrelateFn, GatherFn, ProductsFn, Rounding, ScatterFn, SpreadFn, SweepFn};
#[cfg(target_arch = "x86_64")]
use crate::contracts::{Correlation, Gather, Products, Scatter, Spread, Sweep};
#[cfg(target_arch = "x86_64")]
use crate::grid::Grid;
#[cfg(target_arch = "x86_64")]
use crate::half_lanes::{Pairs8, Pairs16};
use crate::lanes::{Array8, Lanes};
#[cfg(target_arch = "x86_64")]
use crate::lanes::{F32x8, F32x16};
use crate::product_format::ProductFormat;
#[cfg(target_arch = "x86_64")]
use crate::rounding;
use crate::tile_loops::{AsF32, CUBE, SQUARE};
use crate::{loops, tile_loops};

/// The versions for one number of output channels.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub width: usize,
    pub sweep: SweepFn,
    pub correlate: CorrelateFn,
    /// Items of one `correlate` call.
    pub items: usize,
    /// The stages of Winograd's convolution, and its `correlate` with fewer items.
    pub cube: Transforms,
    pub square: Transforms,
    pub products: ProductsFn,
    pub outer: CorrelateFn,
    pub outer_items: usize,
    /// The same on pairs of bf16, where the processor multiplies them.
    pub half: Option<Half>,
    /// Values of one register.
    lanes: usize,
}

/// The transforms of Winograd's tiles of one shape.
#[derive(Clone, Copy)]
pub(crate) struct Transforms {
    pub gather: GatherFn,
    pub scatter: ScatterFn,
    pub spread: SpreadFn,
}

/// The versions that read pairs of bf16 and sum in f32. Tiles and items are those of the [`Block`].
#[derive(Clone, Copy)]
pub(crate) struct Half {
    pub sweep: SweepFn,
    pub correlate: CorrelateFn,
    /// Transforms in f32, kept as bf16.
    pub gather_cube: GatherFn,
    pub gather_square: GatherFn,
    pub products: ProductsFn,
    pub outer: CorrelateFn,
}

/// All kernels of one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
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
    /// None where the processor has no products of bf16.
    pub rounding: Option<Rounding>,
    /// Rounds of multiply-adds on registers, for [`fma_peak`](super::fma_peak).
    pub spin: unsafe fn(usize) -> f32,
}

/// Whether [`without_avx512`] was called.
static WITHOUT_AVX512: AtomicBool = AtomicBool::new(false);

/// From here on the process computes as on a processor without AVX-512, to be measured as such; results differ in their last bits.
/// To be called before anything computes: work that goes on keeps the instructions that it began with.
pub fn without_avx512() {
    WITHOUT_AVX512.store(true, Ordering::Relaxed);
}

impl Kernels {
    /// The widest instruction set of this processor.
    pub fn best() -> &'static Kernels {
        Self::available()[0]
    }

    /// Every instruction set that this processor can run and [`without_avx512`] leaves, widest first.
    pub fn available() -> &'static [&'static Kernels] {
        #[cfg(not(target_arch = "x86_64"))]
        static PORTABLE_ONLY: [&Kernels; 1] = [&PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            static FROM_BF16: [&Kernels; 4] = [&AVX512_BF16, &AVX512, &AVX2, &PORTABLE];
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && !WITHOUT_AVX512.load(Ordering::Relaxed);
            let bf16 = is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
            let first = match (avx2, avx512, bf16) {
                (true, true, true) => 0,
                (true, true, false) => 1,
                (true, false, _) => 2,
                (false, ..) => 3,
            };
            &FROM_BF16[first..]
        }
        #[cfg(not(target_arch = "x86_64"))]
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

    /// The blocks that some output channels are cut into: each with its first channel and how many it has.
    pub fn columns(&self, channels: usize) -> Vec<(&'static Block, usize, usize)> {
        let mut columns = Vec::new();
        let mut first = 0;
        while first < channels {
            let block = self.block(channels - first);
            let count = block.width.min(channels - first);
            columns.push((block, first, count));
            first += count;
        }
        columns
    }

    /// The block with the widest transform of Winograd's tiles whose registers the channels fill.
    ///
    /// # Panics
    /// Where the channels are no multiple of 8.
    pub fn gather(&self, channels: usize) -> &'static Block {
        let fills = |block: &&Block| channels.is_multiple_of(block.lanes);
        let block = self.blocks.iter().find(fills);
        block.unwrap_or_else(|| panic!("winograd: {channels} channels"))
    }
}

impl ProductFormat {
    /// Whether this processor computes in it.
    pub fn is_present(self) -> bool {
        self == Self::F32 || Kernels::best().rounding.is_some()
    }
}

/// Compiles the kernels of one x86 instruction set: `#[target_feature]` goes on the outermost function, into
/// which everything above is inlined.
#[cfg(target_arch = "x86_64")]
macro_rules! compile {
    ($table:ident, $module:ident, $name:literal, $features:literal, $lanes:ty, dot $dot:literal, axpy $axpy:literal,
     blocks [$($block:ident: $block_lanes:ty, $vectors:literal vectors, $tile:literal tile, $items:literal items, $outer:literal outer;)+]) => {
        mod $module {
            use super::*;
            $(pub(super) mod $block {
                use super::*;
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn sweep(s: &Sweep, grid: &Grid, range: Range<usize>, out: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::sweep::<$block_lanes, $tile, $vectors>(s, grid, range, out) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn correlate(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::correlate::<$block_lanes, $items, $vectors>(c, places, sums) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn outer(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::correlate::<$block_lanes, $outer, $vectors>(c, places, sums) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn gather_cube(with: &Gather, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::gather::<$block_lanes, AsF32, CUBE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn gather_square(with: &Gather, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::gather::<$block_lanes, AsF32, SQUARE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn products(with: &Products, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::products::<$block_lanes, $tile, $vectors>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn scatter_cube(with: &Scatter, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::scatter::<$block_lanes, $vectors, CUBE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn scatter_square(with: &Scatter, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::scatter::<$block_lanes, $vectors, SQUARE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn spread_cube(with: &Spread, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::spread::<$block_lanes, $vectors, CUBE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn spread_square(with: &Spread, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::spread::<$block_lanes, $vectors, SQUARE>(with, to) }
                }
            })+
            #[target_feature(enable = $features)]
            pub(super) unsafe fn dot(s: &Sweep, grid: &Grid, range: Range<usize>, out: *mut f32) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { loops::dot::<$lanes, $dot>(s, grid, range, out) }
            }
            #[target_feature(enable = $features)]
            pub(super) unsafe fn axpy(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { loops::axpy::<$lanes, $axpy>(c, places, sums) }
            }
            #[target_feature(enable = $features)]
            pub(super) unsafe fn spin(rounds: usize) -> f32 {
                // SAFETY: the instruction set of this version.
                unsafe { loops::spin::<$lanes>(rounds) }
            }
        }
        const $table: Kernels = Kernels {
            #[cfg(test)]
            name: $name,
            blocks: &[$(Block {
                width: $vectors * <$block_lanes>::COUNT,
                sweep: $module::$block::sweep,
                correlate: $module::$block::correlate,
                items: $items,
                cube: Transforms {
                    gather: $module::$block::gather_cube,
                    scatter: $module::$block::scatter_cube,
                    spread: $module::$block::spread_cube,
                },
                square: Transforms {
                    gather: $module::$block::gather_square,
                    scatter: $module::$block::scatter_square,
                    spread: $module::$block::spread_square,
                },
                products: $module::$block::products,
                outer: $module::$block::outer,
                outer_items: $outer,
                half: None,
                lanes: <$block_lanes>::COUNT,
            }),+],
            dot: $module::dot,
            axpy: $module::axpy,
            axpy_items: $axpy,
            lanes: <$lanes>::COUNT,
            rounding: None,
            spin: $module::spin,
        };
    };
}

// Tile sizes fill the register file: 32 registers with AVX-512 (14 x 2 sums, 2 weights, 1 value), 16 without.
#[cfg(target_arch = "x86_64")]
compile!(AVX512, avx512, "avx512", "avx2,fma,avx512f,avx512vl", F32x16, dot 8, axpy 12, blocks [
    wide: F32x16, 2 vectors, 14 tile, 14 items, 8 outer;
    middle: F32x16, 1 vectors, 14 tile, 14 items, 16 outer;
    narrow: F32x8, 1 vectors, 14 tile, 14 items, 8 outer;
]);
/// As `compile`, for the versions that read pairs: a [`Half`] a block.
#[cfg(target_arch = "x86_64")]
macro_rules! compile_pairs {
    ($module:ident, $features:literal, $whole:ident,
     blocks [$($half:ident of $block:ident: $lanes:ty, $pairs:ty, $vectors:literal vectors, $tile:literal tile, $items:literal items, $outer:literal outer;)+]) => {
        mod $module {
            use super::*;
            $(pub(super) mod $block {
                use super::*;
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn sweep(s: &Sweep, grid: &Grid, range: Range<usize>, out: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::sweep::<$pairs, $tile, $vectors>(s, grid, range, out) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn correlate(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::correlate::<$pairs, $items, $vectors>(c, places, sums) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn outer(c: &Correlation, places: &[(usize, usize)], sums: &mut [f32]) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { loops::correlate::<$pairs, $outer, $vectors>(c, places, sums) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn gather_cube(with: &Gather, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::gather::<$lanes, tile_loops::AsBf16, CUBE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn gather_square(with: &Gather, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::gather::<$lanes, tile_loops::AsBf16, SQUARE>(with, to) }
                }
                #[target_feature(enable = $features)]
                pub(in super::super) unsafe fn products(with: &Products, to: *mut f32) {
                    // SAFETY: the caller's contract, and the instruction set of this version.
                    unsafe { tile_loops::products::<$pairs, $tile, $vectors>(with, to) }
                }
            })+
            #[target_feature(enable = $features)]
            pub(super) unsafe fn round(values: *const f32, count: usize, to: *mut f32) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { rounding::round::<$whole>(values, count, to) }
            }
            #[target_feature(enable = $features)]
            pub(super) unsafe fn pair(low: *const f32, high: Option<*const f32>, count: usize, to: *mut f32) {
                // SAFETY: the caller's contract, and the instruction set of this version.
                unsafe { rounding::pair::<$whole>(low, high, count, to) }
            }
        }
        $(const $half: Option<Half> = Some(Half {
            sweep: $module::$block::sweep,
            correlate: $module::$block::correlate,
            gather_cube: $module::$block::gather_cube,
            gather_square: $module::$block::gather_square,
            products: $module::$block::products,
            outer: $module::$block::outer,
        });)+
    };
}

#[cfg(target_arch = "x86_64")]
compile_pairs!(bf16, "avx2,fma,avx512f,avx512vl,avx512bw,avx512bf16", F32x16, blocks [
    WIDE of wide: F32x16, Pairs16, 2 vectors, 14 tile, 14 items, 8 outer;
    MIDDLE of middle: F32x16, Pairs16, 1 vectors, 14 tile, 14 items, 16 outer;
    NARROW of narrow: F32x8, Pairs8, 1 vectors, 14 tile, 14 items, 8 outer;
]);
#[cfg(target_arch = "x86_64")]
const AVX512_BF16: Kernels = Kernels {
    #[cfg(test)]
    name: "avx512bf16",
    blocks: &[
        Block {
            half: WIDE,
            ..AVX512.blocks[0]
        },
        Block {
            half: MIDDLE,
            ..AVX512.blocks[1]
        },
        Block {
            half: NARROW,
            ..AVX512.blocks[2]
        },
    ],
    rounding: Some(Rounding {
        round: bf16::round,
        pair: bf16::pair,
    }),
    ..AVX512
};
#[cfg(target_arch = "x86_64")]
compile!(AVX2, avx2, "avx2", "avx2,fma", F32x8, dot 8, axpy 8, blocks [
    wide: F32x8, 2 vectors, 6 tile, 6 items, 4 outer;
    narrow: F32x8, 1 vectors, 10 tile, 10 items, 8 outer;
]);

const PORTABLE: Kernels = Kernels {
    #[cfg(test)]
    name: "portable",
    blocks: &[Block {
        width: Array8::COUNT,
        sweep: loops::sweep::<Array8, 6, 1>,
        correlate: loops::correlate::<Array8, 6, 1>,
        items: 6,
        cube: Transforms {
            gather: tile_loops::gather::<Array8, AsF32, CUBE>,
            scatter: tile_loops::scatter::<Array8, 1, CUBE>,
            spread: tile_loops::spread::<Array8, 1, CUBE>,
        },
        square: Transforms {
            gather: tile_loops::gather::<Array8, AsF32, SQUARE>,
            scatter: tile_loops::scatter::<Array8, 1, SQUARE>,
            spread: tile_loops::spread::<Array8, 1, SQUARE>,
        },
        products: tile_loops::products::<Array8, 6, 1>,
        outer: loops::correlate::<Array8, 4, 1>,
        outer_items: 4,
        half: None,
        lanes: Array8::COUNT,
    }],
    dot: loops::dot::<Array8, 4>,
    axpy: loops::axpy::<Array8, 4>,
    axpy_items: 4,
    lanes: Array8::COUNT,
    rounding: None,
    spin: loops::spin::<Array8>,
};
