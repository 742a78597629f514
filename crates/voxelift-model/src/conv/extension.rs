//! The ops as burn sees them on the CPU: a backend extension with its own backward steps.

use std::sync::Arc;

use burn::Tensor;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, ExtensionType, Flex, backend_extension};
use burn::tensor::{DType, TensorData};

use super::attention::AttentionWeights;
use super::direct::{Target, forward, gradient_margin, input_gradient};
use super::kernels::{Finish, Kernels};
use super::layout::{Extent, Gate, Margin, Padded, Source, to_channels_last};
use super::problem::Problem;
use super::rcab::{self, RcabTrace, RcabWeights};
use super::weight_gradient::{bias_gradient, weight_gradient};
use super::{Activation, Affine};

/// Whether the kernels of this room compute this tensor.
pub(super) fn runs_on_cpu(x: &Tensor<5>) -> bool {
    matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_)) && x.dtype() == DType::F32
}

pub(super) fn conv3d(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Option<Tensor<1>>,
    skip: Option<Tensor<5>>,
    problem: &Problem,
    activation: Activation,
) -> Tensor<5> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([problem.channels_out], &x.device()));
    let inputs = ConvInputs {
        x: x.into_dispatch(),
        weight: weight.into_dispatch(),
        bias: bias.into_dispatch(),
    };
    Tensor::from_dispatch(match skip {
        Some(skip) => Dispatch::conv3d_add(inputs, skip.into_dispatch(), *problem),
        None => Dispatch::conv3d(inputs, *problem, activation),
    })
}

