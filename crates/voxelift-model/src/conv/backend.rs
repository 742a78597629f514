//! The op as burn sees it: a backend extension with its own backward step.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::{ConvOptions, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, ExtensionType, TensorMetadata, backend_extension};

use super::Activation;
use super::problem::Problem;

/// `Option<FloatTensor<B>>`, in a type that burn can route.
#[derive(ExtensionType)]
pub(super) enum Bias<B: Backend> {
    Given(FloatTensor<B>),
    Absent,
}

impl<B: Backend> Bias<B> {
    fn given(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(bias) => Some(bias),
            Self::Absent => None,
        }
    }
}

/// The op, routed by burn to the backend of its tensors.
#[backend_extension(Flex: cfg(feature = "cpu"), Cube: cfg(any(feature = "cuda", feature = "wgpu")), Autodiff)]
pub(super) trait ConvBackend: Backend {
    fn conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        stride: [usize; 3],
        activation: Activation,
    ) -> FloatTensor<Self>;
}

/// What the backward step of one convolution reads.
#[derive(Clone, Debug)]
pub(super) struct Saved<B: Backend> {
    pub x: FloatTensor<B>,
    pub weight: FloatTensor<B>,
    pub bias: Option<FloatTensor<B>>,
    /// Only with an activation, whose derivative is read from its sign.
    pub output: Option<FloatTensor<B>>,
    pub problem: Problem,
    pub activation: Activation,
}

/// Which gradients are asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub x: bool,
    pub weight: bool,
    pub bias: bool,
}

/// Those asked for.
pub(super) struct ConvGradients<B: Backend> {
    pub x: Option<FloatTensor<B>>,
    pub weight: Option<FloatTensor<B>>,
    pub bias: Option<FloatTensor<B>>,
}

/// Forward and backward on a backend that knows no gradients; by default burn's own operations.
pub(super) trait ConvKernels: Backend {
    fn forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        problem: &Problem,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let output = <Self as ModuleOps<Self>>::conv3d(x, weight, bias, options(problem));
        scale_where_negative::<Self>(output.clone(), output, activation)
    }

    fn backward(saved: Saved<Self>, gradient: FloatTensor<Self>, wanted: Wanted) -> ConvGradients<Self> {
        let gradient = match saved.output {
            Some(output) => scale_where_negative::<Self>(gradient, output, saved.activation),
            None => gradient,
        };
        let (x, weight, options) = (saved.x, saved.weight, options(&saved.problem));
        ConvGradients {
            x: wanted.x.then(|| {
                Self::conv3d_x_backward(x.clone(), weight.clone(), gradient.clone(), options.clone())
            }),
            weight: wanted
                .weight
                .then(|| Self::conv3d_weight_backward(x.clone(), weight, gradient.clone(), options)),
            bias: saved
                .bias
                .filter(|_| wanted.bias)
                .map(|bias| Self::conv3d_bias_backward(x, bias, gradient)),
        }
    }
}

/// `values`, times the activation's slope where `sign` is not above zero.
fn scale_where_negative<B: Backend>(
    values: FloatTensor<B>,
    sign: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    if activation == Activation::None {
        return values;
    }
    let bool_dtype = burn::backend::get_or_init_device_settings::<B>(&values.device()).bool_dtype;
    let negative = B::float_lower_equal_elem(sign, 0f32.into(), bool_dtype);
    let scaled = B::float_mul_scalar(values.clone(), activation.slope().into());
    B::float_mask_where(values, negative, scaled)
}

fn options(problem: &Problem) -> ConvOptions<3> {
    ConvOptions::new(problem.stride, problem.padding(), [1; 3], 1)
}

/// One struct for both cases: with a bias there are three parents, without it two.
#[derive(Debug)]
struct ConvBackward;

impl<B: ConvKernels, const PARENTS: usize> Backward<B, PARENTS> for ConvBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, PARENTS>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let parent = |index: usize| ops.parents.get(index).and_then(Option::as_ref);
        let wanted = Wanted {
            x: parent(0).is_some(),
            weight: parent(1).is_some(),
            bias: parent(2).is_some(),
        };
        let found = B::backward(ops.state, gradient, wanted);
        for (index, gradient) in [found.x, found.weight, found.bias].into_iter().enumerate() {
            if let (Some(node), Some(gradient)) = (parent(index), gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: ConvKernels, C: CheckpointStrategy> ConvBackend for Autodiff<B, C> {
    fn conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Bias<Self>,
        stride: [usize; 3],
        activation: Activation,
    ) -> FloatTensor<Self> {
        let problem = Problem::new(&x.shape(), &weight.shape(), stride);
        match bias {
            Bias::Given(bias) => {
                let nodes = [x.node(), weight.node(), bias.node()];
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                tracked::<B, C, 3>(nodes, x, weight, Some(bias), problem, activation)
            }
            Bias::Absent => {
                let nodes = [x.node(), weight.node()];
                let [x, weight] = [x, weight].map(|tensor| tensor.into_primitive());
                tracked::<B, C, 2>(nodes, x, weight, None, problem, activation)
            }
        }
    }
}

fn tracked<B: ConvKernels, C: CheckpointStrategy, const PARENTS: usize>(
    nodes: [burn::backend::autodiff::ops::NodeGuard; PARENTS],
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    problem: Problem,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    let step = Backward::<B, PARENTS>::prepare::<C>(ConvBackward, nodes);
    match step.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let output = B::forward(x.clone(), weight.clone(), bias.clone(), &problem, activation);
            let saved = Saved {
                x,
                weight,
                bias,
                output: (activation != Activation::None).then(|| output.clone()),
                problem,
                activation,
            };
            step.finish(saved, output)
        }
        OpsKind::UnTracked(step) => step.finish(B::forward(x, weight, bias, &problem, activation)),
    }
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod gpu {
    use burn::backend::Cube;

    use super::*;

    impl ConvKernels for Cube {}

    impl ConvBackend for Cube {
        fn conv3d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: Bias<Self>,
            stride: [usize; 3],
            activation: Activation,
        ) -> FloatTensor<Self> {
            let problem = Problem::new(&x.shape(), &weight.shape(), stride);
            Self::forward(x, weight, bias.given(), &problem, activation)
        }
    }
}

