//! What happens to the spectrum of one line of voxels.

use std::f64::consts::PI;
use std::sync::Arc;

use rustfft::{Fft, FftPlanner, num_complex::Complex};

/// A real linear operator on lines: transform, move and weigh the bins, transform back.
pub struct Line {
    source: usize,
    target: usize,
    /// `None` where the operator leaves a line as it is.
    transform: Option<Transform>,
}

struct Transform {
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    bins: Vec<Bin>,
    /// Whether the transforms are of the lines with their mirror images behind them, twice as long.
    mirrored: bool,
}

/// Bin `from` of the line's spectrum, times `factor`, is added to bin `to` of the result's.
struct Bin {
    from: usize,
    to: usize,
    factor: Complex<f64>,
}

/// Working space of one task.
#[derive(Default)]
pub struct Scratch {
    source: Vec<Complex<f64>>,
    target: Vec<Complex<f64>>,
    fft: Vec<Complex<f64>>,
}

impl Line {
    /// From `n` to `m` voxels over the same field of view, by truncation or zero-filling.
    pub fn resize(n: usize, m: usize) -> Self {
        if n == m {
            return Self {
                source: n,
                target: m,
                transform: None,
            };
        }
        let bin = |k: i64, weight: f64| {
            // Voxel 0 of the result lies (n/m - 1)/2 voxels into the line; 1/n for the transform there and back,
            // where the m/n that keeps the mean has met the inverse's own 1/m.
            let turn = PI * k as f64 * (n as f64 - m as f64) / (n as f64 * m as f64);
            let factor = Complex::from_polar(weight / n as f64, turn);
            Bin {
                from: k.rem_euclid(n as i64) as usize,
                to: k.rem_euclid(m as i64) as usize,
                factor,
            }
        };
        let paired = (n.min(m) as i64 - 1) / 2;
        let mut bins: Vec<Bin> = (-paired..=paired).map(|k| bin(k, 1.0)).collect();
        if n < m && n.is_multiple_of(2) {
            let unpaired = n as i64 / 2;
            bins.extend([bin(-unpaired, 0.5), bin(unpaired, 0.5)]);
        }
        Self::with_bins(n, m, bins)
    }

    /// Each bin times `window(cycles per voxel)`; a window of 1 leaves the lines alone.
    pub fn filter(n: usize, window: impl Fn(f64) -> f64) -> Self {
        let weights: Vec<f64> = (0..n).map(|i| window(i.min(n - i) as f64 / n as f64)).collect();
        if weights.iter().all(|&w| w == 1.0) {
            return Self {
                source: n,
                target: n,
                transform: None,
            };
        }
        let bin = |(i, w): (usize, f64)| Bin {
            from: i,
            to: i,
            factor: Complex::from(w / n as f64),
        };
        Self::with_bins(n, n, weights.into_iter().enumerate().map(bin).collect())
    }

    /// From `fine` to `coarse` voxels over the same field of view by a blur of transfer function `response(cycles per
    /// fine voxel)` and a sampling at the coarse voxels' centres, or the adjoint of that, times `fine / coarse`.
    ///
    /// Frequency `k` of the fine line reaches frequency `k mod coarse` of the coarse one; the unpaired frequency of a
    /// fine line of even length reaches none.
    pub fn sampled(
        fine: usize,
        coarse: usize,
        mirrored: bool,
        adjoint: bool,
        response: impl Fn(f64) -> f64,
    ) -> Self {
        let times = if mirrored { 2 } else { 1 };
        let (n, m) = ((times * fine) as i64, (times * coarse) as i64);
        let highest = (n - 1) / 2;
        let bins = (-highest..=highest).filter_map(|k| {
            let height = response(k.abs() as f64 / n as f64);
            let turn = PI * k as f64 * (n as f64 - m as f64) / (n as f64 * m as f64);
            let (at_fine, at_coarse) = (k.rem_euclid(n) as usize, k.rem_euclid(m) as usize);
            let bin = if adjoint {
                Bin {
                    from: at_coarse,
                    to: at_fine,
                    factor: Complex::from_polar(height / m as f64, -turn),
                }
            } else {
                Bin {
                    from: at_fine,
                    to: at_coarse,
                    factor: Complex::from_polar(height / n as f64, turn),
                }
            };
            (height != 0.0).then_some(bin)
        });
        let (source, target) = if adjoint { (coarse, fine) } else { (fine, coarse) };
        Self::transformed(source, target, mirrored, bins.collect())
    }

