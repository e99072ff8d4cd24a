//! Routes: URL patterns that lead to an environment.
//!
//! **Owns** an environment's routes. **Must not know** how patterns match. **Enter at** [`mount`] and [`RouteView`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    auth::{ROUTES_READ, ROUTES_WRITE},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    params::Params,
    paths,
    scripts::script_id,
    target::{Place, Target},
    writer::Writer,
    zones,
};
use crate::{
    catalog::{Catalog, Change, NewRoute, PatternError, Route, RoutePattern},
    mint,
};

/// A route as Cloudflare shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RouteView {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `[scheme://]host[/path]`
    pub pattern: String,
    /// The zone of its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
    /// That zone's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// The environment as wrangler names it; absent: no worker answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A route to set. `zone_id`, `zone_name` and others that wrangler sends are accepted; the host says it all.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RouteBody {
    /// `[scheme://]host[/path]`, with `*` at the start of the host and the end of the path. However wide it is, it answers no
    /// hostname in the cluster's own domain and no custom domain of another account.
    pub pattern: String,
}

impl RouteView {
    /// A route of this catalog.
    pub(crate) fn of(catalog: &Catalog, route: &Route) -> Self {
        let script = route.target.as_ref().and_then(|key| {
            let service = catalog.service(&key.service)?;
            Some(script_id(service, service.environment(&key.environment)?))
        });
        Self {
            id: route.id.to_string(),
            pattern: route.pattern.to_string(),
            zone_id: route.pattern.host().name().map(|host| zones::id_of(catalog, host)),
            zone_name: route.pattern.host().name().map(ToString::to_string),
            script,
            service: route.target.as_ref().map(|key| key.service.to_string()),
            environment: route.target.as_ref().map(|key| key.environment.to_string()),
        }
    }
}

/// Reads a pattern; the error names `field`.
pub(crate) fn parse_pattern(field: &str, text: &str) -> Result<RoutePattern, ApiError> {
    text.parse().map_err(|error: PatternError| ApiError::field(field, error.to_string()))
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/routes");
    let list = Endpoint::get(&script, "listRoutes", "The routes of an environment").also(&service);
    endpoints.add(list.needs(ROUTES_READ).tag("routes").lists::<RouteView>(), list_all);
    let replace = Endpoint::put(&script, "putRoutes", "Replaces the routes of an environment").also(&service);
    let replace = replace.needs(ROUTES_WRITE).tag("routes").conditional();
    endpoints.add(replace.takes_list::<RouteBody>().lists::<RouteView>(), replace_all);
    let add = Endpoint::post(&script, "addRoute", "Adds a route to an environment").also(&service).conditional();
    endpoints.add(add.needs(ROUTES_WRITE).tag("routes").takes::<RouteBody>().answers::<RouteView>(), add_one);
    let [script, service] = paths::environment("/routes/{route}");
    let remove = Endpoint::delete(&script, "deleteRoute", "Removes a route from an environment").also(&service);
    let remove = remove.conditional();
    endpoints.add(remove.needs(ROUTES_WRITE).tag("routes"), delete_one);
}

fn views(target: &Target) -> Vec<RouteView> {
    target.catalog.routes_of(&target.key).map(|route| RouteView::of(&target.catalog, route)).collect()
}

async fn list_all(target: Target) -> Reply<Vec<RouteView>> {
    Ok(Answer::ok(views(&target)).with_etag(target.environment.revision))
}

async fn replace_all(
    target: Target,
    writer: Writer,
    JsonBody(body): JsonBody<Vec<RouteBody>>,
) -> Reply<Vec<RouteView>> {
    let mut routes = Vec::with_capacity(body.len());
    for (place, route) in body.iter().enumerate() {
        routes.push((mint::route_id(), parse_pattern(&format!("[{place}].pattern"), &route.pattern)?));
    }
    let change = Change::ReplaceRoutes { environment: target.key.clone(), routes };
    let applied = writer.propose(&target.key.service.account, writer.expects(&target.key), vec![change]).await?;
    let after = writer.again(target)?;
    Ok(Answer::ok(views(&after)).changed_at(applied.revision))
}

async fn add_one(target: Target, writer: Writer, JsonBody(body): JsonBody<RouteBody>) -> Reply<RouteView> {
    let pattern = parse_pattern("pattern", &body.pattern)?;
    let route = NewRoute {
        account: target.key.service.account.clone(),
        id: mint::route_id(),
        pattern: pattern.clone(),
        target: Some(target.key.clone()),
    };
    let expects = writer.expects(&target.key);
    let applied = writer.propose(&target.key.service.account, expects, vec![Change::PutRoute(route)]).await?;
    let after = writer.again(target)?;
    let made = after.catalog.routes_of(&after.key).find(|route| route.pattern == pattern);
    let made = made.ok_or_else(|| ApiError::not_found(Thing::Route, &pattern))?;
    Ok(Answer::created(RouteView::of(&after.catalog, made), true).at(applied.revision))
}

async fn delete_one(place: Place, writer: Writer, params: Params) -> Reply<()> {
    if let Some(applied) = writer.replay(&place.key.service.account)? {
        return Ok(Answer::ok(()).at(applied.revision));
    }
    let target = place.existing()?;
    let text = params.text("route")?;
    let found = target.catalog.routes_of(&target.key).find(|route| route.id.as_str() == text);
    let id = found.ok_or_else(|| ApiError::not_found(Thing::Route, format!("{text:.80}")))?.id.clone();
    let account = target.key.service.account.clone();
    let expects = writer.expects(&target.key);
    let applied = writer.propose(&account, expects, vec![Change::DeleteRoute { account: account.clone(), id }]).await?;
    Ok(Answer::ok(()).at(applied.revision))
}
