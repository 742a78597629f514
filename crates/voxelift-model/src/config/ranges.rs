//! The range of every number of a configuration, in one table.

use toml::Value;

use crate::error::{ModelError, Result};

/// A key, the least and the greatest value. A value within its range can be allocated and counted with; what a machine has
/// room for is another question.
#[rustfmt::skip]
const RANGES: &[(&str, f64, f64)] = &[
    ("seed", 0.0, 9_223_372_036_854_775_807.0),
    ("steps", 1.0, 1e9),
    ("scale", 1.0, 8.0),
    ("data.hr_fraction", 0.0, 1.0),
    ("data.hr_slab", 0.0, 1.0),
    ("data.source_shift", -64.0, 64.0),
    ("data.phantom.extent", 8.0, 1024.0),
    ("data.phantom.spacing_mm", 0.05, 50.0),
    ("patch.size", 4.0, 256.0),
    ("patch.batch", 1.0, 1024.0),
    ("patch.min_foreground", 0.0, 1.0),
    ("augmentation.gamma", 0.0, 1.0),
    ("augmentation.bias_field", 0.0, 1.0),
    ("augmentation.noise", 0.0, 1.0),
    ("augmentation.operator_copies", 0.0, 8.0),
    ("augmentation.operator_spread", 0.0, 1.0),
    ("network.n_feats", 1.0, 1024.0),
    ("network.n_resgroups", 1.0, 128.0),
    ("network.n_resblocks", 1.0, 128.0),
    ("network.reduction", 1.0, 1024.0),
    ("network.n_lr_blocks", 1.0, 128.0),
    ("network.kernel", 1.0, 3.0),
    ("placed.slots", 1.0, 4096.0),
    ("placed.every", 1.0, 1e9),
    ("placed.label_share", 0.0, 1.0),
    ("placed.monotone", 0.0, 1.0),
    ("placed.any_order", 0.0, 1.0),
    ("placed.acquisition.most", 2.0, 8.0),
    ("placed.acquisition.slices", 0.0, 1.0),
    ("placed.acquisition.uneven", 0.0, 1.0),
    ("placed.acquisition.noise", 0.0, 1.0),
    ("placed.acquisition.moving", 0.0, 1.0),
    ("placed.synthesis.stripped", 0.0, 1.0),
    ("placed.synthesis.lesions", 0.0, 1000.0),
    ("placed.synthesis.gaps", 0.0, 1000.0),
    ("placed.synthesis.vessels", 0.0, 1000.0),
    ("placed.synthesis.texture", 0.0, 1.0),
    ("placed.synthesis.bias_field", 0.0, 2.0),
    ("placed.synthesis.gamma", 0.0, 2.0),
    ("placed.synthesis.partial_volume", 0.0, 4.0),
    ("discriminator.width", 1.0, 1024.0),
    ("projection.pool", 1.0, 64.0),
    ("projection.hidden", 1.0, 16_384.0),
    ("projection.dim", 1.0, 16_384.0),
    ("projection.positions", 1.0, 16_384.0),
    ("loss.reconstruction", 0.0, 1e6),
    ("loss.restoration", 0.0, 1e6),
    ("loss.cycle", 0.0, 1e6),
    ("loss.ssim", 0.0, 1e6),
    ("loss.alignment", 0.0, 1e6),
    ("loss.style", 0.0, 1e6),
    ("loss.adversarial", 0.0, 1e6),
    ("loss.adversarial_target", 0.0, 1e6),
    ("loss.feature_contrastive", 0.0, 1e6),
    ("loss.reconstruction_contrastive", 0.0, 1e6),
    ("loss.identity", 0.0, 1e6),
    ("loss.null_space", 0.0, 1e6),
    ("loss.measurement", 0.0, 1e6),
    ("loss.measurement_contrastive", 0.0, 1e6),
    ("loss.temperature", 1e-4, 1e3),
    ("optimizer.learning_rate", 1e-30, 1e30),
    ("optimizer.beta_1", 0.0, 0.999_999),
    ("optimizer.beta_2", 0.0, 0.999_999_9),
    ("optimizer.epsilon", 1e-30, 1.0),
    ("optimizer.warmup_steps", 0.0, 1e9),
    ("optimizer.halve_at", 0.0, 1.0),
    ("optimizer.clip_norm", 0.0, 1e9),
    ("schedule.quiet", 0.0, 1.0),
    ("schedule.ramp", 0.0, 1.0),
    ("schedule.n_gen", 1.0, 1000.0),
    ("schedule.ema_decay", 0.0, 1.0),
    ("validation.every", 0.0, 1e9),
    ("validation.tile", 0.0, 2048.0),
    ("checkpoint.every", 1.0, 1e9),
    ("checkpoint.keep", 1.0, 10_000.0),
    // Of each degradation and motion, wherever they stand.
    ("*.scale", 1.0, 64.0),
    ("*.spacing_mm", 0.01, 1000.0),
    ("*.shift", -64.0, 64.0),
    ("*.bias_field", 0.0, 10.0),
    ("*.noise", 0.0, 10.0),
    ("*.events", 0.0, 64.0),
    ("*.translation_mm", 0.0, 100.0),
    ("*.rotation_deg", 0.0, 90.0),
    ("*.ghosts", 0.0, 1000.0),
    ("*.intensity", 0.0, 10.0),
    ("*.axis", 0.0, 2.0),
];

