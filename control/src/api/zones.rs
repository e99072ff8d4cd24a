//! Zones: what Cloudflare hangs routes on.
//!
//! **Owns** the zones that wrangler must find before it sets a route. We keep none: every hostname is a zone whose id is
//! made from its name. **Must not know** DNS. **Enter at** [`mount`] and [`id_of`].

use std::collections::BTreeSet;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use skerry_proto::id::{AccountId, Hostname, RouteId, ServiceName};
use utoipa::ToSchema;

use super::{
    Deps,
    auth::{Caller, ROUTES_READ, ROUTES_WRITE},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    page::Page,
    params::Params,
    query::Query,
    routes::{RouteView, parse_pattern},
    script_name::{self, Meaning},
    writer::Writer,
};
use crate::{
    catalog::{Catalog, Change, EnvironmentKey, NewRoute, Route, RoutePattern},
    mint,
};

/// A zone as Cloudflare shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ZoneView {
    /// 32 hexadecimal digits, made from the name.
    pub id: String,
    /// The hostname.
    pub name: String,
    /// Always `active`.
    pub status: &'static str,
    /// Always false.
    pub paused: bool,
    /// Whose it is.
    pub account: ZoneAccount,
}

/// Whose a zone is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ZoneAccount {
    /// 32 hexadecimal digits.
    pub id: String,
}

/// A route of a zone to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZoneRouteBody {
    /// `[scheme://]host[/path]`, whose host is in the zone.
    pub pattern: String,
    /// The environment as wrangler names it; absent: no worker answers there.
    #[serde(default)]
    pub script: Option<String>,
}

/// The id of the zone that a host is in: the cluster's domain for names below it, else the host itself.
pub(crate) fn id_of(catalog: &Catalog, host: &Hostname) -> String {
    let domain = catalog.cluster().map(|cluster| cluster.domain.as_str()).unwrap_or_default();
    let is_ours = host.as_str().strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    id_of_name(if is_ours { domain } else { host.as_str() })
}

fn id_of_name(name: &str) -> String {
    blake3::derive_key("skerry zone id", name.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a host is in the zone of this id: it or one of the names above it has the id.
fn is_in_zone(host: &str, zone: &str) -> bool {
    let above = host.match_indices('.').map(|(place, _)| &host[place + 1..]);
    std::iter::once(host).chain(above).any(|name| id_of_name(name) == zone)
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let list = Endpoint::get("/zones", "listZones", "Zones; any hostname is one").needs(ROUTES_READ).tag("routes");
    let list = list.paged().query("name", "The zone of exactly this name.").query("account.id", "Only this account's.");
    endpoints.add(list.lists::<ZoneView>(), list_zones);
    let all = "/zones/{zone}/workers/routes";
    let list = Endpoint::get(all, "listZoneRoutes", "The routes of a zone").needs(ROUTES_READ).tag("routes");
    endpoints.add(list.lists::<RouteView>(), list_routes);
    let add =
        Endpoint::post(all, "addZoneRoute", "Adds a route to a zone").needs(ROUTES_WRITE).tag("routes").repeatable();
    endpoints.add(add.takes::<ZoneRouteBody>().answers::<RouteView>(), add_route);
    let one = "/zones/{zone}/workers/routes/{route}";
    let show = Endpoint::get(one, "getZoneRoute", "One route of a zone").needs(ROUTES_READ).tag("routes");
    endpoints.add(show.answers::<RouteView>(), show_route);
    let change = Endpoint::put(one, "putZoneRoute", "Changes a route of a zone").needs(ROUTES_WRITE);
    let change = change.tag("routes").repeatable();
    endpoints.add(change.takes::<ZoneRouteBody>().answers::<RouteView>(), put_route);
    let remove = Endpoint::delete(one, "deleteZoneRoute", "Removes a route of a zone").needs(ROUTES_WRITE);
    endpoints.add(remove.tag("routes").repeatable(), delete_route);
}

/// The account that a call without one in its path is for: the token's, else the first.
fn account_of(catalog: &Catalog, caller: &Caller, query: &Query) -> Result<AccountId, ApiError> {
    if let Some(text) = query.text("account.id") {
        let account = AccountId::new(text)?;
        caller.require_account(&account)?;
        return Ok(account);
    }
    let account = caller.account.as_ref().or(catalog.first_account());
    account.cloned().ok_or_else(|| ApiError::not_found(Thing::Account, "of the token"))
}

async fn list_zones(State(deps): State<Deps>, caller: Caller, query: Query, page: Page) -> Reply<Vec<ZoneView>> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &caller, &query)?;
    let mut names = BTreeSet::new();
    if let Some(name) = query.text("name") {
        // A name that could not be a zone is simply not found: wrangler asks for every suffix of a host.
        names.extend(Hostname::new(name).ok().filter(|name| name.as_str().contains('.')));
    } else {
        names.extend(catalog.cluster().map(|cluster| cluster.domain.clone()));
        let routes = catalog.routes().filter(|route| route.account == account);
        names.extend(routes.filter_map(|route| route.pattern.host().name().cloned()));
        let domains = catalog.domains().filter(|domain| domain.environment.service.account == account);
        names.extend(domains.map(|domain| domain.hostname.clone()));
    }
    let total = names.len();
    let (names, info) = page.cut(names, total);
    let view = |name: Hostname| ZoneView {
        id: id_of_name(name.as_str()),
        name: name.to_string(),
        status: "active",
        paused: false,
        account: ZoneAccount { id: account.to_string() },
    };
    Ok(Answer::ok(names.into_iter().map(view).collect()).with_info(info))
}

