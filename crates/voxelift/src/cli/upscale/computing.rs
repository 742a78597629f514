//! Where networks compute, and in which number format.

use voxelift_model::device::{Device, DeviceChoice, Precision, ProductFormat};

use crate::failure::usage;

/// Where networks compute, and in which number format.
#[derive(Clone, Copy, Debug)]
pub struct Computing {
    pub device: DeviceChoice,
    pub precision: Precision,
}

impl Computing {
    /// The device and its name.
    ///
    /// # Errors
    /// When it is not there, or does not compute in the format.
    pub fn open(self) -> anyhow::Result<(Device, String)> {
        let (device, name) = self.device.open()?;
        if self.precision != Precision::F32 && self.precision.products(&device) == ProductFormat::F32 {
            return Err(usage(format!(
                "--precision {}: {name} does not multiply in it (a processor with avx512_bf16 does); leave --precision out",
                self.precision.name()
            )));
        }
        Ok((device, name))
    }
}
