//! Layer 5 · The speed that the kernels are measured against.

use std::time::Instant;

use rayon::prelude::*;

use crate::kernels::Kernels;
use crate::loops::SPINNING;

/// Fused multiply-adds a second, counted as two operations each, on all threads of the current pool: the best of
/// several runs of registers only.
///
/// # Units
/// FLOP/s.
pub fn fma_peak() -> f64 {
    const ROUNDS: usize = 1 << 20;
    let kernels = Kernels::best();
    let threads = rayon::current_num_threads();
    let run = || {
        let start = Instant::now();
        // SAFETY: the kernel is of this processor (`Kernels::available`), and touches no memory.
        let sums = (0..threads)
            .into_par_iter()
            .map(|_| unsafe { (kernels.spin)(ROUNDS) });
        std::hint::black_box(sums.sum::<f32>());
        start.elapsed().as_secs_f64()
    };
    let best = (0..10).map(|_| run()).fold(f64::INFINITY, f64::min);
    (threads * ROUNDS * kernels.lanes * SPINNING * 2) as f64 / best
}
