//! Pure. How a command changes the catalog.
//!
//! **Owns** every rule that a change must keep. **Must not know** where commands come from. **Enter at**
//! [`Catalog::apply`].
//!
//! A command works on a copy, which costs a few pointers, and the copy takes the catalog's place when every change has
//! succeeded. So a refusal changes nothing, and what a reader holds never moves.

use std::sync::Arc;

use skerry_proto::id::{AccountId, Revision, VersionId};

use super::{
    Account, Applied, AuditAction, AuditEntry, Catalog, Change, Command, Environment, EnvironmentKey, Expectation,
    Idempotency, Noun, Rejection, Repeated, Service, ServiceKey,
};

mod cluster;
mod config;
mod environment;
pub mod limits;
mod node;
mod prune;
mod resource;
mod route;
mod service;
mod version;

#[cfg(test)]
mod tests;

/// A command that is remembered by its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalog) struct Replay {
    pub(in crate::catalog) key: String,
    pub(in crate::catalog) fingerprint: [u8; 32],
    pub(in crate::catalog) applied: Applied,
}

impl Catalog {
    /// Applies a command as the log entry `revision`, or refuses it and leaves everything as it is. Deterministic: equal
    /// catalogs and equal commands give equal catalogs.
    ///
    /// # Panics
    /// When `revision` is not above [`Catalog::revision`]: the log would be applied out of order, and no state that
    /// follows can be trusted.
    pub fn apply(&mut self, revision: Revision, command: &Command) -> Result<Applied, Rejection> {
        assert!(revision > self.revision, "log entry {revision} is applied after {}", self.revision);
        if let Some(idempotency) = &command.idempotency
            && let Some(earlier) = self.earlier(idempotency)?
        {
            return Ok(earlier);
        }
        let mut step = Step::begin(self, revision, command);
        command.expects.iter().try_for_each(|expectation| step.expect(expectation))?;
        let account = step.account(&command.changes)?;
        command.changes.iter().try_for_each(|change| step.change(change))?;
        let (catalog, applied) = step.finish(command, account.cloned());
        *self = catalog;
        Ok(applied)
    }

    /// The answer to an earlier command of the same idempotency key, while it is remembered.
    pub(crate) fn earlier(&self, wanted: &Idempotency) -> Result<Option<Applied>, Rejection> {
        if !(1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&wanted.key.len()) {
            let rule = format!("use 1 to {} bytes", limits::IDEMPOTENCY_KEY_BYTES_MAX);
            return Err(Rejection::invalid("idempotency key", rule));
        }
        match self.replay_keys.get(&wanted.key).and_then(|revision| self.replays.get(revision)) {
            None => Ok(None),
            Some(replay) if replay.fingerprint != wanted.fingerprint => {
                Err(Rejection::KeyReused { key: wanted.key.clone() })
            }
            Some(replay) => Ok(Some(Applied { repeated: Repeated::Yes, ..replay.applied.clone() })),
        }
    }
}

/// A command at work on its own copy of the catalog.
struct Step {
    catalog: Catalog,
    revision: Revision,
    at_ms: i64,
    author: String,
    applied: Applied,
    actions: Vec<AuditAction>,
}

impl Step {
    fn begin(catalog: &Catalog, revision: Revision, command: &Command) -> Self {
        let applied = Applied { revision, versions: Vec::new(), deployments: Vec::new(), repeated: Repeated::No };
        let author = command.actor.name.clone();
        Self { catalog: catalog.clone(), revision, at_ms: command.at_ms, author, applied, actions: Vec::new() }
    }

    fn finish(mut self, command: &Command, account: Option<AccountId>) -> (Catalog, Applied) {
        self.catalog.revision = self.revision;
        self.catalog.audit.push_back(Arc::new(AuditEntry {
            revision: self.revision,
            at_ms: self.at_ms,
            actor: command.actor.clone(),
            account,
            actions: self.actions,
        }));
        while self.catalog.audit.len() > limits::AUDIT_ENTRIES_MAX {
            self.catalog.audit.pop_front();
        }
        if let Some(idempotency) = &command.idempotency {
            let (key, fingerprint) = (idempotency.key.clone(), idempotency.fingerprint);
            self.catalog.replay_keys.insert(key.clone(), self.revision);
            let replay = Replay { key, fingerprint, applied: self.applied.clone() };
            self.catalog.replays.insert(self.revision, Arc::new(replay));
        }
        while self.catalog.replays.len() > limits::REPLAYS_MAX {
            let Some((revision, oldest)) = self.catalog.replays.get_min().cloned() else { break };
            self.catalog.replays.remove(&revision);
            self.catalog.replay_keys.remove(&oldest.key);
        }
        (self.catalog, self.applied)
    }

