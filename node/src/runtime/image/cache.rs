//! Compiled code on disk, trusted only when its keyed hash is right.
//!
//! Loading machine code is as good as running it, so a file that somebody else could have written must never be loaded.
//! The key lies beside the files with mode 0600; whoever can read it can already act as this user.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const KEY_BYTES: usize = 32;
const HASH_BYTES: usize = 32;

pub(super) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the cache in `dir`, making the directory and its key when there are none.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join("cache.key");
        if !path.exists() {
            let mut key = [0; KEY_BYTES];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            let partial = partial(&path);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?.write_all(&key)?;
            // The first of several starts wins; the others read its key.
            let linked = fs::hard_link(&partial, &path);
            fs::remove_file(&partial)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let mut key = [0; KEY_BYTES];
        fs::File::open(&path)?.read_exact(&mut key)?;
        Ok(Self { dir: dir.to_owned(), key })
    }

    /// The file's content, if it is there and its hash is right.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = fs::read(self.dir.join(name)).ok()?;
        let at = file.len().checked_sub(HASH_BYTES)?;
        let stored: [u8; HASH_BYTES] = file[at..].try_into().ok()?;
        file.truncate(at);
        // blake3::Hash compares in constant time.
        (self.hash(name, &file) == blake3::Hash::from_bytes(stored)).then_some(file)
    }

    /// Writes the file beside its final place and renames it, so that nobody ever reads half of it.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name);
        let partial = partial(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let written = file
            .write_all(content)
            .and_then(|()| file.write_all(self.hash(name, content).as_bytes()))
            .and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            let _gone = fs::remove_file(&partial);
        }
        written
    }

    fn hash(&self, name: &str, content: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes()).update(&[0]).update(content);
        hasher.finalize()
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut suffix = [0; 8];
    // Without randomness the name may collide, and `create_new` then fails the write instead of mixing two files.
    let _filled = getrandom::fill(&mut suffix);
    path.with_extension(format!("{}.partial", hex::encode(suffix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        Cache::open(dir.path()).unwrap().write("a", b"code").unwrap();
        assert_eq!(Cache::open(dir.path()).unwrap().read("a").unwrap(), b"code");
    }

    #[test]
    fn a_file_that_was_changed_renamed_or_made_under_another_key_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        cache.write("a", b"code").unwrap();
        fs::copy(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(cache.read("b"), None);
        let mut file = fs::read(dir.path().join("a")).unwrap();
        file[0] ^= 1;
        fs::write(dir.path().join("a"), &file).unwrap();
        assert_eq!(cache.read("a"), None);
        cache.write("a", b"code").unwrap();
        fs::remove_file(dir.path().join("cache.key")).unwrap();
        assert_eq!(Cache::open(dir.path()).unwrap().read("a"), None);
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Cache::open(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join("cache.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
