//! From a handler's changes to one command, and from its outcome to an answer.
//!
//! **Owns** who, when, under which conditions and under which idempotency key a change is proposed. **Must not know**
//! what the changes mean. **Enter at** [`Writer`].

use axum::extract::FromRequestParts;
use http::request::Parts;
use skerry_proto::id::{AccountId, Revision};

use super::{
    Deps,
    auth::Caller,
    body::BodyDigest,
    conditions::{self, IfMatch, OWN_KEY},
    error::{ApiError, Thing},
    target::Target,
};
use crate::{
    catalog::{
        Applied, Catalog, Change, Command, Environment, EnvironmentKey, Expectation, Idempotency, Repeated, ServiceKey,
    },
    control::Control,
};

/// Proposes changes on behalf of one request.
pub(crate) struct Writer {
    control: Control,
    /// Who calls.
    pub caller: Caller,
    /// Milliseconds since the Unix epoch, one reading for the whole request.
    pub now_ms: i64,
    if_match: Option<IfMatch>,
    if_none_match: bool,
    key: Option<String>,
    call: String,
    digest: BodyDigest,
}

impl FromRequestParts<Deps> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, deps).await?;
        Ok(Self {
            control: deps.control.clone(),
            caller,
            now_ms: deps.clock.now_ms(),
            if_match: conditions::if_match(&parts.headers)?,
            if_none_match: conditions::if_none_match(&parts.headers)?,
            key: conditions::idempotency_key(&parts.headers)?,
            call: format!("{} {}", parts.method, parts.uri),
            digest: parts.extensions.get::<BodyDigest>().cloned().unwrap_or_default(),
        })
    }
}

impl Writer {
    /// What `If-Match` and `If-None-Match` ask of an environment; nothing when they are absent.
    pub(crate) fn expects(&self, environment: &EnvironmentKey) -> Vec<Expectation> {
        let matches = |wanted| match wanted {
            IfMatch::Revision(revision) => Expectation::Unchanged { environment: environment.clone(), revision },
            IfMatch::Exists => Expectation::Present { environment: environment.clone() },
        };
        let absent = Expectation::Absent { environment: environment.clone() };
        self.if_match.map(matches).into_iter().chain(self.if_none_match.then_some(absent)).collect()
    }

    /// Whether a change that came too late may be planned anew: the caller has not said what state it relies on.
    pub(crate) fn may_look_again(&self) -> bool {
        !self.if_none_match && !matches!(self.if_match, Some(IfMatch::Revision(_)))
    }

    /// What `If-Match` asks of a service. `*` asks for nothing: no call that changes a service makes one.
    pub(crate) fn expects_service(&self, service: &ServiceKey) -> Vec<Expectation> {
        match self.if_match {
            Some(IfMatch::Revision(revision)) => {
                vec![Expectation::ServiceUnchanged { service: service.clone(), revision }]
            }
            Some(IfMatch::Exists) | None => Vec::new(),
        }
    }

    /// What an earlier request under the same `Idempotency-Key` did; its answer is this one's. Ask before you look for
    /// what the first request may have removed, renamed or changed, and after the body was read.
    pub(crate) fn replay(&self, account: &AccountId) -> Result<Option<Applied>, ApiError> {
        match self.idempotency(account) {
            Some(idempotency) => Ok(self.control.catalog().earlier(&idempotency)?),
            None => Ok(None),
        }
    }

    /// Proposes the changes as one command; returns when they are applied and durable.
    pub(crate) async fn propose(
        &self,
        account: &AccountId,
        expects: Vec<Expectation>,
        changes: Vec<Change>,
    ) -> Result<Applied, ApiError> {
        let command = self.command(account, expects, changes);
        Ok(self.control.propose(command).await?)
    }

    /// What the changes would do to the catalog, without proposing them. Look for a [`replay`](Self::replay) first.
    pub(crate) fn rehearse(
        &self,
        account: &AccountId,
        expects: Vec<Expectation>,
        changes: Vec<Change>,
    ) -> Result<(Catalog, Applied), ApiError> {
        let mut command = self.command(account, expects, changes);
        command.idempotency = None;
        let mut catalog = Catalog::clone(&self.control.catalog());
        let next = Revision(catalog.revision().0 + 1);
        let applied = catalog.apply(next, &command)?;
        Ok((catalog, applied))
    }

    /// Looks at an environment as it is after a write; what the write made is there unless another one removed it since.
    pub(crate) fn look<T>(
        &self,
        key: &EnvironmentKey,
        view: impl FnOnce(&Environment) -> Option<T>,
    ) -> Result<T, ApiError> {
        let catalog = self.control.catalog();
        let found = catalog.environment(key).and_then(|environment| view(environment));
        found.ok_or_else(|| ApiError::not_found(Thing::Environment, key))
    }

    /// The same environment as it is after a write.
    pub(crate) fn again(&self, target: Target) -> Result<Target, ApiError> {
        Target { catalog: self.control.catalog(), ..target }.again()
    }

    /// Fails when the command was a repetition and its first answer held something that can not be given twice. Under a key
    /// that a node made, its caller repeated nothing: the first answer was lost on its way to that node.
    pub(crate) fn require_first(&self, applied: &Applied, what: &str) -> Result<(), ApiError> {
        match applied.repeated {
            Repeated::No => Ok(()),
            Repeated::Yes => Err(repeated(self.key.as_deref(), what)),
        }
    }

    fn command(&self, account: &AccountId, expects: Vec<Expectation>, changes: Vec<Change>) -> Command {
        let idempotency = self.idempotency(account);
        Command { expects, idempotency, ..Command::new(self.caller.actor(), self.now_ms, changes) }
    }

    fn idempotency(&self, account: &AccountId) -> Option<Idempotency> {
        let key = self.key.as_ref()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.call.as_bytes()).update(&[0]).update(&self.digest.get());
        Some(Idempotency { key: format!("{account}/{key}"), fingerprint: *hasher.finalize().as_bytes() })
    }
}

/// What a caller hears whose request repeats one that gave something that can not be given twice.
fn repeated(key: Option<&str>, what: &str) -> ApiError {
    if key.is_some_and(|key| key.starts_with(OWN_KEY)) {
        tracing::warn!("a write was done whose answer was lost on its way; it can not be given again");
        return ApiError::AnswerLost;
    }
    ApiError::Conflict(format!("Idempotency-Key: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_not_told_about_a_key_that_it_did_not_send() {
        let own = format!("{OWN_KEY}{}", "0".repeat(32));
        assert!(matches!(repeated(Some(&own), "made before"), ApiError::AnswerLost));
        let theirs = repeated(Some("deploy-7"), "made before");
        assert_eq!(theirs.to_string(), ApiError::Conflict("Idempotency-Key: made before".to_owned()).to_string());
    }
}
