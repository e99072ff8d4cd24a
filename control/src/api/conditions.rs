//! Pure. The headers that make a write conditional or repeatable, and which calls honour them.
//!
//! **Owns** reading `If-Match`, `If-None-Match` and `Idempotency-Key`, and refusing a condition that a call would ignore.
//! **Must not know** what the conditions are about. **Enter at** [`Conditions`].

use http::{HeaderMap, Method, header};
use skerry_proto::id::Revision;

use super::error::ApiError;
use crate::catalog::limits::IDEMPOTENCY_KEY_BYTES_MAX;

/// The account's 32 digits and a slash stand before the key in the catalog, and the catalog's bound is for all of it.
const KEY_BYTES_MAX: usize = IDEMPOTENCY_KEY_BYTES_MAX - 33;

/// How a key begins that a node made, to carry a request whose caller sent none.
pub(crate) const OWN_KEY: &str = "carried-";

/// Which conditions a call honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Conditions {
    /// None.
    Ignored,
    /// `If-Match`: the call changes a service.
    Match,
    /// `If-Match` and `If-None-Match`: the call changes an environment, or makes one.
    MatchOrAbsent,
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// It has not changed since this revision.
    Revision(Revision),
    /// It exists (`*`).
    Exists,
}

impl Conditions {
    /// Fails when a write carries a condition that it would not keep: who sends one relies on it. On reads the headers
    /// mean caching and ask for nothing.
    pub(crate) fn check(self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        if method.is_safe() {
            return Ok(());
        }
        let honours = |needed| self >= needed;
        if headers.contains_key(header::IF_MATCH) && !honours(Self::Match) {
            return Err(ApiError::field("If-Match", "this call keeps no conditions; send it without the header"));
        }
        if headers.contains_key(header::IF_NONE_MATCH) && !honours(Self::MatchOrAbsent) {
            return Err(ApiError::field("If-None-Match", "this call does not keep it; send it without the header"));
        }
        Ok(())
    }
}

/// Reads `If-Match`.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let wrong = || ApiError::field("If-Match", "use the ETag of an earlier answer, such as \"1f\", or *");
    let text = value.to_str().ok().ok_or_else(wrong)?.trim();
    if text == "*" {
        return Ok(Some(IfMatch::Exists));
    }
    revision(text).map(|revision| Some(IfMatch::Revision(revision))).ok_or_else(wrong)
}

/// The revision that an ETag stands for, with or without quotes and `W/`.
pub(crate) fn revision(etag: &str) -> Option<Revision> {
    let inner = etag.strip_prefix("W/").unwrap_or(etag);
    let inner = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inner);
    u64::from_str_radix(inner, 16).ok().map(Revision)
}

/// Reads `If-None-Match`; true for `*`.
pub(crate) fn if_none_match(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(header::IF_NONE_MATCH).map(|value| value.as_bytes()) {
        None => Ok(false),
        Some(b"*") => Ok(true),
        Some(_) => Err(ApiError::field("If-None-Match", "use *: the write is for something that does not exist yet")),
    }
}

/// Reads `Idempotency-Key`.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=KEY_BYTES_MAX).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(ApiError::field("Idempotency-Key", format!("use 1 to {KEY_BYTES_MAX} visible ASCII characters"))),
    }
}
