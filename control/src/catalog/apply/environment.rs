//! Pure. Creating, cloning, renaming and deleting environments, and their settings outside versions.
//!
//! **Owns** the tree of parents. **Must not know** how versions are made. **Enter at** [`Step::create_environment`].

use std::{collections::BTreeSet, sync::Arc};

use imbl::{OrdMap, Vector};
use skerry_proto::id::{EnvironmentId, EnvironmentName, Revision, VersionNumber};

use super::{Step, limits, service::refuse_preview_name};
use crate::catalog::{
    Annotations, CloneSource, Cron, Environment, EnvironmentKey, Exposure, NewDeployment, Noun, Rejection, Service,
    Share, VersionConfig, WhenBound, effective,
    effective::{ANCESTORS_MAX, effective_config, environment_binder},
};

impl Environment {
    /// An environment without versions.
    pub(super) fn new(
        id: EnvironmentId,
        name: EnvironmentName,
        parent: Option<EnvironmentName>,
        at_ms: i64,
        revision: Revision,
    ) -> Self {
        Self {
            id,
            name,
            parent,
            versions: OrdMap::new(),
            version_numbers: OrdMap::new(),
            next_number: VersionNumber(1),
            deployments: Vector::new(),
            draft: VersionConfig::default(),
            workers_dev: Exposure::Public,
            preview_urls: Exposure::Public,
            crons: Vec::new(),
            tags: Vec::new(),
            created_at_ms: at_ms,
            modified_at_ms: at_ms,
            revision,
        }
    }
}

impl Step {
    pub(super) fn create_environment(
        &mut self,
        key: &EnvironmentKey,
        id: &EnvironmentId,
        parent: Option<&EnvironmentName>,
        clone: Option<&CloneSource>,
    ) -> Result<(), Rejection> {
        let service = self.service(&key.service)?;
        self.free_environment(service, key)?;
        let parent = parent.cloned().unwrap_or_else(EnvironmentName::production);
        check_parent(service, key, &parent)?;
        let environment =
            Environment::new(id.clone(), key.environment.clone(), Some(parent.clone()), self.at_ms, self.revision);
        let service = self.service_mut(&key.service)?;
        service.environments.insert(key.environment.clone(), Arc::new(environment));
        match clone {
            None => self.log("environment.create", key, [("parent", parent.to_string())]),
            Some(clone) => {
                self.log(
                    "environment.clone",
                    key,
                    [("source", clone.environment.to_string()), ("parent", parent.to_string())],
                );
                self.fill_clone(key, clone)?;
            }
        }
        Ok(())
    }

    /// Gives a new environment the source's code, and as its own configuration what it does not inherit anyway. So the
    /// clone runs with what the source runs with, secrets aside.
    fn fill_clone(&mut self, key: &EnvironmentKey, clone: &CloneSource) -> Result<(), Rejection> {
        let source_key = key.service.environment(clone.environment.clone());
        let source = Arc::clone(self.environment(&source_key)?);
        let live = source.live_version().cloned();
        let wanted = match &live {
            Some(version) => effective(&self.catalog, &source_key, version),
            None => effective_config(&self.catalog, &source_key, &source.draft),
        };
        let inherited = effective_config(&self.catalog, key, &VersionConfig::default());
        let mut config = wanted.own_part(&inherited);
        for (name, binding) in &clone.replace {
            config.removed.remove(name);
            config.bindings.insert(name.clone(), binding.clone());
        }
        let environment = self.environment_mut(key)?;
        (environment.workers_dev, environment.preview_urls) = (source.workers_dev, source.preview_urls);
        let Some(live) = live else {
            self.check_config(key, &config)?;
            self.environment_mut(key)?.draft = config;
            return Ok(());
        };
        let mut annotations = clone.annotations.clone();
        annotations.entries.entry(Annotations::TRIGGERED_BY.to_owned()).or_insert_with(|| "clone".to_owned());
        self.insert_version(key, &clone.version, live.code.clone(), config, annotations.clone(), "clone")?;
        let (id, shares) = (clone.deployment.clone(), vec![Share::all(clone.version.clone())]);
        self.insert_deployment(key, &NewDeployment { id, shares, annotations, source: "clone".to_owned() })
    }

    pub(super) fn rename_environment(&mut self, key: &EnvironmentKey, to: &EnvironmentName) -> Result<(), Rejection> {
        self.environment(key)?;
        refuse_production(key, "renamed")?;
        let new = key.service.environment(to.clone());
        self.free_environment_name(self.service(&key.service)?, &new)?;
        // Counts the environment as modified before it moves.
        self.environment_mut(key)?.name = to.clone();
        let service = self.service_mut(&key.service)?;
        let moved = service.environments.remove(&key.environment).expect("it was found above");
        service.environments.insert(to.clone(), moved);
        let children: Vec<EnvironmentName> = children(service, &key.environment).cloned().collect();
        for child in children {
            if let Some(child) = service.environments.get_mut(&child) {
                Arc::make_mut(child).parent = Some(to.clone());
            }
        }
        let stages = service.pipeline.iter_mut().flat_map(|pipeline| &mut pipeline.stages);
        stages.filter(|stage| **stage == key.environment).for_each(|stage| *stage = to.clone());
        self.retarget(|target| (target == key).then(|| new.clone()));
        self.log("environment.rename", key, [("to", to.to_string())]);
        Ok(())
    }

