//! The convolution op through burn: values, gradients, laws, threads.

use burn::Tensor;
use burn::tensor::module::conv3d as burn_conv3d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, TensorData};
use voxelift_model::conv::{Activation, conv3d};

const STRIDES: [[usize; 3]; 3] = [[1, 1, 1], [2, 2, 2], [1, 2, 2]];

fn device() -> Device {
    Device::flex()
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("f32 values")
}

fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let scale = expected.iter().fold(1e-3f32, |top, value| top.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5 * scale,
            "{name}[{index}]: {found}, expected {expected}"
        );
    }
}

fn burn_reference(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
    activation: Activation,
) -> Tensor<5> {
    let [_, _, kz, ky, kx] = weight.dims();
    let options = ConvOptions::new(stride, [kz / 2, ky / 2, kx / 2], [1; 3], 1);
    let y = burn_conv3d(x, weight, bias, options);
    match activation {
        Activation::None => y,
        Activation::Relu => burn::tensor::activation::relu(y),
        Activation::LeakyRelu(slope) => burn::tensor::activation::leaky_relu(y, slope.into()),
    }
}

#[test]
fn values_and_gradients_are_burns_own() {
    let device = device().autodiff();
    for (channels_in, channels_out, kernel) in [
        (3, 5, [3, 3, 3]),
        (1, 16, [1, 3, 3]),
        (16, 1, [3, 3, 3]),
        (8, 8, [1, 1, 1]),
    ] {
        for stride in STRIDES {
            for activation in [Activation::None, Activation::Relu, Activation::LeakyRelu(0.2)] {
                let x = random([2, channels_in, 5, 6, 7], &device).require_grad();
                let weight = random(
                    [channels_out, channels_in, kernel[0], kernel[1], kernel[2]],
                    &device,
                )
                .require_grad();
                let bias = random([channels_out], &device).require_grad();
                let result = |conv: fn(
                    Tensor<5>,
                    Tensor<5>,
                    Option<Tensor<1>>,
                    [usize; 3],
                    Activation,
                ) -> Tensor<5>| {
                    let y = conv(x.clone(), weight.clone(), Some(bias.clone()), stride, activation);
                    // A loss whose gradient differs from voxel to voxel.
                    let gradients = (y.clone() * y.clone() + y.clone()).sum().backward();
                    [
                        values(y),
                        values(x.grad(&gradients).expect("dx")),
                        values(weight.grad(&gradients).expect("dw")),
                        values(bias.grad(&gradients).expect("db")),
                    ]
                };
                let (found, expected) = (result(conv3d), result(burn_reference));
                for (index, name) in ["y", "dx", "dw", "db"].iter().enumerate() {
                    let name = format!("{name} {channels_in}->{channels_out} {stride:?} {activation:?}");
                    assert_close(&name, &found[index], &expected[index]);
                }
            }
        }
    }
}

#[test]
fn gradients_are_adjoint_to_the_map() {
    let device = device().autodiff();
    for stride in STRIDES {
        let x = random([2, 12, 9, 8, 11], &device).require_grad();
        let weight = random([20, 12, 3, 3, 3], &device).require_grad();
        let y = conv3d(x.clone(), weight.clone(), None, stride, Activation::None);
        let g = random(y.dims(), &device);
        let product = (y * g).sum();
        let gradients = product.backward();
        let y_g = values(product)[0];
        let x_dx = values((x.clone().inner() * x.grad(&gradients).expect("dx")).sum())[0];
        let w_dw = values((weight.clone().inner() * weight.grad(&gradients).expect("dw")).sum())[0];
        // Sums of some 10^7 products of random signs: their size is their number's root.
        assert!(
            (y_g - x_dx).abs() < 1.0 && (y_g - w_dw).abs() < 1.0,
            "{y_g} {x_dx} {w_dw}"
        );
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let results: Vec<[Vec<f32>; 4]> = [1, 2, 4]
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            pool.install(|| {
                let device = device().autodiff();
                let numbers = |len: usize| {
                    (0..len)
                        .map(|i| ((i * 7919) % 1013) as f32 / 507.0 - 1.0)
                        .collect()
                };
                let tensor = |shape: [usize; 5]| {
                    let numbers: Vec<f32> = numbers(shape.iter().product());
                    Tensor::<5>::from_data(TensorData::new(numbers, shape), &device).require_grad()
                };
                let (x, weight) = (tensor([3, 16, 12, 13, 14]), tensor([24, 16, 3, 3, 3]));
                let bias: Vec<f32> = numbers(24);
                let bias = Tensor::<1>::from_data(TensorData::new(bias, [24]), &device).require_grad();
                let y = conv3d(
                    x.clone(),
                    weight.clone(),
                    Some(bias.clone()),
                    [1; 3],
                    Activation::LeakyRelu(0.2),
                );
                let gradients = (y.clone() * y.clone()).sum().backward();
                [
                    values(y),
                    values(x.grad(&gradients).expect("dx")),
                    values(weight.grad(&gradients).expect("dw")),
                    values(bias.grad(&gradients).expect("db")),
                ]
            })
        })
        .into();
    assert!(
        results[0] == results[1] && results[0] == results[2],
        "results differ with the number of threads"
    );
}

#[test]
fn constants_get_no_gradient_and_stop_nothing() {
    let device = device().autodiff();
    let x = random([1, 2, 4, 4, 4], &device);
    let weight = random([3, 2, 3, 3, 3], &device).require_grad();
    let y = conv3d(x.clone(), weight.clone(), None, [1; 3], Activation::Relu);
    let gradients = y.sum().backward();
    assert!(x.grad(&gradients).is_none() && weight.grad(&gradients).is_some());
}

#[test]
fn any_memory_order_is_read() {
    let device = device();
    let x = random([2, 4, 5, 6, 3], &device);
    let weight = random([5, 4, 3, 3, 3], &device);
    let expected = values(conv3d(x.clone(), weight.clone(), None, [1; 3], Activation::None));
    // Channels-last memory under the same logical shape, and memory in no order that the kernels know.
    for order in [[0, 2, 3, 4, 1], [4, 1, 0, 2, 3]] {
        let mut back = [0; 5];
        order
            .iter()
            .enumerate()
            .for_each(|(to, &from)| back[from as usize] = to as isize);
        let stored: Vec<f32> = values(x.clone().permute(order));
        let shape = order.map(|axis: isize| x.dims()[axis as usize]);
        let view = Tensor::<5>::from_data(TensorData::new(stored, shape), &device).permute(back);
        assert_eq!(
            values(conv3d(view, weight.clone(), None, [1; 3], Activation::None)),
            expected,
            "{order:?}"
        );
    }
}

#[test]
#[should_panic(expected = "input [1, 2, 4, 4, 4], weight [3, 5, 3, 3, 3]")]
fn shapes_that_do_not_belong_together_are_named() {
    let device = device();
    conv3d(
        random([1, 2, 4, 4, 4], &device),
        random([3, 5, 3, 3, 3], &device),
        None,
        [1; 3],
        Activation::None,
    );
}
