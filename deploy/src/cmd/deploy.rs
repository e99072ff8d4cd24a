//! `skerry deploy`
//!
//! **Owns** the order of a deploy, and how an effective configuration is shown. **Must not know** bundling. **Enter
//! at** [`run`].

use clap::Args;
use serde_json::json;
use skerry_proto::id::EnvironmentName;

use crate::bundle::Mode;
use crate::client::path::EnvironmentPath;
use crate::client::{Answer, Call, Client, model};
use crate::context::Context;
use crate::project::Plan;
use crate::release::{self, Release, UploadArgs};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    upload: UploadArgs,
}

pub(crate) async fn run(context: &Context, args: DeployArgs) -> anyhow::Result<()> {
    let release = release::prepare(context, &args.upload, Mode::Production).await?;
    release::report(context, &release.built);
    let path = path_of(context, &release.plan).await?;
    let before = config(context, &path).await?;
    let deployed = publish(context, &release, args.upload.dry_run).await?;
    context.out.document(&deployed.raw);
    let Plan { service, environment, .. } = &release.plan;
    if args.upload.dry_run {
        context.out.line(format!("Would deploy {service} to {environment}; nothing was changed (--dry-run)"));
    } else {
        let (number, startup_ms) = (deployed.result.version_number, deployed.result.startup_time_ms);
        context.out.line(format!("Deployed {service} to {environment}: version {number}, start-up {startup_ms} ms"));
    }
    if let Some(config) = &deployed.result.config {
        effective(context, &path, config).await?;
        if let Some(before) = &before {
            lost(context, before, config);
        }
    }
    urls(context, &deployed.result.hostnames).await;
    Ok(())
}

