//! What a model may be expected to gain, in words and in the sidecar.

use serde_json::{Value, json};
use voxelift_model::upscale::{Method, Upscaling};
use voxelift_volume::expected::Expected;
use voxelift_volume::words::number;

use crate::terminal::Terminal;

/// What a model may be expected to do for a scan, in a sentence; a warning where a baseline does better.
pub fn in_words(upscaling: &Upscaling<'_>, name: &str, terminal: &Terminal) -> Option<String> {
    if !matches!(upscaling.method(), Method::Model(_)) {
        return None;
    }
    let Some(expected) = upscaling.expected() else {
        return upscaling.because().map(|_| {
            "expected gain: unknown, since the scan cannot be degraded once more to measure it: it is too small, or nothing is made finer"
                .to_owned()
        });
    };
    let by = expected
        .factors
        .map(|factor| number((factor * 100.0).round() / 100.0))
        .join("x");
    let (baseline, gain_db) = (expected.baseline, expected.gain_db);
    let percent = 100.0 * (expected.error_ratio() - 1.0).abs();
    if gain_db < 0.0 {
        terminal.warn(format!(
            "{name}: the model is expected to do worse than {baseline} on this scan, by {:.2} dB (an error {percent:.0} % larger), \
             as measured on the scan itself, degraded once more by {by}: --method {baseline} --consistency soft makes that instead",
            -gain_db
        ));
        return None;
    }
    Some(format!(
        "expected gain: {gain_db:.2} dB over {baseline}, the best baseline (an error {percent:.0} % smaller), measured on the scan \
         itself, degraded once more by {by}"
    ))
}

/// The same for the sidecar.
pub fn for_sidecar(expected: &Expected) -> Value {
    json!({
        "gain_db": expected.gain_db,
        "baseline": expected.baseline.name(),
        "factors": expected.factors,
        "error_ratio": expected.error_ratio(),
    })
}
