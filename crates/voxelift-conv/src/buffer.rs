//! Layer 0 · Memory of the kernels: aligned, and used again instead of being asked for anew.

use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

/// Values that follow every buffer's last one, so that a kernel may load whole registers anywhere.
pub(crate) const SLACK: usize = 64;

/// Free buffers are kept up to this many bytes; they are what an earlier op needed at one time.
const KEPT_BYTES: usize = 64 << 20;

const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; LINE]);

/// Unused buffers, the longest unused first. Fresh memory costs more than the copy into it: the system
/// hands it out page by page, at the first touch.
static FREE: Mutex<Vec<Vec<CacheLine>>> = Mutex::new(Vec::new());

/// f32 memory that begins on a cache line, so that a voxel's channels do not straddle two.
pub(crate) struct Buffer {
    lines: Vec<CacheLine>,
}

impl Buffer {
    /// Any values, followed by zeros as slack.
    pub fn any(len: usize) -> Self {
        let count = (len + SLACK).div_ceil(LINE);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |lines: &Vec<CacheLine>| lines.len() >= count && lines.len() <= 2 * count;
        let best = (0..free.len())
            .filter(|&at| fits(&free[at]))
            .min_by_key(|&at| free[at].len());
        let reused = best.map(|at| free.remove(at));
        drop(free);
        let mut lines = reused.unwrap_or_else(|| vec![CacheLine([0.0; LINE]); count]);
        lines.truncate(count);
        let mut buffer = Self { lines };
        buffer.values_mut()[len..].fill(0.0);
        buffer
    }

    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::any(len);
        buffer.values_mut().fill(0.0);
        buffer
    }

    pub fn values(&self) -> &[f32] {
        // SAFETY: CacheLine is repr(C) around f32 values, without padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LINE) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let bytes = |lines: &Vec<CacheLine>| lines.capacity() * size_of::<CacheLine>();
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(lines);
        while free.iter().map(bytes).sum::<usize>() > KEPT_BYTES {
            free.remove(0);
        }
    }
}

/// `len` values that `write` writes, every one: the system's memory is not cleared first, which would take one thread a twentieth of the
/// time of a convolution.
///
/// # Safety
/// `write` writes every value.
pub(crate) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    let memory = &mut values.spare_capacity_mut()[..len];
    if cfg!(test) {
        // What is left out would be seen.
        memory.fill(MaybeUninit::new(f32::NAN));
    }
    write(memory);
    // SAFETY: the contract of this function; the capacity is at least this.
    unsafe { values.set_len(len) };
    values
}

/// Values as memory to be written.
pub(crate) fn to_write(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let (start, len) = (values.as_mut_ptr(), values.len());
    // SAFETY: the same layout and length, and the borrow goes on; whoever holds a target writes numbers only.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }
}
