//! TypeScript, JSX and npm packages into one ES module, with rolldown and without Node.js.
//!
//! **Owns** how rolldown is asked and what its answers mean. **Must not know** project files. **Enter at** [`bundle`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rolldown::plugin::{
    __inner::SharedPluginable, HookResolveIdArgs, HookResolveIdOutput, HookResolveIdReturn, HookUsage, Plugin,
    PluginContext, PluginHookMeta, PluginOrder,
};
use rolldown::{
    Bundler, BundlerOptions, BundlerTransformOptions, CodeSplittingMode, CommentsOptions, Either, InputItem,
    JsxOptions, LogLevel, OutputFormat, Platform, RawMinifyOptions, ResolveOptions, SourceMapType, TsConfig,
};
use rolldown_common::{Output, OutputChunk, ResolvedExternal};
use rolldown_error::{BuildDiagnostic, DiagnosticOptions};
use skerry_proto::id::BundleHash;

use super::builtins::{NONE_HERE, is_builtin};
use super::{BuildRequest, Built, Bundle, BundleError, Mode, Module, WASM_BESIDE_JS, read};
use crate::project::{BuildSettings, ModuleKind, Rules};

/// The newest syntax that the engine is sure to have; anything newer (`using`, decorators) is rewritten.
const TARGET: &str = "es2023";

/// Bundles `entry` and everything it imports. `read_files` gets what was read, even when it cannot be bundled.
pub(super) async fn bundle(
    request: BuildRequest<'_>,
    entry: &Path,
    read_files: &mut BTreeSet<PathBuf>,
) -> Result<Built, BundleError> {
    if !entry.is_file() {
        read(entry)?;
    }
    let shown = DiagnosticOptions { cwd: absolute(request.dir) };
    let collector = Collector::new(request.settings);
    let plugin: SharedPluginable = Arc::new(collector.clone());
    let mut bundler = Bundler::with_plugins(options(request, entry), vec![plugin])
        .map_err(|errors| refused(errors.into_vec(), &shown))?;
    let generated = bundler.generate().await;
    let watched = bundler.watch_files().iter().map(|path| PathBuf::from(path.as_str())).collect();
    *read_files = files(watched, collector.sources());
    let closed = bundler.close().await;
    collector.refusals()?;
    let output = generated.map_err(|errors| refused(errors.into_vec(), &shown))?;
    closed.map_err(|errors| refused(errors.into_vec(), &shown))?;

    let (fatal, warnings): (Vec<_>, Vec<_>) =
        output.warnings.into_iter().partition(|warning| warning.kind().to_string() == "UNRESOLVED_IMPORT");
    if !fatal.is_empty() {
        return Err(unresolved(&render(&fatal, &shown)));
    }
    let chunk = output.assets.iter().find_map(|asset| match asset {
        Output::Chunk(chunk) if chunk.is_entry => Some(chunk),
        _ => None,
    });
    let chunk = chunk.ok_or_else(|| BundleError::Code("the bundler made no entry module".to_owned()))?;
    Ok(Built {
        bundle: assemble(chunk, request.settings, collector.modules()),
        warnings: warnings.iter().map(|warning| render(std::slice::from_ref(warning), &shown)).collect(),
        sources: read_files.clone(),
    })
}

/// The error for imports that lead nowhere, with the likeliest reason.
fn unresolved(shown: &str) -> BundleError {
    let mut specifiers = shown.split("Could not resolve '").skip(1).filter_map(|rest| rest.split('\'').next());
    let hint = if specifiers.any(is_builtin) { NONE_HERE } else { "is the package installed? (npm install)" };
    BundleError::Code(format!("{shown}\n{hint}"))
}

/// Only real files: rolldown lists its own virtual modules too.
fn files(watched: Vec<PathBuf>, collected: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    watched.into_iter().filter(|path| path.is_file()).chain(collected).collect()
}