pub(super) fn rcab(x: Tensor<5>, layers: [Affine; 4], problem: &Problem) -> Tensor<5> {
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

/// The tensors of one convolution.
#[derive(ExtensionType)]
pub(super) struct ConvInputs<B: Backend> {
    pub x: FloatTensor<B>,
    pub weight: FloatTensor<B>,
    pub bias: FloatTensor<B>,
}

/// The tensors of one residual channel attention block.
#[derive(ExtensionType)]
pub(super) struct RcabInputs<B: Backend> {
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
    fn into_array(self) -> [FloatTensor<B>; 9] {
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
pub(super) trait ConvBackend: Backend {
    fn conv3d(
        #[extension_type] inputs: ConvInputs<Self>,
        problem: Problem,
        activation: Activation,
    ) -> FloatTensor<Self>;

    fn conv3d_add(
        #[extension_type] inputs: ConvInputs<Self>,
        skip: FloatTensor<Self>,
        problem: Problem,
    ) -> FloatTensor<Self>;

    fn rcab(#[extension_type] inputs: RcabInputs<Self>, problem: Problem) -> FloatTensor<Self>;
}

impl ConvBackend for Flex {
    fn conv3d(inputs: ConvInputs<Self>, problem: Problem, activation: Activation) -> FlexTensor {
        convolve(&inputs, None, &problem, activation)
    }

    fn conv3d_add(inputs: ConvInputs<Self>, skip: FlexTensor, problem: Problem) -> FlexTensor {
        convolve(&inputs, Some(&skip), &problem, Activation::None)
    }

    fn rcab(inputs: RcabInputs<Self>, problem: Problem) -> FlexTensor {
        let [x, weights @ ..] = inputs.into_array();
        attend(&x, &contiguous(weights), &problem).0
    }
}

impl<C: CheckpointStrategy> ConvBackend for Autodiff<Flex, C> {
    fn conv3d(inputs: ConvInputs<Self>, problem: Problem, activation: Activation) -> FloatTensor<Self> {
        let nodes = [inputs.x.node(), inputs.weight.node(), inputs.bias.node()];
        tracked_conv::<C, 3>(nodes, inputs, None, problem, activation)
    }

    fn conv3d_add(inputs: ConvInputs<Self>, skip: FloatTensor<Self>, problem: Problem) -> FloatTensor<Self> {
        let nodes = [
            inputs.x.node(),
            inputs.weight.node(),
            inputs.bias.node(),
            skip.node(),
        ];
        tracked_conv::<C, 4>(
            nodes,
            inputs,
            Some(skip.into_primitive()),
            problem,
            Activation::None,
        )
    }

    fn rcab(inputs: RcabInputs<Self>, problem: Problem) -> FloatTensor<Self> {
        let inputs = inputs.into_array();
        let nodes = inputs.each_ref().map(|tensor| tensor.node());
        let [x, weights @ ..] = inputs.map(|tensor| tensor.into_primitive());
        let weights = contiguous(weights);
        let (output, trace) = attend(&x, &weights, &problem);
        match RcabBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(
                SavedRcab {
                    trace: Arc::new(trace),
                    weights,
                    problem,
                },
                output,
            ),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }
}

fn tracked_conv<C: CheckpointStrategy, const PARENTS: usize>(
    nodes: [NodeGuard; PARENTS],
    inputs: ConvInputs<Autodiff<Flex, C>>,
    skip: Option<FlexTensor>,
    problem: Problem,
    activation: Activation,
) -> FloatTensor<Autodiff<Flex, C>> {
    let inputs = ConvInputs {
        x: inputs.x.into_primitive(),
        weight: inputs.weight.into_primitive(),
        bias: inputs.bias.into_primitive(),
    };
    let output = convolve(&inputs, skip.as_ref(), &problem, activation);
    match Backward::<Flex, PARENTS>::prepare::<C>(ConvBackward, nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(step) => {
            let ConvInputs { x, weight, .. } = inputs;
            let kept = (activation != Activation::None).then(|| output.clone());
            step.finish(
                SavedConv {
                    x,
                    weight,
                    output: kept,
                    problem,
                    activation,
                },
                output,
            )
        }
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// What the backward step of a convolution reads.
#[derive(Clone, Debug)]
struct SavedConv {
    x: FlexTensor,
    weight: FlexTensor,
    /// Only with an activation, whose derivative is read from its sign.
    output: Option<FlexTensor>,
    problem: Problem,
    activation: Activation,
}

/// Parents are x, weight, bias and, of `conv3d_add`, the skip.
#[derive(Debug)]
struct ConvBackward;

impl<const PARENTS: usize> Backward<Flex, PARENTS> for ConvBackward {
    type State = SavedConv;

    fn backward(self, ops: Ops<SavedConv, PARENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let saved = ops.state;
        let problem = &saved.problem;
        let parent = |index: usize| {
            ops.parents
                .get(index)
                .and_then(Option::as_ref)
                .map(|node| node.id)
        };
        let kernels = Kernels::best();
        if let Some(skip) = parent(3) {
            grads.register::<Flex>(skip, gradient.clone());
        }
        if [0, 1, 2].iter().all(|&index| parent(index).is_none()) {
            return;
        }
        let margin = if parent(0).is_some() {
            gradient_margin(problem)
        } else {
            Margin::default()
        };
        let output = saved.output.as_ref().map(channels_last);
        let gate = output.as_ref().map(|output| Gate {
            output: values(output),
            slope: saved.activation.slope(),
        });
        let gradient = ordered(&gradient);
        let gradient = Padded::copy(source(&gradient), problem.output_extent(), margin, gate);
        if let Some(node) = parent(0) {
            let (weight, extent) = (saved.weight.to_contiguous(), problem.input_extent());
            let mut result = vec![0.0; extent.values()];
            let target = Target::dense(&mut result, extent, Finish::NONE);
            input_gradient(kernels, problem, &gradient, values(&weight), target);
            grads.register::<Flex>(node, voxels(result, extent));
        }
        if let Some(node) = parent(1) {
            let result = weight_gradient(kernels, problem, &padded(&saved.x, problem), &gradient);
            grads.register::<Flex>(node, tensor(result, &saved.weight));
        }
        if let Some(node) = parent(2) {
            let result = bias_gradient(&gradient);
            grads.register::<Flex>(
                node,
                FlexTensor::from_data(TensorData::new(result, [problem.channels_out])),
            );
        }
    }
}

/// What the backward step of a residual channel attention block reads.
#[derive(Clone)]
struct SavedRcab {
    trace: Arc<RcabTrace>,
    weights: [FlexTensor; 8],
    problem: Problem,
}

impl std::fmt::Debug for SavedRcab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SavedRcab({:?})", self.problem)
    }
}

/// Parents in the order of [`RcabInputs::into_array`].
#[derive(Debug)]
struct RcabBackward;

impl Backward<Flex, 9> for RcabBackward {
    type State = SavedRcab;

    fn backward(self, ops: Ops<SavedRcab, 9>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = channels_last(&grads.consume::<Flex>(&ops.node));
        let SavedRcab {
            trace,
            weights,
            problem,
        } = ops.state;
        let weights_too = ops.parents[1..5].iter().any(Option::is_some);
        let found = rcab::backward(
            Kernels::best(),
            &problem,
            &trace,
            &rcab_weights(&weights),
            values(&gradient),
            weights_too,
        );
        if let Some(node) = &ops.parents[0] {
            grads.register::<Flex>(node.id, voxels(found.x, problem.input_extent()));
        }
        let layers = [
            found.conv1,
            found.conv2,
            Some(found.attention.down),
            Some(found.attention.up),
        ];
        let of_weights = layers.into_iter().flat_map(|layer| match layer {
            Some((weight, bias)) => [Some(weight), Some(bias)],
            None => [None, None],
        });
        for ((parent, like), gradient) in ops.parents[1..].iter().zip(&weights).zip(of_weights) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(node.id, tensor(gradient, like));
            }
        }
    }
}

fn convolve(
    inputs: &ConvInputs<Flex>,
    skip: Option<&FlexTensor>,
    problem: &Problem,
    activation: Activation,
) -> FlexTensor {
    let (weight, bias) = (inputs.weight.to_contiguous(), inputs.bias.to_contiguous());
    let skip = skip.map(channels_last);
    let finish = Finish {
        slope: activation.slope(),
        add: skip.as_ref().map(values),
        ..Finish::NONE
    };
    let extent = problem.output_extent();
    let mut output = vec![0.0; extent.values()];
    let target = Target::dense(&mut output, extent, finish);
    let x = padded(&inputs.x, problem);
    forward(
        Kernels::best(),
        problem,
        &x,
        values(&weight),
        Some(values(&bias)),
        target,
    );
    voxels(output, extent)
}

fn attend(x: &FlexTensor, weights: &[FlexTensor; 8], problem: &Problem) -> (FlexTensor, RcabTrace) {
    let (y, trace) = rcab::forward(
        Kernels::best(),
        problem,
        padded(x, problem),
        &rcab_weights(weights),
    );
    (voxels(y, problem.input_extent()), trace)
}

fn rcab_weights(weights: &[FlexTensor; 8]) -> RcabWeights<'_> {
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

/// The input of a forward pass.
fn padded(x: &FlexTensor, problem: &Problem) -> Padded {
    let x = ordered(x);
    Padded::copy(source(&x), problem.input_extent(), problem.margin(), None)
}

/// `[N,Z,Y,X,C]` values as a tensor of the logical shape `[N,C,Z,Y,X]`.
fn voxels(values: Vec<f32>, extent: Extent) -> FlexTensor {
    let Extent {
        batch,
        channels,
        size: [z, y, x],
    } = extent;
    FlexTensor::from_data(TensorData::new(values, [batch, z, y, x, channels])).permute(&[0, 4, 1, 2, 3])
}

fn tensor(values: Vec<f32>, like: &FlexTensor) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, like.layout().shape().clone()))
}

