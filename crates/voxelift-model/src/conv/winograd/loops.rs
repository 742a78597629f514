//! The inner loops: transforms and matrix products, written once over [`Lanes`].

use super::super::kernels::Finish;
use super::super::lanes::Lanes;
use super::super::loops::store_finished;

/// `B^T d B` of tiles that lie side by side.
pub(in super::super) struct Gather<'a> {
    pub input: &'a [f32],
    /// Where each line `[z][y]` of 4x4 begins.
    pub lines: [usize; 16],
    /// Columns beyond this one repeat it.
    pub last_column: usize,
    pub channels: usize,
    pub tiles: usize,
    /// Values from one frequency to the next in the result `[frequencies][tiles][channels]`.
    pub pitch: usize,
}

/// Transforms some tiles into the memory given.
pub(in super::super) type GatherFn = unsafe fn(&Gather, *mut f32);

/// One frequency's matrix product.
pub(in super::super) struct Products<'a> {
    /// `[tiles][from]`.
    pub input: &'a [f32],
    /// `[from][width]`.
    pub weights: &'a [f32],
    pub from: usize,
    pub tiles: usize,
}

/// Writes `[tiles][width]`.
pub(in super::super) type ProductsFn = unsafe fn(&Products, *mut f32);

/// `A^T m A` of one tile, with bias.
pub(in super::super) struct Scatter<'a> {
    /// `[frequencies][..][width]`, from the tile's place in the first.
    pub input: &'a [f32],
    pub pitch: usize,
    /// One for each of `width` channels.
    pub bias: &'a [f32],
    /// Channels stored, at most `width`.
    pub channels: usize,
    pub finish: Finish<'a>,
    /// Where each voxel is stored.
    pub voxels: [Option<usize>; 8],
}

/// Transforms one tile and writes its voxels.
pub(in super::super) type ScatterFn = unsafe fn(&Scatter, *mut f32);

/// `A g A^T` of one tile's gradient: the transpose of [`Scatter`].
pub(in super::super) struct Spread<'a> {
    pub gradient: &'a [f32],
    pub voxels: [Option<usize>; 8],
    /// Channels read, at most `width`.
    pub channels: usize,
    pub pitch: usize,
}

/// Writes one tile's `[frequencies][..][width]`.
pub(in super::super) type SpreadFn = unsafe fn(&Spread, *mut f32);

/// `B^T` along one axis.
///
/// # Safety
/// The instruction set of `V`.
#[inline(always)]
unsafe fn input_axis<V: Lanes>(values: &mut [V; 16], at: [usize; 4]) {
    let [a, b, c, d] = at.map(|at| values[at]);
    // SAFETY: the contract of this function.
    unsafe {
        values[at[0]] = a.sub(c);
        values[at[1]] = b.add(c);
        values[at[2]] = c.sub(b);
        values[at[3]] = b.sub(d);
    }
}

/// # Safety
/// The instruction set of `V`; lines, columns and channels inside the input; the result inside `to`.
#[inline(always)]
pub(in super::super) unsafe fn gather<V: Lanes>(with: &Gather, to: *mut f32) {
    let input = with.input.as_ptr();
    for channel in (0..with.channels).step_by(V::COUNT) {
        // SAFETY: the contract of this function.
        unsafe {
            // A tile's four columns, transformed along z and y; the last two are the next tile's first.
            let mut columns = [[V::splat(0.0); 16]; 4];
            let column = |index: usize| {
                let at = index.min(with.last_column) * with.channels + channel;
                let mut values = with.lines.map(|line| V::load(input.add(line + at)));
                for y in 0..4 {
                    input_axis(&mut values, [y, 4 + y, 8 + y, 12 + y]);
                }
                for z in 0..4 {
                    input_axis(&mut values, [4 * z, 4 * z + 1, 4 * z + 2, 4 * z + 3]);
                }
                values
            };
            columns[0] = column(0);
            columns[1] = column(1);
            for tile in 0..with.tiles {
                let slot = |column: usize| (2 * tile + column) % 4;
                columns[slot(2)] = column(2 * tile + 2);
                columns[slot(3)] = column(2 * tile + 3);
                let [a, b, c, d] = [0, 1, 2, 3].map(|column| &columns[slot(column)]);
                let mut to = to.add(tile * with.channels + channel);
                for plane in 0..16 {
                    let [a, b, c, d] = [a[plane], b[plane], c[plane], d[plane]];
                    for value in [a.sub(c), b.add(c), c.sub(b), b.sub(d)] {
                        value.store(to);
                        to = to.add(with.pitch);
                    }
                }
            }
        }
    }
}

