//! Floor 4 · DeviceChoice -> burn Device; the only room naming a backend.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::error::{ModelError, Result};

/// What the user asked to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best device that is there.
    #[default]
    Auto,
    /// The CPU, with our own convolution.
    Cpu,
}

impl DeviceChoice {
    /// The device, and what it is in words.
    ///
    /// # Errors
    /// When the device asked for is not there, or not built in.
    pub fn open(self) -> Result<(Device, String)> {
        let threads = rayon::current_num_threads();
        Ok((
            Device::flex(),
            format!("cpu, {threads} thread{}", if threads == 1 { "" } else { "s" }),
        ))
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
        })
    }
}

impl FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ if text.starts_with("cuda") || text.starts_with("wgpu") => Err(ModelError::config(
                "device",
                text,
                "this build computes on the CPU only; choose auto or cpu",
            )),
            _ => Err(ModelError::config("device", text, "expected auto or cpu")),
        }
    }
}