/// The effective configuration as it is now; `None` where nothing is live.
async fn config(context: &Context, path: &EnvironmentPath) -> anyhow::Result<Option<model::Effective>> {
    match context.client().await?.send(Call::get(path.below(&["config"]))).await {
        Ok(found) => Ok(Some(found.result)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Says what the environment had and has no more: set by hand perhaps, and in no file.
fn lost(context: &Context, before: &model::Effective, after: &model::Effective) {
    let gone = before.bindings.iter().filter(|old| !after.bindings.iter().any(|new| new.name == old.name));
    for binding in gone {
        let name = &binding.name;
        context.out.note(format!(
            "{name} ({}, was {}) is gone: the project file does not mention it; `skerry rollback` brings it back",
            binding.kind,
            value(binding)
        ));
    }
}

/// Uploads the release and makes it live, then sets what lies outside versions. A dry run is checked by the API too.
pub(crate) async fn publish(
    context: &Context,
    release: &Release,
    dry_run: bool,
) -> anyhow::Result<Answer<model::Deployed>> {
    let client = context.client().await?;
    let plan = &release.plan;
    let path = path_of(context, plan).await?;
    let current = look(client, &path).await?;
    if !dry_run {
        set_parent(client, &path, plan, current.as_ref().map(|found| &found.result)).await?;
    }
    // Read again after the parent moved: the etag of what this deploy replaces, so that a deploy that happens
    // meanwhile is not overwritten silently.
    let current = look(client, &path).await?;
    require_secrets(client, &path, release, current.is_some()).await?;
    let namespaces = release::namespaces(context, plan, !dry_run).await?;
    let parts = release::parts(plan, &release.built.bundle, &namespaces, &release.extras);
    let etag = current.as_ref().and_then(|found| found.etag.clone());
    let mut call = Call::put(path.below(&[])).if_match(etag).form(parts);
    if dry_run {
        call = call.query("dry_run", true);
    }
    let deployed = {
        let _progress = context.out.progress(format!("Deploying {} to {}", plan.service, plan.environment));
        client.send::<model::Deployed>(call).await?
    };
    if !dry_run {
        if current.is_none() {
            // The service was made by this deploy, so only now is there an environment whose parent can be set.
            let made = look(client, &path).await?;
            set_parent(client, &path, plan, made.as_ref().map(|found| &found.result)).await?;
        }
        set_triggers(client, &path, plan).await?;
    }
    Ok(deployed)
}

/// Where the environment of a plan lies.
pub(crate) async fn path_of(context: &Context, plan: &Plan) -> anyhow::Result<EnvironmentPath> {
    let account = context.client().await?.account().await?.to_owned();
    Ok(EnvironmentPath { account, service: plan.service.clone(), environment: plan.environment.clone() })
}

async fn look(client: &Client, path: &EnvironmentPath) -> anyhow::Result<Option<Answer<model::Environment>>> {
    match client.send(Call::get(path.below(&[]))).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the environment's parent what the project file says, if it says anything.
async fn set_parent(
    client: &Client,
    path: &EnvironmentPath,
    plan: &Plan,
    current: Option<&model::Environment>,
) -> anyhow::Result<()> {
    let Some(parent) = &plan.parent else { return Ok(()) };
    let parent = parent.as_str();
    match current {
        Some(environment) if environment.parent.as_deref() == Some(parent) => {}
        Some(_) => {
            client.send::<serde_json::Value>(Call::patch(path.below(&[])).json(json!({ "parent": parent }))).await?;
        }
        None => {
            let mut segments = path.below(&[]);
            segments.pop();
            let call = Call::post(segments).json(json!({ "name": plan.environment.as_str(), "parent": parent }));
            match client.send::<serde_json::Value>(call).await {
                // The service does not exist yet: the upload makes it.
                Err(error) if error.is_not_found() => {}
                other => {
                    other?;
                }
            }
        }
    }
    Ok(())
}

/// Refuses before the upload when the environment lacks secrets that the project file requires.
async fn require_secrets(
    client: &Client,
    path: &EnvironmentPath,
    release: &Release,
    exists: bool,
) -> anyhow::Result<()> {
    let required = &release.plan.required_secrets;
    if required.is_empty() {
        return Ok(());
    }
    let known: Vec<model::Binding> = match exists {
        true => client.send(Call::get(path.below(&["secrets"]))).await?.result,
        false => Vec::new(),
    };
    let given =
        |name: &String| release.extras.secrets.contains_key(name) || known.iter().any(|secret| secret.name == *name);
    let missing: Vec<&str> = required.iter().filter(|name| !given(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "secrets.required: {} {} missing in {}; `skerry secret put NAME` sets one, --secrets-file brings them along",
        missing.join(", "),
        if missing.len() == 1 { "is" } else { "are" },
        path.environment
    )
}

/// Routes, domains, crons and hostnames are no part of a version; they change only when the file mentions them.
async fn set_triggers(client: &Client, path: &EnvironmentPath, plan: &Plan) -> anyhow::Result<()> {
    if let Some(routes) = &plan.routes {
        let patterns: Vec<_> = routes
            .iter()
            .filter(|route| !route.custom_domain)
            .map(|route| json!({ "pattern": route.pattern }))
            .collect();
        client.send::<serde_json::Value>(Call::put(path.below(&["routes"])).json(json!(patterns))).await?;
        for domain in routes.iter().filter(|route| route.custom_domain) {
            let body = json!({
                "hostname": domain.pattern, "service": path.service.as_str(), "environment": path.environment.as_str(),
            });
            let call = Call::put(["accounts", path.account.as_str(), "workers", "domains"]).json(body);
            client.send::<serde_json::Value>(call).await?;
        }
    }
    if let Some(crons) = &plan.crons {
        let schedules: Vec<_> = crons.iter().map(|cron| json!({ "cron": cron })).collect();
        client.send::<serde_json::Value>(Call::put(path.below(&["schedules"])).json(json!(schedules))).await?;
    }
    if plan.workers_dev.is_some() || plan.preview_urls.is_some() {
        let enabled = plan.workers_dev.unwrap_or(true);
        let mut body = json!({ "enabled": enabled });
        if let Some(previews) = plan.preview_urls {
            body["previews_enabled"] = json!(previews);
        }
        client.send::<serde_json::Value>(Call::post(path.below(&["subdomain"])).json(body)).await?;
    }
    Ok(())
}

/// Shows what code finds in `env`, where each entry comes from, what it overrides, and what state is shared.
pub(crate) async fn effective(
    context: &Context,
    path: &EnvironmentPath,
    config: &model::Effective,
) -> anyhow::Result<()> {
    let parent = match config.parent.as_deref().map(EnvironmentName::new) {
        Some(Ok(environment)) => Some(EnvironmentPath { environment, ..path.clone() }),
        _ => None,
    };
    let inherited = match &parent {
        Some(parent) => self::config(context, parent).await?.unwrap_or_default().bindings,
        None => Vec::new(),
    };
    if !config.bindings.is_empty() {
        context.out.line("");
        table(context, &config.bindings, &inherited, config.parent.as_deref().unwrap_or_default());
    }
    if !config.removed.is_empty() {
        context.out.line(format!("Not inherited: {}", config.removed.join(", ")));
    }
    for shared in &config.shared_state {
        let id = shared.namespace_id.as_deref().unwrap_or_default();
        let with = shared.with.join(", ");
        context.out.line(format!("Shared state: {} {} {id} is also used by {with}", shared.kind, shared.name));
    }
    Ok(())
}

/// A table of bindings.
pub(crate) fn bindings(context: &Context, bindings: &[model::Binding]) {
    table(context, bindings, &[], "");
}

fn table(context: &Context, bindings: &[model::Binding], inherited: &[model::Binding], parent: &str) {
    context.out.table(
        ["BINDING", "TYPE", "VALUE", "ORIGIN"],
        bindings.iter().map(|binding| {
            // Secrets are never inherited, so one of the same name is no override.
            let overrides = !binding.kind.starts_with("secret")
                && inherited.iter().any(|other| other.name == binding.name && !other.kind.starts_with("secret"));
            let origin = match (binding.origin.as_deref(), binding.from.as_deref()) {
                (Some("inherited"), Some(from)) => format!("inherited from {from}"),
                (_, _) if overrides => format!("own, overrides {parent}"),
                (origin, _) => origin.unwrap_or("own").to_owned(),
            };
            [binding.name.clone(), binding.kind.clone(), value(binding), origin]
        }),
    );
}

/// A binding's value in a table cell; secrets have none.
pub(crate) fn value(binding: &model::Binding) -> String {
    let text = match binding.kind.as_str() {
        "plain_text" => format!("{:?}", binding.text.as_deref().unwrap_or_default()),
        "json" => binding.json.as_ref().map(ToString::to_string).unwrap_or_default(),
        "secret_text" | "secret_key" => "(hidden)".to_owned(),
        "kv_namespace" => binding.namespace_id.clone().unwrap_or_default(),
        "service" => {
            let entrypoint = binding.entrypoint.as_deref().map(|name| format!("#{name}")).unwrap_or_default();
            let environment = binding.environment.as_deref().unwrap_or("same environment");
            format!("{}{entrypoint} ({environment})", binding.service.as_deref().unwrap_or("?"))
        }
        _ => String::new(),
    };
    // BOUND: a table stays readable; `--json` has the whole value.
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

/// Shows where an environment answers, with the cluster's ports where they are not the usual ones.
pub(crate) async fn urls(context: &Context, hostnames: &[String]) {
    if hostnames.is_empty() || context.out.is_json() {
        return;
    }
    let cluster = match context.client().await {
        Ok(client) => client.send::<model::Cluster>(Call::get(["cluster"])).await.ok(),
        Err(_) => None,
    };
    let cluster = cluster.map(|found| found.result).unwrap_or_default();
    context.out.line("");
    for hostname in hostnames {
        if cluster.https_port.is_some() || cluster.http_port.is_none() {
            context.out.line(format!("  https://{hostname}{}/", port(cluster.https_port, 443)));
        }
        if cluster.http_port.is_some() {
            context.out.line(format!("  http://{hostname}{}/", port(cluster.http_port, 80)));
        }
    }
}

fn port(port: Option<u16>, usual: u16) -> String {
    port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default()
}
