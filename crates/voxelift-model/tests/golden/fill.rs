//! Fills a module with the formula, each parameter under its own name.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::golden::formula;

/// The module with every parameter filled by the formula under its own name.
pub fn fill<M: Module>(module: M) -> M {
    module.map(&mut Filler { path: Vec::new() })
}

struct Filler {
    path: Vec<String>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let shape: [usize; D] = param.lazy_shape().dims();
        let values = if D > 1 {
            let fan_in: usize = shape[1..].iter().product();
            formula(shape, &name, (3.0 / fan_in as f64).sqrt())
        } else {
            let values = formula(shape, &name, 0.1);
            if name.contains("norm") && name.ends_with("weight") {
                values + 1.0
            } else {
                values
            }
        };
        param.map(|_| values.detach().require_grad())
    }
}
