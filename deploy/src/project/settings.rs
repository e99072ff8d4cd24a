//! Pure. What a project file says, key by key.
//!
//! **Owns** the meaning of every key of the top level and of `[env.NAME]`. **Must not know** files, or how environments
//! combine. **Enter at** [`read`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use skerry_proto::id::{AccountId, EnvironmentName, NamespaceId, ServiceName};

use super::rules::{ModuleKind, Rule};
use super::section::{Findings, Section};
use super::tree::{Node, Value};
use super::triggers::{RouteSetting, read_crons, read_routes};

/// What the whole file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct File {
    pub(crate) name: Option<ServiceName>,
    pub(crate) account_id: Option<AccountId>,
    pub(crate) keep_vars: bool,
    /// The top level: what `production` runs with, and what every other environment differs from.
    pub(crate) base: Settings,
    /// The `[env.NAME]` sections: only what differs.
    pub(crate) environments: BTreeMap<EnvironmentName, Settings>,
}

/// What one level of the file says; absent means that it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) main: Option<String>,
    pub(crate) compatibility_date: Option<String>,
    pub(crate) compatibility_flags: Option<Vec<String>>,
    pub(crate) workers_dev: Option<bool>,
    pub(crate) preview_urls: Option<bool>,
    pub(crate) routes: Option<Vec<RouteSetting>>,
    pub(crate) crons: Option<Vec<String>>,
    pub(crate) limits: Limits,
    pub(crate) build: BuildSettings,
    pub(crate) vars: BTreeMap<String, serde_json::Value>,
    pub(crate) kv_namespaces: Vec<KvSetting>,
    pub(crate) services: Vec<ServiceSetting>,
    /// The name under which the version's own identity is bound.
    pub(crate) version_metadata: Option<String>,
    pub(crate) required_secrets: Vec<String>,
    pub(crate) skerry: SkerrySettings,
}

/// How the code is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct BuildSettings {
    pub(crate) command: Option<BuildCommand>,
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) no_bundle: Option<bool>,
    pub(crate) find_additional_modules: Option<bool>,
    pub(crate) base_dir: Option<String>,
    pub(crate) minify: Option<bool>,
    pub(crate) keep_names: Option<bool>,
    pub(crate) upload_source_maps: Option<bool>,
    pub(crate) tsconfig: Option<String>,
    pub(crate) jsx_factory: Option<String>,
    pub(crate) jsx_fragment: Option<String>,
    pub(crate) define: BTreeMap<String, String>,
    pub(crate) alias: BTreeMap<String, String>,
}

/// `[build]`: what runs before bundling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildCommand {
    pub(crate) command: String,
    pub(crate) cwd: Option<String>,
    /// What `dev` watches besides the bundled files.
    pub(crate) watch_dirs: Vec<String>,
}

/// `[limits]`: what one event may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) cpu_ms: Option<u64>,
    /// Calls that leave the worker: `fetch`, bindings, KV.
    pub(crate) subrequests: Option<u64>,
}

/// A KV binding. Without an id, `deploy` finds or creates the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KvSetting {
    pub(crate) binding: String,
    pub(crate) id: Option<NamespaceId>,
}

/// A service binding. Without an environment it follows the caller's (DESIGN.md 4.11).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServiceSetting {
    pub(crate) binding: String,
    pub(crate) service: ServiceName,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) entrypoint: Option<String>,
    pub(crate) props: Option<serde_json::Value>,
}

/// `[skerry]`: what wrangler does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SkerrySettings {
    /// The environment this one differs from.
    pub(crate) parent: Option<EnvironmentName>,
    /// Every environment gets KV namespaces of its own.
    pub(crate) isolate: Option<bool>,
    /// Inherited bindings to take away.
    pub(crate) remove: Vec<String>,
}

/// Where in the file a level lies; some keys are only for the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Environment,
}

/// Keys of wrangler that change nothing here, and why.
const IGNORED: [(&str, &str); 8] = [
    ("send_metrics", "ignored: Skerry collects nothing"),
    ("logpush", "ignored: `skerry tail` shows every log line"),
    ("observability", "ignored: `skerry tail` shows every log line, unsampled"),
    ("placement", "ignored: the cluster places workers itself"),
    ("usage_model", "ignored: there is one usage model"),
    ("dev", "ignored: `skerry dev` takes flags"),
    ("preserve_file_names", "ignored: module names always carry a hash"),
    ("previews", "ignored: use environments"),
];

/// Keys of wrangler that would change what the worker does, were they understood. Leaving them out silently would
/// deploy a worker that fails at run time.
const NOT_OFFERED: [&str; 32] = [
    "ai",
    "analytics_engine_datasets",
    "assets",
    "browser",
    "cloudchamber",
    "containers",
    "d1_databases",
    "data_blobs",
    "dispatch_namespaces",
    "durable_objects",
    "exports",
    "hyperdrive",
    "images",
    "logfwdr",
    "media",
    "migrations",
    "mtls_certificates",
    "pipelines",
    "queues",
    "r2_buckets",
    "ratelimits",
    "secrets_store_secrets",
    "send_email",
    "site",
    "streaming_tail_consumers",
    "tail_consumers",
    "text_blobs",
    "unsafe",
    "vectorize",
    "wasm_modules",
    "worker_loaders",
    "workflows",
];

