//! Enforces the layers of `ARCHITECTURE.md`: a room imports only from lower layers, and a room's files import in no circle.
//!
//! A room is a file directly under `src/`, or a folder there with a `mod.rs`; its first line says
//! `//! Layer N · ...`. Files inside one folder room may import one another; rooms of one layer may not.
//! `lib.rs` and `main.rs` are the doors, not rooms. A room that others may enter (`pub mod`) shows an example of its use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_room_imports_only_from_lower_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: BTreeMap<String, (u32, PathBuf)> = entries(&src)
        .into_iter()
        .filter(|path| !["lib", "main"].contains(&stem(path).as_str()))
        .map(|path| {
            let head = if path.is_dir() {
                path.join("mod.rs")
            } else {
                path.clone()
            };
            let text = fs::read_to_string(&head).unwrap_or_else(|e| panic!("{}: {e}", head.display()));
            let layer = text
                .strip_prefix("//! Layer ")
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{}: the first line must say `//! Layer N · ...`", head.display()));
            (stem(&path), (layer, path))
        })
        .collect();
    assert!(rooms.len() > 1, "no rooms under {}", src.display());

    let mut wrong = Vec::new();
    for (room, (layer, path)) in &rooms {
        for file in files(path) {
            let text = fs::read_to_string(&file).expect("a readable source file");
            for (line, target) in imports(&text, "crate::") {
                if let Some((below, _)) = rooms.get(&target)
                    && target != *room
                    && below >= layer
                {
                    let place = file.strip_prefix(&src).expect("under src").display();
                    wrong.push(format!(
                        "{place}:{line}: layer {layer} imports {target}, layer {below}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_files_of_a_room_import_in_no_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for folder in folders(&src).into_iter().filter(|folder| *folder != src) {
        let names: BTreeSet<String> = entries(&folder)
            .iter()
            .map(|path| stem(path))
            .filter(|name| name != "mod")
            .collect();
        let mut below: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for name in &names {
            let path = folder.join(format!("{name}.rs"));
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            // What tests import does not bind the code.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let imported = imports(code, "super::").into_iter().map(|(_, target)| target);
            below.insert(name, imported.filter(|target| names.contains(target)).collect());
        }
        // What imports nothing that is left is put aside, until only circles are left.
        while let Some(free) = below
            .iter()
            .find(|(_, imported)| imported.iter().all(|target| !below.contains_key(target)))
            .map(|(name, _)| *name)
        {
            below.remove(free);
        }
        if !below.is_empty() {
            let place = folder.strip_prefix(&src).expect("under src").display();
            wrong.push(format!("{place}: in a circle or above one: {below:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_public_room_shows_an_example() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let door = fs::read_to_string(src.join("lib.rs")).expect("a readable lib.rs");
    let public: Vec<&str> = door
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    // The other crates let nobody into their rooms.
    let libraries = ["voxelift-volume", "voxelift-model"].map(Some);
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).file_name();
    let is_library = libraries.contains(&package.and_then(|name| name.to_str()));
    assert_eq!(is_library, !public.is_empty(), "the public rooms of {package:?}");
    let without = public.into_iter().filter(|room| {
        let file = src.join(format!("{room}.rs"));
        let head = if file.is_file() {
            file
        } else {
            src.join(room).join("mod.rs")
        };
        let text = fs::read_to_string(&head).unwrap_or_else(|e| panic!("{}: {e}", head.display()));
        !shows_code(&text)
    });
    let without: Vec<&str> = without.collect();
    assert!(
        without.is_empty(),
        "no example in the documentation of {without:?}"
    );
}

#[test]
fn only_a_block_that_is_compiled_is_an_example() {
    let shown = |mark: &str| {
        shows_code(&format!(
            "//! Layer 1 · A\n//!\n//! ```{mark}\n//! f();\n//! ```\nmod a;\n"
        ))
    };
    assert!(shown("") && shown("no_run") && shown("rust"));
    assert!(!shown("text") && !shown("toml") && !shown("ignore"));
    // A block that ends is none that begins, nor is one without code or one beside the code.
    assert!(!shows_code("//! ```text\n//! x\n//! ```\n\n//! y\n"));
    assert!(!shows_code("//! ```\n//! // f();\n//! ```\n"));
    assert!(!shows_code("//! A\nmod a;\n/// ```\n/// f();\n/// ```\n"));
}

/// Whether the documentation of a file (`//!`) holds a block of Rust that is compiled.
fn shows_code(text: &str) -> bool {
    let (mut within, mut compiled) = (false, false);
    for line in text.lines().filter_map(|line| line.strip_prefix("//!")) {
        let line = line.trim();
        if let Some(mark) = line.strip_prefix("```") {
            within = !within;
            compiled = within && ["", "rust", "no_run"].contains(&mark);
        } else if compiled && !line.is_empty() && !line.starts_with("//") && !line.starts_with('#') {
            return true;
        }
    }
    false
}

#[test]
fn a_group_of_imports_is_seen() {
    let text = "//! use crate::a;\n// crate::a\n/// use crate::a;\nuse crate::b;\nuse crate::{c, d::{e, f},\n    g};\nlet x = crate::h::i();\n";
    let seen: Vec<(usize, String)> = imports(text, "crate::");
    let expected = [(4, "b"), (5, "c"), (5, "d"), (6, "g"), (7, "h")];
    assert_eq!(seen, expected.map(|(line, name)| (line, name.to_owned())));
}

/// The first names behind `root` with their lines, those of a group `{a, b::c}` among them; comments are left out.
fn imports(text: &str, root: &str) -> Vec<(usize, String)> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| {
            if line.trim_start().starts_with("//") {
                ""
            } else {
                line
            }
        })
        .collect();
    let code = code.join("\n");
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        // `super::super::x` is none of `super`'s own.
        if code[..at].ends_with("super::") {
            continue;
        }
        let mut line = 1 + code[..at].matches('\n').count();
        let rest = &code[at + root.len()..];
        if !rest.starts_with('{') {
            let name = rest.chars().take_while(|c| is_name(*c)).collect();
            found.push((line, name));
            continue;
        }
        let (mut depth, mut name, mut begins) = (0, String::new(), false);
        for c in rest.chars() {
            if begins && is_name(c) {
                name.push(c);
                continue;
            }
            if !name.is_empty() {
                found.push((line, std::mem::take(&mut name)));
                begins = false;
            }
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '\n' => line += 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            begins = (begins && c.is_whitespace()) || (depth == 1 && "{,".contains(c));
        }
    }
    found
}

fn stem(path: &Path) -> String {
    let name = path.file_stem().and_then(|name| name.to_str());
    name.expect("a UTF-8 name").to_owned()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    entries
        .map(|entry| entry.expect("a readable entry").path())
        .collect()
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    entries(path).iter().flat_map(|path| files(path)).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let within = entries(path).into_iter().filter(|path| path.is_dir());
    let within = within.flat_map(|folder| folders(&folder));
    std::iter::once(path.to_owned()).chain(within).collect()
}
