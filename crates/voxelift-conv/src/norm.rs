//! Layer 2 · Normalisation of a convolution's result and its activation, in one pass over the voxels each way.
//!
//! `y = activation(w (x - mean) / sqrt(variance + 1e-5) + b)`, the variance biased. All that the voxels contribute to
//! either direction are two sums for each channel of each sample, taken in f64 plane by plane and added in order.

use rayon::prelude::*;

use crate::layout::Extent;

/// Added to the variance.
pub(crate) const EPSILON: f64 = 1e-5;

/// Which values share a mean and a variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Channels and space of each sample.
    Sample,
    /// Samples and space of each channel.
    Channel,
    /// Space of each channel of each sample.
    Each,
}

/// Sizes, and what is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormPlan {
    pub extent: Extent,
    pub over: Statistics,
    /// Factor of values below zero, above zero itself.
    pub slope: f32,
}

/// For each channel of each sample the mean and `1 / sqrt(variance + 1e-5)`.
#[derive(Clone, Debug)]
pub(crate) struct Moments(Vec<[f64; 2]>);

/// Gradients of `x` `[N,Z,Y,X,C]`, weight and bias.
pub(crate) struct NormGradients {
    pub x: Vec<f32>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// # Shapes
/// `x` and the result `[N,Z,Y,X,C]`.
pub(crate) fn forward(plan: &NormPlan, x: &[f32], (weight, bias): (&[f32], &[f32])) -> (Vec<f32>, Moments) {
    let moments = Moments(plan.moments(x));
    let lines = plan.lines(&moments, weight, bias);
    let mut y = vec![0.0; x.len()];
    plan.each_plane(&mut y, |sample, at, plane| {
        let lines = &lines[sample * plan.extent.channels..];
        for (to, x) in plane
            .chunks_exact_mut(plan.extent.channels)
            .zip(x[at..].chunks_exact(plan.extent.channels))
        {
            for ((to, x), [factor, offset]) in to.iter_mut().zip(x).zip(lines) {
                let value = x * factor + offset;
                *to = if value > 0.0 { value } else { value * plan.slope };
            }
        }
    });
    (y, moments)
}

/// From the gradient of `y`.
pub(crate) fn backward(
    plan: &NormPlan,
    x: &[f32],
    moments: &Moments,
    (weight, bias): (&[f32], &[f32]),
    gradient: &[f32],
) -> NormGradients {
    let channels = plan.extent.channels;
    let lines = plan.lines(moments, weight, bias);
    let gated = |x: f32, g: f32, [factor, offset]: [f32; 2]| {
        if x * factor + offset > 0.0 {
            g
        } else {
            g * plan.slope
        }
    };
    // Sums of the gradient g behind the activation, and of g (x - mean) / deviation.
    let sums = plan.sums(|sample, at| {
        let lines = &lines[sample * channels..][..channels];
        let moments = &moments.0[sample * channels..][..channels];
        let (x, gradient) = (&x[at..][..channels], &gradient[at..][..channels]);
        move |channel: usize| {
            let (x, g) = (x[channel], gradient[channel]);
            let g = f64::from(gated(x, g, lines[channel]));
            let [mean, inverse] = moments[channel];
            [g, g * (f64::from(x) - mean) * inverse]
        }
    });
    let weighted: Vec<[f64; 2]> = sums
        .iter()
        .enumerate()
        .map(|(at, sums)| sums.map(|sum| sum * f64::from(weight[at % channels])))
        .collect();
    let means = plan.shared(&weighted);
    // dx = w g / deviation - (mean of w g + normalised x * mean of w g normalised x) / deviation.
    let coefficients: Vec<[f32; 3]> = moments
        .0
        .iter()
        .zip(&means)
        .enumerate()
        .map(|(at, ([mean, inverse], [first, second]))| {
            let factor = f64::from(weight[at % channels]) * inverse;
            let slope = -inverse * inverse * second;
            [factor, slope, -inverse * first - slope * mean].map(|value| value as f32)
        })
        .collect();
    let mut of_x = vec![0.0; x.len()];
    plan.each_plane(&mut of_x, |sample, at, plane| {
        let lines = &lines[sample * channels..];
        let coefficients = &coefficients[sample * channels..];
        for (voxel, to) in plane.chunks_exact_mut(channels).enumerate() {
            let at = at + voxel * channels;
            let inputs = x[at..].iter().zip(&gradient[at..]);
            for (((to, (x, g)), line), [factor, slope, offset]) in
                to.iter_mut().zip(inputs).zip(lines).zip(coefficients)
            {
                *to = factor * gated(*x, *g, *line) + slope * x + offset;
            }
        }
    });
    let of_channel = |which: usize| {
        (0..channels)
            .map(|channel| {
                let samples = sums.iter().skip(channel).step_by(channels);
                samples.map(|sums| sums[which]).sum::<f64>() as f32
            })
            .collect()
    };
    NormGradients {
        x: of_x,
        weight: of_channel(1),
        bias: of_channel(0),
    }
}

impl NormPlan {
    fn moments(&self, x: &[f32]) -> Vec<[f64; 2]> {
        let sums = self.sums(|_, at| {
            let x = &x[at..][..self.extent.channels];
            move |channel: usize| {
                let x = f64::from(x[channel]);
                [x, x * x]
            }
        });
        let means = self.shared(&sums).into_iter();
        means
            .map(|[mean, square]| [mean, 1.0 / ((square - mean * mean).max(0.0) + EPSILON).sqrt()])
            .collect()
    }

