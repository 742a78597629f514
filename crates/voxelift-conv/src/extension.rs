//! Layer 10 · The ops as burn sees them on the CPU: a backend extension. Their gradients are in `tracked`.

use std::mem::MaybeUninit;

use burn::Tensor;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, ExtensionType, Flex, backend_extension};
use burn::tensor::DType;

use crate::activation::Affine;
use crate::attention::AttentionWeights;
use crate::buffer::written;
use crate::composed::{Composed, run_composed};
use crate::contracts::Finish;
use crate::kernels::Kernels;
use crate::layout::values;
use crate::memory::{channels_last, contiguous, ordered, padded, source, voxels};
use crate::norm::{self, NormPlan};
use crate::passes::forward;
use crate::problem::{Plan, Problem};
use crate::rcab::{self, RcabTrace, RcabWeights};
use crate::sweep::Target;

/// Whether the kernels of this room compute this tensor.
pub(crate) fn runs_on_cpu(x: &Tensor<5>) -> bool {
    matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_)) && x.dtype() == DType::F32
}

pub(crate) fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    skip: Option<Tensor<5>>,
    plan: Plan,
) -> Tensor<5> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([plan.problem.channels_out], &x.device()));
    let inputs = ConvInputs {
        x: x.into_dispatch(),
        weight: weight.into_dispatch(),
        bias: bias.into_dispatch(),
    };
    Tensor::from_dispatch(match skip {
        Some(skip) => Dispatch::conv3d_add(inputs, skip.into_dispatch(), plan),
        None => Dispatch::conv3d(inputs, plan),
    })
}

pub(crate) fn rcab(x: Tensor<5>, layers: [Affine; 4], problem: &Problem) -> Tensor<5> {
    let [conv1, conv2, down, up] =
        layers.map(|(weight, bias)| (weight.into_dispatch(), bias.into_dispatch()));
    let inputs = RcabInputs {
        x: x.into_dispatch(),
        conv1_weight: conv1.0,
        conv1_bias: conv1.1,
        conv2_weight: conv2.0,
        conv2_bias: conv2.1,
        down_weight: down.0,
        down_bias: down.1,
        up_weight: up.0,
        up_bias: up.1,
    };
    Tensor::from_dispatch(Dispatch::rcab(inputs, *problem))
}

pub(crate) fn composed(x: Tensor<5>, expand: Affine, last: Affine, composed: Composed) -> Tensor<5> {
    let inputs = ComposedInputs {
        x: x.into_dispatch(),
        expand_weight: expand.0.into_dispatch(),
        expand_bias: expand.1.into_dispatch(),
        last_weight: last.0.into_dispatch(),
        last_bias: last.1.into_dispatch(),
    };
    Tensor::from_dispatch(Dispatch::composed(inputs, composed))
}

pub(crate) fn normalised(x: Tensor<5>, weight: Tensor<1>, bias: Tensor<1>, plan: NormPlan) -> Tensor<5> {
    let inputs = NormInputs {
        x: x.into_dispatch(),
        weight: weight.into_dispatch(),
        bias: bias.into_dispatch(),
    };
    Tensor::from_dispatch(Dispatch::normalised(inputs, plan))
}

/// The tensors of one convolution.
#[derive(ExtensionType)]
pub(crate) struct ConvInputs<B: Backend> {
    pub x: FloatTensor<B>,
    pub weight: FloatTensor<B>,
    pub bias: FloatTensor<B>,
}

/// The tensors of one residual channel attention block.
#[derive(ExtensionType)]
pub(crate) struct RcabInputs<B: Backend> {
    pub x: FloatTensor<B>,
    pub conv1_weight: FloatTensor<B>,
    pub conv1_bias: FloatTensor<B>,
    pub conv2_weight: FloatTensor<B>,
    pub conv2_bias: FloatTensor<B>,
    pub down_weight: FloatTensor<B>,
    pub down_bias: FloatTensor<B>,
    pub up_weight: FloatTensor<B>,
    pub up_bias: FloatTensor<B>,
}

impl<B: Backend> RcabInputs<B> {
    pub fn into_array(self) -> [FloatTensor<B>; 9] {
        [
            self.x,
            self.conv1_weight,
            self.conv1_bias,
            self.conv2_weight,
            self.conv2_bias,
            self.down_weight,
            self.down_bias,
            self.up_weight,
            self.up_bias,
        ]
    }
}

