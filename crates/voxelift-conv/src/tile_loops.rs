//! Layer 3 · The inner loops of Winograd's convolution: transforms and matrix products, written once over [`Lanes`].

use crate::contracts::{Gather, Products, Scatter, Spread};
#[cfg(target_arch = "x86_64")]
use crate::half_lanes::Rounded;
use crate::lanes::Lanes;
use crate::loops::store_finished;

/// `B^T` along one axis.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn input_axis<V: Lanes, const LINES: usize>(values: &mut [V; LINES], at: [usize; 4]) {
    let [a, b, c, d] = [values[at[0]], values[at[1]], values[at[2]], values[at[3]]];
    // SAFETY: the contract of this function.
    unsafe {
        values[at[0]] = a.sub(c);
        values[at[1]] = b.add(c);
        values[at[2]] = c.sub(b);
        values[at[3]] = b.sub(d);
    }
}

/// How a transformed value is kept.
pub(crate) trait Put<V> {
    /// Writes the lanes from value number `at` on.
    ///
    /// # Safety
    /// The instruction set of `V`; the memory holds them.
    unsafe fn put(value: V, to: *mut f32, at: usize);
}

/// As it is.
pub(crate) struct AsF32;

impl<V: Lanes> Put<V> for AsF32 {
    #[inline(always)]
    unsafe fn put(value: V, to: *mut f32, at: usize) {
        // SAFETY: the trait's contract.
        unsafe { value.store(to.add(at)) }
    }
}

/// As bf16, two in the place of one.
#[cfg(target_arch = "x86_64")]
pub(crate) struct AsBf16;

#[cfg(target_arch = "x86_64")]
impl<V: Rounded> Put<V> for AsBf16 {
    #[inline(always)]
    unsafe fn put(value: V, to: *mut f32, at: usize) {
        // SAFETY: the trait's contract.
        unsafe { value.store_rounded(to.cast::<u16>().add(at)) }
    }
}

/// Columns between a load and the prefetch beside it.
const AHEAD: usize = 4;

/// Lines `[z][y]` of a cube's tile; a square's has those of one z.
pub(crate) const CUBE: usize = 16;
/// See [`CUBE`].
pub(crate) const SQUARE: usize = 4;

/// One column of a tile `[z][y]`, transformed along both, of a square along y.
///
/// # Safety
/// The instruction set of `V`; the lines at this offset inside the input.
#[inline(always)]
unsafe fn gather_column<V: Lanes, const LINES: usize>(with: &Gather, offset: usize, values: &mut [V; LINES]) {
    // SAFETY: the contract of this function.
    unsafe {
        for (value, line) in values.iter_mut().zip(with.lines) {
            *value = match line {
                Some(line) => {
                    let at = with.input.as_ptr().offset(line + offset as isize);
                    V::prefetch(at.wrapping_add(AHEAD * with.channels));
                    V::load(at)
                }
                None => V::splat(0.0),
            };
        }
        if LINES == CUBE {
            for y in 0..4 {
                input_axis(values, [y, 4 + y, 8 + y, 12 + y]);
            }
        }
        for z in 0..LINES / 4 {
            input_axis(values, [4 * z, 4 * z + 1, 4 * z + 2, 4 * z + 3]);
        }
    }
}

/// # Safety
/// The instruction set of `V`; lines, columns and channels inside the input; the result inside `to`.
#[inline(always)]
pub(crate) unsafe fn gather<V: Lanes, P: Put<V>, const LINES: usize>(with: &Gather, to: *mut f32) {
    // No closure below takes or gives a `V`: it would be compiled without the instruction set.
    for channel in (0..with.channels).step_by(V::COUNT) {
        // SAFETY: the contract of this function.
        unsafe {
            // A tile's four columns, transformed along z and y; the last two are the next tile's first.
            let mut columns = [[V::splat(0.0); LINES]; 4];
            for column in 0..2 * with.tiles + 2 {
                if with.inside.contains(&column) {
                    let offset = column * with.channels + channel;
                    gather_column(with, offset, &mut columns[column % 4]);
                } else {
                    columns[column % 4] = [V::splat(0.0); LINES];
                }
                if column % 2 == 0 || column == 1 {
                    continue;
                }
                let tile = column / 2 - 1;
                let (near, far) = columns.split_at(2);
                let (near, far) = if tile % 2 == 0 { (near, far) } else { (far, near) };
                let mut at = tile * with.channels + channel;
                for plane in 0..LINES {
                    let (a, b, c, d) = (near[0][plane], near[1][plane], far[0][plane], far[1][plane]);
                    P::put(a.sub(c), to, at);
                    P::put(b.add(c), to, at + with.pitch);
                    P::put(c.sub(b), to, at + 2 * with.pitch);
                    P::put(b.sub(d), to, at + 3 * with.pitch);
                    at += 4 * with.pitch;
                }
            }
        }
    }
}

