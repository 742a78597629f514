//! Layer 0 · Vectors of f32 as the kernels see them: AVX-512, AVX2 + FMA, and arrays that the compiler vectorises.

/// A SIMD register of f32. The kernels are written once, over this trait.
///
/// # Safety
/// Every method may be called only where the instruction set of the implementation is present, and every
/// pointer must be valid for the lanes that the method names.
pub(crate) trait Lanes: Copy {
    const COUNT: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` lanes, `count <= COUNT`; zeros after.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Stores the first `count` lanes, `count <= COUNT`.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `a * b + self`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// Lanes below zero times `slope`; NaN stays NaN.
    unsafe fn scale_negative(self, slope: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// Lanes where `gate` is above zero, zero elsewhere.
    unsafe fn where_positive(self, gate: Self) -> Self;
    /// The same value, computed before any memory access that comes later in the program.
    unsafe fn in_order(self) -> Self;
    unsafe fn sum(self) -> f32;
    /// Asks for the cache line of an address that will be loaded soon; any address will do.
    unsafe fn prefetch(from: *const f32);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::asm;
    use std::arch::x86_64::*;

    /// 16 lanes, AVX-512F.
    #[derive(Clone, Copy)]
    pub(crate) struct F32x16(pub(crate) __m512);

    /// 8 lanes, AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(crate) struct F32x8(pub(crate) __m256);

    /// No instruction, but one that the compiler moves no memory access across.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn in_order_16(mut value: __m512) -> __m512 {
        // SAFETY: no instruction.
        unsafe { asm!("/* {0} */", inout(zmm_reg) value, options(nostack, preserves_flags)) }
        value
    }

    /// As [`in_order_16`].
    #[inline]
    #[target_feature(enable = "avx")]
    fn in_order_8(mut value: __m256) -> __m256 {
        // SAFETY: no instruction.
        unsafe { asm!("/* {0} */", inout(ymm_reg) value, options(nostack, preserves_flags)) }
        value
    }

    /// All bits set in the first `count` of 8 lanes.
    #[inline(always)]
    unsafe fn first_lanes(count: usize) -> __m256i {
        // SAFETY: called where F32x8 may be used.
        unsafe {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), lane)
        }
    }

    impl Lanes for F32x16 {
        const COUNT: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm512_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            let mask = ((1u32 << count) - 1) as __mmask16;
            // SAFETY: the trait's contract; masked lanes are not read.
            unsafe { Self(_mm512_maskz_loadu_ps(mask, from)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the trait's contract.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            let mask = ((1u32 << count) - 1) as __mmask16;
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(to, mask, self.0) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm512_fmadd_ps(a.0, b.0, self.0)) }
        }

        #[inline(always)]
        unsafe fn scale_negative(self, slope: f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe {
                let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
                Self(_mm512_mask_mul_ps(
                    self.0,
                    negative,
                    self.0,
                    _mm512_set1_ps(slope),
                ))
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn where_positive(self, gate: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe {
                let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate.0, _mm512_setzero_ps());
                Self(_mm512_maskz_mov_ps(positive, self.0))
            }
        }

        #[inline(always)]
        unsafe fn in_order(self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(in_order_16(self.0)) }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_reduce_add_ps(self.0) }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const f32) {
            // SAFETY: a prefetch does not fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }

    impl Lanes for F32x8 {
        const COUNT: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm256_loadu_ps(from)) }
        }

        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            // SAFETY: the trait's contract; masked lanes are not read.
            unsafe { Self(_mm256_maskload_ps(from, first_lanes(count))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the trait's contract.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            // SAFETY: the trait's contract; masked lanes are not touched.
            unsafe { _mm256_maskstore_ps(to, first_lanes(count), self.0) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0)) }
        }

        #[inline(always)]
        unsafe fn scale_negative(self, slope: f32) -> Self {
            // SAFETY: the trait's contract.
            unsafe {
                let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, _mm256_setzero_ps());
                Self(_mm256_blendv_ps(
                    self.0,
                    _mm256_mul_ps(self.0, _mm256_set1_ps(slope)),
                    negative,
                ))
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm256_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(_mm256_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn where_positive(self, gate: Self) -> Self {
            // SAFETY: the trait's contract.
            unsafe {
                let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(gate.0, _mm256_setzero_ps());
                Self(_mm256_and_ps(positive, self.0))
            }
        }

        #[inline(always)]
        unsafe fn in_order(self) -> Self {
            // SAFETY: the trait's contract.
            unsafe { Self(in_order_8(self.0)) }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the trait's contract.
            unsafe {
                let half = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
                let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
                _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps::<1>(quarter, quarter)))
            }
        }

        #[inline(always)]
        unsafe fn prefetch(from: *const f32) {
            // SAFETY: a prefetch does not fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{F32x8, F32x16};

/// 8 lanes as an array: plain Rust, for every other processor.
#[derive(Clone, Copy)]
pub(crate) struct Array8([f32; 8]);

impl Lanes for Array8 {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract; an array of f32 has the alignment of one.
        Self(unsafe { *from.cast::<[f32; 8]>() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut lanes = [0.0; 8];
        for (lane, value) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: the trait's contract.
            *value = unsafe { *from.add(lane) };
        }
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract.
        unsafe { *to.cast::<[f32; 8]>() = self.0 }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (lane, value) in self.0.iter().enumerate().take(count) {
            // SAFETY: the trait's contract.
            unsafe { *to.add(lane) = *value }
        }
    }

    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for ((sum, x), y) in self.0.iter_mut().zip(a.0).zip(b.0) {
            // A fused product is one instruction where the target has it, and a library call where not.
            *sum = if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                x.mul_add(y, *sum)
            } else {
                x * y + *sum
            };
        }
        self
    }

    #[inline(always)]
    unsafe fn scale_negative(mut self, slope: f32) -> Self {
        for value in &mut self.0 {
            *value = if *value < 0.0 { *value * slope } else { *value };
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
        self
    }

    #[inline(always)]
    unsafe fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a -= b);
        self
    }

    #[inline(always)]
    unsafe fn where_positive(mut self, gate: Self) -> Self {
        for (value, gate) in self.0.iter_mut().zip(gate.0) {
            *value = if gate > 0.0 { *value } else { 0.0 };
        }
        self
    }

    #[inline(always)]
    unsafe fn in_order(self) -> Self {
        self
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
}
