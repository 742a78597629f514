//! Layer 5 · The named parameters of a module: read, replaced, averaged, their gradients collected.
//!
//! Names follow the module tree (`encoder.convs.0.weight`) and are those of the model file. Everything is kept
//! in name order, so that a sum or a file never depends on how a module was built.
//!
//! ```
//! use voxelift_model::device::DeviceChoice;
//! use voxelift_model::networks::{Generator, GeneratorConfig};
//! use voxelift_model::parameters::{average, values};
//!
//! let (device, _) = DeviceChoice::Cpu.open()?;
//! let (old, live) = (GeneratorConfig::tiny().init(1, &device), GeneratorConfig::tiny().init(2, &device));
//! // The first weight of a layer, by the name that it has in a model file.
//! let first = |network: &Generator| values(network)["encoder.convs.0.weight"].as_slice::<f32>().expect("f32")[0];
//! let expected = 0.9 * first(&old) + 0.1 * first(&live);
//! let mean = average(old, &live, 0.9);
//! assert!((first(&mean) - expected).abs() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, FloatDType, Gradients, Tensor, TensorData};

use crate::error::TensorError;

/// Flattened tensors by parameter name.
pub type NamedTensors = BTreeMap<String, Tensor<1>>;

/// The values of every parameter, with their shapes.
pub fn values<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    struct Values(Path, BTreeMap<String, TensorData>);
    impl ModuleVisitor for Values {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.name(), param.val().inner().into_data());
        }
    }
    let mut visitor = Values(Path::default(), BTreeMap::new());
    module.visit(&mut visitor);
    visitor.1
}

/// Takes the gradient of every parameter of `module` that has one out of `gradients`, detached and flattened.
pub fn take_gradients<M: Module>(module: &M, gradients: &mut Gradients) -> NamedTensors {
    struct Take<'a>(Path, &'a mut Gradients, NamedTensors);
    impl ModuleVisitor for Take<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad_remove(self.1) {
                self.2.insert(self.0.name(), gradient.flatten(0, D - 1));
            }
        }
    }
    let mut visitor = Take(Path::default(), gradients, BTreeMap::new());
    module.visit(&mut visitor);
    visitor.2
}

/// Adds the gradients of a further backward pass.
pub fn accumulate(total: &mut NamedTensors, more: NamedTensors) {
    for (name, gradient) in more {
        let sum = match total.remove(&name) {
            Some(there) => there + gradient,
            None => gradient,
        };
        total.insert(name, sum);
    }
}

/// The module with every parameter replaced by `change(name, flattened value)`; whether a parameter requires
/// gradients, and its shape, stay.
///
/// # Panics
/// When the change returns another number of elements.
pub fn map_named<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    struct Change<F>(Path, F);
    impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Change<F> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let (autodiff, require_grad, dims) =
                (tensor.is_autodiff(), tensor.is_require_grad(), tensor.dims());
            let changed = (self.1)(&self.0.name(), tensor.inner().flatten(0, D - 1)).reshape(dims);
            let changed = if autodiff {
                Tensor::from_inner(changed)
            } else {
                changed
            };
            Param::from_mapped_value(id, changed.set_require_grad(require_grad), mapper)
        }
    }
    module.map(&mut Change(Path::default(), change))
}

/// The module with its parameters in another number format; where they are in a graph, gradients flow back to the
/// parameters of the module that was given.
pub fn cast<M: Module>(module: M, format: FloatDType) -> M {
    struct Cast(FloatDType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(self.0))
        }
    }
    module.map(&mut Cast(format))
}

/// One step of an exponential moving average: `average * decay + live * (1 - decay)`.
///
/// # Panics
/// When the two modules are not of one shape.
pub fn average<M: Module>(average: M, live: &M, decay: f64) -> M {
    let mut live = flattened(live);
    map_named(average, |name, mean| {
        let live = live
            .remove(name)
            .unwrap_or_else(|| panic!("no parameter {name} to average with"));
        mean.mul_scalar(decay) + live.mul_scalar(1.0 - decay)
    })
}

/// Every parameter, where it lies, outside of any graph.
fn flattened<M: Module>(module: &M) -> NamedTensors {
    struct Flattened(Path, NamedTensors);
    impl ModuleVisitor for Flattened {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1
                .insert(self.0.name(), param.val().inner().flatten(0, D - 1));
        }
    }
    let mut visitor = Flattened(Path::default(), NamedTensors::new());
    module.visit(&mut visitor);
    visitor.1
}

/// The module with its parameters replaced by `values`.
///
/// # Errors
/// Naming the first parameter that is missing, has another shape, or belongs to no parameter.
pub fn replaced<M: Module>(module: M, values: &BTreeMap<String, TensorData>) -> Result<M, TensorError> {
    let there = self::values(&module);
    for (name, now) in &there {
        let shape = now.shape().as_slice();
        match values.get(name) {
            None => return Err(TensorError::Missing { name: name.clone() }),
            Some(data) if data.shape().as_slice() != shape => {
                return Err(TensorError::Shape {
                    name: name.clone(),
                    found: data.shape().as_slice().to_vec(),
                    wanted: shape.to_vec(),
                });
            }
            Some(_) => {}
        }
    }
    if let Some(name) = values.keys().find(|name| !there.contains_key(*name)) {
        return Err(TensorError::Unknown { name: name.clone() });
    }
    Ok(map_named(module, |name, old| {
        flat(values[name].clone(), &old.device())
    }))
}

fn flat(data: TensorData, device: &Device) -> Tensor<1> {
    let (bytes, shape, dtype) = data.into_parts();
    Tensor::from_data(
        TensorData::from_bytes(bytes, [shape.num_elements()], dtype),
        device,
    )
}

/// The names from the root to where a traversal is.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }
    fn exit(&mut self) {
        self.0.pop();
    }
    fn name(&self) -> String {
        self.0.join(".")
    }
}
