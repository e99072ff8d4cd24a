//! Files that survive a crash.
//!
//! **Owns** the order of write, fsync and rename. **Must not know** what the files mean. **Enter at** [`write_file`].

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How the name of a file ends before it is whole.
const UNFINISHED: &str = ".unfinished";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// The owner only: 0600.
    Secret,
    /// Everyone: 0644.
    Public,
}

/// Puts a whole file in place: whoever opens `path`, at whatever time, finds the old content or the new. Durable when
/// this returns. Blocking.
pub(crate) fn write_file(path: &Path, content: &[u8], privacy: Privacy) -> io::Result<()> {
    write_with(path, privacy, |file| file.write_all(content))
}

/// As [`write_file`], with whatever `write` puts into the file.
pub(crate) fn write_with(
    path: &Path,
    privacy: Privacy,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let suffix = hex::encode(crate::mint::random::<8>());
    let temporary: PathBuf = folder.join(format!(".{}.{suffix}{UNFINISHED}", name.to_string_lossy()));
    let mode = match privacy {
        Privacy::Secret => 0o600,
        Privacy::Public => 0o644,
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one that counts; what stays behind is hidden and harmless.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_folder(folder))
}

/// What a file holds; `None` when there is none. Blocking.
pub(crate) fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what [`write_file`] left behind when the process died in it. Blocking; nobody may be writing.
pub(crate) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a folder with its parents, durable when this returns. Blocking.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(()),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// A new name in a folder is durable only once the folder itself is.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_left_unfinished_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_file(&path, b"whole", Privacy::Secret).unwrap();
        fs::write(folder.path().join(".file.0123.unfinished"), b"ha").unwrap();
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_file(&path, b"other", Privacy::Secret).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other");
    }
}
