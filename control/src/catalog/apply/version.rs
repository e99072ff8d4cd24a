//! Pure. Versions and deployments: upload, configure, deploy, promote.
//!
//! **Owns** how a version comes to be. **Must not know** what it inherits. **Enter at** [`Step::upload_version`].

use std::sync::Arc;

use skerry_proto::id::{DeploymentId, VersionId, VersionNumber};

use super::{
    Step,
    config::{check_annotations, check_config, check_flags, check_references, describe, edited},
    prune::prune,
};
use crate::catalog::{
    Annotations, Base, Change, Code, CreatedDeployment, CreatedVersion, Deployment, Environment, EnvironmentKey, Guard,
    NewDeployment, NewVersion, Noun, Percentage, Rejection, Share, Version, VersionConfig, WhenShared,
};

impl Step {
    pub(super) fn upload_version(&mut self, key: &EnvironmentKey, new: &NewVersion) -> Result<(), Rejection> {
        let environment = self.environment(key)?;
        let config = uploaded_config(environment, new)?;
        check_flags(&new.code.compatibility_flags)?;
        let number =
            self.insert_version(key, &new.id, new.code.clone(), config, new.annotations.clone(), &new.source)?;
        let hash = new.code.bundle.hash.to_string();
        self.log(
            "version.upload",
            key,
            [("version", new.id.to_string()), ("number", number.to_string()), ("bundle", hash)],
        );
        Ok(())
    }

    pub(super) fn deploy(&mut self, key: &EnvironmentKey, new: &NewDeployment) -> Result<(), Rejection> {
        self.insert_deployment(key, new)?;
        let shares: Vec<String> =
            new.shares.iter().map(|share| format!("{} at {}", share.version, share.percentage)).collect();
        let message = new.annotations.text(Annotations::MESSAGE).to_owned();
        let action = match new.annotations.text(Annotations::TRIGGERED_BY) {
            "rollback" => "deployment.rollback",
            _ => "deployment.create",
        };
        self.log(action, key, [("versions", shares.join(", ")), ("message", message)]);
        Ok(())
    }

    pub(super) fn configure(&mut self, change: &Change) -> Result<(), Rejection> {
        let Change::Configure { environment: key, base, edits, version, deployment, shared, annotations, source } =
            change
        else {
            unreachable!("`change` dispatches by variant")
        };
        let environment = self.environment(key)?;
        if deployment.is_some() && *shared == WhenShared::Refuse {
            refuse_shared(key, environment)?;
        }
        let base = base_version(environment, base)?.cloned();
        let old = base.as_ref().map_or(&environment.draft, |base| &base.config).clone();
        let config = edited(&old, edits)?;
        for edit in edits {
            let (action, name) = describe(&old, edit);
            self.log(action, key, [("name", name.to_owned()), ("version", version.to_string())]);
        }
        let Some(base) = base else {
            self.check_config(key, &config)?;
            self.environment_mut(key)?.draft = config;
            return Ok(());
        };
        self.insert_version(key, version, base.code.clone(), config, annotations.clone(), source)?;
        match deployment {
            None => Ok(()),
            Some(id) => self.deploy_whole(key, id, version, annotations, source),
        }
    }

    pub(super) fn promote(&mut self, change: &Change) -> Result<(), Rejection> {
        let Change::Promote { source, target, version, new_version, deployment, annotations, guard } = change else {
            unreachable!("`change` dispatches by variant")
        };
        let key = source.service.environment(target.clone());
        if source.environment == *target {
            return Err(Rejection::invalid("target", "promote to another environment than the source"));
        }
        let pipeline = &self.service(&source.service)?.pipeline;
        let skipped = pipeline.as_ref().is_some_and(|pipeline| !pipeline.allows(&source.environment, target));
        if skipped && *guard == Guard::Enforce {
            let before = pipeline.as_ref().and_then(|pipeline| pipeline.before(target));
            let before = before.expect("only a stage with a stage before it refuses");
            return Err(Rejection::invalid("source", format!("the pipeline promotes to {target} only from {before}")));
        }
        let from = self.environment(source)?;
        let promoted = match version {
            Some(id) => from.version(id).ok_or_else(|| Rejection::not_found(Noun::Version, id)),
            None => from.live_version().ok_or_else(|| nothing_live(source)),
        }?;
        let (promoted, number) = (Arc::clone(promoted), promoted.number);
        let to = self.environment(&key)?;
        let config = to.live_version().map_or(&to.draft, |live| &live.config).clone();
        let mut annotations = annotations.clone();
        let default = |annotations: &mut Annotations, name: &str, value: String| {
            annotations.entries.entry(name.to_owned()).or_insert(value);
        };
        default(&mut annotations, Annotations::TRIGGERED_BY, "promote".to_owned());
        default(&mut annotations, "skerry/promoted_from", format!("{}@{number}", source.environment));
        let detail = [
            ("source", source.environment.to_string()),
            ("version", promoted.id.to_string()),
            ("pipeline", if skipped { "skipped" } else { "kept" }.to_owned()),
        ];
        self.insert_version(&key, new_version, promoted.code.clone(), config, annotations.clone(), "promote")?;
        self.deploy_whole(&key, deployment, new_version, &annotations, "promote")?;
        self.log("environment.promote", &key, detail);
        Ok(())
    }

    fn deploy_whole(
        &mut self,
        key: &EnvironmentKey,
        id: &DeploymentId,
        version: &VersionId,
        annotations: &Annotations,
        source: &str,
    ) -> Result<(), Rejection> {
        let shares = vec![Share::all(version.clone())];
        let (id, annotations, source) = (id.clone(), annotations.clone(), source.to_owned());
        self.insert_deployment(key, &NewDeployment { id, shares, annotations, source })
    }

