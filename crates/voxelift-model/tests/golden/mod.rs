//! Golden numbers from `scripts/reference/*_golden.py`, and the formula by which both sides make tensors.

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use voxelift_model::device::DeviceChoice;

/// The CPU, with autodiff.
pub fn device() -> Device {
    DeviceChoice::Cpu.open().expect("a CPU").0.autodiff()
}

/// The numbers that a script wrote under `key`.
pub fn golden(file: &Value, key: &str) -> Vec<f64> {
    let list = match &file[key] {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    list.iter()
        .map(|v| v.as_f64().unwrap_or_else(|| panic!("{key}: {v}")))
        .collect()
}

/// A tensor `amplitude sin(12.9898 (i + 1) + 0.7 salt)` whose salt comes from its name.
pub fn formula<const D: usize>(shape: [usize; D], name: &str, amplitude: f64) -> Tensor<D> {
    let salt: usize = name
        .bytes()
        .enumerate()
        .map(|(i, byte)| (i + 1) * usize::from(byte))
        .sum();
    let value = |i: usize| amplitude * (12.9898 * (i + 1) as f64 + 0.7 * (salt % 1009) as f64).sin();
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| value(i) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// Compares with golden numbers, to `tolerance` of the largest of them.
pub fn assert_close<const D: usize>(what: &str, found: Tensor<D>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_data().iter::<f64>().collect();
    assert_eq!(
        found.len(),
        expected.len(),
        "{what}: {} numbers, {} expected",
        found.len(),
        expected.len()
    );
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * largest,
            "{what}[{i}] = {a}, expected {b}"
        );
    }
}
