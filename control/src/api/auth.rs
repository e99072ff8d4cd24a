//! Who calls, and whether they may.
//!
//! **Owns** reading the bearer token and checking it against a call's rule. **Must not know** what the call does.
//! **Enter at** [`check`], which stands before every handler, and [`Caller`], which handlers may ask for.

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header, request::Parts};
use skerry_proto::id::{AccountId, TokenId};

use super::{Deps, body::BodyDigest, conditions::Conditions, error::ApiError, params::Params, ports::Peer};
use crate::{
    catalog::{Access, Actor, Resource, Scope, TokenHash},
    control::Carried,
};

/// BOUND: how much of a `User-Agent` the audit log keeps.
const AGENT_BYTES_MAX: usize = 256;

/// The [`Caller::source`] of the stock wrangler.
pub(crate) const WRANGLER: &str = "wrangler";

/// Looking at services and what belongs to them.
pub(crate) const WORKERS_READ: Scope = scope(Resource::Workers, Access::Read);
/// Changing services and what belongs to them.
pub(crate) const WORKERS_WRITE: Scope = scope(Resource::Workers, Access::Write);
/// Reading KV.
pub(crate) const KV_READ: Scope = scope(Resource::Kv, Access::Read);
/// Writing KV.
pub(crate) const KV_WRITE: Scope = scope(Resource::Kv, Access::Write);
/// Looking at routes and domains.
pub(crate) const ROUTES_READ: Scope = scope(Resource::Routes, Access::Read);
/// Changing routes and domains.
pub(crate) const ROUTES_WRITE: Scope = scope(Resource::Routes, Access::Write);
/// Live logs.
pub(crate) const TAIL_READ: Scope = scope(Resource::Tail, Access::Read);
/// Looking at tokens; their text is never shown.
pub(crate) const TOKENS_READ: Scope = scope(Resource::Tokens, Access::Read);
/// Making and revoking tokens.
pub(crate) const TOKENS_WRITE: Scope = scope(Resource::Tokens, Access::Write);
/// Looking at nodes and join tokens.
pub(crate) const CLUSTER_READ: Scope = scope(Resource::Cluster, Access::Read);
/// Making accounts, and running the cluster.
pub(crate) const CLUSTER_WRITE: Scope = scope(Resource::Cluster, Access::Write);
/// The audit log.
pub(crate) const AUDIT_READ: Scope = scope(Resource::Audit, Access::Read);

const fn scope(resource: Resource, access: Access) -> Scope {
    Scope { resource, access }
}

/// Who may use a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anyone, without a token.
    Public,
    /// Whoever holds a valid token.
    AnyToken,
    /// Whoever holds a valid token with this scope.
    Needs(Scope),
}

impl From<Scope> for Rule {
    fn from(scope: Scope) -> Self {
        Self::Needs(scope)
    }
}

impl Rule {
    /// For the OpenAPI document.
    pub(crate) fn description(self) -> String {
        match self {
            Self::Public => "Needs no token.".into(),
            Self::AnyToken => "Needs any valid token.".into(),
            Self::Needs(scope) => format!("Needs a token with the scope `{scope}`."),
        }
    }
}

/// What stands before one call.
#[derive(Clone)]
pub(crate) struct Guard {
    /// For the catalog and the clock.
    pub deps: Deps,
    /// The call's rule.
    pub rule: Rule,
    /// The conditions that the call honours.
    pub conditions: Conditions,
}

impl Guard {
    /// Whether this node knows the token of a request, or the call needs none. The leader may know others, and decides.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> Result<bool, ApiError> {
        if self.rule == Rule::Public {
            return Ok(true);
        }
        Ok(self.deps.control.catalog().token_by_hash(&TokenHash::of(bearer(headers)?)).is_some())
    }
}

