//! Floor 1 · Files that appear whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::error::{Result, VolumeError};

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
    if !force && path.symlink_metadata().is_ok() {
        return Err(VolumeError::Exists {
            path: path.to_owned(),
        });
    }
    let folder = folder_of(path);

    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // A temporary file is private by default; a result gets the permissions of any new file (the umask
    // applies).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder
        .tempfile_in(folder)
        .map_err(failed("create a file in its folder"))?;

    let mut writer = BufWriter::with_capacity(1 << 16, file);
    let answer = fill(&mut writer).map_err(failed("write"))?;
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
    Ok(answer)
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
