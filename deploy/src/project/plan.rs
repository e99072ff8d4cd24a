//! Pure. What deploying one environment of a project means.
//!
//! **Owns** how the levels of a project file combine. **Must not know** files or the API. **Enter at** [`Plan::of`].
//!
//! An environment holds only its differences (DESIGN.md 4.11). So what makes *code* (entry, build, compatibility) is
//! taken from the file's whole chain of parents, while *bindings* are only the environment's own: the cluster adds the
//! inherited ones from the parent's live version. Routes and crons are never inherited; wrangler would move
//! production's route to whichever environment was deployed last.

use std::collections::BTreeMap;

use skerry_proto::id::{EnvironmentName, NamespaceId, ServiceName};

use super::settings::{BuildSettings, File, KvSetting, Limits, ServiceSetting, Settings};
use super::triggers::RouteSetting;

/// BOUND: a chain of parents this long is a mistake, and a longer one a circle.
const MAX_PARENTS: usize = 16;

/// One environment, ready to be built and uploaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
    /// `None` for production, and for an environment of which the file does not say it.
    pub(crate) parent: Option<EnvironmentName>,
    pub(crate) main: Option<String>,
    pub(crate) compatibility_date: Option<String>,
    pub(crate) compatibility_flags: Vec<String>,
    pub(crate) workers_dev: Option<bool>,
    pub(crate) preview_urls: Option<bool>,
    pub(crate) routes: Option<Vec<RouteSetting>>,
    pub(crate) crons: Option<Vec<String>>,
    pub(crate) limits: Limits,
    pub(crate) build: BuildSettings,
    pub(crate) vars: BTreeMap<String, serde_json::Value>,
    pub(crate) kv_namespaces: Vec<KvPlan>,
    pub(crate) services: Vec<ServiceSetting>,
    pub(crate) version_metadata: Option<String>,
    /// `None` where the file does not speak of the environment: what was hidden by hand, or by a clone, stays hidden.
    pub(crate) removed: Option<Vec<String>>,
    pub(crate) required_secrets: Vec<String>,
    pub(crate) keep_vars: bool,
}

/// A KV binding, and how its namespace is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KvPlan {
    pub(crate) binding: String,
    pub(crate) namespace: NamespacePlan,
}

/// Which KV namespace a binding means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamespacePlan {
    /// The file names it.
    Id(NamespaceId),
    /// The one with this title, made at the first deploy.
    Titled(String),
}

/// Why a project can not be deployed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// Neither the file nor the command line names a service.
    #[error("no service: add `name = \"...\"` to the project file, or give --service")]
    NoService,
    /// Environments whose parents never reach production.
    #[error("env.{0}.skerry.parent: its parents form a circle")]
    Circle(EnvironmentName),
}

impl Plan {
    /// Combines the levels of `file` for `environment`, which the file need not mention.
    pub(crate) fn of(
        file: &File,
        service: Option<&ServiceName>,
        environment: &EnvironmentName,
    ) -> Result<Self, PlanError> {
        let service = service.or(file.name.as_ref()).ok_or(PlanError::NoService)?.clone();
        let chain = chain(file, environment)?;
        let own = own(file, environment);
        let isolate = chain.iter().find_map(|level| level.skerry.isolate).unwrap_or(false);
        let mut kv_namespaces: Vec<KvPlan> = own
            .kv_namespaces
            .iter()
            .map(|kv| KvPlan { binding: kv.binding.clone(), namespace: namespace(kv, &service, environment) })
            .collect();
        if isolate && !environment.is_production() {
            kv_namespaces.extend(isolated(&chain, &own, &service, environment));
        }
        Ok(Self {
            parent: parent(file, environment),
            main: inherited(&chain, |level| level.main.clone()),
            compatibility_date: inherited(&chain, |level| level.compatibility_date.clone()),
            compatibility_flags: inherited(&chain, |level| level.compatibility_flags.clone()).unwrap_or_default(),
            workers_dev: inherited(&chain, |level| level.workers_dev),
            preview_urls: inherited(&chain, |level| level.preview_urls),
            build: build(&chain),
            routes: own.routes,
            crons: own.crons,
            limits: own.limits,
            vars: own.vars,
            services: own.services,
            version_metadata: own.version_metadata,
            removed: file.environments.contains_key(environment).then_some(own.skerry.remove),
            required_secrets: inherited(&chain, |level| {
                (!level.required_secrets.is_empty()).then(|| level.required_secrets.clone())
            })
            .unwrap_or_default(),
            keep_vars: file.keep_vars,
            kv_namespaces,
            service,
            environment: environment.clone(),
        })
    }

