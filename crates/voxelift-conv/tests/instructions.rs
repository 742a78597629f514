//! The switch that leaves out AVX-512. Alone in its process, which it holds for.

use burn::Tensor;
use burn::tensor::{Device, TensorData};
use voxelift_conv::{Activation, ProductFormat, conv3d, without_avx512};

fn values(shape: [usize; 5]) -> Tensor<5> {
    let len = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

#[test]
fn without_avx512_no_product_is_of_bf16_and_results_stay_as_they_are_to_rounding() {
    let convolved = || -> Vec<f32> {
        let (x, weight) = (values([1, 16, 8, 8, 8]), values([16, 16, 3, 3, 3]));
        let y = conv3d(x, weight, None, [1; 3], Activation::None);
        y.into_data().try_to_vec().expect("f32 values")
    };
    let with = convolved();
    without_avx512();
    // The only products of bf16 that there are here are those of AVX-512.
    assert!(!ProductFormat::Bf16.is_present());
    let without = convolved();
    let largest = with.iter().fold(0.0_f32, |top, value| top.max(value.abs()));
    let differ = with.iter().zip(&without).map(|(a, b)| (a - b).abs());
    assert!(largest > 1.0 && differ.fold(0.0_f32, f32::max) < 1e-5 * largest);
}