/// The tensor itself where its memory is planar or channels-last, else a planar copy.
fn ordered(tensor: &FlexTensor) -> FlexTensor {
    let known = tensor.is_contiguous() || last_axis(tensor).is_contiguous();
    if known {
        tensor.clone()
    } else {
        tensor.to_contiguous()
    }
}

fn source(tensor: &FlexTensor) -> Source<'_> {
    if tensor.is_contiguous() {
        return Source::Planar(values(tensor));
    }
    let start = tensor.layout().start_offset();
    Source::ChannelsLast(&tensor.storage()[start..start + tensor.layout().num_elements()])
}

/// `[N,C,Z,Y,X]` as `[N,Z,Y,X,C]`, contiguous: the same memory where it is so already.
fn channels_last(tensor: &FlexTensor) -> FlexTensor {
    let view = last_axis(tensor);
    if view.is_contiguous() {
        return view;
    }
    let shape = view.layout().shape().clone();
    let planar = tensor.to_contiguous();
    let extent = Extent {
        batch: shape[0],
        channels: shape[4],
        size: [shape[1], shape[2], shape[3]],
    };
    let copy = to_channels_last(values(&planar), extent);
    FlexTensor::from_data(TensorData::new(copy, shape))
}

fn last_axis(tensor: &FlexTensor) -> FlexTensor {
    tensor.permute(&[0, 2, 3, 4, 1])
}

fn contiguous<const N: usize>(tensors: [FlexTensor; N]) -> [FlexTensor; N] {
    tensors.map(|tensor| tensor.to_contiguous())
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous f32 tensor")
}