    /// As [`Plan::of`], for a cluster in which no parent is live, such as a fresh node of one's own: what the parents of the file
    /// would give is the environment's own there.
    pub(crate) fn alone(
        file: &File,
        service: Option<&ServiceName>,
        environment: &EnvironmentName,
    ) -> Result<Self, PlanError> {
        let plan = Self::of(file, service, environment)?;
        let levels = chain(file, environment)?;
        let whole = levels.iter().rev().fold(Settings::default(), |below, level| {
            let kept = without(below, &level.skerry.remove);
            overlay(&kept, level)
        });
        let kv = |kv: &KvSetting| KvPlan {
            binding: kv.binding.clone(),
            namespace: namespace(kv, &plan.service, environment),
        };
        Ok(Self {
            parent: None,
            kv_namespaces: whole.kv_namespaces.iter().map(kv).collect(),
            limits: whole.limits,
            vars: whole.vars,
            services: whole.services,
            version_metadata: whole.version_metadata,
            ..plan
        })
    }

    /// Finds every KV namespace by title, for a cluster that does not know the ids of the file: a fresh node of one's own.
    /// Bindings with the same id still share one namespace.
    pub(crate) fn name_namespaces_by_title(&mut self) {
        let mut titles: BTreeMap<NamespaceId, String> = BTreeMap::new();
        for kv in &mut self.kv_namespaces {
            if let NamespacePlan::Id(id) = &kv.namespace {
                let own = || title(&self.service, &self.environment, &kv.binding);
                kv.namespace = NamespacePlan::Titled(titles.entry(id.clone()).or_insert_with(own).clone());
            }
        }
    }
}

fn parent(file: &File, environment: &EnvironmentName) -> Option<EnvironmentName> {
    file.environments.get(environment)?.skerry.parent.clone()
}

/// What the file says of this environment alone. Production is the top level, with `[env.production]` over it.
fn own(file: &File, environment: &EnvironmentName) -> Settings {
    let section = file.environments.get(environment);
    match (environment.is_production(), section) {
        (false, section) => section.cloned().unwrap_or_default(),
        (true, None) => file.base.clone(),
        (true, Some(section)) => overlay(&file.base, section),
    }
}

fn overlay(base: &Settings, over: &Settings) -> Settings {
    let mut merged = over.clone();
    let bound: Vec<String> = over.binding_names().map(|(_, name)| name.to_owned()).collect();
    let free = |name: &str| !bound.iter().any(|taken| taken == name);
    merged
        .vars
        .extend(base.vars.iter().filter(|(name, _)| free(name)).map(|(name, value)| (name.clone(), value.clone())));
    merged.kv_namespaces.extend(base.kv_namespaces.iter().filter(|kv| free(&kv.binding)).cloned());
    merged.services.extend(base.services.iter().filter(|service| free(&service.binding)).cloned());
    merged.version_metadata = merged.version_metadata.or_else(|| base.version_metadata.clone());
    merged.routes = merged.routes.or_else(|| base.routes.clone());
    merged.crons = merged.crons.or_else(|| base.crons.clone());
    merged.limits.cpu_ms = merged.limits.cpu_ms.or(base.limits.cpu_ms);
    merged.limits.subrequests = merged.limits.subrequests.or(base.limits.subrequests);
    merged
}

