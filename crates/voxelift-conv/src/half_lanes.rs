//! Layer 1 · Registers of pairs of bf16: each lane of 32 bits holds two numbers that are multiplied with two others at once.
//!
//! bf16 is the upper half of an f32: its range, with 8 significant bits. A product of two is exact in f32, and sums are kept in f32.

use std::arch::x86_64::*;

use crate::lanes::{F32x8, F32x16, Lanes};

/// A register of f32 that can be rounded to bf16.
///
/// # Safety
/// As [`Lanes`].
pub(crate) trait Rounded: Lanes {
    /// Stores all lanes as bf16, one after the other.
    unsafe fn store_rounded(self, to: *mut u16);
    /// Lanes of two bf16: this value in the lower half, `other` in the upper.
    unsafe fn paired(self, other: Self) -> Self;
}

impl Rounded for F32x16 {
    #[inline(always)]
    unsafe fn store_rounded(self, to: *mut u16) {
        // SAFETY: the trait's contract.
        unsafe {
            _mm256_storeu_si256(
                to.cast(),
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(self.0)),
            )
        }
    }

    #[inline(always)]
    unsafe fn paired(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        unsafe {
            let low = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(self.0));
            let high = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(other.0));
            let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
            Self(_mm512_castsi512_ps(_mm512_or_si512(
                _mm512_cvtepu16_epi32(low),
                high,
            )))
        }
    }
}

impl Rounded for F32x8 {
    #[inline(always)]
    unsafe fn store_rounded(self, to: *mut u16) {
        // SAFETY: the trait's contract.
        unsafe {
            _mm_storeu_si128(
                to.cast(),
                std::mem::transmute::<__m128bh, __m128i>(_mm256_cvtneps_pbh(self.0)),
            )
        }
    }

    #[inline(always)]
    unsafe fn paired(self, other: Self) -> Self {
        // SAFETY: the trait's contract.
        unsafe {
            let low = std::mem::transmute::<__m128bh, __m128i>(_mm256_cvtneps_pbh(self.0));
            let high = std::mem::transmute::<__m128bh, __m128i>(_mm256_cvtneps_pbh(other.0));
            let high = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(high));
            Self(_mm256_castsi256_ps(_mm256_or_si256(
                _mm256_cvtepu16_epi32(low),
                high,
            )))
        }
    }
}

/// Sums in f32 of products of pairs, as a register of the loops that are written over [`Lanes`]: what is loaded is pairs, what is
/// summed and stored is f32.
macro_rules! pairs {
    ($name:ident, $of:ident, $doc:literal, |$sum:ident, $a:ident, $b:ident| $product:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        pub(crate) struct $name($of);

        // SAFETY (of every method): the trait's contract.
        impl Lanes for $name {
            const COUNT: usize = $of::COUNT;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self($of::splat(value)) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self($of::load(from)) }
            }

            #[inline(always)]
            unsafe fn load_first(from: *const f32, count: usize) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self($of::load_first(from, count)) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the trait's contract.
                unsafe { self.0.store(to) }
            }

            #[inline(always)]
            unsafe fn store_first(self, to: *mut f32, count: usize) {
                // SAFETY: the trait's contract.
                unsafe { self.0.store_first(to, count) }
            }

            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                let ($sum, $a, $b) = (self.0.0, a.0.0, b.0.0);
                // SAFETY: the trait's contract.
                unsafe { Self($of($product)) }
            }

            #[inline(always)]
            unsafe fn scale_negative(self, slope: f32) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self(self.0.scale_negative(slope)) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self(self.0.add(other.0)) }
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self(self.0.sub(other.0)) }
            }

            #[inline(always)]
            unsafe fn where_positive(self, gate: Self) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self(self.0.where_positive(gate.0)) }
            }

            #[inline(always)]
            unsafe fn in_order(self) -> Self {
                // SAFETY: the trait's contract.
                unsafe { Self(self.0.in_order()) }
            }

            #[inline(always)]
            unsafe fn sum(self) -> f32 {
                // SAFETY: the trait's contract.
                unsafe { self.0.sum() }
            }

            #[inline(always)]
            unsafe fn prefetch(from: *const f32) {
                // SAFETY: the trait's contract.
                unsafe { $of::prefetch(from) }
            }
        }
    };
}

pairs!(Pairs16, F32x16, "16 lanes, AVX-512 BF16.", |sum, a, b| {
    _mm512_dpbf16_ps(
        sum,
        std::mem::transmute::<__m512, __m512bh>(a),
        std::mem::transmute::<__m512, __m512bh>(b),
    )
});
pairs!(Pairs8, F32x8, "8 lanes, AVX-512 BF16 and VL.", |sum, a, b| {
    _mm256_dpbf16_ps(
        sum,
        std::mem::transmute::<__m256, __m256bh>(a),
        std::mem::transmute::<__m256, __m256bh>(b),
    )
});
