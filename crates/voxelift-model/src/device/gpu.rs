//! GPUs: which there are, found without a panic on machines that have none.

use std::panic::{self, AssertUnwindSafe};

#[cfg(feature = "gpu")]
use burn::tensor::DeviceType;
use burn::tensor::{Device, Tensor};

use crate::error::{ModelError, Result};

/// A family of GPUs that a build may support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gpu {
    /// NVIDIA's, by CUDA.
    Cuda,
    /// Whatever wgpu finds: Vulkan, Metal, DirectX 12.
    Wgpu,
}

impl Gpu {
    /// As it is written on the command line, and as the feature is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// Opens the GPU of this number; returns it and its own name.
    pub(super) fn open(self, index: usize) -> Result<(Device, String)> {
        let wrong = |what: String| ModelError::Device {
            device: format!("{}:{index}", self.name()),
            what,
        };
        let name = self.name();
        let devices = self.devices().ok_or_else(|| {
            wrong(format!(
                "this program was built without {name}; build it with the feature {name}, or choose auto or cpu"
            ))
        })?;
        let device = devices.get(index).ok_or_else(|| {
            wrong(match devices.len() {
                0 => format!("there is no {name} device on this machine; choose auto or cpu"),
                1 => format!("there is {name}:0 alone; choose it, auto or cpu"),
                n => format!(
                    "there are {name}:0 to {name}:{}; choose one of them, auto or cpu",
                    n - 1
                ),
            })
        })?;
        let own = started(device)
            .ok_or_else(|| wrong("its driver fails to start; choose another device, auto or cpu".into()))?;
        Ok((device.clone(), own))
    }

    /// The first that is no software and starts, with its number and its own name; or why there is none.
    pub(super) fn first(self) -> std::result::Result<(usize, Device, String), String> {
        let name = self.name();
        let devices = self.devices().ok_or_else(|| format!("built without {name}"))?;
        if devices.is_empty() {
            return Err(format!("no {name} device"));
        }
        let real = devices
            .iter()
            .enumerate()
            .filter(|(_, device)| !is_software(device));
        let mut started = real.filter_map(|(index, device)| Some((index, device.clone(), started(device)?)));
        started
            .next()
            .ok_or_else(|| format!("no {name} device but software, or none that starts"))
    }

    /// Those of this machine, software ones last; `None` where the build does not know the family.
    fn devices(self) -> Option<Vec<Device>> {
        #[cfg(feature = "gpu")]
        let found = |kind: DeviceType| {
            keep_kernels();
            // burn looks for the driver's library before it asks it.
            let found = quietly(|| Device::enumerate(kind).into_iter().collect::<Vec<_>>());
            let mut devices = found.unwrap_or_default();
            devices.sort_by_key(is_software);
            devices
        };
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(found(DeviceType::Cuda)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => None,
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(found(DeviceType::Wgpu)),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => None,
        }
    }
}

/// Compiled kernels, and which of them is fastest, stay in the user's cache folder for the next call: making them anew takes minutes.
#[cfg(feature = "gpu")]
fn keep_kernels() {
    use cubecl::config::cache::CacheConfig;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    let mut config = CubeClRuntimeConfig::default();
    config.compilation.cache = true;
    config.environment.path = CacheConfig::Global;
    // The first to come counts; the others would say the same.
    CubeClRuntimeConfig::try_set(config.override_from_env());
}

/// The name that a device gives itself, once it has been started and has computed something.
fn started(device: &Device) -> Option<String> {
    quietly(|| {
        let sum: f32 = Tensor::<1>::ones([2], device).sum().into_scalar();
        (sum == 2.0).then(|| name(device))
    })
    .flatten()
}

fn name(device: &Device) -> String {
    #[cfg(feature = "gpu")]
    if let Some(identity) = device.identity() {
        return identity.name;
    }
    format!("{device:?}")
}

/// Whether the device is a CPU that emulates a GPU: good for tests only, since our own convolution is faster on a CPU.
fn is_software(device: &Device) -> bool {
    #[cfg(feature = "wgpu")]
    {
        use burn::backend::{CubeDevice, DispatchDevice, WgpuDevice, WgpuDeviceKind};
        matches!(
            device.as_dispatch(),
            DispatchDevice::Cube(CubeDevice::Wgpu(WgpuDevice {
                kind: WgpuDeviceKind::Cpu,
                ..
            }))
        )
    }
    #[cfg(not(feature = "wgpu"))]
    {
        let _ = device;
        false
    }
}

/// What `look` finds, or nothing where a driver makes it panic; the panic is not printed.
fn quietly<T>(look: impl FnOnce() -> T) -> Option<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let found = panic::catch_unwind(AssertUnwindSafe(look));
    panic::set_hook(hook);
    found.ok()
}
