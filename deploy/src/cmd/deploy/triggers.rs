//! Routes, custom domains, crons and hostnames: no part of a version, they change only when the project file names them.
//!
//! **Owns** asking before a domain is taken from another environment, and setting them. **Must not know** uploads.
//! **Enter at** [`agree`], then [`set`].

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::path::EnvironmentPath;
use crate::client::{Call, Client, model};
use crate::context::Context;
use crate::project::Plan;

/// Asks before custom domains of the plan are taken from other environments; whether there are any.
pub(super) async fn agree(
    context: &Context,
    path: &EnvironmentPath,
    plan: &Plan,
    dry_run: bool,
) -> anyhow::Result<bool> {
    let wanted = custom_domains(plan);
    if wanted.is_empty() {
        return Ok(false);
    }
    let call = Call::get(["accounts", path.account.as_str(), "workers", "domains"]);
    let all = context.client().await?.list::<model::Domain>(call, None, usize::MAX).await?.result;
    let taken: Vec<String> = wanted.iter().filter_map(|hostname| reaches_today(&all, hostname, path)).collect();
    if taken.is_empty() {
        return Ok(false);
    }
    let taken = taken.join(" ");
    if dry_run {
        context.out.note(format!("{taken} A deploy would ask whether to replace this."));
    } else {
        context.out.confirm(&format!("{taken} Replace this?"))?;
    }
    Ok(true)
}

/// The sentence that says whom a hostname reaches, if that is another environment than `path`.
pub(crate) fn reaches_today(all: &[model::Domain], hostname: &str, path: &EnvironmentPath) -> Option<String> {
    let taken = all.iter().find(|one| one.hostname.eq_ignore_ascii_case(hostname))?;
    let environment = taken.environment.as_deref().unwrap_or("production");
    let is_ours = taken.service == path.service.as_str() && environment == path.environment.as_str();
    (!is_ours).then(|| format!("{hostname} reaches {} {environment} today.", taken.service))
}

fn custom_domains(plan: &Plan) -> Vec<&str> {
    let routes = plan.routes.iter().flatten();
    routes.filter(|route| route.custom_domain).map(|route| route.pattern.as_str()).collect()
}

/// Sets what the plan mentions. `takes_over`: domains of other environments too.
pub(super) async fn set(client: &Client, path: &EnvironmentPath, plan: &Plan, takes_over: bool) -> anyhow::Result<()> {
    if let Some(routes) = &plan.routes {
        let patterns = routes.iter().filter(|route| !route.custom_domain);
        let patterns: Vec<_> = patterns.map(|route| json!({ "pattern": route.pattern })).collect();
        let call = Call::put(path.below(&["routes"])).json(json!(patterns));
        client.send::<Value>(call).await.context("routes")?;
    }
    let hostnames: Vec<_> = custom_domains(plan).into_iter().map(|hostname| json!({ "hostname": hostname })).collect();
    if !hostnames.is_empty() {
        let body = json!({ "override_existing_origin": takes_over, "origins": hostnames });
        let call = Call::put(path.below(&["domains", "records"])).json(body);
        client.send::<Value>(call).await.context("custom domains")?;
    }
    if let Some(crons) = &plan.crons {
        let schedules: Vec<_> = crons.iter().map(|cron| json!({ "cron": cron })).collect();
        let call = Call::put(path.below(&["schedules"])).json(json!(schedules));
        client.send::<Value>(call).await.context("triggers.crons")?;
    }
    // Only what the file says: a preview setting alone must not show a hostname that was hidden by hand.
    let mut exposure = json!({});
    for (field, value) in [("enabled", plan.workers_dev), ("previews_enabled", plan.preview_urls)] {
        if let Some(value) = value {
            exposure[field] = json!(value);
        }
    }
    if exposure != json!({}) {
        let call = Call::post(path.below(&["subdomain"])).json(exposure);
        client.send::<Value>(call).await.context("workers_dev, preview_urls")?;
    }
    Ok(())
}
