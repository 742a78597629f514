//! The convolution op through burn: values, gradients, laws, threads.

use std::cell::Cell;

use burn::Tensor;
use burn::tensor::module::conv3d as burn_conv3d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, TensorData};
use voxelift_conv::{
    Activation, Affine, ProductFormat, computing_in, conv3d, conv3d_add, conv3d_shuffle, rcab, voxel_shuffle,
};

const STRIDES: [[usize; 3]; 3] = [[1, 1, 1], [2, 2, 2], [1, 2, 2]];

fn device() -> Device {
    Device::flex()
}

thread_local! {
    /// Tensors drawn by this test so far: every run of a test draws the same.
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    // A linear congruential generator (Knuth's constants), one seed a tensor.
    let mut state = DRAWN.replace(DRAWN.get() + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32 values")
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
    for format in [ProductFormat::F32, ProductFormat::Bf16] {
        for kernel in [[3; 3], [1, 3, 3]] {
            no_thread_changes_a_bit(format, kernel);
        }
    }
}

fn no_thread_changes_a_bit(format: ProductFormat, kernel: [usize; 3]) {
    let results: Vec<[Vec<f32>; 4]> = [1, 2, 4]
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            let work = || {
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
                let (x, weight) = (
                    tensor([3, 16, 12, 13, 14]),
                    tensor([24, 16, kernel[0], kernel[1], kernel[2]]),
                );
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
            };
            pool.install(|| computing_in(format, work))
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

#[test]
fn a_closing_convolution_adds_the_skip() {
    let device = device().autodiff();
    for channels_out in [1, 6, 16] {
        let x = random([2, 7, 5, 4, 6], &device).require_grad();
        let weight = random([channels_out, 7, 3, 3, 3], &device).require_grad();
        let bias = random([channels_out], &device).require_grad();
        let skip = random([2, channels_out, 5, 4, 6], &device).require_grad();
        let result = |y: Tensor<5>| {
            let gradients = (y.clone() * y.clone() + y.clone()).sum().backward();
            [
                values(y),
                values(x.grad(&gradients).expect("dx")),
                values(weight.grad(&gradients).expect("dw")),
                values(bias.grad(&gradients).expect("db")),
                values(skip.grad(&gradients).expect("dskip")),
            ]
        };
        let fused = result(conv3d_add(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            skip.clone(),
        ));
        let apart = burn_reference(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            [1; 3],
            Activation::None,
        ) + skip.clone();
        for (index, (found, expected)) in fused.iter().zip(&result(apart)).enumerate() {
            assert_close(
                &format!("{channels_out} channels, result {index}"),
                found,
                expected,
            );
        }
    }
}

#[test]
fn a_shuffled_convolution_is_its_parts() {
    let device = device().autodiff();
    for (channels, scale) in [(3, [2, 2, 2]), (1, [1, 2, 2]), (16, [2, 1, 3])] {
        let sub_voxels: usize = scale.iter().product();
        let x = random([2, 5, 4, 3, 6], &device).require_grad();
        let weight = random([channels * sub_voxels, 5, 3, 3, 3], &device).require_grad();
        let bias = random([channels * sub_voxels], &device).require_grad();
        let result = |y: Tensor<5>| {
            let gradients = (y.clone() * y.clone() + y.clone()).sum().backward();
            [
                values(y),
                values(x.grad(&gradients).expect("dx")),
                values(weight.grad(&gradients).expect("dw")),
                values(bias.grad(&gradients).expect("db")),
            ]
        };
        let fused = result(conv3d_shuffle(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            scale,
        ));
        let apart = burn_reference(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            [1; 3],
            Activation::None,
        );
        let apart = result(voxel_shuffle(apart, scale));
        for (index, (found, expected)) in fused.iter().zip(&apart).enumerate() {
            assert_close(&format!("scale {scale:?}, result {index}"), found, expected);
        }
    }
}

/// The block from burn's own operations.
fn burn_rcab(x: Tensor<5>, [conv1, conv2, down, up]: [Affine; 4]) -> Tensor<5> {
    let conv =
        |x, (weight, bias): Affine, activation| burn_reference(x, weight, Some(bias), [1; 3], activation);
    let branch = conv(conv(x.clone(), conv1, Activation::Relu), conv2, Activation::None);
    let mean = branch.clone().mean_dims(&[2, 3, 4]);
    let scale = conv(conv(mean, down, Activation::Relu), up, Activation::None);
    x + branch * burn::tensor::activation::sigmoid(scale)
}

fn layers(feats: usize, narrow: usize, kernel: [usize; 3], device: &Device) -> [Affine; 4] {
    let [kz, ky, kx] = kernel;
    [
        [feats, feats, kz, ky, kx],
        [feats, feats, kz, ky, kx],
        [narrow, feats, 1, 1, 1],
        [feats, narrow, 1, 1, 1],
    ]
    .map(|shape| {
        (
            random(shape, device).require_grad(),
            random([shape[0]], device).require_grad(),
        )
    })
}

#[test]
fn the_attention_block_is_its_parts() {
    let device = device().autodiff();
    for (feats, narrow, kernel, size) in [
        (8, 4, [3, 3, 3], [5, 6, 7]),
        (16, 4, [3, 3, 3], [4, 4, 4]),
        (5, 2, [1, 3, 3], [1, 9, 8]),
    ] {
        let layers = layers(feats, narrow, kernel, &device);
        let x = random([3, feats, size[0], size[1], size[2]], &device).require_grad();
        let result = |y: Tensor<5>| {
            let gradients = (y.clone() * y.clone() + y.clone()).sum().backward();
            let mut results = vec![values(y), values(x.grad(&gradients).expect("dx"))];
            for (weight, bias) in &layers {
                results.push(values(weight.grad(&gradients).expect("a weight's gradient")));
                results.push(values(bias.grad(&gradients).expect("a bias's gradient")));
            }
            results
        };
        let [conv1, conv2, down, up] = layers.clone();
        let fused = result(rcab(x.clone(), conv1, conv2, down, up));
        let apart = result(burn_rcab(x.clone(), layers.clone()));
        for (index, (found, expected)) in fused.iter().zip(&apart).enumerate() {
            assert_close(&format!("{feats} feats, result {index}"), found, expected);
        }
    }
}

#[test]
fn an_attention_block_with_constant_weights_passes_the_gradient() {
    let device = device().autodiff();
    let layers = layers(8, 4, [3; 3], &device);
    let x = random([1, 8, 4, 4, 4], &device).require_grad();
    let result = |layers: [Affine; 4]| {
        let [conv1, conv2, down, up] = layers;
        let gradients = rcab(x.clone(), conv1, conv2, down, up).square().sum().backward();
        values(x.grad(&gradients).expect("dx"))
    };
    let constant = layers
        .clone()
        .map(|(weight, bias)| (weight.detach(), bias.detach()));
    assert_eq!(result(layers), result(constant));
}

#[test]
fn the_format_of_products_holds_for_the_work_given_and_its_gradients() {
    let device = device().autodiff();
    let (x, weight) = (
        random([1, 16, 6, 6, 6], &device).require_grad(),
        random([16, 16, 3, 3, 3], &device),
    );
    let output = || conv3d(x.clone(), weight.clone(), None, [1; 3], Activation::None);
    let before = values(output());
    let (rounded, gradient) = computing_in(ProductFormat::Bf16, || {
        let y = output();
        (values(y.clone()), y)
    });
    // Outside of the work: the gradient follows the format that its output was computed in.
    let gradient = values(x.grad(&gradient.sum().backward()).expect("dx"));
    let whole = values(x.grad(&output().sum().backward()).expect("dx"));
    assert_eq!(values(output()), before);
    let differs = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| a != b);
    assert_eq!(differs(&rounded, &before), ProductFormat::Bf16.is_present());
    assert_eq!(differs(&gradient, &whole), ProductFormat::Bf16.is_present());
    let most = rounded
        .iter()
        .zip(&before)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(most < 0.2, "{most}");
}
