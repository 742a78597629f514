//! Each kernel of `voxelift-conv` by itself, through burn: `cargo bench --manifest-path benches/Cargo.toml`.

use std::hint::black_box;
use std::time::Duration;

use burn::Tensor;
use burn::tensor::{Device, Distribution};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use voxelift_conv::{
    Activation, Affine, Statistics, conv3d, conv3d_add, conv3d_shuffle, conv3d_upsample, normalised, rcab,
};

/// One convolution of batch 8 (3x3x3 taps): channels in and out, side, stride.
struct Sizes(&'static str, usize, usize, usize, usize);

/// One row for each kind of kernel.
const CONVOLUTIONS: [Sizes; 7] = [
    Sizes("winograd 16", 16, 16, 16, 1),
    Sizes("winograd 32", 32, 32, 16, 1),
    Sizes("winograd 64", 64, 64, 16, 1),
    Sizes("head 1 to 16", 1, 16, 16, 1),
    Sizes("tail 16 to 1", 16, 1, 32, 1),
    Sizes("direct 8", 8, 8, 32, 1),
    Sizes("stride 2, 16", 16, 16, 16, 2),
];

const BATCH: usize = 8;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 0.1), device)
}

fn affine(from: usize, to: usize, kernel: usize, device: &Device) -> Affine {
    (
        random([to, from, kernel, kernel, kernel], device),
        random([to], device),
    )
}

/// Forward, and each of the three gradients alone; the throughput is in floating point operations of a direct
/// convolution.
fn convolutions(criterion: &mut Criterion) {
    for Sizes(name, from, to, side, stride) in CONVOLUTIONS {
        let mut group = criterion.benchmark_group(name);
        let flop = 2 * 27 * BATCH * from * to * side.div_ceil(stride).pow(3);
        group.throughput(Throughput::Elements(flop as u64));
        let shape = [BATCH, from, side, side, side];
        let run = |x: &Tensor<5>, (weight, bias): &Affine| {
            let activation = Activation::LeakyRelu(0.2);
            conv3d(x.clone(), weight.clone(), Some(bias.clone()), [stride; 3], activation)
        };

        let device = Device::flex();
        let (x, layer) = (random(shape, &device), affine(from, to, 3, &device));
        group.bench_function("forward", |bencher| bencher.iter(|| run(&x, &layer)));

        let device = device.autodiff();
        let (x, (weight, bias)) = (random(shape, &device), affine(from, to, 3, &device));
        let passes = [
            ("input gradient", x.clone().require_grad(), (weight.clone(), bias.clone())),
            ("weight gradient", x.clone(), (weight.clone().require_grad(), bias.clone())),
            ("bias gradient", x, (weight, bias.require_grad())),
        ];
        for (name, x, layer) in passes {
            let forward = || run(&x, &layer).sum();
            let backward = |loss: Tensor<1>| black_box(loss.backward());
            group.bench_function(name, |bencher| {
                bencher.iter_batched(forward, backward, BatchSize::PerIteration);
            });
        }
    }
}

/// What a convolution is fused with, forward.
fn fused(criterion: &mut Criterion) {
    let device = Device::flex();
    let x = random([BATCH, 16, 16, 16, 16], &device);
    let [conv1, conv2, wide] = [16, 16, 128].map(|to| affine(16, to, 3, &device));
    let (down, up, last) = (affine(16, 4, 1, &device), affine(4, 16, 1, &device), affine(16, 1, 3, &device));
    let mut group = criterion.benchmark_group("fused");
    group.bench_function("conv3d_add 16", |bencher| {
        bencher.iter(|| conv3d_add(x.clone(), conv1.0.clone(), Some(conv1.1.clone()), x.clone()));
    });
    group.bench_function("conv3d_shuffle 16 to 128", |bencher| {
        bencher.iter(|| conv3d_shuffle(x.clone(), wide.0.clone(), Some(wide.1.clone()), [2; 3]));
    });
    group.bench_function("conv3d_upsample 16 to 128 to 1", |bencher| {
        bencher.iter(|| conv3d_upsample(x.clone(), wide.clone(), last.clone(), [2; 3]));
    });
    group.bench_function("rcab 16", |bencher| {
        bencher.iter(|| rcab(x.clone(), conv1.clone(), conv2.clone(), down.clone(), up.clone()));
    });
    let scale = (random([16], &device), random([16], &device));
    group.bench_function("normalised 16", |bencher| {
        let leaky = Activation::LeakyRelu(0.2);
        bencher.iter(|| normalised(x.clone(), scale.clone(), Statistics::Sample, leaky));
    });
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = convolutions, fused
}
criterion_main!(kernels);