/// # Errors
/// With the key, its value and its range, for the first number that lies outside.
pub fn check<'a>(leaves: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Result<()> {
    leaves
        .into_iter()
        .try_for_each(|(key, value)| check_value(key, value))
}

/// `key` is the whole dotted key, of what stands in a list or a table too.
fn check_value(key: &str, value: &Value) -> Result<()> {
    let number = match value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Array(values) => return values.iter().try_for_each(|value| check_value(key, value)),
        Value::Table(table) => {
            let inner = |(name, value): (&String, &Value)| check_value(&format!("{key}.{name}"), value);
            return table.iter().try_for_each(inner);
        }
        _ => return Ok(()),
    };
    let Some((least, greatest)) = range_of(key) else {
        return Ok(());
    };
    if (least..=greatest).contains(&number) {
        return Ok(());
    }
    Err(ModelError::config(
        key,
        value,
        format!("expected {least} to {greatest}"),
    ))
}

/// The range of a key.
pub(super) fn range_of(key: &str) -> Option<(f64, f64)> {
    let of = |name: &str| {
        RANGES
            .iter()
            .find(|(listed, ..)| *listed == name)
            .map(|(_, a, b)| (*a, *b))
    };
    of(key).or_else(|| of(&format!("*.{}", key.rsplit('.').next().unwrap_or(key))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, text};

    fn numbers(key: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Integer(_) | Value::Float(_) => found.push(key.to_owned()),
            Value::Array(values) => values.iter().for_each(|value| numbers(key, value, found)),
            Value::Table(table) => {
                table
                    .iter()
                    .for_each(|(name, value)| numbers(&format!("{key}.{name}"), value, found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_number_of_every_configuration_of_ours_has_a_range_and_lies_in_it() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let mut texts = vec![Config::default().to_toml()];
        for entry in std::fs::read_dir(folder).expect("the configurations") {
            let path = entry.expect("an entry").path();
            texts.push(Config::load(&path, &[]).expect("one of ours").config.to_toml());
        }
        texts
            .push("[augmentation.motion]\nevents = 2\ntranslation_mm = 1.0\nrotation_deg = 1.0\n".to_owned());
        for text in texts {
            let leaves = text::flattened(&text);
            let mut found = Vec::new();
            leaves
                .iter()
                .for_each(|(key, value)| numbers(key, value, &mut found));
            let without: Vec<&String> = found.iter().filter(|key| range_of(key).is_none()).collect();
            assert!(without.is_empty(), "no range for {without:?}");
            // An augmentation's default of 0 copies and the like lie within.
            check(&leaves).expect("in range");
        }
    }
}
