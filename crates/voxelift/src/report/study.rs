//! The page of a study, from the JSON that `voxelift study` writes.

use anyhow::Context;
use serde_json::Value;

use super::page::Page;

/// The one table of a study as a page.
///
/// # Errors
/// When it is not the table of a study.
pub fn of_study(table: &Value) -> anyhow::Result<String> {
    let name = table["study"].as_str().context("no study's name")?;
    let page = Page::new(&format!("Study: {name}"), "Every method on every test set.");
    Ok(page.html())
}
