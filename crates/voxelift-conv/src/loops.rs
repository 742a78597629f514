//! Layer 2 · The inner loops, each written once over [`Lanes`]; `kernels` compiles them for every instruction set.

use std::ops::Range;

use crate::contracts::{Correlation, Finish, Sweep};
use crate::grid::Grid;
use crate::lanes::Lanes;

/// Registers in flight, enough to hide the latency of a multiply-add.
pub(crate) const SPINNING: usize = 12;

/// Direct convolution: `TILE` voxels by `VECTORS` registers of output channels stay in registers over all taps.
///
/// # Safety
/// The instruction set of `V`; offsets of `grid` and `sweep` inside `sweep.input` and the output; no other
/// thread writes the voxels of `range`.
#[inline(always)]
pub(crate) unsafe fn sweep<V: Lanes, const TILE: usize, const VECTORS: usize>(
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
pub(crate) unsafe fn store_finished<V: Lanes>(
    mut value: V,
    finish: &Finish,
    to: usize,
    count: usize,
    output: *mut f32,
) {
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
pub(crate) unsafe fn dot<V: Lanes, const TILE: usize>(
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
pub(crate) unsafe fn correlate<V: Lanes, const ITEMS: usize, const VECTORS: usize>(
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
            V::load(sum.as_ptr()).add(*value).store(sum.as_mut_ptr());
        }
    }
}

/// `sums[item][lane] += input[origin + item + lane] * gradient[voxel]`: the few-channel case of [`correlate`].
///
/// # Safety
/// As [`correlate`], where every item reads the lanes of one vector.
#[inline(always)]
pub(crate) unsafe fn axpy<V: Lanes, const ITEMS: usize>(
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
            V::load(sum.as_ptr()).add(*value).store(sum.as_mut_ptr());
        }
    }
}

/// # Safety
/// The instruction set of `V`.
#[inline(always)]
pub(crate) unsafe fn spin<V: Lanes>(rounds: usize) -> f32 {
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