#[cfg(feature = "cpu")]
mod cpu {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::tensor::{DType, TensorData};

    use super::super::direct::{forward, gradient_padding, input_gradient};
    use super::super::kernels::Kernels;
    use super::super::layout::{Padded, Source, to_planar};
    use super::super::weight_gradient::{bias_gradient, weight_gradient};
    use super::*;

    impl ConvBackend for Flex {
        fn conv3d(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: Bias<Self>,
            stride: [usize; 3],
            activation: Activation,
        ) -> FloatTensor<Self> {
            let problem = Problem::new(&x.shape(), &weight.shape(), stride);
            Self::forward(x, weight, bias.given(), &problem, activation)
        }
    }

    impl ConvKernels for Flex {
        fn forward(
            x: FlexTensor,
            weight: FlexTensor,
            bias: Option<FlexTensor>,
            problem: &Problem,
            activation: Activation,
        ) -> FlexTensor {
            assert_f32(&x);
            let weight = weight.to_contiguous();
            let bias = bias.map(|bias| bias.to_contiguous());
            let x = ordered(&x);
            let padding = problem.padding();
            let padded = Padded::copy(
                source(&x),
                problem.batch,
                problem.channels_in,
                problem.input,
                padding,
                padding,
                |_| 1.0,
            );
            let output = forward(
                Kernels::best(),
                problem,
                &padded,
                values(&weight),
                bias.as_ref().map(values),
                activation.slope(),
            );
            planar_tensor(output, problem.batch, problem.channels_out, problem.output())
        }

        fn backward(saved: Saved<Self>, gradient: FlexTensor, wanted: Wanted) -> ConvGradients<Self> {
            let problem = &saved.problem;
            let kernels = Kernels::best();
            let (low, high) = if wanted.x {
                gradient_padding(problem)
            } else {
                ([0; 3], [0; 3])
            };
            let (batch, channels, size) = (problem.batch, problem.channels_out, problem.output());
            let gradient = gradient.to_contiguous();
            let source_gradient = Source::Planar(values(&gradient));
            let gradient = match &saved.output {
                Some(output) => {
                    let output = output.to_contiguous();
                    let (sign, slope) = (values(&output), saved.activation.slope());
                    let gain = |index: usize| if sign[index] > 0.0 { 1.0 } else { slope };
                    Padded::copy(source_gradient, batch, channels, size, low, high, gain)
                }
                None => Padded::copy(source_gradient, batch, channels, size, low, high, |_| 1.0),
            };
            let x_gradient = wanted.x.then(|| {
                let weight = saved.weight.to_contiguous();
                let result = input_gradient(kernels, problem, &gradient, values(&weight));
                planar_tensor(result, batch, problem.channels_in, problem.input)
            });
            let weight_gradient = wanted.weight.then(|| {
                let x = ordered(&saved.x);
                let padding = problem.padding();
                let x = Padded::copy(
                    source(&x),
                    batch,
                    problem.channels_in,
                    problem.input,
                    padding,
                    padding,
                    |_| 1.0,
                );
                let result = weight_gradient(kernels, problem, &x, &gradient, low);
                FlexTensor::from_data(TensorData::new(result, saved.weight.shape()))
            });
            let bias_gradient = wanted.bias.then(|| {
                FlexTensor::from_data(TensorData::new(
                    bias_gradient(problem, &gradient, low),
                    [channels],
                ))
            });
            ConvGradients {
                x: x_gradient,
                weight: weight_gradient,
                bias: bias_gradient,
            }
        }
    }

    fn assert_f32(x: &FlexTensor) {
        assert!(
            x.dtype() == DType::F32,
            "conv3d: {:?} on the CPU, the kernels are f32",
            x.dtype()
        );
    }

    /// The tensor itself where its memory is planar or channels-last, else a planar copy.
    fn ordered(tensor: &FlexTensor) -> FlexTensor {
        if channels_last(tensor).is_some() {
            tensor.clone()
        } else {
            tensor.to_contiguous()
        }
    }

    fn channels_last(tensor: &FlexTensor) -> Option<FlexTensor> {
        Some(tensor.permute(&[0, 2, 3, 4, 1])).filter(FlexTensor::is_contiguous)
    }

    fn source(tensor: &FlexTensor) -> Source<'_> {
        if tensor.is_contiguous() {
            return Source::Planar(values(tensor));
        }
        let start = tensor.layout().start_offset();
        Source::ChannelsLast(&tensor.storage()[start..start + tensor.layout().num_elements()])
    }

    fn values(tensor: &FlexTensor) -> &[f32] {
        tensor.as_slice().expect("a contiguous f32 tensor")
    }

    fn planar_tensor(values: Vec<f32>, batch: usize, channels: usize, size: [usize; 3]) -> FlexTensor {
        let planar = to_planar(&values, batch, channels, size.iter().product());
        FlexTensor::from_data(TensorData::new(
            planar,
            [batch, channels, size[0], size[1], size[2]],
        ))
    }
}
