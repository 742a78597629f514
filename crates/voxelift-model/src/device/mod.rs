//! Layer 4 · DeviceChoice -> burn Device; the only room naming a backend.
//!
//! ```
//! use voxelift_model::device::{DeviceChoice, Gpu};
//!
//! // `Auto` is the first GPU that works, or the CPU; the words are for the user.
//! let (device, words) = DeviceChoice::Auto.open()?;
//! println!("computing on {words}: {device:?}");
//! // As people write it.
//! assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Gpu(Gpu::Cuda, 1));
//! assert!("tpu".parse::<DeviceChoice>().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod computing;
mod gpu;
mod precision;

use std::fmt;
use std::str::FromStr;

pub use burn::tensor::Device;

pub use computing::Computing;
pub use gpu::Gpu;
pub use precision::Precision;
pub use voxelift_conv::{ProductFormat, computing_in};

use crate::error::{ModelError, Result};

/// What the user asked to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// The first GPU that works, or the CPU.
    #[default]
    Auto,
    /// The CPU, with our own convolution.
    Cpu,
    /// The GPU of this number.
    Gpu(Gpu, usize),
}

impl DeviceChoice {
    /// The device, and what it is in words; where it was chosen for the user, also why.
    ///
    /// # Errors
    /// When the device asked for is not there, or not built in.
    pub fn open(self) -> Result<(Device, String)> {
        match self {
            Self::Auto => Ok(best()),
            Self::Cpu => Ok(cpu()),
            Self::Gpu(gpu, index) => {
                let (device, name) = gpu.open(index)?;
                Ok((device, format!("{self} ({name})")))
            }
        }
    }
}

fn cpu() -> (Device, String) {
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    (Device::flex(), format!("cpu, {threads} thread{plural}"))
}

/// The first GPU that is no software and works, or the CPU.
fn best() -> (Device, String) {
    let mut missing = Vec::new();
    for gpu in [Gpu::Cuda, Gpu::Wgpu] {
        match gpu.first() {
            Ok((index, device, name)) => {
                let choice = DeviceChoice::Gpu(gpu, index);
                return (device, format!("{choice} ({name}), the first GPU found"));
            }
            Err(why) => missing.push(why),
        }
    }
    let (device, name) = cpu();
    (device, format!("{name} (no GPU: {})", missing.join(", ")))
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(gpu, index) => write!(f, "{}:{index}", gpu.name()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            ModelError::config(
                "device",
                text,
                "expected auto, cpu, cuda:N or wgpu:N with N from 0",
            )
        };
        let (name, index) = text.split_once(':').unwrap_or((text, "0"));
        match name {
            "auto" | "cpu" if text == name => Ok(if name == "cpu" { Self::Cpu } else { Self::Auto }),
            "cuda" | "wgpu" => {
                let gpu = if name == "cuda" { Gpu::Cuda } else { Gpu::Wgpu };
                Ok(Self::Gpu(gpu, index.parse().map_err(|_| wrong())?))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for text in ["auto", "cpu", "cuda:0", "wgpu:12"] {
            assert_eq!(text.parse::<DeviceChoice>().expect(text).to_string(), text);
        }
        assert_eq!(
            "wgpu".parse::<DeviceChoice>().expect("the first"),
            DeviceChoice::Gpu(Gpu::Wgpu, 0)
        );
        for text in [
            "", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:-1", "wgpu:one", "cuda:0:1",
        ] {
            let message = text.parse::<DeviceChoice>().expect_err(text).to_string();
            assert!(message.contains("cuda:N") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_in_a_line_that_says_what_is() {
        for choice in [
            DeviceChoice::Gpu(Gpu::Cuda, 900),
            DeviceChoice::Gpu(Gpu::Wgpu, 900),
        ] {
            let error = choice.open().expect_err("nobody has so many");
            let message = error.to_string();
            assert!(error.is_configuration(), "{message}");
            assert!(
                message.starts_with(&format!("device {choice}: ")) && message.contains("cpu"),
                "{message}"
            );
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn auto_says_what_it_chose_and_why() {
        let (_, name) = DeviceChoice::Auto.open().expect("there is always the CPU");
        let expected = if name.starts_with("cpu, ") {
            ["cuda", "wgpu"].map(|gpu| name.contains(gpu))
        } else {
            [name.contains("the first GPU found"); 2]
        };
        assert_eq!(expected, [true; 2], "{name}");
    }
}
