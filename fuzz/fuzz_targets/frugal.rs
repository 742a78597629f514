//! Memory counted byte by byte: what is merely claimed must cost nothing.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does `work`, which may take `most` bytes at a time.
///
/// # Panics
/// When it takes more.
pub fn frugal<T>(most: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let done = work();
    let cost = MEMORY.peak_usage().saturating_sub(before);
    assert!(cost <= most, "{cost} bytes of memory; honest work needs at most {most}");
    done
}
