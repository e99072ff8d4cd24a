//! `skerry-node backup` and `skerry-node restore`.
//!
//! **Owns** copying a data directory whole. **Must not know** what its files mean. **Enter at** [`backup`] and [`restore`].
//!
//! Both work on a stopped node: they take the directory's lock, which a running node holds. A copy is a directory with the
//! same files and a `MANIFEST` of their BLAKE3 hashes, written last; without a whole manifest it is not a backup, and a file
//! that does not fit its hash is not restored. The cache is left out: it is made again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::data_dir::{self, DataDir, DataDirError};

const MANIFEST: &str = "MANIFEST";
const HEADER: &str = "skerry backup 1";
/// What a backup leaves out, at the top of the directory.
const LEFT_OUT: [&str; 2] = ["lock", "cache"];

/// Why there is no backup, or no restored directory.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The node runs, or the directory can not be locked. State: unchanged. Retry: after stopping the node.
    #[error("stop the node first")]
    Locked(#[source] DataDirError),
    /// The target has something in it. State: unchanged. Retry: with another directory.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// There is no data directory to copy. State: unchanged. Retry: no.
    #[error("{0} is not a data directory: it does not exist")]
    Absent(PathBuf),
    /// The backup has no manifest, or one that is cut off. State: unchanged. Retry: no.
    #[error("{path} is not a whole backup: {why}")]
    Manifest {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file is not what it was. State: the target holds what was copied before. Retry: no.
    #[error("{0} is damaged: its hash does not fit")]
    Damaged(PathBuf),
    /// A file can not be read or written. State: the target holds what was copied before. Retry: into an empty directory.
    #[error("{path} can not be copied")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Copies a stopped node's directory to a new one; returns the number of files.
pub fn backup(data_dir: &Path, to: &Path) -> Result<usize, BackupError> {
    if !data_dir.is_dir() {
        return Err(BackupError::Absent(data_dir.to_owned()));
    }
    let lock = DataDir::lock(data_dir).map_err(BackupError::Locked)?;
    make_empty(to)?;
    let mut manifest = format!("{HEADER}\n");
    let mut files = Vec::new();
    collect(data_dir, Path::new(""), &mut files)?;
    files.sort();
    for name in &files {
        let hash = copy(&data_dir.join(name), &to.join(name))?;
        manifest.push_str(&format!("{} {}\n", hash.to_hex(), name.display()));
    }
    manifest.push_str(&format!("end {}\n", files.len()));
    let path = to.join(MANIFEST);
    fs::write(&path, manifest).and_then(|()| File::open(&path)?.sync_all()).map_err(io_error(&path))?;
    drop(lock);
    Ok(files.len())
}

/// Copies a backup into a data directory that is empty or does not exist; returns the number of files.
pub fn restore(from: &Path, data_dir: &Path) -> Result<usize, BackupError> {
    let entries = read_manifest(from)?;
    for (name, hash) in &entries {
        let path = from.join(name);
        if hash_of(&path)? != *hash {
            return Err(BackupError::Damaged(path));
        }
    }
    make_empty(data_dir)?;
    let lock = DataDir::lock(data_dir).map_err(BackupError::Locked)?;
    for (name, hash) in &entries {
        let path = data_dir.join(name);
        if copy(&from.join(name), &path)? != *hash {
            return Err(BackupError::Damaged(path));
        }
    }
    drop(lock);
    Ok(entries.len())
}

fn read_manifest(from: &Path) -> Result<Vec<(PathBuf, blake3::Hash)>, BackupError> {
    let wrong = |why: &str| BackupError::Manifest { path: from.to_owned(), why: why.to_owned() };
    let text = fs::read_to_string(from.join(MANIFEST)).map_err(|error| wrong(&format!("no {MANIFEST}: {error}")))?;
    let lines: Vec<&str> = text.lines().collect();
    let [header, entries @ .., end] = lines.as_slice() else { return Err(wrong("its manifest is cut off")) };
    if *header != HEADER {
        return Err(wrong("its manifest is of another format"));
    }
    if *end != format!("end {}", entries.len()) {
        return Err(wrong("its manifest is cut off"));
    }
    let parse = |line: &&str| {
        let (hash, name) = line.split_once(' ')?;
        let name = PathBuf::from(name);
        let plain = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        Some((name, blake3::Hash::from_hex(hash).ok()?)).filter(|_| plain)
    };
    let entries: Option<Vec<_>> = entries.iter().map(parse).collect();
    entries.ok_or_else(|| wrong("a line of its manifest is malformed"))
}

fn collect(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(io_error(&folder))? {
        let entry = entry.map_err(io_error(&folder))?;
        let name = below.join(entry.file_name());
        if below.as_os_str().is_empty() && LEFT_OUT.iter().any(|left_out| name == Path::new(left_out)) {
            continue;
        }
        let kind = entry.file_type().map_err(io_error(&entry.path()))?;
        if kind.is_dir() {
            collect(root, &name, files)?;
        } else if kind.is_file() {
            files.push(name);
        }
    }
    Ok(())
}

/// Copies a file with its permissions, down to the disk; returns the hash of what was written.
fn copy(from: &Path, to: &Path) -> Result<blake3::Hash, BackupError> {
    if let Some(folder) = to.parent() {
        data_dir::create(folder).map_err(io_error(folder))?;
    }
    fs::copy(from, to).and_then(|_| File::open(to)?.sync_all()).map_err(io_error(to))?;
    hash_of(to)
}

fn hash_of(path: &Path) -> Result<blake3::Hash, BackupError> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path).map_err(io_error(path))?;
    hasher.update_reader(file).map_err(io_error(path))?;
    Ok(hasher.finalize())
}

