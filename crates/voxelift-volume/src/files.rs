//! Layer 1 · Files that appear whole or not at all.
//!
//! ```no_run
//! use std::io::Write;
//! use voxelift_volume::files::write_atomically;
//!
//! // Nothing is seen under the name until all of it is on the disk; where the file is there already, it stays and this fails.
//! let force = false;
//! write_atomically("scores.csv".as_ref(), force, |out| {
//!     writeln!(out, "subject,psnr_db")?;
//!     writeln!(out, "01,31.2")
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Result, VolumeError};
use crate::undo::{Undo, WayBack};

/// Writes a file so that nothing half-written is ever seen under its name: a temporary file in the same
/// folder is filled, synced, renamed, and the folder is synced.
///
/// With `force` an existing file is replaced; without it a file that exists, or appears meanwhile, stays.
///
/// # Errors
/// [`VolumeError::Exists`] without `force` where the file is there, [`VolumeError::Io`] when the system or
/// `fill` fails; the temporary file is then removed.
pub fn write_atomically<T>(
    path: &Path,
    force: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> Result<T> {
    let failed = |action| move |source| VolumeError::io(path, action, source);
    let Some(name) = path.file_name() else {
        return Err(VolumeError::argument(
            "output",
            path.display(),
            "expected the name of a file",
        ));
    };
    if path.is_dir() {
        return Err(VolumeError::argument(
            "output",
            path.display(),
            "is a folder; name a file in it",
        ));
    }
    refuse_devices(path)?;
    if !force && path.symlink_metadata().is_ok() {
        return Err(VolumeError::Exists {
            path: path.to_owned(),
        });
    }
    let folder = folder_of(path);

    let prefix = unfinished_prefix(name);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PART);
    // A temporary file is private by default; a result gets the permissions of any new file (the umask
    // applies).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let way_back = |file: &NamedTempFile| -> WayBack {
        let half_written = file.path().to_owned();
        Box::new(move || drop(std::fs::remove_file(half_written)))
    };
    let (file, _undo) = Undo::making(|| builder.tempfile_in(folder), way_back)
        .map_err(failed("create a file in its folder"))?;

    // Held until the file has its name, so that no other process takes it for one that a killed process left; where the file system
    // cannot lock, [`remove_unfinished`] leaves such files alone.
    let _ = file.as_file().try_lock();
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    let made = fill(&mut writer).map_err(failed("write"))?;
    let file = writer.into_inner().map_err(|e| failed("write")(e.into_error()))?;
    file.as_file().sync_all().map_err(failed("write to disk"))?;
    if force {
        file.persist(path)
            .map_err(|e| failed("rename the finished file to its name")(e.error))?;
    } else if let Err(e) = file.persist_noclobber(path) {
        return Err(match e.error.kind() {
            io::ErrorKind::AlreadyExists => VolumeError::Exists {
                path: path.to_owned(),
            },
            _ => failed("rename the finished file to its name")(e.error),
        });
    }
    sync_folder(folder).map_err(failed("record the new name on disk of"))?;
    Ok(made)
}

/// Refuses a device, a pipe or a socket: a finished file that takes the name of `/dev/null` would take its place.
///
/// # Errors
/// [`VolumeError::Argument`] where it is one.
pub fn refuse_devices(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() && !there.is_dir() => Err(VolumeError::argument(
            "output",
            path.display(),
            "is a device, a pipe or a socket, which a file would replace; name a file",
        )),
        _ => Ok(()),
    }
}

/// The ending of files that are not whole yet.
const PART: &str = ".part";
/// Letters that the system lets a name have, in bytes, and those that an unfinished file's name adds: two dots, six random
/// letters, the ending.
const LONGEST_NAME: usize = 255;
const ADDED: usize = 2 + 6 + PART.len();

