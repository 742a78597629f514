//! The number format that networks compute in.

use std::str::FromStr;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType};
use serde::{Deserialize, Serialize};
use voxelift_conv::ProductFormat;

use crate::error::{ModelError, Result};

/// The number format that networks compute in while they are trained; weights, their averages, the optimiser's
/// moments and the losses are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// 8 significant bits in the range of f32: half the memory, and the matrix units of GPUs.
    Bf16,
}

impl Precision {
    /// The format that weights are cast to on a device; none where they stay as they are, since f32 is asked for or since the
    /// convolutions of this processor round their factors themselves ([`Precision::products`]).
    pub fn cast(self, device: &Device) -> Option<FloatDType> {
        let ours = self.products(device) == ProductFormat::Bf16;
        (self == Self::Bf16 && !ours).then_some(FloatDType::BF16)
    }

    /// What the convolutions of a device round their factors to, where they are our own.
    pub fn products(self, device: &Device) -> ProductFormat {
        let on_cpu = matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_));
        match self {
            Self::Bf16 if on_cpu && ProductFormat::Bf16.is_present() => ProductFormat::Bf16,
            _ => ProductFormat::F32,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// A warning about computing in this format on a device, `device_name`; none where there is nothing to warn of.
    ///
    /// # Errors
    /// When the device does not compute in it.
    pub fn check(self, device: &Device, device_name: &str) -> Result<Option<String>> {
        let Some(format) = self.cast(device) else {
            return Ok(None);
        };
        let name = self.name();
        if !device.supports_dtype(format) {
            return Err(ModelError::Device {
                device: device_name.to_owned(),
                what: format!("does not compute in {name}; choose f32"),
            });
        }
        let emulated = matches!(device.as_dispatch(), DispatchDevice::Flex(_));
        Ok(emulated.then(|| {
            format!(
                "this processor has no products of {name} (avx512_bf16): it emulates them, rounds as a GPU does, and takes longer than \
                 in f32; good for seeing whether a run bears {name}"
            )
        }))
    }
}

impl FromStr for Precision {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        [Self::F32, Self::Bf16]
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| ModelError::config("precision", text, "expected f32 or bf16"))
    }
}