    fn with_bins(source: usize, target: usize, bins: Vec<Bin>) -> Self {
        Self::transformed(source, target, false, bins)
    }

    fn transformed(source: usize, target: usize, mirrored: bool, bins: Vec<Bin>) -> Self {
        let mut planner = FftPlanner::new();
        let times = if mirrored { 2 } else { 1 };
        let forward = planner.plan_fft_forward(times * source);
        let inverse = planner.plan_fft_inverse(times * target);
        Self {
            source,
            target,
            transform: Some(Transform {
                forward,
                inverse,
                bins,
                mirrored,
            }),
        }
    }

    /// Voxels of a resulting line.
    pub fn target(&self) -> usize {
        self.target
    }

    /// Whether lines stay as they are.
    pub fn is_identity(&self) -> bool {
        self.transform.is_none()
    }

    /// Working space for [`Line::apply`].
    pub fn scratch(&self) -> Scratch {
        let Some(Transform { forward, inverse, .. }) = &self.transform else {
            return Scratch::default();
        };
        let fft = forward
            .get_inplace_scratch_len()
            .max(inverse.get_inplace_scratch_len());
        Scratch {
            fft: vec![Complex::default(); fft],
            ..Scratch::default()
        }
    }

    /// Treats the lines that lie one after the other in `lines`.
    pub fn apply<T: Copy + Into<f64>>(&self, scratch: &mut Scratch, lines: &[T], out: &mut [f64]) {
        let (n, m) = (self.source, self.target);
        let Some(Transform {
            forward,
            inverse,
            bins,
            mirrored,
        }) = &self.transform
        else {
            out.iter_mut()
                .zip(lines)
                .for_each(|(out, &value)| *out = value.into());
            return;
        };
        // The operator is real, so two lines travel through one complex transform, one as the imaginary part.
        let pairs = (lines.len() / n).div_ceil(2);
        let times = if *mirrored { 2 } else { 1 };
        let (long, made) = (times * n, times * m);
        let Scratch { source, target, fft } = scratch;
        source.resize(pairs * long, Complex::default());
        for (pair, source) in lines.chunks(2 * n).zip(source.chunks_exact_mut(long)) {
            let (re, im) = pair.split_at(n);
            for (i, (source, &re)) in source.iter_mut().zip(re).enumerate() {
                *source = Complex::new(re.into(), im.get(i).map_or(0.0, |&v| v.into()));
            }
            let (line, mirror) = source.split_at_mut(n);
            mirror
                .iter_mut()
                .zip(line.iter().rev())
                .for_each(|(to, from)| *to = *from);
        }
        forward.process_with_scratch(source, fft);
        target.clear();
        target.resize(pairs * made, Complex::default());
        for (source, target) in source.chunks_exact(long).zip(target.chunks_exact_mut(made)) {
            for bin in bins {
                target[bin.to] += source[bin.from] * bin.factor;
            }
        }
        inverse.process_with_scratch(target, fft);
        for (pair, target) in out.chunks_mut(2 * m).zip(target.chunks_exact(made)) {
            let (re, im) = pair.split_at_mut(m);
            re.iter_mut().zip(target).for_each(|(out, value)| *out = value.re);
            im.iter_mut().zip(target).for_each(|(out, value)| *out = value.im);
        }
    }
}