    pub(super) fn delete_environment(&mut self, key: &EnvironmentKey, bound: WhenBound) -> Result<(), Rejection> {
        self.environment(key)?;
        refuse_production(key, "deleted; delete the service instead")?;
        let binder = if bound == WhenBound::Refuse { environment_binder(&self.catalog, key) } else { None };
        let service = self.service_mut(&key.service)?;
        let in_use = |by: String| Err(Rejection::InUse { noun: Noun::Environment, name: key.to_string(), by });
        if let Some(child) = children(service, &key.environment).next() {
            return in_use(format!("its child {child}"));
        }
        if service.pipeline.iter().any(|pipeline| pipeline.stages.contains(&key.environment)) {
            return in_use("the service's pipeline".to_owned());
        }
        if let Some(by) = binder {
            return in_use(format!("the binding of {by}; pass force to delete it all the same"));
        }
        service.environments.remove(&key.environment);
        self.drop_targets(|target| target == key);
        self.log("environment.delete", key, []);
        Ok(())
    }

    pub(super) fn set_parent(&mut self, key: &EnvironmentKey, parent: &EnvironmentName) -> Result<(), Rejection> {
        self.environment(key)?;
        refuse_production(key, "given a parent")?;
        check_parent(self.service(&key.service)?, key, parent)?;
        self.environment_mut(key)?.parent = Some(parent.clone());
        self.log("environment.set_parent", key, [("parent", parent.to_string())]);
        Ok(())
    }

    pub(super) fn set_exposure(
        &mut self,
        key: &EnvironmentKey,
        workers_dev: Option<Exposure>,
        preview_urls: Option<Exposure>,
    ) -> Result<(), Rejection> {
        let environment = self.environment_mut(key)?;
        environment.workers_dev = workers_dev.unwrap_or(environment.workers_dev);
        environment.preview_urls = preview_urls.unwrap_or(environment.preview_urls);
        let (host, previews) = (environment.workers_dev, environment.preview_urls);
        let shown = |exposure: Exposure| exposure.is_public().to_string();
        self.log("environment.expose", key, [("workers_dev", shown(host)), ("preview_urls", shown(previews))]);
        Ok(())
    }

    pub(super) fn set_crons(&mut self, key: &EnvironmentKey, crons: &[Cron]) -> Result<(), Rejection> {
        let texts: BTreeSet<&str> = crons.iter().map(Cron::as_str).collect();
        if crons.len() > limits::CRONS_MAX || texts.len() != crons.len() {
            let rule = format!("use at most {} crons, each once", limits::CRONS_MAX);
            return Err(Rejection::invalid("crons", rule));
        }
        self.environment_mut(key)?.crons = crons.to_vec();
        let texts: Vec<&str> = crons.iter().map(Cron::as_str).collect();
        self.log("crons.set", key, [("crons", texts.join("; "))]);
        Ok(())
    }

    pub(super) fn set_tags(&mut self, key: &EnvironmentKey, tags: &[String]) -> Result<(), Rejection> {
        let fits = |tag: &String| {
            (1..=limits::TAG_BYTES_MAX).contains(&tag.len()) && !tag.chars().any(|c| c.is_control() || c == ',')
        };
        if tags.len() > limits::TAGS_MAX || !tags.iter().all(fits) {
            let (count, bytes) = (limits::TAGS_MAX, limits::TAG_BYTES_MAX);
            let rule = format!("use at most {count} tags of 1 to {bytes} bytes without commas and control characters");
            return Err(Rejection::invalid("tags", rule));
        }
        self.environment_mut(key)?.tags = tags.to_vec();
        self.log("environment.tag", key, [("tags", tags.join(", "))]);
        Ok(())
    }

    /// Whether the service has room for an environment of this name.
    pub(super) fn free_environment(&self, service: &Service, key: &EnvironmentKey) -> Result<(), Rejection> {
        self.free_environment_name(service, key)?;
        if service.environments.len() >= limits::ENVIRONMENTS_MAX {
            let rule = format!("a service has at most {} environments", limits::ENVIRONMENTS_MAX);
            return Err(Rejection::invalid("environment", rule));
        }
        Ok(())
    }

    fn free_environment_name(&self, service: &Service, key: &EnvironmentKey) -> Result<(), Rejection> {
        refuse_preview_name("environment", key.environment.as_str())?;
        match service.environment(&key.environment) {
            Some(_) => Err(Rejection::exists(Noun::Environment, key)),
            None => Ok(()),
        }
    }
}

fn children<'a>(service: &'a Service, parent: &'a EnvironmentName) -> impl Iterator<Item = &'a EnvironmentName> {
    service.environments.values().filter(move |child| child.parent.as_ref() == Some(parent)).map(|child| &child.name)
}

fn refuse_production(key: &EnvironmentKey, what: &str) -> Result<(), Rejection> {
    if key.environment.is_production() {
        return Err(Rejection::invalid("environment", format!("production can not be {what}")));
    }
    Ok(())
}

/// A parent exists, is no descendant, and the chain stays short.
fn check_parent(service: &Service, key: &EnvironmentKey, parent: &EnvironmentName) -> Result<(), Rejection> {
    let mut at = Some(parent);
    for _ in 0..ANCESTORS_MAX {
        let Some(name) = at else { return Ok(()) };
        if *name == key.environment {
            return Err(Rejection::invalid("parent", format!("{parent} inherits from {}", key.environment)));
        }
        let found = service.environment(name);
        at = found
            .ok_or_else(|| Rejection::not_found(Noun::Environment, key.service.environment(name.clone())))?
            .parent
            .as_ref();
    }
    match at {
        None => Ok(()),
        Some(_) => Err(Rejection::invalid("parent", format!("use at most {ANCESTORS_MAX} ancestors"))),
    }
}
