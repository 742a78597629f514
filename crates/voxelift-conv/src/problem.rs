//! Layer 2 · The sizes of one convolution, and what its passes read.

use crate::activation::Activation;
use crate::layout::{Extent, Margin};
use crate::product_format::ProductFormat;

/// Sizes of a "same"-padded convolution: kernel 1 or 3, stride 1 or 2, padding `kernel / 2` on each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub batch: usize,
    pub channels_in: usize,
    pub channels_out: usize,
    /// `[z, y, x]`, as are all of the following.
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub products: ProductFormat,
}

impl Problem {
    /// # Panics
    /// Where the two shapes do not belong together, or a kernel or stride is not built here.
    pub fn new(x: &[usize], weight: &[usize], stride: [usize; 3]) -> Self {
        assert!(
            x.len() == 5 && weight.len() == 5 && x[1] == weight[1],
            "conv3d: input {x:?}, weight {weight:?}"
        );
        assert!(
            x.iter().chain(weight).all(|&n| n > 0),
            "conv3d: input {x:?}, weight {weight:?}"
        );
        let kernel = [weight[2], weight[3], weight[4]];
        assert!(
            kernel.iter().all(|k| [1, 3].contains(k)),
            "conv3d: kernel {kernel:?}, each axis is 1 or 3"
        );
        assert!(
            stride.iter().all(|s| [1, 2].contains(s)),
            "conv3d: stride {stride:?}, each axis is 1 or 2"
        );
        Self {
            batch: x[0],
            channels_in: x[1],
            channels_out: weight[0],
            input: [x[2], x[3], x[4]],
            kernel,
            stride,
            products: ProductFormat::now(),
        }
    }

    pub fn padding(&self) -> [usize; 3] {
        self.kernel.map(|k| k / 2)
    }

    /// `[z, y, x]` of the output: `ceil(input / stride)`.
    pub fn output(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.input[axis].div_ceil(self.stride[axis]))
    }

    /// What a forward pass reads.
    pub fn input_extent(&self) -> Extent {
        Extent {
            batch: self.batch,
            channels: self.channels_in,
            size: self.input,
        }
    }

    /// What it writes.
    pub fn output_extent(&self) -> Extent {
        Extent {
            batch: self.batch,
            channels: self.channels_out,
            size: self.output(),
        }
    }

    /// Zeros that it needs around its input.
    pub fn margin(&self) -> Margin {
        Margin {
            low: self.padding(),
            high: self.padding(),
        }
    }

    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    pub fn weights(&self) -> usize {
        self.channels_out * self.channels_in * self.taps()
    }
}

/// A convolution and what follows it in the same op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub problem: Problem,
    pub activation: Activation,
    /// Voxel shuffle, `[1; 3]` for none; not together with an activation.
    pub scale: [usize; 3],
}

impl Plan {
    pub fn output_extent(&self) -> Extent {
        let Extent {
            batch,
            channels,
            size,
        } = self.problem.output_extent();
        let sub_voxels: usize = self.scale.iter().product();
        Extent {
            batch,
            channels: channels / sub_voxels,
            size: std::array::from_fn(|axis| size[axis] * self.scale[axis]),
        }
    }
}
