//! API tokens of an account.
//!
//! **Owns** making, listing and revoking tokens; a token's text is shown once. **Must not know** how a token is checked.
//! **Enter at** [`mount`].

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use skerry_proto::id::{AccountId, TokenId};
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{Caller, TOKENS_READ, TOKENS_WRITE},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    time::{self, rfc3339},
    writer::Writer,
};
use crate::{
    catalog::{Change, Scope, ScopeError, Token},
    mint,
};

/// A token as shown: never its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `active` or `expired`.
    pub status: &'static str,
    /// `workers:write`, ...
    pub scopes: Vec<String>,
    /// The account it is for; `null` for all.
    pub account: Option<String>,
    /// RFC 3339.
    pub issued_on: String,
    /// RFC 3339; `null` for never.
    pub expires_on: Option<String>,
    /// The token itself; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What people call it.
    pub name: String,
    /// `workers:write`, `kv:read`, ...; `admin` is short for `all:write`.
    pub scopes: Vec<String>,
    /// RFC 3339; when absent never, or when the token expires that makes it. Not later than that.
    #[serde(default)]
    pub expires_on: Option<String>,
    /// The account it is for: the path's when absent; `null` for all accounts and the cluster, which only a token for all
    /// accounts can make.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub account: Option<Option<String>>,
}

/// Tells `null` from a field that is absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl TokenView {
    fn of(token: &Token, now_ms: i64) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            status: if token.is_current(now_ms) { "active" } else { "expired" },
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            account: token.account.as_ref().map(ToString::to_string),
            issued_on: rfc3339(token.created_at_ms),
            expires_on: token.expires_at_ms.map(rfc3339),
            value: None,
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let all = "/accounts/{account}/tokens";
    let list = Endpoint::get(all, "listTokens", "The tokens that work for an account").needs(TOKENS_READ).tag("tokens");
    endpoints.add(list.paged().lists::<TokenView>(), list_all);
    let make = Endpoint::post(all, "createToken", "Makes a token; its text is shown only now").needs(TOKENS_WRITE);
    endpoints.add(make.tag("tokens").repeatable().takes::<NewToken>().answers::<TokenView>(), create);
    let one = "/accounts/{account}/tokens/{token}";
    let show = Endpoint::get(one, "getToken", "One token").needs(TOKENS_READ).tag("tokens");
    endpoints.add(show.answers::<TokenView>(), show_one);
    let revoke = Endpoint::delete(one, "revokeToken", "Makes a token stop working at once").needs(TOKENS_WRITE);
    endpoints.add(revoke.tag("tokens").repeatable(), revoke_one);
}

/// A caller sees its account's tokens, and those for all accounts when its own is one.
fn is_visible(caller: &Caller, account: &Account, token: &Token) -> bool {
    match &token.account {
        Some(own) => *own == account.id,
        None => caller.account.is_none(),
    }
}

async fn list_all(State(deps): State<Deps>, account: Account, caller: Caller, page: Page) -> Reply<Vec<TokenView>> {
    let all: Vec<_> = account.catalog.tokens().filter(|token| is_visible(&caller, &account, token)).collect();
    let total = all.len();
    let (items, info) = page.cut(all, total);
    let now_ms = deps.clock.now_ms();
    Ok(Answer::ok(items.into_iter().map(|token| TokenView::of(token, now_ms)).collect()).with_info(info))
}

fn find<'a>(account: &'a Account, caller: &Caller, params: &Params) -> Result<&'a Token, ApiError> {
    let text = params.text("token")?;
    let found = TokenId::new(text).ok().and_then(|id| account.catalog.token(&id));
    let found = found.filter(|token| is_visible(caller, account, token));
    found.map(|token| &**token).ok_or_else(|| ApiError::not_found(Thing::Token, format!("{text:.80}")))
}

async fn show_one(State(deps): State<Deps>, account: Account, caller: Caller, params: Params) -> Reply<TokenView> {
    let token = find(&account, &caller, &params)?;
    Ok(Answer::ok(TokenView::of(token, deps.clock.now_ms())))
}

async fn create(account: Account, writer: Writer, JsonBody(body): JsonBody<NewToken>) -> Reply<TokenView> {
    if body.name.is_empty() || body.name.chars().any(char::is_control) {
        return Err(ApiError::field("name", "use 1 to 512 bytes without control characters"));
    }
    let scopes: std::collections::BTreeSet<Scope> =
        body.scopes.iter().enumerate().map(|(place, text)| parse_scope(place, text)).collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return Err(ApiError::field("scopes", "is empty; name at least one scope"));
    }
    // Nobody can make a token that may do more than the one it was made with.
    for scope in &scopes {
        writer.caller.require(*scope)?;
    }
    let expires_at_ms = expiry(&writer, body.expires_on.as_deref())?;
    let owner = owner(&account, &writer.caller, body.account)?;
    let minted = mint::token();
    let token = Token {
        id: minted.id,
        account: owner,
        name: body.name,
        scopes,
        hash: minted.hash,
        created_at_ms: writer.now_ms,
        expires_at_ms,
    };
    let mut view = TokenView::of(&token, writer.now_ms);
    let applied = writer.propose(&account.id, Vec::new(), vec![Change::CreateToken(token)]).await?;
    writer.require_first(
        &applied,
        "the first call with this key made the token and showed its text; list tokens to find it",
    )?;
    view.value = Some(minted.text);
    Ok(Answer::created(view, true).at(applied.revision))
}

/// When the token stops working: never later than the one that makes it, or that one would never really expire.
fn expiry(writer: &Writer, given: Option<&str>) -> Result<Option<i64>, ApiError> {
    let makers_ms = writer.caller.expires_at_ms;
    let Some(text) = given else { return Ok(makers_ms) };
    let at_ms = time::parse("expires_on", text)?;
    if at_ms <= writer.now_ms {
        return Err(ApiError::field("expires_on", "is in the past"));
    }
    match makers_ms.filter(|makers_ms| at_ms > *makers_ms) {
        Some(makers_ms) => {
            let problem = format!("is later than the token that makes it expires; use {} at most", rfc3339(makers_ms));
            Err(ApiError::field("expires_on", problem))
        }
        None => Ok(Some(at_ms)),
    }
}

/// The account that the token is for; `None` for all.
fn owner(account: &Account, caller: &Caller, given: Option<Option<String>>) -> Result<Option<AccountId>, ApiError> {
    match given {
        None => Ok(Some(account.id.clone())),
        Some(Some(text)) if text == account.id.as_str() => Ok(Some(account.id.clone())),
        Some(Some(_)) => {
            Err(ApiError::field("account", "is not the account of the path; use that one, or null for all"))
        }
        Some(None) if caller.account.is_none() => Ok(None),
        Some(None) => Err(ApiError::field("account", "only a token for all accounts can make another one")),
    }
}

fn parse_scope(place: usize, text: &str) -> Result<Scope, ApiError> {
    if text == "admin" {
        return Ok(Scope::ADMIN);
    }
    text.parse().map_err(|error: ScopeError| ApiError::field(format!("scopes[{place}]"), error.to_string()))
}

async fn revoke_one(account: Account, writer: Writer, params: Params) -> Reply<()> {
    if let Some(applied) = writer.replay(&account.id)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let token = find(&account, &writer.caller, &params)?;
    let change = Change::RevokeToken { account: token.account.clone(), id: token.id.clone() };
    let applied = writer.propose(&account.id, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}