    /// Whether the environment may be configured so.
    pub(super) fn check_config(&self, key: &EnvironmentKey, config: &VersionConfig) -> Result<(), Rejection> {
        check_config(&self.catalog, &key.service.account, &self.environment(key)?.id, config)
    }

    /// Adds a version under the next number; the draft, which it was made from or replaces, is gone.
    pub(super) fn insert_version(
        &mut self,
        key: &EnvironmentKey,
        id: &VersionId,
        code: Code,
        config: VersionConfig,
        annotations: Annotations,
        source: &str,
    ) -> Result<VersionNumber, Rejection> {
        self.check_config(key, &config)?;
        check_annotations(&annotations)?;
        let (author, created_at_ms) = (self.author.clone(), self.at_ms);
        let environment = self.environment_mut(key)?;
        if environment.version_numbers.contains_key(id) {
            return Err(Rejection::exists(Noun::Version, id));
        }
        let number = environment.next_number;
        let version = Version {
            id: id.clone(),
            number,
            code,
            config,
            annotations,
            author,
            source: source.to_owned(),
            created_at_ms,
        };
        environment.versions.insert(number, Arc::new(version));
        environment.version_numbers.insert(id.clone(), number);
        environment.next_number = VersionNumber(number.0 + 1);
        environment.draft = VersionConfig::default();
        prune(environment);
        self.applied.versions.push(CreatedVersion { environment: key.clone(), id: id.clone(), number });
        Ok(number)
    }

    /// Makes versions live.
    pub(super) fn insert_deployment(&mut self, key: &EnvironmentKey, new: &NewDeployment) -> Result<(), Rejection> {
        check_annotations(&new.annotations)?;
        let environment = self.environment(key)?;
        check_shares(&new.shares)?;
        for share in &new.shares {
            let version = environment.version(&share.version);
            let version = version.ok_or_else(|| Rejection::not_found(Noun::Version, &share.version))?;
            check_references(&self.catalog, &key.service.account, &version.config)?;
        }
        if environment.deployments.iter().any(|deployment| deployment.id == new.id) {
            return Err(Rejection::exists(Noun::Deployment, &new.id));
        }
        let deployment = Deployment {
            id: new.id.clone(),
            shares: new.shares.clone(),
            annotations: new.annotations.clone(),
            author: self.author.clone(),
            source: new.source.clone(),
            created_at_ms: self.at_ms,
            revision: self.revision,
        };
        let environment = self.environment_mut(key)?;
        environment.deployments.push_front(Arc::new(deployment));
        prune(environment);
        self.applied.deployments.push(CreatedDeployment { environment: key.clone(), id: new.id.clone() });
        Ok(())
    }
}

/// A change of configuration is deployed to all requests; that would end a rollout that someone is watching.
fn refuse_shared(key: &EnvironmentKey, environment: &Environment) -> Result<(), Rejection> {
    let Some([one, other]) = environment.live().map(|live| live.shares.as_slice()) else { return Ok(()) };
    let number = |share: &Share| environment.version(&share.version).map_or(0, |version| version.number.0);
    let (one, other) = (number(one), number(other));
    let by = format!("a gradual rollout: versions {one} and {other} are live; deploy one of them first, or pass force");
    Err(Rejection::InUse { noun: Noun::Environment, name: key.to_string(), by })
}

fn check_shares(shares: &[Share]) -> Result<(), Rejection> {
    let sum: u32 = shares.iter().map(|share| share.percentage.hundredths()).sum();
    let repeated = matches!(shares, [left, right] if left.version == right.version);
    if !(1..=2).contains(&shares.len()) || repeated {
        return Err(Rejection::invalid("versions", "name one or two different versions"));
    }
    if sum != Percentage::ALL.hundredths() {
        let rule = format!("percentages sum to {}, not to 100", f64::from(sum) / 100.0);
        return Err(Rejection::invalid("versions", rule));
    }
    Ok(())
}

fn nothing_live(key: &EnvironmentKey) -> Rejection {
    Rejection::invalid("source", format!("{key} has no deployed version; deploy one first"))
}

/// The version that a new one is derived from; `None` when there is none yet.
fn base_version<'a>(environment: &'a Environment, base: &Base) -> Result<Option<&'a Arc<Version>>, Rejection> {
    match base {
        Base::Live => Ok(environment.live_or_latest_version()),
        Base::Latest => Ok(environment.latest_version()),
        Base::Version(id) => {
            let found = environment.version(id);
            found.map(Some).ok_or_else(|| Rejection::not_found(Noun::Version, id))
        }
    }
}

/// What was uploaded, and what it keeps of the version before. Of a draft it keeps everything: the variables and secrets
/// were set for exactly this upload.
fn uploaded_config(environment: &Environment, new: &NewVersion) -> Result<VersionConfig, Rejection> {
    let mut config = VersionConfig { bindings: new.bindings.clone(), removed: new.removed.clone(), limits: new.limits };
    let base = base_version(environment, &new.base)?;
    let old = base.map_or(&environment.draft, |base| &base.config);
    for (name, binding) in &old.bindings {
        let kept = base.is_none() || new.keep.kinds.contains(&binding.kind()) || new.keep.names.contains(name);
        if kept && !config.bindings.contains_key(name) && !config.removed.contains(name) {
            config.bindings.insert(name.clone(), binding.clone());
        }
    }
    if base.is_none() {
        config.removed.extend(old.removed.iter().filter(|name| !config.bindings.contains_key(*name)).cloned());
    }
    match new.keep.names.iter().find(|name| !config.bindings.contains_key(*name)) {
        Some(name) => Err(Rejection::not_found(Noun::Binding, name)),
        None => Ok(config),
    }
}