    /// `value factor + offset` for each channel of each sample: normalisation, weight and bias.
    fn lines(&self, moments: &Moments, weight: &[f32], bias: &[f32]) -> Vec<[f32; 2]> {
        let channel = |at: usize| at % self.extent.channels;
        let line = |(at, [mean, inverse]): (usize, &[f64; 2])| {
            let factor = f64::from(weight[channel(at)]) * inverse;
            [
                factor as f32,
                (f64::from(bias[channel(at)]) - factor * mean) as f32,
            ]
        };
        moments.0.iter().enumerate().map(line).collect()
    }

    /// Sums over the voxels of each channel of each sample; `voxel(sample, offset)` returns them by channel.
    fn sums<V: Fn(usize) -> [f64; 2]>(&self, voxel: impl Fn(usize, usize) -> V + Sync) -> Vec<[f64; 2]> {
        let Extent {
            batch,
            channels,
            size: [depth, height, width],
        } = self.extent;
        let plane = height * width;
        let sum = |rank: usize| {
            let mut sums = vec![[0.0; 2]; channels];
            for place in rank * plane..(rank + 1) * plane {
                let of = voxel(rank / depth, place * channels);
                for (channel, [first, second]) in sums.iter_mut().enumerate() {
                    let [a, b] = of(channel);
                    *first += a;
                    *second += b;
                }
            }
            sums
        };
        let planes: Vec<Vec<[f64; 2]>> = (0..batch * depth).into_par_iter().map(sum).collect();
        let mut total = vec![[0.0; 2]; batch * channels];
        for (rank, sums) in planes.iter().enumerate() {
            for (total, sums) in total[rank / depth * channels..].iter_mut().zip(sums) {
                (0..2).for_each(|which| total[which] += sums[which]);
            }
        }
        total
    }

    /// Means over all values that share them, from sums for each channel of each sample.
    fn shared(&self, sums: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let Extent { batch, channels, .. } = self.extent;
        let group = |at: usize| match self.over {
            Statistics::Sample => at / channels,
            Statistics::Channel => at % channels,
            Statistics::Each => at,
        };
        let mut groups = vec![[0.0; 2]; batch * channels];
        for (at, sums) in sums.iter().enumerate() {
            (0..2).for_each(|which| groups[group(at)][which] += sums[which]);
        }
        let count = match self.over {
            Statistics::Sample => channels * self.extent.voxels(),
            Statistics::Channel => batch * self.extent.voxels(),
            Statistics::Each => self.extent.voxels(),
        };
        (0..batch * channels)
            .map(|at| groups[group(at)].map(|sum| sum / count as f64))
            .collect()
    }

    /// Calls `fill(sample, offset, plane)` on every plane.
    fn each_plane(&self, values: &mut [f32], fill: impl Fn(usize, usize, &mut [f32]) + Sync) {
        let Extent {
            channels,
            size: [depth, height, width],
            ..
        } = self.extent;
        let plane = height * width * channels;
        values
            .par_chunks_exact_mut(plane)
            .enumerate()
            .for_each(|(rank, values)| fill(rank / depth, rank * plane, values));
    }
}
