//! What makes an environment run besides requests to its routes: its own hostname and its crons.
//!
//! **Owns** the `subdomain` and `schedules` calls. **Must not know** when a cron fires. **Enter at** [`mount`].

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Deps,
    account::Account,
    auth::{WORKERS_READ, WORKERS_WRITE},
    body::JsonBody,
    endpoint::{Endpoint, Endpoints},
    envelope::{Answer, Reply},
    error::{ApiError, Thing},
    paths,
    target::Target,
    time::rfc3339,
    writer::Writer,
};
use crate::catalog::{Change, Cron, Exposure};

/// Where an environment can be reached by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubdomainView {
    /// Whether it answers on its own hostname.
    pub enabled: bool,
    /// Whether each version answers on a preview hostname.
    pub previews_enabled: bool,
}

/// Where an environment shall be reachable by itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubdomainBody {
    /// Whether it answers on its own hostname.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Whether each version answers on a preview hostname; the same as `enabled` when absent.
    #[serde(default)]
    pub previews_enabled: Option<bool>,
}

/// The zone below which environments answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountSubdomainView {
    /// The cluster's domain, with the account's label where it has one.
    pub subdomain: String,
}

/// All cron triggers of an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulesView {
    /// Each once.
    pub schedules: Vec<ScheduleView>,
}

/// One cron trigger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    /// The expression, in UTC.
    pub cron: String,
    /// When the environment last changed, RFC 3339.
    pub created_on: String,
    /// When the environment last changed, RFC 3339.
    pub modified_on: String,
}

/// One cron trigger to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleBody {
    /// Five fields, in UTC, with `L`, `W` and `#`.
    pub cron: String,
}

/// Adds the calls.
pub(crate) fn mount(endpoints: &mut Endpoints) {
    let [script, service] = paths::environment("/subdomain");
    let show = Endpoint::get(&script, "getSubdomain", "Whether an environment answers on its own hostname");
    let show = show.also(&service).needs(WORKERS_READ).tag("triggers");
    endpoints.add(show.answers::<SubdomainView>(), show_subdomain);
    let set = Endpoint::post(&script, "setSubdomain", "Sets whether an environment answers on its own hostname");
    let set = set.also(&service).needs(WORKERS_WRITE).tag("triggers").conditional();
    endpoints.add(set.takes::<SubdomainBody>().answers::<SubdomainView>(), set_subdomain);
    let zone = "/accounts/{account}/workers/subdomain";
    let show = Endpoint::get(zone, "getAccountSubdomain", "The zone below which environments answer");
    endpoints.add(show.tag("triggers").answers::<AccountSubdomainView>(), show_zone);
    let [script, service] = paths::environment("/schedules");
    let list = Endpoint::get(&script, "listSchedules", "The cron triggers of an environment").also(&service);
    endpoints.add(list.needs(WORKERS_READ).tag("triggers").answers::<SchedulesView>(), list_schedules);
    let set = Endpoint::put(&script, "putSchedules", "Replaces the cron triggers of an environment").also(&service);
    let set = set.needs(WORKERS_WRITE).tag("triggers").conditional();
    endpoints.add(set.takes_list::<ScheduleBody>().answers::<SchedulesView>(), put_schedules);
}

async fn show_subdomain(target: Target) -> Reply<SubdomainView> {
    let environment = &target.environment;
    let view = SubdomainView {
        enabled: environment.workers_dev.is_public(),
        previews_enabled: environment.preview_urls.is_public(),
    };
    Ok(Answer::ok(view).with_etag(environment.revision))
}

async fn set_subdomain(
    target: Target,
    writer: Writer,
    JsonBody(body): JsonBody<SubdomainBody>,
) -> Reply<SubdomainView> {
    let previews = body.previews_enabled.or(body.enabled);
    if body.enabled.is_none() && previews.is_none() {
        return Err(ApiError::field("enabled", "is missing"));
    }
    let change = Change::SetExposure {
        environment: target.key.clone(),
        workers_dev: body.enabled.map(Exposure::from_enabled),
        preview_urls: previews.map(Exposure::from_enabled),
    };
    let applied = writer.propose(&target.key.service.account, writer.expects(&target.key), vec![change]).await?;
    let view = writer.look(&target.key, |environment| {
        Some(SubdomainView {
            enabled: environment.workers_dev.is_public(),
            previews_enabled: environment.preview_urls.is_public(),
        })
    })?;
    Ok(Answer::ok(view).changed_at(applied.revision))
}

async fn show_zone(State(_): State<Deps>, account: Account) -> Reply<AccountSubdomainView> {
    let label = account.catalog.account(&account.id).and_then(|account| account.label.as_ref());
    let Some(cluster) = account.catalog.cluster() else {
        return Err(ApiError::not_found(Thing::Domain, "of the cluster"));
    };
    let subdomain = match label {
        Some(label) => format!("{label}.{}", cluster.domain),
        None => cluster.domain.to_string(),
    };
    Ok(Answer::ok(AccountSubdomainView { subdomain }))
}

async fn list_schedules(target: Target) -> Reply<SchedulesView> {
    let at = rfc3339(target.environment.modified_at_ms);
    let view = SchedulesView { schedules: schedules(&target.environment.crons, &at) };
    Ok(Answer::ok(view).with_etag(target.environment.revision))
}

fn schedules(crons: &[Cron], at: &str) -> Vec<ScheduleView> {
    let view =
        |cron: &Cron| ScheduleView { cron: cron.to_string(), created_on: at.to_owned(), modified_on: at.to_owned() };
    crons.iter().map(view).collect()
}

async fn put_schedules(
    target: Target,
    writer: Writer,
    JsonBody(body): JsonBody<Vec<ScheduleBody>>,
) -> Reply<SchedulesView> {
    let mut crons = Vec::with_capacity(body.len());
    for (place, schedule) in body.iter().enumerate() {
        let cron: Cron = schedule.cron.parse().map_err(|error: crate::catalog::CronError| {
            ApiError::field(format!("[{place}].cron"), error.to_string())
        })?;
        crons.push(cron);
    }
    let view = SchedulesView { schedules: schedules(&crons, &rfc3339(writer.now_ms)) };
    let change = Change::SetCrons { environment: target.key.clone(), crons };
    let applied = writer.propose(&target.key.service.account, writer.expects(&target.key), vec![change]).await?;
    Ok(Answer::ok(view).changed_at(applied.revision))
}
