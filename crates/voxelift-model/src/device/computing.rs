//! Where networks compute, and in which number format.

use burn::tensor::Device;
use voxelift_conv::ProductFormat;

use super::{DeviceChoice, Precision};
use crate::error::{ModelError, Result};

/// Where networks compute, and in which number format.
#[derive(Clone, Copy, Debug)]
pub struct Computing {
    /// Where.
    pub device: DeviceChoice,
    /// The number format of products.
    pub precision: Precision,
}

impl Computing {
    /// The device and its name.
    ///
    /// # Errors
    /// When it is not there, or does not compute in the format.
    pub fn open(self) -> Result<(Device, String)> {
        let (device, name) = self.device.open()?;
        if self.precision != Precision::F32 && self.precision.products(&device) == ProductFormat::F32 {
            let format = self.precision.name();
            return Err(ModelError::Device {
                what: format!(
                    "does not multiply in {format} (a processor with avx512_bf16 does); choose {}",
                    Precision::F32.name()
                ),
                device: name,
            });
        }
        Ok((device, name))
    }
}
