//! A weighted sum of loss terms, and its gradients.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::losses::LossTerms;
use crate::parameters::{NamedTensors, take_gradients};

/// A weighted sum of terms in one graph.
pub(super) struct Objective<'a> {
    total: Option<Tensor<1>>,
    pub terms: &'a mut LossTerms,
}

impl<'a> Objective<'a> {
    pub(super) fn new(terms: &'a mut LossTerms) -> Self {
        Self { total: None, terms }
    }

    pub(super) fn add(&mut self, name: &'static str, weight: f64, value: Tensor<1>) {
        let scalar: f32 = value.clone().inner().into_scalar();
        self.terms.record(name, f64::from(scalar));
        let weighted = value.mul_scalar(weight);
        self.total = Some(match self.total.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        });
    }

    /// Whether no term was added.
    pub(super) fn is_empty(&self) -> bool {
        self.total.is_none()
    }

    /// One backward pass.
    pub(super) fn gradients<M: Module>(self, module: &M) -> NamedTensors {
        match self.total {
            Some(total) => take_gradients(module, &mut total.backward()),
            None => NamedTensors::new(),
        }
    }
}
