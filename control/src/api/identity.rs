//! Who the caller is, and which accounts it talks to.
//!
//! **Owns** what `whoami` asks, and making accounts. **Must not know** services. **Enter at** [`mount`].

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::ServiceName;
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{CLUSTER_WRITE, Caller},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    time::rfc3339,
    writer::Writer,
};
use crate::{
    catalog::{Account, Catalog, Change, limits::TEXT_BYTES_MAX},
    mint,
};

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
    /// The label in its hostnames; absent for the first account, which needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Always `standard`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 3339.
    pub created_on: String,
}

/// An account to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    /// What people call it.
    pub name: String,
    /// The label between service and cluster domain in its hostnames; unlike every service of the first account.
    pub label: String,
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

impl AccountView {
    fn of(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            label: account.label.as_ref().map(ToString::to_string),
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
    let make = Endpoint::post("/accounts", "createAccount", "Makes an account; with a token for all accounts");
    let make = make.needs(CLUSTER_WRITE).repeatable();
    endpoints.add(make.takes::<NewAccount>().answers::<AccountView>(), create_account);
    let account = Endpoint::get("/accounts/{account}", "getAccount", "One account");
    endpoints.add(account.answers::<AccountView>(), show_account);
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

async fn create_account(
    State(deps): State<Deps>,
    writer: Writer,
    JsonBody(body): JsonBody<NewAccount>,
) -> Reply<AccountView> {
    if writer.caller.account.is_some() {
        return Err(ApiError::Forbidden { scope: format!("{CLUSTER_WRITE}, for all accounts") });
    }
    if body.name.is_empty() || body.name.len() > TEXT_BYTES_MAX || body.name.chars().any(char::is_control) {
        return Err(ApiError::field("name", format!("use 1 to {TEXT_BYTES_MAX} bytes without control characters")));
    }
    let label = ServiceName::new(&body.label)?;
    let catalog = deps.control.catalog();
    // The account is new each time, so a repeated call is remembered under the first one.
    let first = catalog.first_account().ok_or_else(|| ApiError::not_found(Thing::Account, "of the cluster"))?;
    let account =
        Account { id: mint::account_id(), name: body.name, label: Some(label.clone()), created_at_ms: writer.now_ms };
    let applied = writer.propose(first, Vec::new(), vec![Change::CreateAccount(account)]).await?;
    let catalog = deps.control.catalog();
    let made = catalog.account_by_label(&label).and_then(|id| catalog.account(id));
    let made = made.ok_or_else(|| ApiError::not_found(Thing::Account, &label))?;
    Ok(Answer::created(AccountView::of(made), true).at(applied.revision))
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