/// What the names of unfinished versions of a file begin with: a dot and its name, cut where the whole would be too long for
/// the system.
fn unfinished_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    if name.len() + ADDED <= LONGEST_NAME {
        prefix.push(name);
    } else {
        let text = name.to_string_lossy();
        let room = LONGEST_NAME - ADDED - 16;
        let cut = (0..=room.min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        // Names that begin alike stay apart.
        let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        prefix.push(&text[..cut.unwrap_or(0)]);
        prefix.push(format!("{sum:016x}"));
    }
    prefix.push(".");
    prefix
}

/// Removes what killed processes left half-written in a folder, of those files whose names `own` knows: not what a living
/// process still holds, and nothing where the file system cannot tell.
///
/// # Errors
/// When the folder cannot be read, or such a file cannot be removed.
pub fn remove_unfinished(folder: &Path, own: impl Fn(&str) -> bool) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| VolumeError::io(folder, "read", e))?;
    for entry in entries.filter_map(io::Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let inner = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(PART));
        let Some((of, random)) = inner.and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || random.len() != 6 || !own(of) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::options().write(true).open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(VolumeError::io(&path, "remove the unfinished file", error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename in `folder` survive a power cut, where the file system can do that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network and FUSE file systems cannot sync a folder, or let one be written but not read.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_nothing_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let fails = |writer: &mut dyn Write| {
            writer.write_all(&[0; 1 << 17])?;
            Err::<(), _>(io::Error::other("no more"))
        };
        let message = write_atomically(&path, false, fails).unwrap_err().to_string();
        assert!(message.ends_with("a.txt: cannot write: no more"), "{message}");
        assert!(names(folder.path()).is_empty());

        write_atomically(&path, false, |w| w.write_all(b"old")).unwrap();
        assert!(write_atomically(&path, true, fails).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn an_existing_file_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, false, |w| w.write_all(b"old")).unwrap();
        let refused = write_atomically(&path, false, |w| w.write_all(b"new"));
        assert!(matches!(refused, Err(VolumeError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_atomically(&path, true, |w| w.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_or_a_device_is_never_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for output in [&path, &link] {
            let message = write_atomically(output, true, |w| w.write_all(b"new"))
                .unwrap_err()
                .to_string();
            assert!(message.contains("is a device, a pipe or a socket"), "{message}");
        }
        assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
        assert_eq!(names(folder.path()), ["a.json", "link.json"]);
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let late = write_atomically(&path, false, |w| {
            std::fs::write(&path, b"theirs")?;
            w.write_all(b"ours")
        });
        assert!(matches!(late, Err(VolumeError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/a.txt");
        let message = write_atomically(&path, false, |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("none/a.txt: cannot create a file in its folder"),
            "{message}"
        );
    }

    #[test]
    fn the_longest_name_that_the_system_takes_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        for length in [240, 243, 250, 255] {
            let name = "ä".repeat(length / 2 - 4) + &"x".repeat(length % 2 + 8);
            assert_eq!(name.len(), length);
            write_atomically(&folder.path().join(&name), false, |w| w.write_all(b"x")).unwrap();
        }
        assert_eq!(names(folder.path()).len(), 4);
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_a_living_one_holds_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            ".a.nii.gz.aB3xY9.part",
            ".b.nii.gz.aB3xY9.part",
            ".a.nii.gz.part",
            ".film.abcdef.part",
        ] {
            std::fs::write(at(name), "half").unwrap();
        }
        write_atomically(&at("a.nii.gz"), false, |w| {
            w.write_all(b"whole")?;
            remove_unfinished(folder.path(), |name| name == "a.nii.gz").map_err(io::Error::other)
        })
        .unwrap();
        let left = [
            ".a.nii.gz.part",
            ".b.nii.gz.aB3xY9.part",
            ".film.abcdef.part",
            "a.nii.gz",
        ];
        assert_eq!(names(folder.path()), left);
    }

    #[cfg(unix)]
    #[test]
    fn a_result_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write_atomically(&ours, false, |_| Ok(())).unwrap();
        std::fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
