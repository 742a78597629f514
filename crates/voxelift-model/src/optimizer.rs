//! Layer 6 · Adam with a global gradient norm, its moments kept by parameter name.
//!
//! ```
//! use burn::tensor::Tensor;
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::layers::{Init, Linear};
//! use voxelift_model::optimizer::{Adam, OptimizerConfig};
//! use voxelift_model::parameters::take_gradients;
//!
//! let device = DeviceChoice::Cpu.open()?.0.autodiff();
//! let mut layer = Linear::new(3, 1, &mut Init::new(1, "example"), &device);
//! let loss = |layer: &Linear| (layer.forward(Tensor::ones([1, 3], &device)) - 4.0).square().mean();
//! let before = loss(&layer).into_scalar::<f32>();
//! let (mut adam, config) = (Adam::default(), OptimizerConfig { learning_rate: 0.05, ..OptimizerConfig::default() });
//! for step in 0..80 {
//!     let gradients = take_gradients(&layer, &mut loss(&layer).backward());
//!     layer = adam.step(layer, gradients, config.rate(step, 80), &config);
//! }
//! assert!(loss(&layer).into_scalar::<f32>() < 0.5 * before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::error::TensorError;
use crate::parameters::{NamedTensors, map_named};

/// How the weights move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The rate after the warm-up and before the first halving.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Steps over which the rate rises linearly from zero.
    pub warmup_steps: u64,
    /// Fractions of the run at which the rate is halved.
    pub halve_at: Vec<f64>,
    /// Largest L2 norm of all gradients together; 0 switches the clipping off.
    pub clip_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            warmup_steps: 50,
            halve_at: vec![0.5, 0.7, 0.9],
            clip_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// The rate of step `step` (from 0) of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        let warm = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let halvings = self
            .halve_at
            .iter()
            .filter(|at| step as f64 >= **at * steps as f64)
            .count();
        self.learning_rate * warm * 0.5f64.powi(halvings as i32)
    }
}

/// Adam (Kingma and Ba, arXiv 1412.6980) for one module, with bias correction.
#[derive(Clone, Debug, Default)]
pub struct Adam {
    time: BTreeMap<String, u64>,
    moments: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Adam {
    /// Moves every parameter that has a gradient.
    ///
    /// A parameter's own count of updates corrects its bias, so that a term that joins late (an adversarial ramp)
    /// starts like a fresh one.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        gradients: NamedTensors,
        rate: f64,
        config: &OptimizerConfig,
    ) -> M {
        let OptimizerConfig {
            beta_1,
            beta_2,
            epsilon,
            ..
        } = *config;
        let mut gradients = gradients;
        map_named(module, |name, value| {
            let Some(gradient) = gradients.remove(name) else {
                return value;
            };
            let [first, second] = self.moments.remove(name).unwrap_or_else(|| {
                let zeros = gradient.zeros_like();
                [zeros.clone(), zeros]
            });
            let first = first.mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1);
            let second = second.mul_scalar(beta_2) + gradient.square().mul_scalar(1.0 - beta_2);
            let time = self.time.entry(name.to_owned()).or_insert(0);
            *time += 1;
            let bias = |beta: f64| 1.0 - beta.powi(*time as i32);
            let root = second.clone().div_scalar(bias(beta_2)).sqrt().add_scalar(epsilon);
            let change = first.clone().mul_scalar(rate / bias(beta_1)) / root;
            self.moments.insert(name.to_owned(), [first, second]);
            value - change
        })
    }

    /// The moments and counts, to be kept in a checkpoint: `NAME.first`, `NAME.second`, and the counts.
    pub fn state(&self) -> (BTreeMap<String, TensorData>, BTreeMap<String, u64>) {
        let named = self.moments.iter().flat_map(|(name, [first, second])| {
            [
                (format!("{name}.first"), first),
                (format!("{name}.second"), second),
            ]
        });
        (
            named.map(|(name, tensor)| (name, tensor.to_data())).collect(),
            self.time.clone(),
        )
    }

    /// Puts back what [`Adam::state`] gave.
    ///
    /// # Errors
    /// Naming the moment that is missing.
    pub fn restored(
        mut moments: BTreeMap<String, TensorData>,
        time: BTreeMap<String, u64>,
        device: &burn::tensor::Device,
    ) -> Result<Self, TensorError> {
        let mut restored_moments = BTreeMap::new();
        for name in time.keys() {
            let mut take = |which: &str| {
                let key = format!("{name}.{which}");
                let data = moments
                    .remove(&key)
                    .ok_or(TensorError::MissingMoment { name: key })?;
                Ok::<_, TensorError>(Tensor::<1>::from_data(data, device))
            };
            restored_moments.insert(name.clone(), [take("first")?, take("second")?]);
        }
        Ok(Self {
            time,
            moments: restored_moments,
        })
    }
}

/// The L2 norm of all gradients together.
pub fn global_norm(gradients: &NamedTensors) -> f64 {
    if gradients.is_empty() {
        return 0.0;
    }
    // Read in one go: a GPU would wait for each.
    let squares = gradients.values().map(|g| g.clone().square().sum());
    let squares: Vec<f32> = Tensor::cat(squares.collect(), 0)
        .into_data()
        .try_into_vec()
        .expect("f32 gradients");
    squares.into_iter().map(f64::from).sum::<f64>().sqrt()
}

/// Scales the gradients so that their norm, which is `norm`, is at most `limit` (0: no limit).
pub fn clipped(gradients: NamedTensors, norm: f64, limit: f64) -> NamedTensors {
    if limit <= 0.0 || norm <= limit {
        return gradients;
    }
    gradients
        .into_iter()
        .map(|(name, g)| (name, g.mul_scalar(limit / norm)))
        .collect()
}