fn assemble(chunk: &OutputChunk, settings: &BuildSettings, collected: Vec<Module>) -> Bundle {
    let kind = if chunk.exports.is_empty() { ModuleKind::Script } else { ModuleKind::Esm };
    let main = chunk.filename.to_string();
    let mut code = chunk.code.clone();
    let map = chunk.map.as_ref().filter(|_| settings.upload_source_maps.unwrap_or(true));
    let mut modules = Vec::with_capacity(collected.len() + 2);
    if let Some(map) = map {
        let name = format!("{main}.map");
        code.push_str(&format!("\n//# sourceMappingURL={name}\n"));
        modules.push(Module { name, kind: ModuleKind::SourceMap, bytes: map.to_json_string().into_bytes() });
    }
    modules.insert(0, Module { name: main.clone(), kind, bytes: code.into_bytes() });
    modules.extend(collected);
    Bundle { main, modules }
}

fn options(request: BuildRequest<'_>, entry: &Path) -> BundlerOptions {
    let BuildRequest { dir, settings, mode, .. } = request;
    let (cwd, entry) = (absolute(dir), absolute(entry));
    let stem = entry.file_stem().map_or_else(|| "index".into(), |stem| stem.to_string_lossy().into_owned());
    let environment = match mode {
        Mode::Production => "\"production\"",
        Mode::Development => "\"development\"",
    };
    let mut define = BTreeMap::from([
        ("process.env.NODE_ENV".to_owned(), environment.to_owned()),
        ("navigator.userAgent".to_owned(), "\"Cloudflare-Workers\"".to_owned()),
    ]);
    define.extend(settings.define.clone());
    let jsx = (settings.jsx_factory.is_some() || settings.jsx_fragment.is_some()).then(|| {
        Either::Right(JsxOptions {
            runtime: Some("classic".to_owned()),
            pragma: settings.jsx_factory.clone(),
            pragma_frag: settings.jsx_fragment.clone(),
            ..JsxOptions::default()
        })
    });
    BundlerOptions {
        input: Some(vec![InputItem { name: Some(stem), import: entry.to_string_lossy().into_owned() }]),
        cwd: Some(cwd.clone()),
        // As wrangler: packages choose their code for workers, else for browsers; never for Node.js.
        platform: Some(Platform::Browser),
        resolve: Some(ResolveOptions {
            condition_names: Some(["workerd", "worker", "browser", "module"].map(str::to_owned).to_vec()),
            alias: Some(
                settings.alias.iter().map(|(from, to)| (from.clone(), vec![Some(aliased(&cwd, to))])).collect(),
            ),
            ..ResolveOptions::default()
        }),
        tsconfig: Some(match &settings.tsconfig {
            Some(path) => TsConfig::Manual(cwd.join(path)),
            None => TsConfig::Auto(true),
        }),
        transform: Some(BundlerTransformOptions {
            jsx,
            target: Some(Either::Left(TARGET.to_owned())),
            ..BundlerTransformOptions::default()
        }),
        format: Some(OutputFormat::Esm),
        entry_filenames: Some("[name].js".to_owned().into()),
        // One module, so that what is uploaded never depends on how rolldown would split it.
        code_splitting: Some(CodeSplittingMode::Bool(false)),
        define: Some(define.into_iter().collect()),
        minify: Some(RawMinifyOptions::Bool(settings.minify.unwrap_or(false))),
        keep_names: Some(settings.keep_names.unwrap_or(true)),
        comments: Some(CommentsOptions { legal: true, annotation: false, jsdoc: false }),
        sourcemap: Some(SourceMapType::Hidden),
        log_level: Some(LogLevel::Silent),
        ..BundlerOptions::default()
    }
}

/// Paths of the project file are relative to it, whoever imports.
fn aliased(cwd: &Path, to: &str) -> String {
    let is_relative = to.starts_with("./") || to.starts_with("../");
    if is_relative { cwd.join(to).to_string_lossy().into_owned() } else { to.to_owned() }
}

fn refused(errors: Vec<BuildDiagnostic>, shown: &DiagnosticOptions) -> BundleError {
    BundleError::Code(render(&errors, shown))
}

