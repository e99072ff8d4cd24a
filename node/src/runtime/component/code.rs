//! Components as machine code, kept on disk.
//!
//! **Owns** the cache of what the compiler made and the proof that a file in it is ours. **Must not know** what a component is
//! for. **Enter at** [`CodeCache`].
//!
//! A file is `MAC (32 bytes) | machine code`, and its name is a hash of the component and of everything that the engine says its
//! output depends on. The MAC is keyed with a secret of this node, as loading machine code trusts it entirely: a file that was
//! torn, damaged, or copied from elsewhere is compiled again instead.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use wasmtime::{Engine, component::Component};

const MAC_BYTES: usize = blake3::OUT_LEN;

/// A directory of compiled components.
#[derive(Debug)]
pub(super) struct CodeCache {
    directory: PathBuf,
    key: [u8; blake3::KEY_LEN],
    bytes_max: u64,
}

impl CodeCache {
    /// Opens the cache, making it and its key when they do not exist. `bytes_max` bounds the files' total.
    pub(super) fn open(directory: PathBuf, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let key = key(&directory.join("key"))?;
        Ok(Self { directory, key, bytes_max })
    }

    /// The machine code of the component in `wasm`, whose BLAKE3 is `hash`: from the cache, else compiled now. Takes seconds for
    /// large components.
    pub(super) fn load_or_compile(
        &self,
        engine: &Engine,
        hash: &blake3::Hash,
        wasm: &[u8],
    ) -> wasmtime::Result<Component> {
        let path = self.directory.join(format!("{}.cwasm", name(engine, hash).to_hex()));
        if let Some(component) = self.load(engine, &path) {
            return Ok(component);
        }
        let component = Component::new(engine, wasm)?;
        if let Err(error) = self.store(&path, &component.serialize()?) {
            tracing::warn!(%error, path = %path.display(), "a compiled component could not be kept");
        }
        Ok(component)
    }

    #[allow(unsafe_code, reason = "deserialize trusts its input; the MAC proves that this node's compiler made it")]
    fn load(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let file = fs::read(path).ok()?;
        let (mac, code) = file.split_first_chunk::<MAC_BYTES>()?;
        if self.mac(path, code) != blake3::Hash::from_bytes(*mac) {
            tracing::warn!(path = %path.display(), "a cached component is not what this node wrote; it is compiled again");
            return None;
        }
        // SAFETY: `code` is the output of `Component::serialize` of an engine with the same compatibility hash: the name says
        // so, and the MAC covers the name.
        unsafe { Component::deserialize(engine, code) }
            .inspect_err(|error| tracing::warn!(%error, "a cached component does not load; it is compiled again"))
            .ok()
    }

    fn store(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        static SEQUENCE: AtomicU64 = AtomicU64::new(0);
        let mut file = Vec::with_capacity(MAC_BYTES + code.len());
        file.extend_from_slice(self.mac(path, code).as_bytes());
        file.extend_from_slice(code);
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{sequence}.tmp", std::process::id()));
        // No fsync: a file that is torn by a crash fails its MAC and is made again.
        fs::write(&temporary, &file).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            let _gone_or_not = fs::remove_file(&temporary);
        })?;
        self.sweep()
    }

    fn mac(&self, path: &Path, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(path.file_name().map_or(&[][..], |name| name.as_encoded_bytes()));
        hasher.update(code);
        hasher.finalize()
    }

    /// Removes the oldest files past the bound.
    fn sweep(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
                let metadata = entry.metadata()?;
                files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// Reads this node's key, or makes one.
fn key(path: &Path) -> io::Result<[u8; blake3::KEY_LEN]> {
    if let Some(key) = fs::read(path).ok().and_then(|bytes| bytes.try_into().ok()) {
        return Ok(key);
    }
    let mut key = [0; blake3::KEY_LEN];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    write_private(&temporary, &key)?;
    // Another process may have been first; its key is as good.
    if let Err(error) = fs::hard_link(&temporary, path) {
        let other = fs::read(path).ok().and_then(|bytes| bytes.try_into().ok());
        fs::remove_file(&temporary)?;
        return other.ok_or(error);
    }
    fs::remove_file(&temporary)?;
    Ok(key)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What the file of a component is called: a hash of the component and of what the compiler's output depends on.
fn name(engine: &Engine, hash: &blake3::Hash) -> blake3::Hash {
    struct Feed(blake3::Hasher);
    impl std::hash::Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            unreachable!("only fed, never asked")
        }
    }
    let mut feed = Feed(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    feed.0.update(hash.as_bytes());
    feed.0.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &str = "(component (core module (func (export \"f\"))))";

    fn parts(directory: &Path) -> (Engine, CodeCache, Vec<u8>, blake3::Hash) {
        let wasm = wat::parse_str(COMPONENT).unwrap();
        let hash = blake3::hash(&wasm);
        (Engine::default(), CodeCache::open(directory.to_owned(), 1 << 30).unwrap(), wasm, hash)
    }

    fn only_file(directory: &Path) -> PathBuf {
        let mut files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap()
    }

    #[test]
    fn a_compiled_component_is_loaded_again_after_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, cache, wasm, hash) = parts(directory.path());
        cache.load_or_compile(&engine, &hash, &wasm).unwrap();
        let cache = CodeCache::open(directory.path().to_owned(), 1 << 30).unwrap();
        assert!(cache.load(&engine, &only_file(directory.path())).is_some());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_never_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, cache, wasm, hash) = parts(directory.path());
        cache.load_or_compile(&engine, &hash, &wasm).unwrap();
        let path = only_file(directory.path());

        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(cache.load(&engine, &path).is_none());
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(cache.load(&engine, &path).is_some());

        let elsewhere = tempfile::tempdir().unwrap();
        let other = CodeCache::open(elsewhere.path().to_owned(), 1 << 30).unwrap();
        assert!(other.load(&engine, &path).is_none());
    }

    #[test]
    fn the_cache_keeps_within_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let (engine, _, wasm, hash) = parts(directory.path());
        let cache = CodeCache::open(directory.path().to_owned(), 1).unwrap();
        cache.load_or_compile(&engine, &hash, &wasm).unwrap();
        let left = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(left, ["key"]);
    }
}
