//! What lets machines join.
//!
//! **Owns** making, listing and revoking join tokens; a token's text is shown once. **Must not know** how a machine joins.
//! **Enter at** [`mount`].

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use skerry_proto::id::TokenId;
use utoipa::ToSchema;

use super::Operator;
use crate::{
    api::{
        Deps,
        auth::{CLUSTER_READ, CLUSTER_WRITE},
        body::optional_json,
        endpoint::{Endpoint, Endpoints},
        envelope::{Answer, Reply},
        error::{ApiError, Thing},
        page::Page,
        params::Params,
        time::rfc3339,
        writer::Writer,
    },
    catalog::{Authority, Change, JoinToken, NodeRole, RoleError, limits::JOIN_TOKEN_USES_MAX},
    mint,
};

/// BOUND: how long a join token may be good. Shorter than a minute nobody can use it; longer than a month it is a standing
/// invitation that nobody remembers.
const TTL_SECONDS: std::ops::RangeInclusive<u32> = 60..=30 * 86_400;
const TTL_SECONDS_DEFAULT: u32 = 3600;

/// A join token as shown: its text only in the answer that makes it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JoinTokenView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What people call it; empty when they do not.
    pub name: String,
    /// `active` or `expired`.
    pub status: &'static str,
    /// The role that it admits at most; `null` for every role.
    pub role: Option<&'static str>,
    /// How many nodes it still admits.
    pub uses_left: u32,
    /// RFC 3339.
    pub created_on: String,
    /// RFC 3339.
    pub expires_on: String,
    /// The token itself; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A join token to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewJoinToken {
    /// The role that it admits at most: `edge` for edges only, `voter` or absent for every role.
    pub role: Option<String>,
    /// How many nodes it admits, 1 to 1000; 1 when absent.
    pub uses: Option<u32>,
    /// How long it is good, 60 to 2592000 seconds; 3600 when absent.
    pub ttl_seconds: Option<u32>,
    /// What people call it.
    pub name: Option<String>,
}

impl JoinTokenView {
    fn of(token: &JoinToken, now_ms: i64) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            status: if token.is_current(now_ms) { "active" } else { "expired" },
            role: token.role.map(NodeRole::as_str),
            uses_left: token.uses_left,
            created_on: rfc3339(token.created_at_ms),
            expires_on: rfc3339(token.expires_at_ms),
            token: None,
        }
    }
}

/// Adds the calls.
pub(super) fn mount(endpoints: &mut Endpoints) {
    let all = "/cluster/join-tokens";
    let list = Endpoint::get(all, "listJoinTokens", "What lets machines join").needs(CLUSTER_READ).tag("cluster");
    endpoints.add(list.paged().lists::<JoinTokenView>(), list_all);
    let make = Endpoint::post(all, "createJoinToken", "Lets machines join; the token's text is shown only now");
    let make = make.needs(CLUSTER_WRITE).tag("cluster").repeatable();
    endpoints.add(make.takes::<NewJoinToken>().answers::<JoinTokenView>(), create);
    let one = "/cluster/join-tokens/{token}";
    let revoke = Endpoint::delete(one, "revokeJoinToken", "Makes a join token admit nobody").needs(CLUSTER_WRITE);
    endpoints.add(revoke.tag("cluster").repeatable(), revoke_one);
}

async fn list_all(State(deps): State<Deps>, operator: Operator, page: Page) -> Reply<Vec<JoinTokenView>> {
    let mut all: Vec<_> = operator.catalog.join_tokens().collect();
    all.sort_by_key(|token| token.created_at_ms);
    let total = all.len();
    let (items, info) = page.cut(all, total);
    let now_ms = deps.clock.now_ms();
    Ok(Answer::ok(items.into_iter().map(|token| JoinTokenView::of(token, now_ms)).collect()).with_info(info))
}

async fn create(operator: Operator, writer: Writer, request: Request) -> Reply<JoinTokenView> {
    let body: NewJoinToken = optional_json(request).await?;
    let cluster = operator.catalog.cluster();
    let Some(authority) = cluster.and_then(|cluster| cluster.mesh_authority()).map(Authority::fingerprint) else {
        let problem = "this cluster has no mesh yet: set `mesh` in the node's configuration and start it again";
        return Err(ApiError::Conflict(problem.to_owned()));
    };
    let minted = mint::join_token(authority);
    let token = JoinToken {
        id: minted.id,
        hash: minted.hash,
        role: body.role.as_deref().map(parse_role).transpose()?,
        uses_left: within("uses", body.uses.unwrap_or(1), 1..=JOIN_TOKEN_USES_MAX)?,
        expires_at_ms: writer.now_ms + ttl_ms(body.ttl_seconds)?,
        created_at_ms: writer.now_ms,
        name: body.name.unwrap_or_default(),
    };
    let mut view = JoinTokenView::of(&token, writer.now_ms);
    let applied = writer.propose(&operator.account, Vec::new(), vec![Change::CreateJoinToken(token)]).await?;
    writer.require_first(
        &applied,
        "the first call with this key made the token and showed its text; revoke it, make another",
    )?;
    view.token = Some(minted.text);
    Ok(Answer::created(view, true).at(applied.revision))
}

fn parse_role(text: &str) -> Result<NodeRole, ApiError> {
    text.parse().map_err(|error: RoleError| ApiError::field("role", error.to_string()))
}

fn ttl_ms(seconds: Option<u32>) -> Result<i64, ApiError> {
    Ok(i64::from(within("ttl_seconds", seconds.unwrap_or(TTL_SECONDS_DEFAULT), TTL_SECONDS)?) * 1000)
}

fn within(field: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, ApiError> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(ApiError::field(field, format!("use a number from {} to {}", range.start(), range.end()))),
    }
}

async fn revoke_one(operator: Operator, writer: Writer, params: Params) -> Reply<()> {
    if let Some(applied) = writer.replay(&operator.account)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let text = params.text("token")?;
    let found = TokenId::new(text).ok().and_then(|id| operator.catalog.join_token(&id));
    let found = found.ok_or_else(|| ApiError::not_found(Thing::JoinToken, format!("{text:.80}")))?;
    let change = Change::RevokeJoinToken { id: found.id.clone() };
    let applied = writer.propose(&operator.account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}
