//! From a handler's changes to one command, and from its outcome to an answer.
//!
//! **Owns** who, when, under which conditions and under which idempotency key a change is proposed. **Must not know**
//! what the changes mean. **Enter at** [`Writer`].

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use skerry_proto::id::{AccountId, Revision};

use super::{
    Deps,
    auth::Caller,
    body::BodyDigest,
    error::{ApiError, Thing},
    target::Target,
};
use crate::{
    catalog::{
        Applied, Catalog, Change, Command, Environment, EnvironmentKey, Expectation, Idempotency, Repeated, ServiceKey,
    },
    control::Control,
};

/// BOUND: an idempotency key, as in the catalog.
const KEY_BYTES_MAX: usize = 128;

/// Proposes changes on behalf of one request.
pub(crate) struct Writer {
    control: Control,
    /// Who calls.
    pub caller: Caller,
    /// Milliseconds since the Unix epoch, one reading for the whole request.
    pub now_ms: i64,
    if_match: Option<Revision>,
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
            if_match: if_match(parts)?,
            if_none_match: if_none_match(parts)?,
            key: idempotency_key(parts)?,
            call: format!("{} {}", parts.method, parts.uri),
            digest: parts.extensions.get::<BodyDigest>().cloned().unwrap_or_default(),
        })
    }
}

impl Writer {
    /// What `If-Match` and `If-None-Match` ask of an environment; nothing when they are absent.
    pub(crate) fn expects(&self, environment: &EnvironmentKey) -> Vec<Expectation> {
        let unchanged = |revision| Expectation::Unchanged { environment: environment.clone(), revision };
        let absent = Expectation::Absent { environment: environment.clone() };
        self.if_match.map(unchanged).into_iter().chain(self.if_none_match.then_some(absent)).collect()
    }

    /// What `If-Match` asks of a service.
    pub(crate) fn expects_service(&self, service: &ServiceKey) -> Vec<Expectation> {
        let unchanged = |revision| Expectation::ServiceUnchanged { service: service.clone(), revision };
        self.if_match.map(unchanged).into_iter().collect()
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

    /// What the changes would do to the catalog, without proposing them.
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

    fn command(&self, account: &AccountId, expects: Vec<Expectation>, changes: Vec<Change>) -> Command {
        let idempotency = self.key.as_ref().map(|key| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.call.as_bytes()).update(&[0]).update(&self.digest.get());
            Idempotency { key: format!("{account}/{key}"), fingerprint: *hasher.finalize().as_bytes() }
        });
        Command { expects, idempotency, ..Command::new(self.caller.actor(), self.now_ms, changes) }
    }
}

/// Fails when the command was a repetition and its first answer held something that can not be given twice.
pub(crate) fn require_first(applied: &Applied, what: &str) -> Result<(), ApiError> {
    match applied.repeated {
        Repeated::No => Ok(()),
        Repeated::Yes => Err(ApiError::Conflict(format!("Idempotency-Key: {what}"))),
    }
}

fn if_match(parts: &Parts) -> Result<Option<Revision>, ApiError> {
    let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(None) };
    let wrong = || ApiError::field("If-Match", "use the ETag of an earlier answer, such as \"1f\", or *");
    let text = value.to_str().ok().ok_or_else(wrong)?.trim();
    if text == "*" {
        return Ok(None);
    }
    let inner = text.strip_prefix("W/").unwrap_or(text);
    let inner = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inner);
    u64::from_str_radix(inner, 16).ok().map(|number| Some(Revision(number))).ok_or_else(wrong)
}

fn if_none_match(parts: &Parts) -> Result<bool, ApiError> {
    match parts.headers.get(header::IF_NONE_MATCH).map(|value| value.as_bytes()) {
        None => Ok(false),
        Some(b"*") => Ok(true),
        Some(_) => Err(ApiError::field("If-None-Match", "use *: the write is for something that does not exist yet")),
    }
}

fn idempotency_key(parts: &Parts) -> Result<Option<String>, ApiError> {
    let Some(value) = parts.headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        // The account goes before it, and the catalog's bound is for both.
        Ok(text) if !text.is_empty() && text.len() <= KEY_BYTES_MAX - 33 => Ok(Some(text.to_owned())),
        _ => Err(ApiError::field("Idempotency-Key", "use 1 to 95 visible ASCII characters")),
    }
}
