//! The audit log: who changed what, when.
//!
//! **Owns** filtering and showing audit entries. **Must not know** how they are made. **Enter at** [`mount`].
//!
//! An account's log has what was done to it. What was done to no account (nodes, join tokens, the mesh, tokens for all
//! accounts) is the cluster's log, for tokens that are for all accounts.

use std::collections::BTreeMap;

use serde::Serialize;
use skerry_proto::id::AccountId;
use utoipa::ToSchema;

use super::{
    account::Account,
    auth::AUDIT_READ,
    cluster::Operator,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::ApiError,
    page::Page,
    query::Query,
    time::{self, rfc3339},
};
use crate::catalog::{AuditAction, AuditEntry, Catalog};

/// One line of the audit log; a command of several changes is several lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// The revision, and the change's place in it.
    pub id: String,
    /// RFC 3339.
    pub when: String,
    /// What was done.
    pub action: ActionView,
    /// Who did it.
    pub actor: ActorView,
    /// What it was done to.
    pub resource: ResourceView,
    /// More about it; never a value of a secret.
    pub metadata: BTreeMap<String, String>,
    /// The revision that it made.
    pub revision: u64,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActionView {
    /// `version.upload`, `environment.promote`, `secret.put`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Always true: what was refused changed nothing and is not logged here.
    pub result: bool,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActorView {
    /// The token; absent when the node acted by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `token` or `system`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The token's name.
    pub name: String,
    /// The address that the call came from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// The `User-Agent` of the call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
}

/// What it was done to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResourceView {
    /// The noun of the action: `version`, `environment`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// `shop/staging`, a hostname, a title, ...
    pub id: String,
}

impl AuditView {
    fn of(entry: &AuditEntry, place: usize, action: &AuditAction) -> Self {
        Self {
            id: format!("{}-{place}", entry.revision),
            when: rfc3339(entry.at_ms),
            action: ActionView { kind: action.action.clone(), result: true },
            actor: ActorView {
                id: entry.actor.token.as_ref().map(ToString::to_string),
                kind: if entry.actor.token.is_some() { "token" } else { "system" },
                name: entry.actor.name.clone(),
                ip: entry.actor.from.clone(),
                agent: entry.actor.agent.clone(),
            },
            resource: ResourceView {
                kind: action.action.split('.').next().unwrap_or_default().to_owned(),
                id: action.subject.clone(),
            },
            metadata: action.detail.iter().filter(|(_, value)| !value.is_empty()).cloned().collect(),
            revision: entry.revision.0,
        }
    }
}

/// What the caller wants to see.
struct Filter<'a> {
    since_ms: Option<i64>,
    before_ms: Option<i64>,
    actor: Option<&'a str>,
    action: Option<&'a str>,
    service: Option<&'a str>,
    environment: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn from_query(query: &'a Query) -> Result<Self, ApiError> {
        let moment = |name: &str| query.text(name).map(|text| time::parse(name, text)).transpose();
        Ok(Self {
            since_ms: moment("since")?,
            before_ms: moment("before")?,
            actor: query.text("actor").or(query.text("actor.id")),
            action: query.text("action").or(query.text("action.type")),
            service: query.text("service"),
            environment: query.text("environment"),
        })
    }

    fn wants_entry(&self, entry: &AuditEntry) -> bool {
        self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.before_ms.is_none_or(|before| entry.at_ms < before)
            && self.actor.is_none_or(|actor| {
                entry.actor.name == actor || entry.actor.token.as_ref().is_some_and(|token| token.as_str() == actor)
            })
    }

    /// `version` finds `version.upload`; a service finds itself and its environments.
    fn wants_action(&self, action: &AuditAction) -> bool {
        let (service, environment) = match action.subject.split_once('/') {
            Some((service, environment)) => (service, Some(environment)),
            None => (action.subject.as_str(), None),
        };
        let kind_fits = |wanted: &str| {
            action.action.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.action.is_none_or(kind_fits)
            && self.service.is_none_or(|wanted| wanted == service)
            && self.environment.is_none_or(|wanted| Some(wanted) == environment)
    }
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let list = Endpoint::get("/accounts/{account}/audit_logs", "listAuditLog", "Who changed what, newest first");
    endpoints.add(filtered(list).lists::<AuditView>(), list_of_account);
    let summary = "Who changed what of the cluster itself, newest first; needs a token for all accounts";
    let list = Endpoint::get("/cluster/audit_logs", "listClusterAuditLog", summary);
    endpoints.add(filtered(list).lists::<AuditView>(), list_of_cluster);
}

fn filtered(list: Endpoint) -> Endpoint {
    list.needs(AUDIT_READ)
        .tag("audit")
        .paged()
        .query("since", "RFC 3339; entries from then on.")
        .query("before", "RFC 3339; entries before then.")
        .query("actor", "A token's name or id.")
        .query("action", "`version.upload`, or `version` for all of its kind.")
        .query("service", "Only this service's.")
        .query("environment", "Only this environment's.")
        .query("direction", "`desc` (newest first) or `asc`.")
}

async fn list_of_account(account: Account, query: Query, page: Page) -> Reply<Vec<AuditView>> {
    list(&account.catalog, Some(&account.id), &query, page)
}

async fn list_of_cluster(operator: Operator, query: Query, page: Page) -> Reply<Vec<AuditView>> {
    list(&operator.catalog, None, &query, page)
}

/// What was done to an account, or to none.
fn list(catalog: &Catalog, account: Option<&AccountId>, query: &Query, page: Page) -> Reply<Vec<AuditView>> {
    let filter = Filter::from_query(query)?;
    let entries = catalog.audit().filter(|entry| entry.account.as_ref() == account);
    let entries: Vec<_> = match query.text("direction") {
        None | Some("desc") => entries.rev().collect(),
        Some("asc") => entries.collect(),
        Some(_) => return Err(ApiError::field("direction", "use asc or desc")),
    };
    let lines: Vec<_> = entries
        .into_iter()
        .filter(|entry| filter.wants_entry(entry))
        .flat_map(|entry| entry.actions.iter().enumerate().map(move |(place, action)| (entry, place, action)))
        .filter(|(_, _, action)| filter.wants_action(action))
        .collect();
    let total = lines.len();
    let (items, info) = page.cut(lines, total);
    let views = items.into_iter().map(|(entry, place, action)| AuditView::of(entry, place, action)).collect();
    Ok(Answer::ok(views).with_info(info))
}
