//! Layer 11 · The ops with gradients: what they keep, and their backward steps.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;

use crate::activation::Activation;
use crate::buffer::written;
use crate::contracts::Finish;
use crate::direct::sub_voxel;
use crate::extension::{ConvBackend, ConvInputs, NormInputs, RcabInputs, attend, convolve, rcab_weights};
use crate::kernels::Kernels;
use crate::layout::{Gate, Margin, Padded, values};
use crate::memory::{channels_last, contiguous, ordered, padded, shaped, source, voxels};
use crate::norm::{self, Moments, NormPlan};
use crate::passes::{gradient_margin, input_gradient, weight_gradient};
use crate::problem::{Plan, Problem};
use crate::rcab::{self, RcabTrace};
use crate::sweep::Target;
use crate::weight_gradient::bias_gradient;

impl<C: CheckpointStrategy> ConvBackend for Autodiff<Flex, C> {
    fn conv3d(inputs: ConvInputs<Self>, plan: Plan) -> FloatTensor<Self> {
        let nodes = [inputs.x.node(), inputs.weight.node(), inputs.bias.node()];
        tracked_conv::<C, 3>(nodes, inputs, None, plan)
    }

    fn conv3d_add(inputs: ConvInputs<Self>, skip: FloatTensor<Self>, plan: Plan) -> FloatTensor<Self> {
        let nodes = [
            inputs.x.node(),
            inputs.weight.node(),
            inputs.bias.node(),
            skip.node(),
        ];
        tracked_conv::<C, 4>(nodes, inputs, Some(skip.into_primitive()), plan)
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
                    output: output.clone(),
                    weights,
                    problem,
                },
                output,
            ),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }

    fn normalised(inputs: NormInputs<Self>, plan: NormPlan) -> FloatTensor<Self> {
        let nodes = [inputs.x.node(), inputs.weight.node(), inputs.bias.node()];
        let x = channels_last(&inputs.x.into_primitive());
        let affine = contiguous([inputs.weight.into_primitive(), inputs.bias.into_primitive()]);
        let (y, moments) = norm::forward(&plan, values(&x), (values(&affine[0]), values(&affine[1])));
        let output = voxels(y, plan.extent);
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(
                SavedNorm {
                    x,
                    affine,
                    moments,
                    plan,
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
    plan: Plan,
) -> FloatTensor<Autodiff<Flex, C>> {
    let inputs = ConvInputs {
        x: inputs.x.into_primitive(),
        weight: inputs.weight.into_primitive(),
        bias: inputs.bias.into_primitive(),
    };
    let output = convolve(&inputs, skip.as_ref(), &plan);
    let step = Backward::<Flex, PARENTS>::prepare::<C>(ConvBackward, nodes);
    match step.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let ConvInputs { x, weight, .. } = inputs;
            let saved = (plan.activation != Activation::None).then(|| output.clone());
            step.finish(
                SavedConv {
                    x,
                    weight,
                    output: saved,
                    plan,
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
    plan: Plan,
}

impl SavedConv {
    /// The output's gradient before activation and shuffle, with zeros around.
    fn convolution_gradient(&self, gradient: &FlexTensor, margin: Margin) -> Padded {
        if self.plan.scale != [1; 3] {
            return unshuffled(&channels_last(gradient), &self.plan, margin);
        }
        let output = self.output.as_ref().map(channels_last);
        let slope = self.plan.activation.slope();
        let gate = output.as_ref().map(|output| Gate {
            output: values(output),
            slope,
        });
        let gradient = ordered(gradient);
        Padded::copy(source(&gradient), self.plan.problem.output_extent(), margin, gate)
    }
}

/// Sub-voxels back into channels, from `[N,sz Z,sy Y,sx X,C]`.
fn unshuffled(gradient: &FlexTensor, plan: &Plan, margin: Margin) -> Padded {
    let gradient = values(gradient);
    let (extent, fine, scale) = (plan.problem.output_extent(), plan.output_extent(), plan.scale);
    let ([depth, height, width], groups) = (extent.size, scale.iter().product());
    Padded::rows(extent, margin, |first, row| {
        let (plane, y) = (first / width / height, first / width % height);
        let (n, z) = (plane / depth, plane % depth);
        for group in 0..groups {
            let [dz, dy, dx] = sub_voxel(group, scale);
            let line = (n * fine.size[0] + z * scale[0] + dz) * fine.size[1] + y * scale[1] + dy;
            for (x, voxel) in row.chunks_exact_mut(extent.channels).enumerate() {
                let from = &gradient[(line * fine.size[2] + x * scale[2] + dx) * fine.channels..];
                let to = voxel[group..].iter_mut().step_by(groups);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    })
}

/// Parents are x, weight, bias and, of `conv3d_add`, the skip.
#[derive(Debug)]
struct ConvBackward;

impl<const PARENTS: usize> Backward<Flex, PARENTS> for ConvBackward {
    type State = SavedConv;

    fn backward(self, ops: Ops<SavedConv, PARENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let saved = ops.state;
        let problem = &saved.plan.problem;
        let parent = |index: usize| {
            ops.parents
                .get(index)
                .and_then(Option::as_ref)
                .map(|node| node.id)
        };
        if let Some(skip) = parent(3) {
            grads.register::<Flex>(skip, gradient.clone());
        }
        if [0, 1, 2].iter().all(|&index| parent(index).is_none()) {
            return;
        }
        let kernels = Kernels::best();
        let margin = parent(0).map_or_else(Margin::default, |_| gradient_margin(problem));
        let gradient = saved.convolution_gradient(&gradient, margin);
        let extent = problem.input_extent();
        if let Some(node) = parent(0) {
            let weight = saved.weight.to_contiguous();
            let of_input = |result: &mut [MaybeUninit<f32>]| {
                let target = Target::dense(result, extent, Finish::NONE);
                input_gradient(kernels, problem, &gradient, values(&weight), target);
            };
            // SAFETY: an input gradient writes every value.
            let result = unsafe { written(extent.values(), of_input) };
            grads.register::<Flex>(node, voxels(result, extent));
        }
        if let Some(node) = parent(1) {
            let x = padded(&saved.x, problem);
            let result = weight_gradient(kernels, problem, &x, &gradient);
            grads.register::<Flex>(node, shaped(result, &saved.weight));
        }
        if let Some(node) = parent(2) {
            let result = TensorData::new(bias_gradient(&gradient), [problem.channels_out]);
            grads.register::<Flex>(node, FlexTensor::from_data(result));
        }
    }
}

/// What the backward step of a residual channel attention block reads.
#[derive(Clone)]
struct SavedRcab {
    trace: Arc<RcabTrace>,
    output: FlexTensor,
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
            output,
            weights,
            problem,
        } = ops.state;
        let output = channels_last(&output);
        let weights_too = ops.parents[1..5].iter().any(Option::is_some);
        let (kernels, read) = (Kernels::best(), rcab_weights(&weights));
        let sides = (values(&output), values(&gradient));
        let found = rcab::backward(kernels, &problem, &trace, &read, sides, weights_too);
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
                grads.register::<Flex>(node.id, shaped(gradient, like));
            }
        }
    }
}

/// What the backward step of a normalisation reads.
#[derive(Clone, Debug)]
struct SavedNorm {
    /// `[N,Z,Y,X,C]`.
    x: FlexTensor,
    /// Weight and bias.
    affine: [FlexTensor; 2],
    moments: Moments,
    plan: NormPlan,
}

/// Parents are x, weight and bias.
#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 3> for NormBackward {
    type State = SavedNorm;

    fn backward(self, ops: Ops<SavedNorm, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = channels_last(&grads.consume::<Flex>(&ops.node));
        let SavedNorm {
            x,
            affine,
            moments,
            plan,
        } = ops.state;
        let read = (values(&affine[0]), values(&affine[1]));
        let found = norm::backward(&plan, values(&x), &moments, read, values(&gradient));
        let [of_x, of_weight, of_bias] = &ops.parents;
        if let Some(node) = of_x {
            grads.register::<Flex>(node.id, voxels(found.x, plan.extent));
        }
        let of_affine = [(of_weight, found.weight), (of_bias, found.bias)];
        for ((node, gradient), like) in of_affine.into_iter().zip(&affine) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, shaped(gradient, like));
            }
        }
    }
}