/// # Safety
/// The instruction set of `V`; `to` holds `[tiles][width]`.
#[inline(always)]
pub(in super::super) unsafe fn products<V: Lanes, const TILE: usize, const VECTORS: usize>(
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
#[inline(always)]
pub(in super::super) unsafe fn scatter<V: Lanes, const VECTORS: usize>(with: &Scatter, output: *mut f32) {
    for vector in 0..VECTORS {
        let first = vector * V::COUNT;
        if first >= with.channels {
            return;
        }
        let count = V::COUNT.min(with.channels - first);
        // SAFETY: the contract of this function.
        unsafe {
            let input = with.input.as_ptr().add(first);
            let load = |z: usize, y: usize, x: usize| V::load(input.add((z * 16 + y * 4 + x) * with.pitch));
            let zero = V::splat(0.0);
            // `[z][x]` of each y.
            let mut planes = [[[zero; 2]; 2]; 4];
            for (y, plane) in planes.iter_mut().enumerate() {
                let mut lines = [[zero; 2]; 4];
                for (x, line) in lines.iter_mut().enumerate() {
                    *line = output_axis([load(0, y, x), load(1, y, x), load(2, y, x), load(3, y, x)]);
                }
                for (z, plane) in plane.iter_mut().enumerate() {
                    *plane = output_axis([lines[0][z], lines[1][z], lines[2][z], lines[3][z]]);
                }
            }
            let bias = V::load(with.bias.as_ptr().add(first));
            for z in 0..2 {
                for x in 0..2 {
                    let values = output_axis([0, 1, 2, 3].map(|y| planes[y][z][x]));
                    for (y, value) in values.into_iter().enumerate() {
                        if let Some(to) = with.voxels[z * 4 + y * 2 + x] {
                            store_finished(value.add(bias), &with.finish, to + first, count, output);
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
#[inline(always)]
pub(in super::super) unsafe fn spread<V: Lanes, const VECTORS: usize>(with: &Spread, to: *mut f32) {
    for vector in 0..VECTORS {
        let first = vector * V::COUNT;
        let count = V::COUNT.min(with.channels.saturating_sub(first));
        // SAFETY: the contract of this function.
        unsafe {
            let zero = V::splat(0.0);
            let values = with.voxels.map(|voxel| match voxel {
                Some(at) if count > 0 => V::load_first(with.gradient.as_ptr().add(at + first), count),
                _ => zero,
            });
            // `[z][x]` of each y.
            let mut planes = [[[zero; 2]; 2]; 4];
            for z in 0..2 {
                for x in 0..2 {
                    let line = gradient_axis([values[z * 4 + x], values[z * 4 + 2 + x]]);
                    (0..4).for_each(|y| planes[y][z][x] = line[y]);
                }
            }
            for (y, plane) in planes.into_iter().enumerate() {
                let [near, far] = plane.map(|line| gradient_axis(line));
                for x in 0..4 {
                    for (z, value) in gradient_axis([near[x], far[x]]).into_iter().enumerate() {
                        value.store(to.add((z * 16 + y * 4 + x) * with.pitch + first));
                    }
                }
            }
        }
    }
}
