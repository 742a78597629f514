//! Layer 12 · The ops, differentiable on every backend: our own kernels on the CPU, burn's on the others.

use burn::Tensor;
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::module::conv3d as burn_conv3d;
use burn::tensor::ops::ConvOptions;

use crate::activation::{Activation, Affine};
use crate::composed::Composed;
use crate::extension;
use crate::layout::Extent;
use crate::norm::{self, NormPlan, Statistics};
use crate::problem::{Plan, Problem};

/// Convolution with zero padding `kernel / 2` and an activation, differentiable in all three tensors.
///
/// `y[o] = activation(b + sum_k w[k] x[stride o + k - kernel/2])`
///
/// # Shapes
/// `x` `[N,Cin,Z,Y,X]`, `weight` `[Cout,Cin,kz,ky,kx]` with 1 or 3 taps on each axis, `bias` `[Cout]`, `stride`
/// 1 or 2 on each axis; result `[N,Cout,ceil(Z/sz),ceil(Y/sy),ceil(X/sx)]`.
///
/// # Panics
/// Where shapes do not belong together, or a kernel, stride or slope is none of the above.
pub fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    stride: [usize; 3],
    activation: Activation,
) -> Tensor<5> {
    let problem = problem(&x, &weight, bias.as_ref(), stride);
    if let Activation::LeakyRelu(slope) = activation {
        // The gradient is taken from the sign of the output, which a slope of zero or less would hide.
        assert!(
            slope > 0.0,
            "conv3d: slope {slope} of LeakyRelu, must be above zero"
        );
    }
    if extension::runs_on_cpu(&x) {
        return extension::conv3d(
            x,
            weight,
            bias,
            None,
            Plan {
                problem,
                activation,
                scale: [1; 3],
            },
        );
    }
    activated(burn_conv3d(x, weight, bias, options(&problem)), activation)
}

/// A convolution that closes a residual branch: `skip + conv3d(x)`, stride 1.
///
/// # Shapes
/// As [`conv3d`]; `skip` like the result.
///
/// # Panics
/// As [`conv3d`], and where `skip` is not like the result.
pub fn conv3d_add(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>, skip: Tensor<5>) -> Tensor<5> {
    let problem = problem(&x, &weight, bias.as_ref(), [1; 3]);
    let [z, y, x_size] = problem.output();
    assert!(
        skip.dims() == [problem.batch, problem.channels_out, z, y, x_size],
        "conv3d_add: input {:?}, weight {:?}, skip {:?}",
        x.dims(),
        weight.dims(),
        skip.dims()
    );
    if extension::runs_on_cpu(&x) {
        let plan = Plan {
            problem,
            activation: Activation::None,
            scale: [1; 3],
        };
        return extension::conv3d(x, weight, bias, Some(skip), plan);
    }
    skip + burn_conv3d(x, weight, bias, options(&problem))
}

/// A convolution and the voxel shuffle of its result, stride 1: channel `c sz sy sx + (dz sy + dy) sx + dx`
/// becomes sub-voxel `(dz, dy, dx)` of channel `c` (Shi et al., CVPR 2016, in three dimensions).
///
/// # Shapes
/// As [`conv3d`], with `Cout` a multiple of `sz sy sx`; result `[N,Cout/(sz sy sx),sz Z,sy Y,sx X]`.
///
/// # Panics
/// As [`conv3d`], and where `Cout` is no such multiple.
pub fn conv3d_shuffle(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    scale: [usize; 3],
) -> Tensor<5> {
    let problem = problem(&x, &weight, bias.as_ref(), [1; 3]);
    let [sz, sy, sx] = scale;
    let sub_voxels = sz * sy * sx;
    let fits = sub_voxels > 0 && problem.channels_out.is_multiple_of(sub_voxels);
    assert!(
        fits,
        "conv3d_shuffle: weight {:?}, scale {scale:?}",
        weight.dims()
    );
    if extension::runs_on_cpu(&x) {
        return extension::conv3d(
            x,
            weight,
            bias,
            None,
            Plan {
                problem,
                activation: Activation::None,
                scale,
            },
        );
    }
    voxel_shuffle(burn_conv3d(x, weight, bias, options(&problem)), scale)
}