fn render(diagnostics: &[BuildDiagnostic], shown: &DiagnosticOptions) -> String {
    let texts =
        diagnostics.iter().map(|one| one.to_diagnostic_with(shown).convert_to_string(false).trim_end().to_owned());
    texts.collect::<Vec<_>>().join("\n")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Takes files that rules name out of the bundle, as modules of their own, and leaves the runtime's own modules alone.
#[derive(Debug, Clone)]
struct Collector {
    rules: Arc<Rules>,
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Default)]
struct Found {
    modules: BTreeMap<String, Module>,
    sources: BTreeSet<PathBuf>,
    refusals: BTreeSet<String>,
}

impl Collector {
    fn new(settings: &BuildSettings) -> Self {
        let rules = Rules::new(settings.rules.as_deref().unwrap_or_default());
        Self { rules: Arc::new(rules), found: Arc::default() }
    }

    /// What to do with an import, before rolldown looks for it on the disk.
    async fn resolve(&self, context: &PluginContext, specifier: &str, importer: Option<&str>) -> HookResolveIdReturn {
        if specifier.starts_with("cloudflare:") {
            return Ok(Some(external(specifier)));
        }
        if let Some(module) = specifier.strip_prefix("node:") {
            let importer = importer.unwrap_or("the entry");
            self.found().refusals.insert(format!("{importer} imports \"node:{module}\": {NONE_HERE}"));
            return Ok(Some(external(specifier)));
        }
        match self.rules.kind_of(specifier) {
            Some(kind @ (ModuleKind::Text | ModuleKind::Data)) => {
                self.collect(context, specifier, importer, kind).await
            }
            Some(ModuleKind::Wasm) => {
                let importer = importer.unwrap_or("the entry");
                self.found().refusals.insert(format!("{importer} imports {specifier:?}: {WASM_BESIDE_JS}"));
                Ok(Some(external(specifier)))
            }
            _ => Ok(None),
        }
    }

    async fn collect(
        &self,
        context: &PluginContext,
        specifier: &str,
        importer: Option<&str>,
        kind: ModuleKind,
    ) -> HookResolveIdReturn {
        let file = specifier.split('?').next().unwrap_or(specifier);
        let path = if file.starts_with('.') {
            let folder = importer.and_then(|importer| Path::new(importer).parent()).unwrap_or(Path::new("."));
            folder.join(file)
        } else {
            match context.resolve(file, importer, None).await? {
                Ok(resolved) => PathBuf::from(resolved.id.as_str()),
                Err(_) => return Ok(None),
            }
        };
        let Ok(bytes) = std::fs::read(&path) else {
            // Rolldown's own error names the importing line, which we do not know here.
            return Ok(None);
        };
        let base = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let hash = BundleHash::of(&bytes).to_string();
        let name = format!("{}-{base}", &hash[..16]);
        let mut found = self.found();
        found.modules.insert(name.clone(), Module { name: name.clone(), kind, bytes });
        found.sources.insert(path);
        Ok(Some(external(&format!("./{name}"))))
    }

    fn modules(&self) -> Vec<Module> {
        self.found().modules.values().cloned().collect()
    }

    fn sources(&self) -> BTreeSet<PathBuf> {
        self.found().sources.clone()
    }

    fn refusals(&self) -> Result<(), BundleError> {
        let refusals = self.found().refusals.iter().cloned().collect::<Vec<_>>().join("\n");
        if refusals.is_empty() { Ok(()) } else { Err(BundleError::Code(refusals)) }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        // Every change under the lock is one insert, so a panic elsewhere cannot have left it half done.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An import that stays an import, spelled exactly so.
fn external(specifier: &str) -> HookResolveIdOutput {
    HookResolveIdOutput {
        external: Some(ResolvedExternal::Absolute),
        normalize_external_id: Some(false),
        ..HookResolveIdOutput::from_id(specifier)
    }
}

impl Plugin for Collector {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("skerry")
    }

    fn register_hook_usage(&self) -> HookUsage {
        HookUsage::ResolveId
    }

    fn resolve_id_meta(&self) -> Option<PluginHookMeta> {
        Some(PluginHookMeta { order: Some(PluginOrder::Pre) })
    }

    async fn resolve_id(&self, context: &PluginContext, args: &HookResolveIdArgs<'_>) -> HookResolveIdReturn {
        if args.is_entry {
            return Ok(None);
        }
        self.resolve(context, args.specifier, args.importer).await
    }
}
