//! Enforces the floors of `ARCHITECTURE.md`: a room imports only from lower floors.
//!
//! A room is a file directly under `src/`, or a folder there with a `mod.rs`; its first line says
//! `//! Floor N · ...`. Files inside one folder room may import one another; rooms of one floor may not.
//! `lib.rs` and `main.rs` are the doors, not rooms.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_room_imports_only_from_lower_floors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: BTreeMap<String, (u32, PathBuf)> = fs::read_dir(&src)
        .expect("src is there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            !matches!(
                path.file_name().and_then(|n| n.to_str()),
                Some("lib.rs" | "main.rs")
            )
        })
        .map(|path| {
            let head = if path.is_dir() {
                path.join("mod.rs")
            } else {
                path.clone()
            };
            let text = fs::read_to_string(&head).unwrap_or_else(|e| panic!("{}: {e}", head.display()));
            let floor = text
                .strip_prefix("//! Floor ")
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{}: the first line must say `//! Floor N · ...`", head.display()));
            let name = path
                .file_stem()
                .and_then(|n| n.to_str())
                .expect("a UTF-8 name")
                .to_owned();
            (name, (floor, path))
        })
        .collect();
    assert!(rooms.len() > 1, "no rooms under {}", src.display());

    let mut wrong = Vec::new();
    for (room, (floor, path)) in &rooms {
        for file in files(path) {
            let text = fs::read_to_string(&file).expect("a readable source file");
            for (line, code) in text
                .lines()
                .enumerate()
                .filter(|(_, l)| !l.trim_start().starts_with("//"))
            {
                for import in code.split("crate::").skip(1) {
                    let target: String = import
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    if let Some((below, _)) = rooms.get(&target)
                        && target != *room
                        && below >= floor
                    {
                        let place = file.strip_prefix(&src).expect("under src").display();
                        wrong.push(format!(
                            "{place}:{}: floor {floor} imports {target}, floor {below}",
                            line + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).expect("a readable folder");
    entries
        .flat_map(|entry| files(&entry.expect("a readable entry").path()))
        .collect()
}
