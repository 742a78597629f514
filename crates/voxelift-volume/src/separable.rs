//! Layer 1 · One-dimensional operators along each axis of a three-dimensional array.
//!
//! Transforms, resampling and blurs are all separable: a pass along z, one along y, one along x. This is the
//! one place that visits such lines quickly; what is done to a line is up to the caller.

use rayon::prelude::*;

/// Lines handed to an operator at once: a row of 16 voxels fills a cache line or two while gathering, and
/// 16 lines of 256 complex numbers still fit the second-level cache.
const BLOCK: usize = 16;

/// Applies a one-dimensional operator along the slowest axis and turns the axes, so that this axis becomes the
/// fastest: three passes treat z, y and x in this order and leave the axes as they were.
///
/// `operator(scratch, lines, out)` gets up to sixteen lines of `extent[2]` values, one after the other, and
/// fills as many lines of `length` values. `scratch` makes a working space for each task.
/// Each task owns a contiguous part of the output, so the result does not depend on the number of threads.
///
/// # Shapes
/// `input` is `[c][b][a]` (a fastest) with `extent = [a, b, c]`; the result is `[b][a][length]`, whose extent
/// is `[length, a, b]`.
pub fn along_slowest<T, U, S>(
    input: &[T],
    extent: [usize; 3],
    length: usize,
    scratch: impl Fn() -> S + Sync + Send,
    operator: impl Fn(&mut S, &[T], &mut [U]) + Sync + Send,
) -> Vec<U>
where
    T: Copy + Default + Send + Sync,
    U: Copy + Default + Send,
{
    let [na, nb, nc] = extent;
    assert_eq!(
        input.len(),
        na * nb * nc,
        "{} values given for an array of {extent:?}",
        input.len()
    );
    assert!(
        !input.is_empty() && length > 0,
        "a pass from {extent:?} to lines of {length} has nothing to do"
    );
    let mut out = vec![U::default(); length * na * nb];
    out.par_chunks_mut(length * na).enumerate().for_each_init(
        || (vec![T::default(); nc * BLOCK.min(na)], scratch()),
        |(lines, scratch), (b, plane)| {
            for (block, out) in plane.chunks_mut(length * BLOCK).enumerate() {
                let width = out.len() / length;
                for c in 0..nc {
                    let row = &input[(c * nb + b) * na + block * BLOCK..][..width];
                    for (line, &value) in lines.chunks_exact_mut(nc).zip(row) {
                        line[c] = value;
                    }
                }
                operator(scratch, &lines[..nc * width], out);
            }
        },
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_identical_passes_restore_the_array() {
        let extent = [35, 3, 18];
        let input: Vec<u32> = (0..35 * 3 * 18).collect();
        let copy = |_: &mut (), lines: &[u32], out: &mut [u32]| out.copy_from_slice(lines);
        let first = along_slowest(&input, extent, 18, || (), copy);
        let second = along_slowest(&first, [18, 35, 3], 3, || (), copy);
        let third = along_slowest(&second, [3, 18, 35], 35, || (), copy);
        assert_eq!(third, input);
        assert_ne!(first, input);
    }

    #[test]
    fn a_pass_treats_lines_along_z_and_puts_them_first() {
        // Two columns of three: the running sum along z of (0, 2, 4) and of (1, 3, 5).
        let sums = |_: &mut (), lines: &[i32], out: &mut [i32]| {
            for (line, out) in lines.chunks_exact(3).zip(out.chunks_exact_mut(3)) {
                (0..3).for_each(|k| out[k] = line[..=k].iter().sum());
            }
        };
        let out = along_slowest(&[0, 1, 2, 3, 4, 5], [2, 1, 3], 3, || (), sums);
        assert_eq!(out, [0, 2, 6, 1, 4, 9]);
    }
}