/// # Safety
/// The instruction set of `V`; `to` holds `[tiles][width]`.
#[inline(always)]
pub(crate) unsafe fn products<V: Lanes, const TILE: usize, const VECTORS: usize>(
    with: &Products,
    to: *mut f32,
) {
    let width = VECTORS * V::COUNT;
    for first in (0..with.tiles).step_by(TILE) {
        // The last round repeats its last tile: computed and stored more than once with the same values.
        let tile = |slot: usize| (first + slot).min(with.tiles - 1);
        // SAFETY: the contract of this function.
        unsafe {
            let origins: [*const f32; TILE] =
                std::array::from_fn(|slot| with.input.as_ptr().add(tile(slot) * with.from));
            let mut sums = [[V::splat(0.0); VECTORS]; TILE];
            let mut weights = with.weights.as_ptr();
            for from in 0..with.from {
                let mut weight = [V::splat(0.0); VECTORS];
                for (vector, weight) in weight.iter_mut().enumerate() {
                    *weight = V::load(weights.add(vector * V::COUNT));
                }
                weights = weights.add(width);
                for (sums, origin) in sums.iter_mut().zip(origins) {
                    let value = V::splat(*origin.add(from));
                    for (sum, weight) in sums.iter_mut().zip(weight) {
                        *sum = sum.add_product(value, weight);
                    }
                }
            }
            for (slot, sums) in sums.iter().enumerate() {
                for (vector, sum) in sums.iter().enumerate() {
                    sum.store(to.add(tile(slot) * width + vector * V::COUNT));
                }
            }
        }
    }
}

/// `A^T` along one axis.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn output_axis<V: Lanes>([a, b, c, d]: [V; 4]) -> [V; 2] {
    // SAFETY: the contract of this function.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}

/// # Safety
/// The instruction set of `V`; the tile inside the input; the voxels' channels inside the output, the gate and what
/// is added, and written by no other thread.
#[expect(clippy::needless_range_loop, reason = "axes are named by their index")]
#[inline(always)]
pub(crate) unsafe fn scatter<V: Lanes, const VECTORS: usize, const LINES: usize>(
    with: &Scatter,
    output: *mut f32,
) {
    for first in (0..with.channels).step_by(V::COUNT) {
        let count = V::COUNT.min(with.channels - first);
        // SAFETY: the contract of this function.
        unsafe {
            let input = with.input.as_ptr().add(first);
            let zero = V::splat(0.0);
            // `[y][z][x]`.
            let mut planes = [[[zero; 2]; 2]; 4];
            for (y, plane) in planes.iter_mut().enumerate() {
                // `[z][x]`.
                let mut lines = [[zero; 4]; 2];
                for x in 0..4 {
                    let at = input.add((4 * y + x) * with.pitch);
                    if LINES == SQUARE {
                        lines[0][x] = V::load(at);
                        continue;
                    }
                    let depth = 16 * with.pitch;
                    let [near, far] = output_axis([
                        V::load(at),
                        V::load(at.add(depth)),
                        V::load(at.add(2 * depth)),
                        V::load(at.add(3 * depth)),
                    ]);
                    lines[0][x] = near;
                    lines[1][x] = far;
                }
                plane[0] = output_axis(lines[0]);
                if LINES == CUBE {
                    plane[1] = output_axis(lines[1]);
                }
            }
            let bias = V::load(with.bias.as_ptr().add(first));
            for z in 0..if LINES == CUBE { 2 } else { 1 } {
                for x in 0..2 {
                    let values =
                        output_axis([planes[0][z][x], planes[1][z][x], planes[2][z][x], planes[3][z][x]]);
                    for y in 0..2 {
                        if let Some(to) = with.voxels[z * 4 + y * 2 + x] {
                            store_finished(values[y].add(bias), &with.finish, to + first, count, output);
                        }
                    }
                }
            }
        }
    }
}

/// `A` along one axis.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn gradient_axis<V: Lanes>([a, b]: [V; 2]) -> [V; 4] {
    // SAFETY: the contract of this function.
    unsafe { [a, a.add(b), a.sub(b), V::splat(0.0).sub(b)] }
}

/// # Safety
/// The instruction set of `V`; the voxels' channels inside the gradient; the result inside `to`.
#[expect(clippy::needless_range_loop, reason = "axes are named by their index")]
#[inline(always)]
pub(crate) unsafe fn spread<V: Lanes, const VECTORS: usize, const LINES: usize>(with: &Spread, to: *mut f32) {
    for first in (0..VECTORS * V::COUNT).step_by(V::COUNT) {
        let count = V::COUNT.min(with.channels.saturating_sub(first));
        // SAFETY: the contract of this function.
        unsafe {
            let zero = V::splat(0.0);
            let mut values = [zero; 8];
            for (value, voxel) in values.iter_mut().zip(with.voxels) {
                if let (Some(at), 1..) = (voxel, count) {
                    *value = V::load_first(with.gradient.as_ptr().add(at + first), count);
                }
            }
            // `[z][x][y]`.
            let mut lines = [[[zero; 4]; 2]; 2];
            for z in 0..2 {
                for x in 0..2 {
                    lines[z][x] = gradient_axis([values[z * 4 + x], values[z * 4 + 2 + x]]);
                }
            }
            for y in 0..4 {
                let near = gradient_axis([lines[0][0][y], lines[0][1][y]]);
                if LINES == SQUARE {
                    for x in 0..4 {
                        near[x].store(to.add((y * 4 + x) * with.pitch + first));
                    }
                    continue;
                }
                let far = gradient_axis([lines[1][0][y], lines[1][1][y]]);
                for x in 0..4 {
                    let depths = gradient_axis([near[x], far[x]]);
                    for z in 0..4 {
                        depths[z].store(to.add((z * 16 + y * 4 + x) * with.pitch + first));
                    }
                }
            }
        }
    }
}