/// Reads the whole tree; what is wrong goes to `findings`.
pub(crate) fn read(root: &Node, findings: &Findings) -> File {
    let mut file = File::default();
    let Some(mut section) = Section::of(root, String::new(), findings) else { return file };
    section.node("$schema");
    file.name = section.parsed("name", ServiceName::new);
    file.account_id = section.parsed("account_id", AccountId::new);
    file.keep_vars = section.flag("keep_vars").unwrap_or(false);
    for entry in section.table("env").unwrap_or_default() {
        let path = format!("env.{}", entry.key);
        match EnvironmentName::new(&entry.key) {
            Ok(name) => {
                if let Some(inner) = Section::of(&entry.node, path, findings) {
                    file.environments.insert(name, read_level(inner, Level::Environment));
                }
            }
            Err(error) => section.refuse(&path, entry.line, error.to_string()),
        }
    }
    file.base = read_level(section, Level::Top);
    file
}

fn read_level(mut section: Section<'_>, level: Level) -> Settings {
    let settings = Settings {
        main: section.text("main").map(str::to_owned),
        compatibility_date: section.parsed("compatibility_date", date),
        compatibility_flags: read_flags(&mut section),
        workers_dev: section.flag("workers_dev"),
        preview_urls: section.flag("preview_urls"),
        routes: read_routes(&mut section),
        crons: read_crons(&mut section),
        limits: read_limits(&mut section),
        build: read_build(&mut section),
        vars: read_vars(&mut section),
        kv_namespaces: read_kv(&mut section),
        services: read_services(&mut section),
        version_metadata: read_version_metadata(&mut section),
        required_secrets: read_secrets(&mut section),
        skerry: read_skerry(&mut section, level),
    };
    check_binding_names(&settings, &section);
    if level == Level::Environment {
        for key in ["name", "account_id", "keep_vars", "env"] {
            section.forbid(key, "belongs to the whole service; move it to the top level");
        }
    }
    for (key, why) in IGNORED {
        section.ignore(key, why);
    }
    for key in NOT_OFFERED {
        section.forbid(key, "is not offered by this version of Skerry");
    }
    section.finish();
    settings
}

/// Flags go along with the version, as everywhere; code that needs one should not fail without a word.
fn read_flags(section: &mut Section<'_>) -> Option<Vec<String>> {
    let flags = section.texts("compatibility_flags")?;
    for flag in &flags {
        let why = if flag.starts_with("nodejs_") { ": there are no Node.js modules" } else { "" };
        section.notice("compatibility_flags", format!("{flag:?} has no effect in this version of Skerry{why}"));
    }
    Some(flags)
}

fn read_limits(section: &mut Section<'_>) -> Limits {
    let Some(mut limits) = section.section("limits") else { return Limits::default() };
    let mut within = |key, range: RangeInclusive<u64>, unit: &str| {
        let line = limits.line_of(key);
        let found = limits.whole(key)?;
        if !range.contains(&found) {
            limits.refuse(key, line, format!("must be {} to {} {unit}", range.start(), range.end()));
        }
        Some(found)
    };
    let cpu_ms = within("cpu_ms", 1..=30_000, "milliseconds");
    let subrequests = within("subrequests", 0..=10_000, "calls");
    limits.finish();
    Limits { cpu_ms, subrequests }
}

fn read_build(section: &mut Section<'_>) -> BuildSettings {
    BuildSettings {
        command: read_command(section),
        rules: read_rules(section),
        no_bundle: section.flag("no_bundle"),
        find_additional_modules: section.flag("find_additional_modules"),
        base_dir: section.text("base_dir").map(str::to_owned),
        minify: section.flag("minify"),
        keep_names: section.flag("keep_names"),
        upload_source_maps: section.flag("upload_source_maps"),
        tsconfig: section.text("tsconfig").map(str::to_owned),
        jsx_factory: section.text("jsx_factory").map(str::to_owned),
        jsx_fragment: section.text("jsx_fragment").map(str::to_owned),
        define: section.text_table("define").unwrap_or_default().into_iter().collect(),
        alias: section.text_table("alias").unwrap_or_default().into_iter().collect(),
    }
}

fn read_command(section: &mut Section<'_>) -> Option<BuildCommand> {
    let mut build = section.section("build")?;
    let command = build.text("command").map(str::to_owned);
    let cwd = build.text("cwd").map(str::to_owned);
    let watched = build.node("watch_dir").map(|node| (node.line, &node.value));
    let watch_dirs = match watched {
        None => Vec::new(),
        Some((_, Value::Text(dir))) => vec![dir.clone()],
        Some((_, Value::List(_))) => build.texts("watch_dir").unwrap_or_default(),
        Some((line, other)) => {
            build.refuse("watch_dir", line, format!("must be a text or a list of texts, not {}", other.kind()));
            Vec::new()
        }
    };
    build.finish();
    command.map(|command| BuildCommand { command, cwd, watch_dirs })
}

