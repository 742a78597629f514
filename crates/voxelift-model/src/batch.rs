//! Layer 4 · Volumes <-> Tensor<5>: a volume's voxels in file order are the tensor's memory.
//!
//! ```
//! use voxelift_model::batch::{tensor_to_voxels, volume_to_tensor};
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_volume::phantom::{PhantomConfig, head};
//!
//! let scan = head(&PhantomConfig { seed: 1, extent: [12, 14, 16], spacing_mm: [12.0; 3] })?;
//! let (device, _) = DeviceChoice::Cpu.open()?;
//! let tensor = volume_to_tensor(&scan, &device);
//! // One patch of one channel; axes in the order of memory, so z comes first.
//! assert_eq!(tensor.dims(), [1, 1, 16, 14, 12]);
//! assert_eq!(tensor_to_voxels(tensor), scan.data());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use burn::tensor::{Device, Tensor, TensorData};
use voxelift_volume::Volume;
use voxelift_volume::degrade::Operators;

/// What one training step sees.
///
/// # Shapes
/// `[N, 1, Z, Y, X]`; HR ones are `scale` times as long per axis. A placed `lr_source` has four channels.
///
/// # Units
/// Intensities over the 99.5th percentile of the LR volume's foreground; foregrounds are 0 or 1.
#[derive(Clone, Debug)]
pub struct UnpairedBatch {
    /// `Y_s`.
    pub hr_source: Tensor<5>,
    /// `X_s`, its known degradation.
    pub lr_source: Tensor<5>,
    /// Where `Y_s` is foreground.
    pub hr_foreground: Tensor<5>,
    /// `X_t` and its foreground; none in the supervised mode.
    pub target: Option<TargetBatch>,
}

/// The unpaired half of a batch.
#[derive(Clone, Debug)]
pub struct TargetBatch {
    /// `X_t`.
    pub lr_target: Tensor<5>,
    /// Where `X_t` is foreground.
    pub lr_foreground: Tensor<5>,
    /// What is taken to have made `X_t`, where it is one operator.
    pub operators: Option<Operators>,
}

/// Voxels of `n` equal patches, one after the other, as a tensor.
///
/// # Shapes
/// `extent` is x, y, z; the result `[n, 1, z, y, x]`.
///
/// # Panics
/// When the number of voxels is not that of the patches.
pub fn patches_to_tensor(voxels: Vec<f32>, n: usize, [x, y, z]: [usize; 3], device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(voxels, [n, 1, z, y, x]), device)
}

/// As [`patches_to_tensor`], of images with several channels, one after the other.
///
/// # Shapes
/// `[n, channels, z, y, x]`.
///
/// # Panics
/// As [`patches_to_tensor`].
pub fn images_to_tensor(
    voxels: Vec<f32>,
    [n, channels]: [usize; 2],
    [x, y, z]: [usize; 3],
    device: &Device,
) -> Tensor<5> {
    Tensor::from_data(TensorData::new(voxels, [n, channels, z, y, x]), device)
}

/// A whole volume as a batch of one.
///
/// # Shapes
/// `[1, 1, Z, Y, X]`.
pub fn volume_to_tensor(volume: &Volume, device: &Device) -> Tensor<5> {
    patches_to_tensor(volume.data().to_vec(), 1, volume.extent(), device)
}

/// The voxels of a tensor, batch entry by batch entry, x fastest.
pub fn tensor_to_voxels(tensor: Tensor<5>) -> Vec<f32> {
    tensor.inner().into_data().try_into_vec().expect("an f32 tensor")
}
