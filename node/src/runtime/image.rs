//! The engine image: QuickJS-ng and the prelude, already initialised, as native code (docs/001-engine-image.md).
//!
//! **Owns** making it once for each machine and build, and the cache that keeps it. **Must not know** isolates or workers.
//! **Enter at** [`load`].

#[path = "image/cache.rs"]
mod cache;
#[path = "image/snapshot.rs"]
mod snapshot;

use std::{
    hash::{Hash, Hasher},
    io,
    path::Path,
};

use wasmtime::{Engine, Module};

/// The image as build.rs made it: not initialised, for any machine.
static WASM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));

/// Why there is no engine image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The prelude or the engine failed while it was initialised. State: unchanged. Retry: no.
    #[error("the engine image can not be initialised: {0}")]
    Initialise(String),
    /// The machine code can not be made or loaded. State: unchanged. Retry: no.
    #[error("the engine image can not be compiled")]
    Compile(#[source] wasmtime::Error),
    /// The cache directory can not be read or written. State: unchanged. Retry: after making room or setting permissions.
    #[error("the cache {path} can not be used")]
    Cache {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The image as native code for `engine`, from the cache in `dir` or newly made. Concurrent calls are safe.
pub(crate) fn load(engine: &Engine, dir: &Path) -> Result<Module, ImageError> {
    let cache = cache::Cache::open(dir).map_err(|source| ImageError::Cache { path: dir.to_owned(), source })?;
    let name = name(engine);
    if let Some(code) = cache.read(&name)
        && let Some(module) = deserialize(engine, &code)
    {
        return Ok(module);
    }
    let initialised = snapshot::take(WASM)?;
    let code = engine.precompile_module(&initialised).map_err(ImageError::Compile)?;
    // A cache that can not be written costs the next start two seconds; this start goes on.
    if let Err(error) = cache.write(&name, &code) {
        tracing::warn!(%error, dir = %dir.display(), "the engine image can not be cached");
    }
    deserialize(engine, &code).ok_or_else(|| {
        ImageError::Compile(wasmtime::Error::msg("the code that was just compiled does not fit this engine"))
    })
}

/// Names the code by all that it depends on: the image and wasmtime's version, settings and target.
fn name(engine: &Engine) -> String {
    let mut compatibility = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("engine-{}-{:016x}.cwasm", &blake3::hash(WASM).to_hex()[..32], compatibility.finish())
}

#[allow(unsafe_code, reason = "machine code from our own cache is loaded only after its keyed hash has been checked")]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Module> {
    // SAFETY: `code` was made by `precompile_module` on this machine: either just now, or `Cache::read` has verified it with
    // a key that only this user can read. wasmtime itself checks its version and settings.
    match unsafe { Module::deserialize(engine, code) } {
        Ok(module) => Some(module),
        Err(error) => {
            tracing::warn!(%error, "the cached engine image does not fit and is made again");
            None
        }
    }
}