/// [`conv3d_shuffle`] and a closing [`conv3d`] of its result, without gradients.
///
/// On the CPU as one convolution (`composed`), which never holds the expanded channels: the same to rounding.
///
/// # Shapes
/// `x` `[N,Cin,Z,Y,X]`, `expand` `[C sz sy sx,Cin,kz,ky,kx]`, `last` `[Cout,C,kz,ky,kx]`; result
/// `[N,Cout,sz Z,sy Y,sx X]`.
///
/// # Panics
/// Where shapes do not belong together, or `x` is tracked.
pub fn conv3d_upsample(x: Tensor<5>, expand: Affine, last: Affine, scale: [usize; 3]) -> Tensor<5> {
    assert!(!x.is_autodiff(), "conv3d_upsample: no gradients pass it");
    if !extension::runs_on_cpu(&x) {
        let expanded = conv3d_shuffle(x, expand.0, Some(expand.1), scale);
        return conv3d(expanded, last.0, Some(last.1), [1; 3], Activation::None);
    }
    let first = problem(&x, &expand.0, Some(&expand.1), [1; 3]);
    let sub_voxels: usize = scale.iter().product();
    let middle = first.channels_out / sub_voxels.max(1);
    let [output, from, kz, ky, kx] = last.0.dims();
    assert!(
        middle * sub_voxels == first.channels_out
            && from == middle
            && [kz, ky, kx].iter().all(|k| [1, 3].contains(k))
            && last.1.dims() == [output],
        "conv3d_upsample: expand {:?}, scale {scale:?}, last {:?}",
        expand.0.dims(),
        last.0.dims()
    );
    let composed = Composed {
        input: first.input_extent(),
        kernels: [first.kernel, [kz, ky, kx]],
        scale,
        middle,
        output,
    };
    voxel_shuffle(extension::composed(x, expand, last, composed), scale)
}

/// Moves channel `c sz sy sx + (dz sy + dy) sx + dx` to sub-voxel `(dz, dy, dx)` of channel `c`: the pixel
/// shuffle of Shi et al. (CVPR 2016) in three dimensions.
///
/// # Shapes
///
/// `[N, C sz sy sx, Z, Y, X]` -> `[N, C, sz Z, sy Y, sx X]`.
///
/// # Panics
///
/// If the channels are not a multiple of `sz sy sx`.
pub fn voxel_shuffle(x: Tensor<5>, [sz, sy, sx]: [usize; 3]) -> Tensor<5> {
    let [n, channels, z, y, x_size] = x.dims();
    let c = channels / (sz * sy * sx);
    assert!(
        c * sz * sy * sx == channels,
        "{:?} cannot be shuffled by {:?}",
        x.dims(),
        [sz, sy, sx]
    );
    x.reshape([n, c, sz, sy, sx, z, y, x_size])
        .permute([0, 1, 5, 2, 6, 3, 7, 4]) // [n, c, z, sz, y, sy, x, sx]
        .reshape([n, c, z * sz, y * sy, x_size * sx])
}

