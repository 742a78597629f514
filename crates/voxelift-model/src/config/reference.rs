//! `docs/configuration.md`: every key with its default, its range and its meaning, from the types and their documentation.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Config, PlacedConfig, ranges, text};

/// A field of a struct: name, type, documentation.
type Field = (String, String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The public fields of every struct of the sources.
fn structs() -> BTreeMap<String, Vec<Field>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![
        root().join("crates/voxelift-model/src"),
        root().join("crates/voxelift-volume/src"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a readable source");
                for block in text.split("\npub struct ").skip(1) {
                    let Some((name, rest)) = block.split_once(" {\n") else {
                        continue;
                    };
                    if !name.chars().all(char::is_alphanumeric) {
                        continue;
                    }
                    let body = rest.split("\n}").next().unwrap_or_default();
                    found.entry(name.to_owned()).or_insert_with(|| fields(body));
                }
            }
        }
    }
    found
}

fn fields(body: &str) -> Vec<Field> {
    let (mut fields, mut meaning) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            meaning.push(words.trim().to_owned());
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|line| line.split_once(": ")) {
            let kind = kind.trim_end_matches(',').to_owned();
            fields.push((name.to_owned(), kind, meaning.join(" ")));
            meaning.clear();
        }
    }
    fields
}

/// The type within `Option<...>`.
fn inner(kind: &str) -> &str {
    kind.strip_prefix("Option<")
        .and_then(|kind| kind.strip_suffix('>'))
        .unwrap_or(kind)
}

/// The page as it should be.
fn page() -> String {
    let (structs, mut defaults) = (structs(), text::flattened(&Config::default().to_toml()));
    // A table that is left out where it is the default.
    let placed = toml::to_string(&PlacedConfig::default()).expect("plain data");
    defaults.extend(
        text::flattened(&placed)
            .into_iter()
            .map(|(key, value)| (format!("placed.{key}"), value)),
    );
    let mut page = "# Configuration reference\n\n\
        Every key of a training configuration, with its default, its range and its meaning. This page is made from the program's sources; \
        `voxelift init` writes a first configuration, and `docs/train-your-own.md` says how to choose.\n\n\
        A key that is not listed here is refused. `voxelift train CONFIG.toml --run DIR --set key=value` changes one for a run.\n"
        .to_owned();
    let mut tables = vec![(String::new(), "Config".to_owned())];
    let mut at = 0;
    while at < tables.len() {
        let (prefix, name) = tables[at].clone();
        at += 1;
        let title = if prefix.is_empty() {
            "Top level".to_owned()
        } else {
            format!("[{prefix}]")
        };
        page.push_str(&format!(
            "\n## {title}\n\n| key | default | range | meaning |\n|---|---|---|---|\n"
        ));
        for (field, kind, meaning) in &structs[&name] {
            let key = if prefix.is_empty() {
                field.clone()
            } else {
                format!("{prefix}.{field}")
            };
            let kind = inner(kind);
            let is_table = structs.contains_key(kind) && !["Operators", "Scale"].contains(&kind);
            let is_skipped = key == "network.scale";
            if is_skipped {
                continue;
            }
            if is_table && (prefix.is_empty() || !defaults.contains_key(&key)) && kind != "Degradation" {
                tables.push((key.clone(), kind.to_owned()));
                page.push_str(&format!("| `{field}` | see `[{key}]` | | {} |\n", cell(meaning)));
                continue;
            }
            let default = defaults
                .get(&key)
                .map_or_else(|| "none".to_owned(), |value| format!("`{value}`"));
            let range = match ranges::range_of(&key) {
                Some((least, greatest)) => format!("{least} to {greatest}"),
                None => String::new(),
            };
            page.push_str(&format!(
                "| `{field}` | {} | {range} | {} |\n",
                cell(&default),
                cell(meaning)
            ));
        }
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_reference_lists_every_key_as_it_is() {
    let page = page();
    for key in text::flattened(&Config::default().to_toml()).keys() {
        let name = key.rsplit('.').next().unwrap_or(key);
        assert!(page.contains(&format!("| `{name}` |")), "{key} is missing");
    }
    let there = fs::read_to_string(root().join("docs/configuration.md")).unwrap_or_default();
    assert!(
        there == page,
        "docs/configuration.md is not what the sources say: cargo test --release --workspace --lib reference -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/configuration.md"]
fn write_the_reference() {
    fs::write(root().join("docs/configuration.md"), page()).expect("written");
}