    /// The one account that the changes are about.
    fn account<'a>(&self, changes: &'a [Change]) -> Result<Option<&'a AccountId>, Rejection> {
        if !(1..=limits::CHANGES_MAX).contains(&changes.len()) {
            return Err(Rejection::invalid("changes", format!("a command has 1 to {} changes", limits::CHANGES_MAX)));
        }
        let mut accounts = changes.iter().filter_map(Change::account);
        let first = accounts.next();
        if accounts.any(|other| Some(other) != first) {
            return Err(Rejection::invalid("changes", "all changes of a command are about one account"));
        }
        Ok(first)
    }

    fn expect(&self, expectation: &Expectation) -> Result<(), Rejection> {
        let etag = |revision: Revision| format!("etag {:x}", revision.0);
        let nothing = || "nothing".to_owned();
        let (subject, expected, found) = match expectation {
            Expectation::Unchanged { environment, revision } => {
                let found = self.catalog.environment(environment).map(|found| etag(found.revision));
                (environment.to_string(), etag(*revision), found.unwrap_or_else(nothing))
            }
            Expectation::ServiceUnchanged { service, revision } => {
                let found = self.catalog.service(service).map(|found| etag(found.revision));
                (service.to_string(), etag(*revision), found.unwrap_or_else(nothing))
            }
            Expectation::Live { environment, version } => {
                let live = self.catalog.environment(environment).and_then(|found| found.live_version());
                let shown = |id: Option<&VersionId>| {
                    id.map_or_else(|| "no live version".to_owned(), |id| format!("version {id}"))
                };
                (environment.to_string(), shown(version.as_ref()), shown(live.map(|live| &live.id)))
            }
            Expectation::Absent { environment } => {
                let found = self.catalog.environment(environment).map(|found| etag(found.revision));
                (environment.to_string(), nothing(), found.unwrap_or_else(nothing))
            }
            Expectation::Present { environment } => {
                let found = self.catalog.environment(environment).map(|found| etag(found.revision));
                let expected = found.clone().unwrap_or_else(|| "an environment".to_owned());
                (environment.to_string(), expected, found.unwrap_or_else(nothing))
            }
        };
        if expected == found { Ok(()) } else { Err(Rejection::Stale { subject, expected, found }) }
    }

    fn change(&mut self, change: &Change) -> Result<(), Rejection> {
        self.catalog.check_level(change.feature_level())?;
        match change {
            Change::SetCluster(cluster) => self.set_cluster(cluster),
            Change::CreateAccount(account) => self.create_account(account),
            Change::CreateService { service, id, production } => self.create_service(service, id, production),
            Change::RenameService { service, to } => self.rename_service(service, to),
            Change::DeleteService { service, bound } => self.delete_service(service, *bound),
            Change::MoveService { service, to } => self.move_service(service, to),
            Change::SetPipeline { service, pipeline } => self.set_pipeline(service, pipeline.as_ref()),
            Change::CreateEnvironment { environment, id, parent, clone } => {
                self.create_environment(environment, id, parent.as_ref(), clone.as_ref())
            }
            Change::RenameEnvironment { environment, to } => self.rename_environment(environment, to),
            Change::DeleteEnvironment { environment, bound } => self.delete_environment(environment, *bound),
            Change::SetParent { environment, parent } => self.set_parent(environment, parent),
            Change::SetExposure { environment, workers_dev, preview_urls } => {
                self.set_exposure(environment, *workers_dev, *preview_urls)
            }
            Change::SetCrons { environment, crons } => self.set_crons(environment, crons),
            Change::SetTags { environment, tags } => self.set_tags(environment, tags),
            Change::UploadVersion { environment, version } => self.upload_version(environment, version),
            Change::Deploy { environment, deployment } => self.deploy(environment, deployment),
            Change::Configure { .. } => self.configure(change),
            Change::Promote { .. } => self.promote(change),
            Change::PutRoute(route) => self.put_route(route),
            Change::DeleteRoute { account, id } => self.delete_route(account, id),
            Change::ReplaceRoutes { environment, routes } => self.replace_routes(environment, routes),
            Change::PutDomain { id, hostname, environment } => self.put_domain(id, hostname, environment),
            Change::DeleteDomain { account, hostname } => self.delete_domain(account, hostname),
            Change::CreateNamespace { account, id, title, home } => self.create_namespace(account, id, title, *home),
            Change::RenameNamespace { account, id, title } => self.rename_namespace(account, id, title),
            Change::DeleteNamespace { account, id } => self.delete_namespace(account, id),
            Change::CreateToken(token) => self.create_token(token),
            Change::RevokeToken { account, id } => self.revoke_token(account.as_ref(), id),
            Change::PutCertificate(certificate) => self.put_certificate(certificate),
            Change::RemoveCertificate { id } => self.remove_certificate(id),
            Change::AdmitNode(node) => self.admit_node(node),
            Change::UpdateNode(update) => self.update_node(update),
            Change::SetNodeRole { id, role } => self.set_node_role(*id, *role),
            Change::SetNodeState { id, state } => self.set_node_state(*id, *state),
            Change::RemoveNode { id, voter } => self.remove_node(*id, *voter),
            Change::CreateJoinToken(token) => self.create_join_token(token),
            Change::RevokeJoinToken { id } => self.revoke_join_token(id),
            Change::SetMeshAuthorities { authorities, replaces } => self.set_mesh_authorities(authorities, replaces),
            Change::SetFeatureLevel { level } => self.set_feature_level(*level),
        }
    }

    fn create_account(&mut self, account: &Account) -> Result<(), Rejection> {
        if self.catalog.accounts.contains_key(&account.id) {
            return Err(Rejection::exists(Noun::Account, &account.id));
        }
        let Some(label) = &account.label else {
            if self.catalog.first_account().is_some() {
                return Err(Rejection::invalid("label", "only the first account has no label in its hostnames"));
            }
            return self.insert_account(account);
        };
        let first = self.catalog.first_account();
        let taken = first.map(|first| ServiceKey { account: first.clone(), name: label.clone() });
        if self.catalog.account_by_label(label).is_some()
            || taken.is_some_and(|key| self.catalog.services.contains_key(&key))
        {
            return Err(Rejection::exists(Noun::Account, label));
        }
        self.insert_account(account)
    }

    fn insert_account(&mut self, account: &Account) -> Result<(), Rejection> {
        self.catalog.accounts.insert(account.id.clone(), Arc::new(account.clone()));
        self.log("account.create", &account.name, [("id", account.id.to_string())]);
        Ok(())
    }

    /// Adds a line to the audit entry.
    fn log<const N: usize>(&mut self, action: &str, subject: impl ToString, detail: [(&str, String); N]) {
        self.actions.push(AuditAction {
            action: action.to_owned(),
            subject: subject.to_string(),
            detail: detail.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
    }

    /// The account, or why there is none.
    fn known_account(&self, account: &AccountId) -> Result<(), Rejection> {
        match self.catalog.accounts.contains_key(account) {
            true => Ok(()),
            false => Err(Rejection::not_found(Noun::Account, account)),
        }
    }

    /// The service, or why there is none.
    fn service(&self, key: &ServiceKey) -> Result<&Arc<Service>, Rejection> {
        self.catalog.service(key).ok_or_else(|| Rejection::not_found(Noun::Service, key))
    }

    /// The environment, or why there is none.
    fn environment(&self, key: &EnvironmentKey) -> Result<&Arc<Environment>, Rejection> {
        let service = self.service(&key.service)?;
        service.environment(&key.environment).ok_or_else(|| Rejection::not_found(Noun::Environment, key))
    }

    /// The service for changing; it counts as modified.
    fn service_mut(&mut self, key: &ServiceKey) -> Result<&mut Service, Rejection> {
        let service = self.catalog.services.get_mut(key).ok_or_else(|| Rejection::not_found(Noun::Service, key))?;
        let service = Arc::make_mut(service);
        (service.modified_at_ms, service.revision) = (self.at_ms, self.revision);
        Ok(service)
    }

    /// The environment for changing; it and its service count as modified.
    fn environment_mut(&mut self, key: &EnvironmentKey) -> Result<&mut Environment, Rejection> {
        let (at_ms, revision) = (self.at_ms, self.revision);
        let environments = &mut self.service_mut(&key.service)?.environments;
        let found = environments.get_mut(&key.environment);
        let environment = Arc::make_mut(found.ok_or_else(|| Rejection::not_found(Noun::Environment, key))?);
        (environment.modified_at_ms, environment.revision) = (at_ms, revision);
        Ok(environment)
    }
}

impl Change {
    /// The account that it is about; `None` for the cluster itself.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::SetCluster(_)
            | Self::RemoveCertificate { .. }
            | Self::AdmitNode(_)
            | Self::UpdateNode(_)
            | Self::SetNodeRole { .. }
            | Self::SetNodeState { .. }
            | Self::RemoveNode { .. }
            | Self::CreateJoinToken(_)
            | Self::RevokeJoinToken { .. }
            | Self::SetMeshAuthorities { .. }
            | Self::SetFeatureLevel { .. } => None,
            Self::CreateAccount(account) => Some(&account.id),
            Self::CreateService { service, .. }
            | Self::RenameService { service, .. }
            | Self::DeleteService { service, .. }
            | Self::MoveService { service, .. }
            | Self::SetPipeline { service, .. } => Some(&service.account),
            Self::CreateEnvironment { environment, .. }
            | Self::RenameEnvironment { environment, .. }
            | Self::DeleteEnvironment { environment, .. }
            | Self::SetParent { environment, .. }
            | Self::SetExposure { environment, .. }
            | Self::SetCrons { environment, .. }
            | Self::SetTags { environment, .. }
            | Self::UploadVersion { environment, .. }
            | Self::Deploy { environment, .. }
            | Self::Configure { environment, .. }
            | Self::Promote { source: environment, .. }
            | Self::ReplaceRoutes { environment, .. }
            | Self::PutDomain { environment, .. } => Some(&environment.service.account),
            Self::PutRoute(route) => Some(&route.account),
            Self::DeleteRoute { account, .. }
            | Self::DeleteDomain { account, .. }
            | Self::CreateNamespace { account, .. }
            | Self::RenameNamespace { account, .. }
            | Self::DeleteNamespace { account, .. } => Some(account),
            Self::CreateToken(token) => token.account.as_ref(),
            Self::RevokeToken { account, .. } => account.as_ref(),
            Self::PutCertificate(certificate) => certificate.account.as_ref(),
        }
    }
}