/// The ops, with gradients and without.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ConvBackend: Backend {
    fn conv3d(#[extension_type] inputs: ConvInputs<Self>, plan: Plan) -> FloatTensor<Self>;

    fn conv3d_add(
        #[extension_type] inputs: ConvInputs<Self>,
        skip: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self>;

    fn rcab(#[extension_type] inputs: RcabInputs<Self>, problem: Problem) -> FloatTensor<Self>;

    fn normalised(#[extension_type] inputs: NormInputs<Self>, plan: NormPlan) -> FloatTensor<Self>;
}

/// The tensors of one normalisation.
#[derive(ExtensionType)]
pub(crate) struct NormInputs<B: Backend> {
    pub x: FloatTensor<B>,
    pub weight: FloatTensor<B>,
    pub bias: FloatTensor<B>,
}

/// The tensors of an upsampling convolution and the one that closes it.
#[derive(ExtensionType)]
pub(crate) struct ComposedInputs<B: Backend> {
    pub x: FloatTensor<B>,
    pub expand_weight: FloatTensor<B>,
    pub expand_bias: FloatTensor<B>,
    pub last_weight: FloatTensor<B>,
    pub last_bias: FloatTensor<B>,
}

/// The op that has no gradients.
#[backend_extension(Flex)]
pub(crate) trait ComposedBackend: Backend {
    fn composed(#[extension_type] inputs: ComposedInputs<Self>, composed: Composed) -> FloatTensor<Self>;
}

impl ComposedBackend for Flex {
    fn composed(inputs: ComposedInputs<Self>, composed: Composed) -> FlexTensor {
        let x = ordered(&inputs.x);
        let [expand, expand_bias, last, last_bias] = contiguous([
            inputs.expand_weight,
            inputs.expand_bias,
            inputs.last_weight,
            inputs.last_bias,
        ]);
        let (expand, last) = (
            (values(&expand), values(&expand_bias)),
            (values(&last), values(&last_bias)),
        );
        let output = run_composed(Kernels::best(), &composed, source(&x), expand, last);
        voxels(output, composed.output_extent())
    }
}

impl ConvBackend for Flex {
    fn conv3d(inputs: ConvInputs<Self>, plan: Plan) -> FlexTensor {
        convolve(&inputs, None, &plan)
    }

    fn conv3d_add(inputs: ConvInputs<Self>, skip: FlexTensor, plan: Plan) -> FlexTensor {
        convolve(&inputs, Some(&skip), &plan)
    }

    fn rcab(inputs: RcabInputs<Self>, problem: Problem) -> FlexTensor {
        let [x, weights @ ..] = inputs.into_array();
        let weights = contiguous(weights);
        let x = padded(&x, &problem);
        let y = rcab::apply(Kernels::best(), &problem, &x, &rcab_weights(&weights));
        voxels(y, problem.input_extent())
    }

    fn normalised(inputs: NormInputs<Self>, plan: NormPlan) -> FlexTensor {
        let x = channels_last(&inputs.x);
        let [weight, bias] = contiguous([inputs.weight, inputs.bias]);
        let (y, _) = norm::forward(&plan, values(&x), (values(&weight), values(&bias)));
        voxels(y, plan.extent)
    }
}

pub(crate) fn convolve(inputs: &ConvInputs<Flex>, skip: Option<&FlexTensor>, plan: &Plan) -> FlexTensor {
    let problem = &plan.problem;
    let (weight, bias) = (inputs.weight.to_contiguous(), inputs.bias.to_contiguous());
    let skip = skip.map(channels_last);
    let finish = Finish {
        slope: plan.activation.slope(),
        add: skip.as_ref().map(values),
        ..Finish::NONE
    };
    let extent = plan.output_extent();
    let x = padded(&inputs.x, problem);
    let convolution = |output: &mut [MaybeUninit<f32>]| {
        forward(
            Kernels::best(),
            problem,
            &x,
            (values(&weight), values(&bias)),
            plan.scale,
            Target::dense(output, extent, finish),
        )
    };
    // SAFETY: a forward pass gives every voxel of its output.
    let output = unsafe { written(extent.values(), convolution) };
    voxels(output, extent)
}

pub(crate) fn attend(
    x: &FlexTensor,
    weights: &[FlexTensor; 8],
    problem: &Problem,
) -> (FlexTensor, RcabTrace) {
    let x = padded(x, problem);
    let (y, trace) = rcab::forward(Kernels::best(), problem, x, &rcab_weights(weights));
    (voxels(y, problem.input_extent()), trace)
}

pub(crate) fn rcab_weights(weights: &[FlexTensor; 8]) -> RcabWeights<'_> {
    let [conv1, conv1_bias, conv2, conv2_bias, down, down_bias, up, up_bias] = weights.each_ref().map(values);
    RcabWeights {
        conv1: (conv1, conv1_bias),
        conv2: (conv2, conv2_bias),
        attention: AttentionWeights {
            down: (down, down_bias),
            up: (up, up_bias),
        },
    }
}
