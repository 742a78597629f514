//! What Python reaches of voxelift: volumes as arrays of float32 with their affine, options and results as JSON.
//!
//! `voxelift/__init__.py` is what users see. The interpreter's lock is let go while anything is computed.

mod models;
mod training;
mod upscaling;
mod volumes;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(
    _native,
    VoxeliftError,
    PyValueError,
    "What voxelift cannot do right, with what to do next."
);

/// The error of the program's own words.
fn refused(error: impl std::error::Error) -> PyErr {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    VoxeliftError::new_err(words)
}

/// The module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VoxeliftError", module.py().get_type::<VoxeliftError>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<models::LoadedModel>()?;
    module.add_function(wrap_pyfunction!(volumes::read, module)?)?;
    module.add_function(wrap_pyfunction!(volumes::degrade, module)?)?;
    module.add_function(wrap_pyfunction!(volumes::evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(upscaling::upscale, module)?)?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    Ok(())
}
