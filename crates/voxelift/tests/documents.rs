//! The documents say what the code does.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn architecture_lists_every_room_on_its_layer() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut missing = Vec::new();
    for name in ["voxelift-volume", "voxelift-conv", "voxelift-model", "voxelift"] {
        let src = format!("crates/{name}/src");
        let listed = page
            .split(&format!("**`{src}`**"))
            .nth(1)
            .expect("each crate has its rows");
        let listed = listed.split("**`crates/").next().unwrap_or_default();
        for entry in fs::read_dir(root().join(&src)).expect("the sources") {
            let path = entry.expect("a readable entry").path();
            let room = path
                .file_stem()
                .and_then(|name| name.to_str())
                .expect("a UTF-8 name")
                .to_owned();
            if room == "lib" || room == "main" {
                continue;
            }
            let head = if path.is_dir() { path.join("mod.rs") } else { path };
            let text = fs::read_to_string(&head).expect("a readable room");
            let layer = text
                .strip_prefix("//! Layer ")
                .and_then(|rest| rest.split_whitespace().next());
            let row = format!("| {} | `{room}` |", layer.expect("the first line says the layer"));
            if !listed.contains(&row) {
                missing.push(format!("{src}: {row}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md lacks\n{}",
        missing.join("\n")
    );
}

/// The source files of all crates, each with its code outside its own tests; not those whose path holds one of `exempt`.
fn code_but(exempt: &[&str]) -> Vec<(String, String)> {
    let mut folders = vec![root().join("crates")];
    let mut code = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let place = path
                .strip_prefix(root().join("crates"))
                .expect("below the crates");
            let place = place.to_string_lossy().into_owned();
            if exempt.iter().any(|exempt| place.contains(exempt)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if place.contains("/src/") && place.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a readable source file");
                let own = text.split("#[cfg(test)]").next().unwrap_or_default();
                code.push((place, own.to_owned()));
            }
        }
    }
    assert!(code.len() > 100, "{} files", code.len());
    code
}

#[test]
fn a_backend_is_named_in_one_room() {
    let named = code_but(&["voxelift-conv/", "voxelift-model/src/device/"])
        .into_iter()
        .filter(|(_, code)| code.contains("burn::backend"));
    let named: Vec<String> = named.map(|(place, _)| place).collect();
    assert!(named.is_empty(), "burn::backend in {named:?}");
}

#[test]
fn the_files_of_a_run_are_named_in_one_room() {
    let names = [
        "config.toml",
        "log.jsonl",
        "log.csv",
        "model.safetensors",
        "report.html",
        "checkpoints",
        "previews",
    ]
    .map(|name| format!("\"{name}\""));
    let named = code_but(&["voxelift-model/src/run/"])
        .into_iter()
        .filter(|(_, code)| {
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            lines
                .into_iter()
                .any(|line| names.iter().any(|name| line.contains(name)))
        });
    let named: Vec<String> = named.map(|(place, _)| place).collect();
    assert!(named.is_empty(), "names of a run's files in {named:?}");
}

#[test]
fn the_libraries_speak_of_no_option_of_the_command_line() {
    // What people read on purpose: the reference of the configuration, and a drafted one with its commands.
    let for_people = [
        "voxelift-model/src/config/reference.rs",
        "voxelift-model/src/train/draft/text.rs",
    ];
    let exempt = [&["voxelift/", "/tests"], &for_people[..]].concat();
    let mut wrong = Vec::new();
    for (place, code) in code_but(&exempt) {
        for (number, line) in code.lines().enumerate() {
            let names_an_option = line.match_indices("--").any(|(at, _)| {
                !line[..at].ends_with('-') && line[at + 2..].starts_with(|c: char| c.is_ascii_lowercase())
            });
            if names_an_option && !line.trim_start().starts_with("//") {
                wrong.push(format!("{place}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_study_is_listed() {
    let page = fs::read_to_string(root().join("docs/studies.md")).expect("docs/studies.md");
    let mut missing = Vec::new();
    let mut found = 0;
    for entry in fs::read_dir(root().join("studies")).expect("the studies") {
        let path = entry.expect("a readable entry").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a UTF-8 name");
        // What studies share is no study.
        if !fs::read_to_string(&path)
            .expect("a readable study")
            .contains("[[variant]]")
        {
            continue;
        }
        found += 1;
        if !page.contains(&format!("`{name}`")) {
            missing.push(name.to_owned());
        }
    }
    assert!(found > 20, "{found} studies");
    assert!(missing.is_empty(), "docs/studies.md lacks {missing:?}");
}

#[test]
fn the_files_of_the_method_are_there() {
    let page = fs::read_to_string(root().join("docs/method.md")).expect("docs/method.md");
    let mut missing = Vec::new();
    for (mark, folder) in [
        ("`volume:", "crates/voxelift-volume/src"),
        ("`conv:", "crates/voxelift-conv/src"),
        ("`model:", "crates/voxelift-model/src"),
    ] {
        for name in page
            .split(mark)
            .skip(1)
            .filter_map(|rest| rest.split('`').next())
            .filter(|name| !name.is_empty())
        {
            let there = root().join(folder).join(name);
            if !there.exists() && !there.with_extension("rs").exists() {
                missing.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/method.md names {missing:?}");
}
