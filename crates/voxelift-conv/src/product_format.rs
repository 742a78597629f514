//! Layer 0 · The number format of a convolution's products, a setting of the thread that computes.

use std::cell::Cell;

/// The number format that the factors of a convolution's products are rounded to; sums are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProductFormat {
    /// As they are.
    #[default]
    F32,
    /// To 8 significant bits, where the processor multiplies such numbers twice as fast (`avx512_bf16`); f32 where not.
    Bf16,
}

impl ProductFormat {
    /// That of this thread.
    pub(crate) fn now() -> Self {
        PRODUCTS.get()
    }
}

thread_local! {
    static PRODUCTS: Cell<ProductFormat> = const { Cell::new(ProductFormat::F32) };
}

/// Does `work` with the convolutions of this thread in `format`, those on the CPU; their gradients follow them.
pub fn computing_in<T>(format: ProductFormat, work: impl FnOnce() -> T) -> T {
    /// Puts back what was there, after a panic too.
    struct Before(ProductFormat);
    impl Drop for Before {
        fn drop(&mut self) {
            PRODUCTS.set(self.0);
        }
    }
    let _before = Before(PRODUCTS.replace(format));
    work()
}
