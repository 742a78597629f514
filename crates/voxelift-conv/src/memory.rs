//! Layer 9 · burn's CPU tensors as memory of the kernels, and back.

use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;

use crate::layout::{Extent, Padded, Source, to_channels_last, values};
use crate::passes::margin;
use crate::problem::Problem;
use crate::winograd;

/// The input of a pass, with the zeros around it that the pass needs: a copy, or the tensor's own memory.
pub(crate) fn padded(x: &FlexTensor, problem: &Problem) -> Padded {
    let (extent, view) = (problem.input_extent(), last_axis(x));
    if winograd::pays(problem) && view.is_contiguous() {
        return Padded::of_tensor(view, extent);
    }
    let x = ordered(x);
    Padded::copy(source(&x), extent, margin(problem), None)
}

/// `[N,Z,Y,X,C]` values as a tensor of the logical shape `[N,C,Z,Y,X]`.
pub(crate) fn voxels(values: Vec<f32>, extent: Extent) -> FlexTensor {
    let Extent {
        batch,
        channels,
        size: [z, y, x],
    } = extent;
    FlexTensor::from_data(TensorData::new(values, [batch, z, y, x, channels])).permute(&[0, 4, 1, 2, 3])
}

/// Values in the shape of another tensor.
pub(crate) fn shaped(values: Vec<f32>, like: &FlexTensor) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, like.layout().shape().clone()))
}

/// The tensor itself where its memory is planar or channels-last, else a planar copy.
pub(crate) fn ordered(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() || last_axis(tensor).is_contiguous() {
        tensor.clone()
    } else {
        tensor.to_contiguous()
    }
}

/// The memory of an [`ordered`] tensor.
pub(crate) fn source(tensor: &FlexTensor) -> Source<'_> {
    if tensor.is_contiguous() {
        return Source::Planar(values(tensor));
    }
    let start = tensor.layout().start_offset();
    Source::ChannelsLast(&tensor.storage()[start..start + tensor.layout().num_elements()])
}

/// `[N,C,Z,Y,X]` as `[N,Z,Y,X,C]`, contiguous: the same memory where it is so already.
pub(crate) fn channels_last(tensor: &FlexTensor) -> FlexTensor {
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

pub(crate) fn contiguous<const N: usize>(tensors: [FlexTensor; N]) -> [FlexTensor; N] {
    tensors.map(|tensor| tensor.to_contiguous())
}
