//! Who the caller is, and which accounts and cluster it talks to.
//!
//! **Owns** what `whoami` asks. **Must not know** services. **Enter at** [`mount`].

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Deps,
    auth::Caller,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    time::rfc3339,
};
use crate::catalog::{Account, Catalog};

/// The caller: Cloudflare has users, we have tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// The token's id.
    pub id: String,
    /// The token's name, in the form of an address.
    pub email: String,
    /// The token's name.
    pub username: String,
    /// What the token may do.
    pub scopes: Vec<String>,
}

/// That a token works.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifyView {
    /// The token's id.
    pub id: String,
    /// Always `active`.
    pub status: &'static str,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Always `standard`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 3339.
    pub created_on: String,
}

/// That the caller belongs to an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MembershipView {
    /// The account's id.
    pub id: String,
    /// Always `accepted`.
    pub status: &'static str,
    /// The account.
    pub account: AccountView,
    /// What the token may do.
    pub roles: Vec<String>,
}

/// The cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterView {
    /// The zone whose names the environments get.
    pub domain: String,
    /// The newest revision of the catalog.
    pub revision: u64,
    /// The server's version.
    pub version: String,
    /// The account that is meant when none is named.
    pub default_account: Option<String>,
    /// The port on which environments answer over HTTP.
    pub http_port: Option<u16>,
    /// The port on which environments answer over HTTPS.
    pub https_port: Option<u16>,
}

impl AccountView {
    fn of(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            kind: "standard",
            created_on: rfc3339(account.created_at_ms),
        }
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let user = Endpoint::get("/user", "getUser", "The token that calls");
    endpoints.add(user.answers::<UserView>(), show_user);
    let verify = Endpoint::get("/user/tokens/verify", "verifyToken", "Whether the token works");
    endpoints.add(verify.also("/accounts/{account}/tokens/verify").answers::<VerifyView>(), verify_token);
    let memberships = Endpoint::get("/memberships", "listMemberships", "The accounts that the token works for");
    endpoints.add(memberships.paged().lists::<MembershipView>(), list_memberships);
    let accounts = Endpoint::get("/accounts", "listAccounts", "The accounts that the token works for");
    endpoints.add(accounts.paged().lists::<AccountView>(), list_accounts);
    let account = Endpoint::get("/accounts/{account}", "getAccount", "One account");
    endpoints.add(account.answers::<AccountView>(), show_account);
    let cluster = Endpoint::get("/cluster", "getCluster", "The cluster");
    endpoints.add(cluster.answers::<ClusterView>(), show_cluster);
}

fn scopes(caller: &Caller) -> Vec<String> {
    caller.scopes.iter().map(ToString::to_string).collect()
}

async fn show_user(caller: Caller) -> Reply<UserView> {
    let local: String =
        caller.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    Ok(Answer::ok(UserView {
        id: caller.token.to_string(),
        email: format!("{local}@token.skerry.invalid"),
        username: caller.name.clone(),
        scopes: scopes(&caller),
    }))
}

async fn verify_token(caller: Caller) -> Reply<VerifyView> {
    Ok(Answer::ok(VerifyView { id: caller.token.to_string(), status: "active" }))
}

fn own<'a>(catalog: &'a Catalog, caller: &Caller) -> Vec<&'a Account> {
    let all = catalog.accounts().map(|account| &**account);
    all.filter(|account| caller.require_account(&account.id).is_ok()).collect()
}

async fn list_accounts(State(deps): State<Deps>, caller: Caller, page: Page) -> Reply<Vec<AccountView>> {
    let catalog = deps.control.catalog();
    let all = own(&catalog, &caller);
    let total = all.len();
    let (items, info) = page.cut(all, total);
    Ok(Answer::ok(items.into_iter().map(AccountView::of).collect()).with_info(info))
}

async fn list_memberships(State(deps): State<Deps>, caller: Caller, page: Page) -> Reply<Vec<MembershipView>> {
    let catalog = deps.control.catalog();
    let all = own(&catalog, &caller);
    let total = all.len();
    let (items, info) = page.cut(all, total);
    let view = |account: &Account| MembershipView {
        id: account.id.to_string(),
        status: "accepted",
        account: AccountView::of(account),
        roles: scopes(&caller),
    };
    Ok(Answer::ok(items.into_iter().map(view).collect()).with_info(info))
}

async fn show_account(State(deps): State<Deps>, params: Params) -> Reply<AccountView> {
    let id = params.id("account")?;
    let catalog = deps.control.catalog();
    let account = catalog.account(&id).ok_or_else(|| ApiError::not_found(Thing::Account, &id))?;
    Ok(Answer::ok(AccountView::of(account)))
}

async fn show_cluster(State(deps): State<Deps>, caller: Caller) -> Reply<ClusterView> {
    let catalog = deps.control.catalog();
    let account = caller.account.as_ref().or(catalog.first_account());
    Ok(Answer::ok(ClusterView {
        domain: catalog.cluster().map(|cluster| cluster.domain.to_string()).unwrap_or_default(),
        revision: catalog.revision().0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        default_account: account.map(ToString::to_string),
        http_port: deps.config.http_port,
        https_port: deps.config.https_port,
    }))
}
