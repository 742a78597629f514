//! The scans in a folder and the folders below it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use voxelift_volume::{VolumeError, nifti, scan};

use super::Found;
use crate::terminal::Terminal;

/// Folders within folders; no archive goes as deep, a loop of mounts does.
const DEEPEST: usize = 32;
/// Files of a folder that are looked into for DICOM: one is enough, a folder of a million others need not be read.
const PROBED: usize = 8;

/// The scans of a folder in the order of their names, each with its place in it. Hidden files and folders are passed over, and
/// so is `out` within it. A folder whose files are DICOM stands for itself.
///
/// # Errors
/// When a folder cannot be listed.
pub fn scans(folder: &Path, out: &Path, terminal: &Terminal) -> anyhow::Result<Vec<Found>> {
    let mut walk = Walk {
        out: fs::canonicalize(out).ok(),
        seen: HashSet::new(),
        found: Vec::new(),
        terminal,
    };
    walk.folder(folder, &PathBuf::new(), 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    out: Option<PathBuf>,
    /// Folders by their true places: a link may lead back.
    seen: HashSet<PathBuf>,
    found: Vec<Found>,
    terminal: &'a Terminal,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, within: &Path, depth: usize) -> anyhow::Result<()> {
        let failed = |error| VolumeError::io(folder, "list", error);
        let place = fs::canonicalize(folder).map_err(failed)?;
        let is_out = depth > 0 && self.out.as_ref() == Some(&place);
        if is_out || !self.seen.insert(place) {
            return Ok(());
        }
        if depth > DEEPEST {
            self.terminal.warn(format!(
                "{}: lies more than {DEEPEST} folders deep and is left out, with all below it; name it by itself",
                folder.display()
            ));
            return Ok(());
        }
        let (mut images, mut folders, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
            if name.starts_with('.') {
                continue;
            }
            if scan::is_image(&path) && !path.is_dir() {
                // A link that leads nowhere stays a scan, and fails by its name.
                images.push(path);
            } else if path.is_dir() {
                folders.push(path);
            } else {
                others.push(path);
            }
        }
        [&mut images, &mut folders, &mut others]
            .into_iter()
            .for_each(|paths| paths.sort());
        let series = dicom_files(&others);
        let add = |path: PathBuf, within: &Path| Found {
            path,
            within: within.to_owned(),
        };
        if images.is_empty() && series > 0 {
            let above = within.parent().unwrap_or(Path::new(""));
            self.found.push(add(folder.to_owned(), above));
        } else if series > 0 {
            self.terminal.warn(format!(
                "{}: holds DICOM files beside image files; only the image files are taken: move the series into a folder of its own",
                folder.display()
            ));
        }
        let lone = others.iter().find(|path| {
            let name = path.to_string_lossy().to_lowercase();
            [".img", ".img.gz"].iter().any(|ending| name.ends_with(ending))
                && nifti::other_half(path).is_none()
        });
        if let Some(image) = lone {
            self.terminal
                .warn(format!("{}: its .hdr file is missing; left out", image.display()));
        }
        self.found
            .extend(images.into_iter().map(|path| add(path, within)));
        for below in folders {
            let name = PathBuf::from(below.file_name().unwrap_or_default());
            self.folder(&below, &within.join(name), depth + 1)?;
        }
        Ok(())
    }
}

/// How many of a folder's files are DICOM, by their ending or their mark, as far as they are looked into.
fn dicom_files(files: &[PathBuf]) -> usize {
    let named = |path: &Path| {
        path.extension().is_some_and(|ending| {
            ["dcm", "ima", "dicom"]
                .iter()
                .any(|known| ending.eq_ignore_ascii_case(known))
        })
    };
    let marked = |path: &Path| {
        let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
        let mut head = [0; 132];
        is_file
            && File::open(path)
                .and_then(|mut file| file.read_exact(&mut head))
                .is_ok()
            && head[128..] == *b"DICM"
    };
    let by_name = files.iter().filter(|path| named(path)).count();
    if by_name > 0 {
        return by_name;
    }
    files.iter().take(PROBED).filter(|path| marked(path)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(root: &Path, out: &str) -> Vec<(String, String)> {
        let terminal = Terminal::new(true, 0);
        let found = scans(root, &root.join(out), &terminal).expect("a folder");
        let told = |path: &Path| path.to_string_lossy().into_owned();
        let within = |found: Found| {
            let path = found.path.strip_prefix(root).expect("within").to_owned();
            (told(&path), told(&found.within))
        };
        found.into_iter().map(within).collect()
    }

    #[test]
    fn a_tree_is_walked_and_its_folders_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let mark = [&[0; 128][..], b"DICM"].concat();
        for (name, content) in [
            ("a.nii.gz", &b"x"[..]),
            ("._a.nii.gz", b"x"),
            ("notes.txt", b"x"),
            ("sub-1/anat/b.nii", b"x"),
            ("sub-1/anat/pair.hdr.gz", b"x"),
            ("sub-1/anat/pair.img.gz", b"x"),
            ("sub-2/c.mgh.gz", b"x"),
            ("series/0001", &mark),
            (".git/d.nii", b"x"),
            ("out/a_sr.nii.gz", b"x"),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("written");
        }
        let expected = [
            ("a.nii.gz", ""),
            ("series", ""),
            ("sub-1/anat/b.nii", "sub-1/anat"),
            ("sub-1/anat/pair.hdr.gz", "sub-1/anat"),
            ("sub-2/c.mgh.gz", "sub-2"),
        ];
        assert_eq!(
            listed(root, "out"),
            expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert_eq!(
            listed(&root.join("series"), "out"),
            [(String::new(), String::new())]
        );
        fs::create_dir(root.join("empty")).expect("a folder");
        assert!(listed(&root.join("empty"), "out").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_are_scans_and_links_that_lead_back_are_followed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("../annex/none", folder.path().join("a.nii.gz")).expect("a link");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).expect("a link");
        assert_eq!(
            listed(folder.path(), "out"),
            [("a.nii.gz".to_owned(), String::new())]
        );
    }
}
