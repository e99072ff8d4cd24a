//! Modules taken as they lie on the disk: components, and projects with `no_bundle`.
//!
//! **Owns** which files those are. **Must not know** JavaScript; `syntax` does. **Enter at** [`files`] and [`component`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{BuildRequest, Built, Bundle, BundleError, Module, read, syntax};
use crate::project::{ModuleKind, Rules};

/// BOUND: more files than this under one folder is `node_modules` or worse, not a worker's modules.
const MAX_FILES: usize = 4096;

/// One WebAssembly component.
pub(super) fn component(entry: &Path) -> Result<Built, BundleError> {
    let bytes = read(entry)?;
    // The preamble: magic, version (13 for components today), layer (0 module, 1 component).
    let found = match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => None,
        Some([0, b'a', b's', b'm', ..]) => Some("a core module"),
        _ => Some("not WebAssembly"),
    };
    if let Some(found) = found {
        return Err(BundleError::NotComponent { path: entry.to_owned(), found });
    }
    let name = file_name(entry);
    let module = Module { name: name.clone(), kind: ModuleKind::Component, bytes };
    Ok(Built {
        bundle: Bundle { main: name, modules: vec![module] },
        warnings: Vec::new(),
        sources: BTreeSet::from([entry.to_owned()]),
    })
}

/// The entry as it is and, with `find_additional_modules`, every file beside it that a rule names.
pub(super) fn files(request: BuildRequest<'_>, entry: &Path) -> Result<Built, BundleError> {
    let code = read(entry)?;
    let base = match &request.settings.base_dir {
        Some(dir) => request.dir.join(dir),
        None => entry.parent().unwrap_or(request.dir).to_owned(),
    };
    let main = relative(&base, entry).unwrap_or_else(|| file_name(entry));
    let kind = if is_script(&code) { ModuleKind::Script } else { ModuleKind::Esm };
    let mut modules = vec![Module { name: main.clone(), kind, bytes: code }];
    let mut sources = BTreeSet::from([entry.to_owned()]);
    // Without bundling, imports stay imports, so the modules they name have to come along (wrangler's default too).
    if request.settings.find_additional_modules.unwrap_or(true) {
        let rules = Rules::new(request.settings.rules.as_deref().unwrap_or_default());
        for path in walk(&base)? {
            let Some(name) = relative(&base, &path).filter(|name| *name != main) else { continue };
            let kind = rules.kind_of(&name).or_else(|| is_module(&path).then_some(ModuleKind::Esm));
            if kind == Some(ModuleKind::Wasm) {
                return Err(BundleError::WasmModule { path });
            }
            if let Some(kind) = kind {
                modules.push(Module { name, kind, bytes: read(&path)? });
                sources.insert(path);
            }
        }
    }
    Ok(Built { bundle: Bundle { main, modules }, warnings: Vec::new(), sources })
}

/// Whether unbundled code is the older kind of script: it registers a handler, exports nothing and imports nothing.
fn is_script(code: &[u8]) -> bool {
    let code = String::from_utf8_lossy(code);
    code.contains("addEventListener(") && !syntax::is_module(&code)
}

fn is_module(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "js" || ending == "mjs")
}

fn walk(base: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Unreadable { path, source }
    };
    let (mut found, mut folders) = (Vec::new(), vec![base.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(unreadable(&folder))? {
            let entry = entry.map_err(unreadable(&folder))?;
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.');
            let kind = entry.file_type().map_err(unreadable(&path))?;
            if kind.is_dir() && !hidden && name != "node_modules" {
                folders.push(path);
            } else if kind.is_file() && !hidden {
                found.push(path);
            }
            if found.len() > MAX_FILES {
                let text = format!("more than {MAX_FILES} files in {}; set base_dir", base.display());
                return Err(BundleError::Code(text));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn relative(base: &Path, path: &Path) -> Option<String> {
    let path = path.strip_prefix(base).ok()?;
    Some(path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "index.js".to_owned(), |name| name.to_string_lossy().into_owned())
}