fn make_empty(path: &Path) -> Result<(), BackupError> {
    data_dir::create(path).map_err(io_error(path))?;
    let mut entries = fs::read_dir(path).map_err(io_error(path))?;
    let in_use = entries.any(|entry| !entry.is_ok_and(|entry| entry.file_name() == "lock"));
    if in_use { Err(BackupError::NotEmpty(path.to_owned())) } else { Ok(()) }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(dir: &Path) {
        fs::create_dir_all(dir.join("bundles/ab")).unwrap();
        fs::create_dir_all(dir.join("cache")).unwrap();
        fs::write(dir.join("raft.redb"), b"raft").unwrap();
        fs::write(dir.join("bundles/ab/cd"), b"code").unwrap();
        fs::write(dir.join("cache/image"), b"made again").unwrap();
    }

    #[test]
    fn a_restored_directory_holds_what_was_backed_up() {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, back] = ["data", "copy", "back"].map(|name| dir.path().join(name));
        filled(&data);
        assert_eq!(backup(&data, &copy).unwrap(), 2);
        assert_eq!(restore(&copy, &back).unwrap(), 2);
        assert_eq!(fs::read(back.join("bundles/ab/cd")).unwrap(), b"code");
        assert!(!back.join("cache").exists());
        assert!(matches!(restore(&copy, &back), Err(BackupError::NotEmpty(_))));
    }

    #[test]
    fn nobody_else_can_look_into_a_copy() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, back] = ["data", "copy", "back"].map(|name| dir.path().join(name));
        filled(&data);
        backup(&data, &copy).unwrap();
        restore(&copy, &back).unwrap();
        for folder in [copy.clone(), copy.join("bundles/ab"), back.clone(), back.join("bundles/ab")] {
            let mode = fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
    }

    #[test]
    fn a_running_node_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        filled(&data);
        let _running = DataDir::lock(&data).unwrap();
        assert!(matches!(backup(&data, &dir.path().join("copy")), Err(BackupError::Locked(_))));
    }

    #[test]
    fn a_damaged_backup_is_not_restored() {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, back] = ["data", "copy", "back"].map(|name| dir.path().join(name));
        filled(&data);
        backup(&data, &copy).unwrap();
        fs::write(copy.join("raft.redb"), b"rift").unwrap();
        assert!(matches!(restore(&copy, &back), Err(BackupError::Damaged(_))));
        assert!(!back.exists());
        let manifest = fs::read_to_string(copy.join(MANIFEST)).unwrap();
        fs::write(copy.join(MANIFEST), manifest.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
        assert!(matches!(restore(&copy, &back), Err(BackupError::Manifest { .. })));
    }
}
