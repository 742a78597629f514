//! Weights and switches of the losses.

use serde::{Deserialize, Serialize};

use crate::error::InvalidSetting;

/// Which networks a term's gradient reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Those of the method's table.
    #[default]
    Routed,
    /// Every generator network that the term touches.
    Joint,
}

/// How the contrastive losses are differentiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContrastiveBackward {
    /// In one graph.
    #[default]
    Joint,
    /// Each in a graph of its own, to save memory.
    Separate,
}

/// One weight a term, and the switches beside them. A term of weight 0 is not computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// L1 + SSIM of `Y_ss` against `Y_s`.
    pub reconstruction: f64,
    /// L1 + SSIM of `X_tt` against `X_t`.
    pub restoration: f64,
    /// L1 + SSIM of `Y_sts` against `Y_s`.
    pub cycle: f64,
    /// Weight of `1 - SSIM` inside the three terms above.
    pub ssim: f64,
    /// `D_f` cannot tell the domains' features apart.
    pub alignment: f64,
    /// `D_t` takes `X_st` for real.
    pub style: f64,
    /// `D_s` takes `Y_ss` and `Y_sts` for real.
    pub adversarial: f64,
    /// `D_s` takes `Y_t` for real.
    pub adversarial_target: f64,
    /// LR image -> E -> G_t -> E keeps its features, against the rest of the batch.
    pub feature_contrastive: f64,
    /// SR image against its own HR image, against the rest of the batch.
    pub reconstruction_contrastive: f64,
    /// L1 of `F_s` and `F_st`, the parent's term.
    pub identity: f64,
    /// L1 of what no scan holds of `Y_ss` and of `Y_s`: `|H(Y_ss - Y_s)|`, H the high-pass of the null-space layer.
    pub null_space: f64,
    /// L1 between the output as it would have been measured and its scan: `|A(Y_t) - X_t|`, A the known operator.
    pub measurement: f64,
    /// The output as it would have been measured against its scan, in features, against the rest of the batch: `J(p(E(A(Y_t))), p(E(X_t)))`.
    pub measurement_contrastive: f64,
    /// Temperature of the contrastive losses.
    pub temperature: f64,
    /// Let the contrastive losses' target side take gradient too.
    pub symmetric: bool,
    /// Embed one LR-patch-sized crop of SR and HR image instead of the whole.
    pub embed_crop: bool,
    /// Which networks a term moves.
    pub routing: Routing,
    /// How the contrastive losses are differentiated.
    pub contrastive_backward: ContrastiveBackward,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            reconstruction: 1.0,
            restoration: 1.0,
            cycle: 1.0,
            ssim: 0.1,
            alignment: 0.0,
            style: 0.01,
            adversarial: 0.001,
            adversarial_target: 0.0,
            feature_contrastive: 0.0,
            reconstruction_contrastive: 0.0,
            identity: 0.0,
            null_space: 0.0,
            measurement: 0.0,
            measurement_contrastive: 0.0,
            temperature: 0.5,
            symmetric: false,
            embed_crop: true,
            routing: Routing::Routed,
            contrastive_backward: ContrastiveBackward::Joint,
        }
    }
}

impl LossConfig {
    /// Every weight by its key, in the method's order.
    pub fn weights(&self) -> [(&'static str, f64); 14] {
        [
            ("reconstruction", self.reconstruction),
            ("restoration", self.restoration),
            ("cycle", self.cycle),
            ("ssim", self.ssim),
            ("alignment", self.alignment),
            ("style", self.style),
            ("adversarial", self.adversarial),
            ("adversarial_target", self.adversarial_target),
            ("feature_contrastive", self.feature_contrastive),
            ("reconstruction_contrastive", self.reconstruction_contrastive),
            ("identity", self.identity),
            ("null_space", self.null_space),
            ("measurement", self.measurement),
            ("measurement_contrastive", self.measurement_contrastive),
        ]
    }

    /// The first contrastive term that has a weight, with its key: terms that need more than one patch of a step.
    pub fn contrastive(&self) -> Option<(&'static str, f64)> {
        let mut weights = self.weights().into_iter();
        weights.find(|(key, weight)| key.ends_with("_contrastive") && *weight > 0.0)
    }

    /// Refuses weights that mean nothing, and contrastive losses without negatives.
    ///
    /// # Errors
    ///
    /// One line naming the key, its value and what to do.
    pub fn check(&self, batch: usize) -> Result<(), InvalidSetting> {
        let weights = self.weights();
        if let Some((key, weight)) = weights
            .iter()
            .find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0))
        {
            return Err(InvalidSetting::new(
                *key,
                weight,
                "a loss weight must be a finite number, 0 or more",
            ));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(InvalidSetting::new(
                "temperature",
                self.temperature,
                "must be a finite number above 0",
            ));
        }
        if let (Some((key, weight)), 0..=1) = (self.contrastive(), batch) {
            return Err(InvalidSetting::new(
                key,
                weight,
                format!("a batch of {batch} has no negatives; raise the batch to 2 or more, or set it to 0"),
            ));
        }
        Ok(())
    }
}
