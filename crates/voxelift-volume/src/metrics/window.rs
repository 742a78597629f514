//! Means, variances and covariance of two images under a moving Gaussian window.
//!
//! The window is that of Wang et al. (IEEE TIP 2004): sigma 1.5 voxels, cut at 3.5 sigma, hence 11 voxels an
//! axis, weights summing to one. Only windows that lie wholly inside the images are visited, so no boundary
//! rule enters a score.

use rayon::prelude::*;

const SIGMA: f64 = 1.5;

/// Voxels from a window's centre to its edge: `round(3.5 sigma)`.
pub(super) const RADIUS: usize = 5;

/// How many f64 planes are filtered: the means of R, X, R^2, X^2 and R X.
const FIELDS: usize = 5;

/// Voxels of a plane that are summed over z together, so that the accumulators stay in the nearest cache.
const BLOCK: usize = 128;

/// What one window sees of a reference R and an image X.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub mean_r: f64,
    pub mean_x: f64,
    pub var_r: f64,
    pub var_x: f64,
    pub covariance: f64,
}

/// The windows along one row: their moments, and the voxel at the centre of the first.
pub(super) struct Row<'a> {
    fields: [&'a [f64]; FIELDS],
    /// Position of the first window's centre in the volumes' data; the others follow it along x.
    pub first: usize,
}

impl Row<'_> {
    pub fn len(&self) -> usize {
        self.fields[0].len()
    }

    pub fn moments(&self, i: usize) -> Moments {
        let [r, x, rr, xx, rx] = self.fields.map(|f| f[i]);
        Moments {
            mean_r: r,
            mean_x: x,
            var_r: rr - r * r,
            var_x: xx - x * x,
            covariance: rx - r * x,
        }
    }
}

/// Visits every window of two volumes, one plane of windows after the other in parallel, and returns what each
/// plane left in its own `S`, in order of z: the result does not depend on the number of threads.
///
/// `radius` is [`RADIUS`] on an axis, or 0 where the window is one voxel thick. Planes are empty when the
/// volumes are smaller than the window.
///
/// # Shapes
/// Both slices hold `extent` voxels, x fastest.
pub(super) fn scan<S: Default + Send>(
    reference: &[f32],
    image: &[f32],
    extent: [usize; 3],
    radius: [usize; 3],
    visit: impl Fn(&mut S, &Row<'_>) + Sync,
) -> Vec<S> {
    assert_eq!(
        reference.len(),
        image.len(),
        "two images of different size under one window"
    );
    assert_eq!(
        reference.len(),
        extent.iter().product::<usize>(),
        "the voxels do not fill {extent:?}"
    );
    if (0..3).any(|a| extent[a] <= 2 * radius[a]) {
        return Vec::new();
    }
    let [nx, ny, nz] = extent;
    let plane = nx * ny;
    let [tx, ty, tz] = radius.map(taps);
    let (columns, rows) = (nx - 2 * radius[0], ny - 2 * radius[1]);
    (0..nz - 2 * radius[2])
        .into_par_iter()
        .map_init(
            || Buffers::new(plane, nx, columns),
            |buffers, z| {
                let slab = z * plane..(z + tz.len()) * plane;
                buffers.sum_over_z(&reference[slab.clone()], &image[slab], &tz);
                let mut state = S::default();
                for y in 0..rows {
                    buffers.sum_over_y(y, nx, &ty);
                    buffers.sum_over_x(&tx);
                    let first = (z + radius[2]) * plane + (y + radius[1]) * nx + radius[0];
                    visit(
                        &mut state,
                        &Row {
                            fields: buffers.windows.each_ref().map(Vec::as_slice),
                            first,
                        },
                    );
                }
                state
            },
        )
        .collect()
}

/// The voxel that index `i` of a line of `n` stands for when the line is mirrored at its ends, the outermost voxels
/// repeated (half-sample; SciPy's `reflect`).
pub(super) fn mirrored(i: isize, n: usize) -> usize {
    let phase = i.rem_euclid(2 * n as isize) as usize;
    phase.min(2 * n - 1 - phase)
}

/// The window's weights along one axis.
fn taps(radius: usize) -> Vec<f64> {
    let weight = |i: usize| (-0.5 * ((i as f64 - radius as f64) / SIGMA).powi(2)).exp();
    let total: f64 = (0..=2 * radius).map(weight).sum();
    (0..=2 * radius).map(|i| weight(i) / total).collect()
}

/// The buffers of one worker: a plane summed over z, one of its rows summed over y, and that summed over x.
struct Buffers {
    planes: [Vec<f64>; FIELDS],
    row: [Vec<f64>; FIELDS],
    windows: [Vec<f64>; FIELDS],
}

impl Buffers {
    fn new(plane: usize, nx: usize, columns: usize) -> Self {
        let zeros = |n: usize| std::array::from_fn(|_| vec![0.0; n]);
        Self {
            planes: zeros(plane),
            row: zeros(nx),
            windows: zeros(columns),
        }
    }

    fn sum_over_z(&mut self, reference: &[f32], image: &[f32], taps: &[f64]) {
        let plane = self.planes[0].len();
        for start in (0..plane).step_by(BLOCK) {
            let block = start..plane.min(start + BLOCK);
            let mut sums = [[0.0; BLOCK]; FIELDS];
            for (slice, &weight) in taps.iter().enumerate() {
                let at = slice * plane;
                let r_row = &reference[at + block.start..at + block.end];
                let x_row = &image[at + block.start..at + block.end];
                let [r_sum, x_sum, rr_sum, xx_sum, rx_sum] = &mut sums;
                for (i, (&r, &x)) in r_row.iter().zip(x_row).enumerate() {
                    let (r, x) = (f64::from(r), f64::from(x));
                    let (weighted_r, weighted_x) = (weight * r, weight * x);
                    r_sum[i] += weighted_r;
                    x_sum[i] += weighted_x;
                    rr_sum[i] += weighted_r * r;
                    xx_sum[i] += weighted_x * x;
                    rx_sum[i] += weighted_r * x;
                }
            }
            for (plane, sum) in self.planes.iter_mut().zip(&sums) {
                plane[block.clone()].copy_from_slice(&sum[..block.len()]);
            }
        }
    }

    fn sum_over_y(&mut self, y: usize, nx: usize, taps: &[f64]) {
        for (plane, row) in self.planes.iter().zip(&mut self.row) {
            row.fill(0.0);
            for (source, &weight) in plane[y * nx..].chunks_exact(nx).zip(taps) {
                row.iter_mut().zip(source).for_each(|(sum, v)| *sum += weight * v);
            }
        }
    }

    fn sum_over_x(&mut self, taps: &[f64]) {
        for (row, windows) in self.row.iter().zip(&mut self.windows) {
            windows.fill(0.0);
            for (shift, &weight) in taps.iter().enumerate() {
                windows
                    .iter_mut()
                    .zip(&row[shift..])
                    .for_each(|(sum, v)| *sum += weight * v);
            }
        }
    }
}