fn without(mut settings: Settings, names: &[String]) -> Settings {
    let stays = |name: &String| !names.contains(name);
    settings.vars.retain(|name, _| stays(name));
    settings.kv_namespaces.retain(|kv| stays(&kv.binding));
    settings.services.retain(|service| stays(&service.binding));
    settings.version_metadata = settings.version_metadata.filter(stays);
    settings
}

/// The levels from which `environment` takes its code settings, nearest first; the last is the top level.
fn chain<'f>(file: &'f File, environment: &EnvironmentName) -> Result<Vec<&'f Settings>, PlanError> {
    let (mut levels, mut next) = (Vec::new(), Some(environment.clone()));
    while let Some(name) = next {
        if levels.len() > MAX_PARENTS {
            return Err(PlanError::Circle(environment.clone()));
        }
        let section = file.environments.get(&name);
        levels.extend(section);
        next = match (name.is_production(), section.and_then(|section| section.skerry.parent.clone())) {
            (true, _) => None,
            (false, Some(parent)) => Some(parent),
            (false, None) => Some(EnvironmentName::production()),
        };
    }
    levels.push(&file.base);
    Ok(levels)
}

fn inherited<T>(chain: &[&Settings], of: impl Fn(&Settings) -> Option<T>) -> Option<T> {
    chain.iter().find_map(|level| of(level))
}

fn build(chain: &[&Settings]) -> BuildSettings {
    let merge = |of: fn(&BuildSettings) -> &BTreeMap<String, String>| {
        let mut merged = BTreeMap::new();
        for level in chain.iter().rev() {
            merged.extend(of(&level.build).clone());
        }
        merged
    };
    BuildSettings {
        command: inherited(chain, |level| level.build.command.clone()),
        rules: inherited(chain, |level| level.build.rules.clone()),
        no_bundle: inherited(chain, |level| level.build.no_bundle),
        find_additional_modules: inherited(chain, |level| level.build.find_additional_modules),
        base_dir: inherited(chain, |level| level.build.base_dir.clone()),
        minify: inherited(chain, |level| level.build.minify),
        keep_names: inherited(chain, |level| level.build.keep_names),
        upload_source_maps: inherited(chain, |level| level.build.upload_source_maps),
        tsconfig: inherited(chain, |level| level.build.tsconfig.clone()),
        jsx_factory: inherited(chain, |level| level.build.jsx_factory.clone()),
        jsx_fragment: inherited(chain, |level| level.build.jsx_fragment.clone()),
        define: merge(|build| &build.define),
        alias: merge(|build| &build.alias),
    }
}

fn namespace(kv: &KvSetting, service: &ServiceName, environment: &EnvironmentName) -> NamespacePlan {
    match &kv.id {
        Some(id) => NamespacePlan::Id(id.clone()),
        None => NamespacePlan::Titled(title(service, environment, &kv.binding)),
    }
}

fn title(service: &ServiceName, environment: &EnvironmentName, binding: &str) -> String {
    let binding = binding.to_lowercase().replace('_', "-");
    if environment.is_production() {
        format!("{service}-{binding}")
    } else {
        format!("{service}-{environment}-{binding}")
    }
}

/// With `isolate`, every inherited KV binding gets a namespace of this environment's own.
fn isolated(chain: &[&Settings], own: &Settings, service: &ServiceName, environment: &EnvironmentName) -> Vec<KvPlan> {
    let mut plans: Vec<KvPlan> = Vec::new();
    for kv in chain.iter().flat_map(|level| &level.kv_namespaces) {
        let taken = own.binding_names().any(|(_, name)| name == kv.binding)
            || own.skerry.remove.contains(&kv.binding)
            || plans.iter().any(|plan| plan.binding == kv.binding);
        if !taken {
            let namespace = NamespacePlan::Titled(title(service, environment, &kv.binding));
            plans.push(KvPlan { binding: kv.binding.clone(), namespace });
        }
    }
    plans
}
