//! Normalisation with its activation as one op: values and all three gradients against differences of an f64 sum.

use burn::Tensor;
use voxelift_conv::{Activation, Statistics, normalised};

use crate::golden::{assert_close, formula};

const SHAPE: [usize; 5] = [2, 3, 2, 3, 4];
const SLOPE: f64 = 0.2;

/// `[N,C,Z,Y,X]` values, one weight and bias a channel.
fn naive(x: &[f64], weight: &[f64], bias: &[f64], over: Statistics) -> Vec<f64> {
    let [_, channels, z, y, x_size] = SHAPE;
    let voxels = z * y * x_size;
    let group = |at: usize| match over {
        Statistics::Sample => at / voxels / channels,
        Statistics::Channel => at / voxels % channels,
        Statistics::Each => at / voxels,
    };
    (0..x.len())
        .map(|at| {
            let members: Vec<f64> = (0..x.len())
                .filter(|&i| group(i) == group(at))
                .map(|i| x[i])
                .collect();
            let count = members.len() as f64;
            let mean = members.iter().sum::<f64>() / count;
            let variance = members.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            let channel = at / voxels % channels;
            let value = weight[channel] * (x[at] - mean) / (variance + 1e-5).sqrt() + bias[channel];
            if value > 0.0 { value } else { SLOPE * value }
        })
        .collect()
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.clone().inner().into_data().iter::<f64>().collect()
}

#[test]
fn normalisation_and_its_gradients_are_those_of_the_sums() {
    let factors = formula(SHAPE, "factors", 1.0);
    for over in [Statistics::Sample, Statistics::Channel, Statistics::Each] {
        let x = (formula(SHAPE, "x", 2.0) + 0.7).require_grad();
        let weight = (formula([3], "weight", 1.0) + 1.5).require_grad();
        let bias = formula([3], "bias", 0.3).require_grad();
        let leaky = Activation::LeakyRelu(SLOPE as f32);
        let y = normalised(x.clone(), (weight.clone(), bias.clone()), over, leaky);
        let values = [numbers(&x), numbers(&weight), numbers(&bias)];
        let [xs, weights, biases] = &values;
        assert_close(
            &format!("{over:?}"),
            y.clone(),
            &naive(xs, weights, biases, over),
            1e-5,
        );

        let gradients = (y * factors.clone()).sum().backward();
        let found = [
            numbers(&x.grad(&gradients).expect("of x")),
            numbers(&weight.grad(&gradients).expect("of the weight")),
            numbers(&bias.grad(&gradients).expect("of the bias")),
        ];
        let sum = |values: &[Vec<f64>; 3]| -> f64 {
            let y = naive(&values[0], &values[1], &values[2], over);
            y.iter().zip(numbers(&factors)).map(|(y, f)| y * f).sum()
        };
        for (which, found) in found.iter().enumerate() {
            for (at, found) in found.iter().enumerate() {
                let step = 1e-6;
                let mut moved = values.clone();
                moved[which][at] += step;
                let above = sum(&moved);
                moved[which][at] -= 2.0 * step;
                let expected = (above - sum(&moved)) / (2.0 * step);
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{over:?}, gradient {which}, {at}: {found}, expected {expected}"
                );
            }
        }
    }
}
