//! The files that a configuration's globs mean: found within bounds, and given up when asked to stop.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use glob::{MatchOptions, Pattern};

use crate::error::{ModelError, Result};

/// Entries of folders that one glob may look at: no cohort has as many, a glob over a whole disk soon has.
const MOST_ENTRIES: usize = if cfg!(test) { 1000 } else { 1_000_000 };
/// As a shell does it: `*` passes over names that begin with a dot (`._a.nii.gz`, which macOS leaves beside each file).
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A part of a glob between two slashes.
enum Part {
    /// A name, not looked for among others: brackets in it are brackets.
    Name(std::ffi::OsString),
    /// A pattern of names.
    Names(Pattern),
    /// `**`: folders, however deep.
    Deep,
}

/// The files that `text`, a glob from the folder `root`, finds, in the order of their names; `key` is the configuration's.
///
/// # Errors
/// A text that is no glob, one that looks at too many files, a folder that may not be looked into, or when asked to stop.
pub fn find(text: &str, key: &str, root: &Path, stop: &AtomicBool) -> Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    let mut start = root.to_owned();
    for component in Path::new(text).components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            other @ (Component::RootDir | Component::Prefix(_) | Component::ParentDir) => {
                if parts.is_empty() {
                    start.push(other.as_os_str());
                } else {
                    parts.push(Part::Name(other.as_os_str().to_owned()));
                }
                continue;
            }
        };
        let text = name.to_string_lossy();
        parts.push(match &*text {
            "**" => Part::Deep,
            _ if !text.contains(['*', '?', '[']) => Part::Name(name.to_owned()),
            text => Part::Names(
                Pattern::new(text).map_err(|e| ModelError::config(key, text, format!("not a glob: {e}")))?,
            ),
        });
    }
    let mut search = Search {
        entries: 0,
        found: Vec::new(),
        stop,
    };
    match search.walk(&start, &parts) {
        Ok(()) => {}
        Err(Given::TooMany) => {
            let expected = format!(
                "looks at more than {MOST_ENTRIES} files and folders; begin the glob nearer to the scans"
            );
            return Err(ModelError::config(key, text, expected));
        }
        Err(Given::Stopped) => return Err(ModelError::Stopped),
        // Scans that are not found would be missing without a warning.
        Err(Given::Closed(folder, error)) => {
            let what = format!("cannot list {}: {error}", folder.display());
            let expected = format!("a folder that may be read, or a glob other than {text}");
            return Err(ModelError::data(key, what, expected));
        }
    }
    search.found.sort();
    search.found.dedup();
    Ok(search.found)
}

/// Why a search was given up.
enum Given {
    TooMany,
    Stopped,
    Closed(PathBuf, io::Error),
}

struct Search<'a> {
    entries: usize,
    found: Vec<PathBuf>,
    stop: &'a AtomicBool,
}

impl Search<'_> {
    fn walk(&mut self, here: &Path, parts: &[Part]) -> std::result::Result<(), Given> {
        let Some((first, rest)) = parts.split_first() else {
            self.found.push(here.to_owned());
            return Ok(());
        };
        match first {
            Part::Name(name) => {
                let path = here.join(name);
                // A link that leads nowhere is found, and its reading fails by name.
                if rest.is_empty() && fs::symlink_metadata(&path).is_err() {
                    return Ok(());
                }
                self.walk(&path, rest)
            }
            Part::Names(pattern) => self.each(here, |search, path, name, _| {
                let name = name.to_string_lossy();
                if pattern.matches_with(&name, OPTIONS) && (rest.is_empty() || path.is_dir()) {
                    search.walk(&path, rest)?;
                }
                Ok(())
            }),
            Part::Deep => {
                if !rest.is_empty() {
                    self.walk(here, rest)?;
                }
                self.each(here, |search, path, name, is_folder| {
                    let hidden = name.as_encoded_bytes().starts_with(b".");
                    if is_folder && !hidden {
                        search.walk(&path, parts)?;
                    }
                    Ok(())
                })
            }
        }
    }

    /// Each entry of a folder: where it is, its name, and whether it is a folder itself and no link to one.
    fn each(
        &mut self,
        folder: &Path,
        mut hear: impl FnMut(&mut Self, PathBuf, &OsStr, bool) -> std::result::Result<(), Given>,
    ) -> std::result::Result<(), Given> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(Given::Closed(folder.to_owned(), error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Given::Closed(folder.to_owned(), error))?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(Given::TooMany);
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Given::Stopped);
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            hear(self, entry.path(), &entry.file_name(), is_folder)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(root: &Path, text: &str) -> Vec<String> {
        let paths = find(text, "data.hr", root, &AtomicBool::new(false)).expect("a glob");
        let within = |path: PathBuf| {
            path.strip_prefix(root)
                .expect("within")
                .to_string_lossy()
                .into_owned()
        };
        paths.into_iter().map(within).collect()
    }

    #[test]
    fn globs_find_what_a_shell_finds() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("study [v2] *");
        for name in [
            "a.nii.gz",
            "b.nii",
            "._a.nii.gz",
            "sub-1/anat/c.nii.gz",
            "sub-2/anat/d.nii.gz",
            ".git/e.nii.gz",
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "").expect("written");
        }
        assert_eq!(found(&root, "*.nii.gz"), ["a.nii.gz"]);
        assert_eq!(found(&root, "./[ab].nii*"), ["a.nii.gz", "b.nii"]);
        assert_eq!(
            found(&root, "sub-*/anat/*.nii.gz"),
            ["sub-1/anat/c.nii.gz", "sub-2/anat/d.nii.gz"]
        );
        assert_eq!(
            found(&root, "**/*.nii.gz"),
            ["a.nii.gz", "sub-1/anat/c.nii.gz", "sub-2/anat/d.nii.gz"]
        );
        assert_eq!(found(&root, "sub-1/anat/c.nii.gz"), ["sub-1/anat/c.nii.gz"]);
        assert!(found(&root, "sub-1/anat/none.nii.gz").is_empty());
        assert!(find("[", "data.hr", &root, &AtomicBool::new(false)).is_err());
        for number in 0..=MOST_ENTRIES {
            fs::write(root.join(format!("sub-1/{number}")), "").expect("written");
        }
        let many = find("**/*.nii.gz", "data.hr", &root, &AtomicBool::new(false)).unwrap_err();
        assert!(many.to_string().contains("more than 1000 files"), "{many}");
        let stopped = find("*", "data.hr", &root, &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(stopped, ModelError::Stopped));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_and_names_beyond_utf_8_are_found() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("../annex/none", folder.path().join("a.nii.gz")).expect("a link");
        fs::write(folder.path().join(OsStr::from_bytes(b"b\xff.nii.gz")), "").expect("written");
        assert_eq!(found(folder.path(), "*.nii.gz"), ["a.nii.gz", "b\u{fffd}.nii.gz"]);
        assert_eq!(found(folder.path(), "a.nii.gz"), ["a.nii.gz"]);
        assert!(found(folder.path(), "none/*.nii.gz").is_empty());
        // A folder that cannot be listed is no empty one.
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).expect("a link");
        let closed = find("loop/*.nii.gz", "data.hr", folder.path(), &AtomicBool::new(false)).unwrap_err();
        assert!(closed.to_string().contains("cannot list"), "{closed}");
    }
}