/// RCAN's residual channel attention block as one op: `x + a r` with `r = conv2(relu(conv1(x)))`,
/// `a = sigmoid(up(relu(down(mean r))))` (Zhang et al., ECCV 2018, equations 10 to 12).
///
/// # Shapes
/// `x` `[N,F,Z,Y,X]`; `conv1`, `conv2` `[F,F,kz,ky,kx]`; `down` `[R,F,1,1,1]`, `up` `[F,R,1,1,1]`; result like `x`.
///
/// # Panics
/// Where shapes do not belong together.
pub fn rcab(x: Tensor<5>, conv1: Affine, conv2: Affine, down: Affine, up: Affine) -> Tensor<5> {
    let first = problem(&x, &conv1.0, Some(&conv1.1), [1; 3]);
    let second = problem(&x, &conv2.0, Some(&conv2.1), [1; 3]);
    let (feats, narrow) = (first.channels_in, down.0.dims()[0]);
    assert!(
        first == second
            && first.channels_out == feats
            && down.0.dims() == [narrow, feats, 1, 1, 1]
            && down.1.dims() == [narrow]
            && up.0.dims() == [feats, narrow, 1, 1, 1]
            && up.1.dims() == [feats],
        "rcab: input {:?}, conv1 {:?}, conv2 {:?}, down {:?}, up {:?}",
        x.dims(),
        conv1.0.dims(),
        conv2.0.dims(),
        down.0.dims(),
        up.0.dims()
    );
    if extension::runs_on_cpu(&x) {
        return extension::rcab(x, [conv1, conv2, down, up], &first);
    }
    let hidden = conv3d(x.clone(), conv1.0, Some(conv1.1), [1; 3], Activation::Relu);
    let branch = conv3d(hidden, conv2.0, Some(conv2.1), [1; 3], Activation::None);
    let mean = branch.clone().mean_dims(&[2, 3, 4]);
    let narrow = conv3d(mean, down.0, Some(down.1), [1; 3], Activation::Relu);
    x + branch * sigmoid(conv3d(narrow, up.0, Some(up.1), [1; 3], Activation::None))
}

/// `activation(weight (x - mean) / sqrt(variance + 1e-5) + bias)`, the variance biased.
///
/// # Shapes
/// `x` `[N,C,Z,Y,X]`, `weight` and `bias` `[C]`; result like `x`.
///
/// # Panics
/// Where shapes do not belong together, or the activation's slope is not above zero.
pub fn normalised(
    x: Tensor<5>,
    (weight, bias): (Tensor<1>, Tensor<1>),
    over: Statistics,
    activation: Activation,
) -> Tensor<5> {
    let [batch, channels, z, y, x_size] = x.dims();
    assert!(
        weight.dims() == [channels] && bias.dims() == [channels] && activation.slope() > 0.0,
        "normalised: {:?}, weight {:?}, bias {:?}, {activation:?}",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
    if extension::runs_on_cpu(&x) {
        let extent = Extent {
            batch,
            channels,
            size: [z, y, x_size],
        };
        let slope = activation.slope();
        return extension::normalised(x, weight, bias, NormPlan { extent, over, slope });
    }
    let space = [2, 3, 4];
    let axes: &[usize] = match over {
        Statistics::Sample => &[1, 2, 3, 4],
        Statistics::Channel => &[0, 2, 3, 4],
        Statistics::Each => &space,
    };
    let centred = x.clone() - x.mean_dims(axes);
    let variance = centred.clone().square().mean_dims(axes);
    let shape = [1, channels, 1, 1, 1];
    let y = centred / (variance + norm::EPSILON).sqrt() * weight.reshape(shape) + bias.reshape(shape);
    activated(y, activation)
}

fn activated(y: Tensor<5>, activation: Activation) -> Tensor<5> {
    match activation {
        Activation::None => y,
        Activation::Relu => relu(y),
        Activation::LeakyRelu(slope) => leaky_relu(y, slope.into()),
    }
}

fn problem(x: &Tensor<5>, weight: &Tensor<5>, bias: Option<&Tensor<1>>, stride: [usize; 3]) -> Problem {
    let problem = Problem::new(&x.dims(), &weight.dims(), stride);
    if let Some(bias) = bias {
        let fits = bias.dims() == [problem.channels_out];
        assert!(fits, "conv3d: bias {:?}, weight {:?}", bias.dims(), weight.dims());
    }
    problem
}

fn options(problem: &Problem) -> ConvOptions<3> {
    ConvOptions::new(problem.stride, problem.padding(), [1; 3], 1)
}
