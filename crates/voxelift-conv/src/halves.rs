//! Layer 2 · Operands as pairs of bf16, for the kernels that multiply them.

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::contracts::Rounding;

/// Values that one call rounds.
const CHUNK: usize = 1 << 14;

/// Neighbours as pairs: value `2 i` and `2 i + 1` in word `i`.
///
/// # Panics
/// When the count is no multiple of 16.
pub(crate) fn neighbours(rounding: Rounding, values: &[f32]) -> Buffer {
    assert!(
        values.len().is_multiple_of(16),
        "{} values to be paired",
        values.len()
    );
    let mut words = Buffer::any(values.len() / 2);
    words.values_mut()[..values.len() / 2]
        .par_chunks_mut(CHUNK / 2)
        .zip(values.par_chunks(CHUNK))
        .for_each(|(words, values)| {
            // SAFETY: the function is of this processor; half as many words as values.
            unsafe { (rounding.round)(values.as_ptr(), values.len(), words.as_mut_ptr()) }
        });
    words
}

/// Each value with the one `step` after it: word `i` holds `(values[i], values[i + step])`, or zero above where there is none.
pub(crate) fn ahead(rounding: Rounding, values: &[f32], step: usize) -> Buffer {
    let mut words = Buffer::any(values.len());
    words.values_mut()[..values.len()]
        .par_chunks_mut(CHUNK)
        .zip(values.par_chunks(CHUNK))
        .enumerate()
        .for_each(|(chunk, (words, low))| {
            let high = values.get(chunk * CHUNK + step..).unwrap_or_default();
            let both = words.len().min(high.len());
            let (paired, alone) = words.split_at_mut(both);
            // SAFETY: the function is of this processor; as many values of each as there are words.
            unsafe {
                (rounding.pair)(low.as_ptr(), Some(high.as_ptr()), both, paired.as_mut_ptr());
                (rounding.pair)(low[both..].as_ptr(), None, alone.len(), alone.as_mut_ptr());
            }
        });
    words
}

/// Rows of `width` values two by two, in their own memory: row `i` then holds rows `2 i` and `2 i + 1`, the last one zeros above where
/// there is none.
pub(crate) fn rows(rounding: Rounding, values: &mut [f32], width: usize) {
    let count = values.len() / width;
    let start = values.as_mut_ptr();
    for pair in 0..count.div_ceil(2) {
        // SAFETY: the function is of this processor; both rows lie inside, and what is written, row `pair`, was read before or is read
        // with it, value for value.
        unsafe {
            let low = start.add(2 * pair * width);
            let high = (2 * pair + 1 < count).then(|| low.add(width).cast_const());
            (rounding.pair)(low, high, width, start.add(pair * width));
        }
    }
}