async fn list_routes(State(deps): State<Deps>, caller: Caller, query: Query, params: Params) -> Reply<Vec<RouteView>> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &caller, &query)?;
    let zone = params.text("zone")?;
    let routes = catalog.routes().filter(|route| route.account == account && holds(zone, &route.pattern));
    Ok(Answer::ok(routes.map(|route| RouteView::of(&catalog, route)).collect()))
}

fn holds(zone: &str, pattern: &RoutePattern) -> bool {
    pattern.host().name().is_some_and(|host| is_in_zone(host.as_str(), zone))
}

async fn show_route(State(deps): State<Deps>, caller: Caller, query: Query, params: Params) -> Reply<RouteView> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &caller, &query)?;
    Ok(Answer::ok(RouteView::of(&catalog, find(&catalog, &account, &params)?)))
}

fn find<'a>(catalog: &'a Catalog, account: &AccountId, params: &Params) -> Result<&'a Route, ApiError> {
    let text = params.text("route")?;
    let missing = || ApiError::not_found(Thing::Route, format!("{text:.80}"));
    let id = RouteId::new(text).ok().ok_or_else(missing)?;
    let found = catalog.route(&id).filter(|route| route.account == *account);
    found.map(|route| &**route).ok_or_else(missing)
}

async fn add_route(
    writer: Writer,
    query: Query,
    params: Params,
    State(deps): State<Deps>,
    JsonBody(body): JsonBody<ZoneRouteBody>,
) -> Reply<RouteView> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &writer.caller, &query)?;
    put(&deps, &writer, &account, mint::route_id(), params.text("zone")?, &body).await
}

async fn put_route(
    writer: Writer,
    query: Query,
    params: Params,
    State(deps): State<Deps>,
    JsonBody(body): JsonBody<ZoneRouteBody>,
) -> Reply<RouteView> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &writer.caller, &query)?;
    let id = find(&catalog, &account, &params)?.id.clone();
    put(&deps, &writer, &account, id, params.text("zone")?, &body).await
}

async fn put(
    deps: &Deps,
    writer: &Writer,
    account: &AccountId,
    id: RouteId,
    zone: &str,
    body: &ZoneRouteBody,
) -> Reply<RouteView> {
    let pattern = parse_pattern("pattern", &body.pattern)?;
    if !holds(zone, &pattern) {
        return Err(ApiError::field("pattern", "its host is not in this zone"));
    }
    let target = match body.script.as_deref().filter(|script| !script.is_empty()) {
        Some(script) => Some(environment(&deps.control.catalog(), account, script)?),
        None => None,
    };
    let route = NewRoute { account: account.clone(), id, pattern: pattern.clone(), target };
    let applied = writer.propose(account, Vec::new(), vec![Change::PutRoute(route)]).await?;
    let catalog = deps.control.catalog();
    let made = catalog.routes().find(|route| route.pattern == pattern);
    let made = made.ok_or_else(|| ApiError::not_found(Thing::Route, &pattern))?;
    Ok(Answer::ok(RouteView::of(&catalog, made)).at(applied.revision))
}

fn environment(catalog: &Catalog, account: &AccountId, script: &str) -> Result<EnvironmentKey, ApiError> {
    match script_name::resolve(catalog, account, &ServiceName::new(script)?) {
        Meaning::Environment(key) => Ok(key),
        _ => Err(ApiError::not_found(Thing::Script, script)),
    }
}

async fn delete_route(writer: Writer, query: Query, params: Params, State(deps): State<Deps>) -> Reply<()> {
    let catalog = deps.control.catalog();
    let account = account_of(&catalog, &writer.caller, &query)?;
    if let Some(applied) = writer.replay(&account)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let id = find(&catalog, &account, &params)?.id.clone();
    let change = Change::DeleteRoute { account: account.clone(), id };
    let applied = writer.propose(&account, Vec::new(), vec![change]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_in_the_zone_of_every_name_above_it() {
        let zone = id_of_name("example.com");
        assert!(is_in_zone("example.com", &zone));
        assert!(is_in_zone("a.b.example.com", &zone));
        assert!(!is_in_zone("badexample.com", &zone));
        assert_eq!(zone.len(), 32);
    }
}