/// The holder of the token that a request came with.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The token's public identity.
    pub token: TokenId,
    /// The token's name.
    pub name: String,
    /// The only account it is for; `None` for all.
    pub account: Option<AccountId>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When the token stops working, milliseconds since the Unix epoch; `None` for never.
    pub expires_at_ms: Option<i64>,
    /// The program that calls, from its user agent: `wrangler`, `skerry` or `api`.
    pub source: &'static str,
    from: String,
    agent: String,
}

impl Caller {
    /// Fails unless the token holds `needed`.
    pub(crate) fn require(&self, needed: Scope) -> Result<(), ApiError> {
        if self.scopes.iter().any(|scope| scope.includes(needed)) {
            return Ok(());
        }
        Err(ApiError::Forbidden { scope: needed.to_string() })
    }

    /// Fails unless the token is for `account`.
    pub(crate) fn require_account(&self, account: &AccountId) -> Result<(), ApiError> {
        match &self.account {
            Some(own) if own != account => Err(ApiError::OtherAccount { account: account.to_string() }),
            _ => Ok(()),
        }
    }

    /// Who stands in the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            token: Some(self.token.clone()),
            name: self.name.clone(),
            from: self.from.clone(),
            agent: self.agent.clone(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // `check` puts it there for every call that is not public, and no public call asks for it.
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Unauthenticated(SEND_A_TOKEN))
    }
}

const SEND_A_TOKEN: &str = "send `Authorization: Bearer TOKEN`";

/// Lets a request through to its handler when its token allows it.
pub(crate) async fn check(
    State(guard): State<Guard>,
    params: Params,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    request.extensions_mut().insert(BodyDigest::default());
    if guard.rule != Rule::Public {
        let caller = authenticate(&guard.deps, &request)?;
        if let Rule::Needs(scope) = guard.rule {
            caller.require(scope)?;
        }
        if params.find("account").is_some() {
            caller.require_account(&params.id("account")?)?;
        }
        request.extensions_mut().insert(caller);
    }
    guard.conditions.check(request.method(), request.headers())?;
    Ok(next.run(request).await)
}

fn authenticate(deps: &Deps, request: &Request) -> Result<Caller, ApiError> {
    let headers = request.headers();
    let text = bearer(headers)?;
    let peer = request.extensions().get::<Peer>();
    if peer.is_some_and(|peer| !peer.may_carry_tokens()) {
        return Err(ApiError::ClearText);
    }
    // Found by the hash of 256 random bits: how long the search takes says nothing about any token's text.
    let catalog = deps.control.catalog();
    let Some(token) = catalog.token_by_hash(&TokenHash::of(text)) else {
        return Err(ApiError::Unauthenticated("the token is unknown or revoked"));
    };
    if !token.is_current(deps.clock.now_ms()) {
        return Err(ApiError::Unauthenticated("the token has expired"));
    }
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Caller {
        token: token.id.clone(),
        name: token.name.clone(),
        account: token.account.clone(),
        scopes: token.scopes.iter().copied().collect(),
        expires_at_ms: token.expires_at_ms,
        source: source(agent),
        from: from(request),
        agent: agent.get(..AGENT_BYTES_MAX).unwrap_or(agent).to_owned(),
    })
}

/// The caller's address, as the first node saw it.
fn from(request: &Request) -> String {
    let extensions = request.extensions();
    match (extensions.get::<Carried>(), extensions.get::<Peer>()) {
        (Some(carried), _) => carried.peer.clone(),
        (None, Some(peer)) => peer.address.ip().to_canonical().to_string(),
        (None, None) => String::new(),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(ApiError::Unauthenticated(SEND_A_TOKEN));
    };
    let text = value.to_str().ok().ok_or(ApiError::Unauthenticated("the Authorization header is not text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::Unauthenticated("the Authorization header is not `Bearer TOKEN`")),
    }
}

fn source(agent: &str) -> &'static str {
    match agent.split(['/', ' ']).next() {
        Some(WRANGLER) => WRANGLER,
        Some("skerry") => "skerry",
        _ => "api",
    }
}
