//! TOML text and `key=value` overrides into one typed value; unknown keys are errors.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::{ModelError, Result};
use voxelift_volume::error::one_line;

/// Parses `text` and puts each `key=value` of `set` into it; values are TOML, or plain strings.
pub fn with_overrides(text: &str, origin: &str, set: &[String]) -> Result<(Table, Vec<String>)> {
    let mut table: Table = toml::from_str(text).map_err(|e| parse_error(&e, text, origin))?;
    let mut overrides = Vec::new();
    for argument in set {
        let wrong = |message: &str| ModelError::ConfigText {
            origin: format!("override {argument}"),
            message: message.into(),
        };
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| wrong("expected key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        let value = toml::from_str::<Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut parsed| parsed.remove("v"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        overrides.push(format!("{key} = {value}"));
        let mut parts = key.split('.').peekable();
        let mut here = &mut table;
        while let Some(part) = parts.next() {
            if part.is_empty() {
                return Err(wrong("expected a dotted key such as optimizer.learning_rate"));
            }
            if parts.peek().is_none() {
                here.insert(part.to_owned(), value.clone());
                break;
            }
            let next = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
            here = next
                .as_table_mut()
                .ok_or_else(|| wrong("the key goes through a value that is not a table"))?;
        }
    }
    Ok((table, overrides))
}

/// The typed value of a table.
pub fn deserialized<T: DeserializeOwned>(
    table: Table,
    text: &str,
    origin: &str,
    overrides: &[String],
) -> Result<T> {
    // Without overrides the text itself is read again: its errors know their line.
    if overrides.is_empty() {
        return toml::from_str(text).map_err(|e| parse_error(&e, text, origin));
    }
    T::deserialize(Value::Table(table)).map_err(|e| ModelError::ConfigText {
        origin: format!("{origin} with {}", overrides.join(", ")),
        message: one_line(e.message()),
    })
}

/// A parser's error on one line, with the line it points at.
pub fn parse_error(error: &toml::de::Error, text: &str, origin: &str) -> ModelError {
    let origin = match error.span() {
        Some(span) => format!(
            "{origin}:{}",
            text[..span.start.min(text.len())].matches('\n').count() + 1
        ),
        None => origin.to_owned(),
    };
    ModelError::ConfigText {
        origin,
        message: one_line(error.message()),
    }
}

/// The leaves of a TOML text by their dotted keys.
pub fn flattened(text: &str) -> BTreeMap<String, Value> {
    fn walk(prefix: &str, table: Table, leaves: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let key = if prefix.is_empty() {
                key
            } else {
                format!("{prefix}.{key}")
            };
            match value {
                Value::Table(inner) => walk(&key, inner, leaves),
                leaf => {
                    leaves.insert(key, leaf);
                }
            }
        }
    }
    let mut leaves = BTreeMap::new();
    walk("", toml::from_str(text).expect("written by us"), &mut leaves);
    leaves
}
