//! From a project's files to the modules of an upload.
//!
//! **Owns** `[build] command`, bundling, module rules and sizes. **Must not know** the API. **Enter at** [`build`].

mod rolldown;

mod plain;

mod syntax;

mod builtins;

mod command;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::project::{BuildSettings, ModuleKind};

/// BOUND: what the API accepts in one upload (10027 above it); refusing here saves sending it.
pub(crate) const MAX_UPLOAD_BYTES: usize = 64 << 20;
/// Why a `.wasm` file beside JavaScript is refused, and what to do.
const WASM_BESIDE_JS: &str = "WebAssembly in a JavaScript worker is not supported yet; deploy a component of its own and \
                              bind to it as a service";

/// The modules of one version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bundle {
    /// The name of the module that has the handlers.
    pub(crate) main: String,
    pub(crate) modules: Vec<Module>,
}

/// One file of an upload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) kind: ModuleKind,
    pub(crate) bytes: Vec<u8>,
}

/// A bundle and what was learned while making it.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) bundle: Bundle,
    /// Worth telling, not worth stopping.
    pub(crate) warnings: Vec<String>,
    /// Every file that went in; `dev` watches them.
    pub(crate) sources: BTreeSet<PathBuf>,
}

/// Why a project can not be bundled. State: unchanged. Retry: no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The project says no entry.
    #[error("no entry: add `main = \"src/index.ts\"` to the project file, or give the file on the command line")]
    NoEntry,
    /// A file the project names can not be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// `[build] command` failed; its own output says why.
    #[error("[build] command {command:?} failed: {status}")]
    Command { command: String, status: String },
    /// The code itself: syntax, imports. The text holds positions.
    #[error("{0}")]
    Code(String),
    /// A `.wasm` entry that is not a component.
    #[error("{} is {found}; the entry must be a WebAssembly component (wasm32-wasip2, jco componentize, componentize-py)", path.display())]
    NotComponent { path: PathBuf, found: &'static str },
    /// A WebAssembly module beside JavaScript, which would fail when it runs.
    #[error("{}: {WASM_BESIDE_JS}, or keep the file out with `find_additional_modules = false`", path.display())]
    WasmModule { path: PathBuf },
    /// Another of these, with the files that had been read by then: `dev` watches them until the code is mended.
    #[error("{error}")]
    Read { error: Box<BundleError>, sources: BTreeSet<PathBuf> },
    /// More than the API takes.
    #[error("the modules are {bytes} bytes together; at most {MAX_UPLOAD_BYTES} can be uploaded")]
    TooLarge { bytes: usize },
}

impl BundleError {
    /// What had been read, if that is known.
    pub(crate) fn sources(&self) -> Option<&BTreeSet<PathBuf>> {
        match self {
            Self::Read { sources, .. } => Some(sources),
            _ => None,
        }
    }

    fn after_reading(self, sources: BTreeSet<PathBuf>) -> Self {
        if sources.is_empty() { self } else { Self::Read { error: Box::new(self), sources } }
    }
}

/// What to build, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildRequest<'a> {
    /// The project's folder.
    pub(crate) dir: &'a Path,
    /// The entry, relative to `dir`.
    pub(crate) main: Option<&'a str>,
    pub(crate) settings: &'a BuildSettings,
    pub(crate) mode: Mode,
}

/// Whom the code is built for; it is `process.env.NODE_ENV` in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Production,
    Development,
}

/// Runs the build command, then makes the bundle.
pub(crate) async fn build(request: BuildRequest<'_>) -> Result<Built, BundleError> {
    if let Some(command) = &request.settings.command {
        command::run(command, request.dir).await?;
    }
    let entry = request.dir.join(request.main.ok_or(BundleError::NoEntry)?);
    let built = if entry.extension().is_some_and(|ending| ending == "wasm") {
        plain::component(&entry)?
    } else if request.settings.no_bundle == Some(true) {
        plain::files(request, &entry)?
    } else {
        let mut sources = BTreeSet::new();
        let bundled = rolldown::bundle(request, &entry, &mut sources).await;
        bundled.map_err(|error| error.after_reading(sources))?
    };
    match built.bundle.size() {
        bytes if bytes > MAX_UPLOAD_BYTES => Err(BundleError::TooLarge { bytes }),
        _ => Ok(built),
    }
}

impl Bundle {
    /// Bytes of all modules.
    pub(crate) fn size(&self) -> usize {
        self.modules.iter().map(|module| module.bytes.len()).sum()
    }

    /// Bytes of all modules but source maps, compressed together with gzip: what a reader compares between tools.
    pub(crate) fn gzip_size(&self) -> usize {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for module in self.modules.iter().filter(|module| module.kind != ModuleKind::SourceMap) {
            encoder.write_all(&module.bytes).expect("writing to memory cannot fail");
        }
        encoder.finish().expect("writing to memory cannot fail").len()
    }

    /// The kind of the main module.
    pub(crate) fn main_kind(&self) -> ModuleKind {
        self.modules.iter().find(|module| module.name == self.main).map_or(ModuleKind::Esm, |module| module.kind)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    std::fs::read(path).map_err(|source| BundleError::Unreadable { path: path.to_owned(), source })
}