fn read_rules(section: &mut Section<'_>) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    for mut rule in section.sections("rules")? {
        let kind = rule.required("type").map(str::to_owned);
        let line = rule.line_of("type");
        let globs = rule.texts("globs");
        let fallthrough = rule.flag("fallthrough").unwrap_or(true);
        if !rule.has("globs") {
            rule.refuse("globs", line, "is required".to_owned());
        }
        match kind.as_deref().map(ModuleKind::of_rule) {
            Some(Some(kind)) => rules.push(Rule { kind, globs: globs.unwrap_or_default(), fallthrough }),
            Some(None) => {
                let text = "must be one of ESModule, CommonJS, CompiledWasm, Text, Data, Json".to_owned();
                rule.refuse("type", line, text);
            }
            None => {}
        }
        rule.finish();
    }
    Some(rules)
}

fn read_vars(section: &mut Section<'_>) -> BTreeMap<String, serde_json::Value> {
    let entries = section.table("vars").unwrap_or_default();
    entries.iter().map(|entry| (entry.key.clone(), entry.node.value.to_json())).collect()
}

fn read_kv(section: &mut Section<'_>) -> Vec<KvSetting> {
    let mut settings = Vec::new();
    for mut kv in section.sections("kv_namespaces").unwrap_or_default() {
        let binding = kv.required("binding").map(str::to_owned);
        let id = kv.parsed("id", NamespaceId::new);
        // For `wrangler dev`; `skerry dev` keeps its own data.
        for key in ["preview_id", "remote", "experimental_remote"] {
            kv.node(key);
        }
        kv.finish();
        settings.extend(binding.map(|binding| KvSetting { binding, id }));
    }
    settings
}

fn read_services(section: &mut Section<'_>) -> Vec<ServiceSetting> {
    let mut settings = Vec::new();
    for mut service in section.sections("services").unwrap_or_default() {
        let binding = service.required("binding").map(str::to_owned);
        service.required("service");
        let name = service.parsed("service", ServiceName::new);
        let environment = service.parsed("environment", EnvironmentName::new);
        let entrypoint = service.text("entrypoint").map(str::to_owned);
        let props = service.node("props").map(|node| node.value.to_json());
        service.node("remote");
        service.finish();
        if let (Some(binding), Some(name)) = (binding, name) {
            settings.push(ServiceSetting { binding, service: name, environment, entrypoint, props });
        }
    }
    settings
}

fn read_version_metadata(section: &mut Section<'_>) -> Option<String> {
    let mut metadata = section.section("version_metadata")?;
    let binding = metadata.required("binding").map(str::to_owned);
    metadata.finish();
    binding
}

fn read_secrets(section: &mut Section<'_>) -> Vec<String> {
    let Some(mut secrets) = section.section("secrets") else { return Vec::new() };
    let required = secrets.texts("required").unwrap_or_default();
    secrets.finish();
    required
}

fn read_skerry(section: &mut Section<'_>, level: Level) -> SkerrySettings {
    let Some(mut skerry) = section.section("skerry") else { return SkerrySettings::default() };
    let isolate = skerry.flag("isolate");
    let (mut parent, mut remove) = (None, Vec::new());
    match level {
        Level::Top => {
            for key in ["parent", "remove"] {
                skerry.forbid(key, "belongs in [env.NAME.skerry]: production inherits from nothing");
            }
        }
        Level::Environment => {
            parent = skerry.parsed("parent", EnvironmentName::new);
            remove = skerry.texts("remove").unwrap_or_default();
        }
    }
    skerry.finish();
    SkerrySettings { parent, isolate, remove }
}

/// A name can be bound once, and must be one that code can write after `env.`.
fn check_binding_names(settings: &Settings, section: &Section<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for (key, name) in settings.binding_names() {
        if name.is_empty() || name.len() > 255 || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            section.refuse(key, section.line_of(key), format!("{name:?} is not a name for a binding"));
        } else if seen.contains(&name) {
            section.refuse(key, section.line_of(key), format!("{name:?} is bound twice"));
        }
        seen.push(name);
    }
}

impl Settings {
    /// Every name that code finds in `env`, with the key that binds it.
    pub(crate) fn binding_names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let vars = self.vars.keys().map(|name| ("vars", name.as_str()));
        let kv = self.kv_namespaces.iter().map(|kv| ("kv_namespaces", kv.binding.as_str()));
        let services = self.services.iter().map(|service| ("services", service.binding.as_str()));
        vars.chain(kv).chain(services).chain(self.version_metadata.as_deref().map(|name| ("version_metadata", name)))
    }
}

/// `YYYY-MM-DD`, a real day.
fn date(text: &str) -> Result<String, String> {
    let shaped = text.len() == 10 && text.is_ascii();
    match text.parse::<jiff::civil::Date>() {
        Ok(_) if shaped => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a date such as 2026-01-31")),
    }
}
