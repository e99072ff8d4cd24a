//! `skerry deploy`
//!
//! **Owns** what a deploy shows, an effective configuration above all. **Must not know** bundling. **Enter at**
//! [`run`]; the calls and their order are in [`publish()`].

mod publish;
mod triggers;
mod wait;

use std::time::Duration;

use clap::Args;
use skerry_proto::id::EnvironmentName;

pub(crate) use self::publish::{path_of, publish, upload_version};
pub(crate) use self::triggers::reaches_today;
use crate::bundle::Mode;
use crate::client::path::EnvironmentPath;
use crate::client::{Call, model};
use crate::context::Context;
use crate::project::Plan;
use crate::release::{self, Parents, UploadArgs};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    upload: UploadArgs,
    /// Wait until every node serves it, SECONDS at most [default without a value: 30]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "30",
        value_parser = wait::seconds, conflicts_with = "dry_run")]
    wait: Option<Duration>,
}

pub(crate) async fn run(context: &Context, args: DeployArgs) -> anyhow::Result<()> {
    let release = release::prepare(context, &args.upload, Mode::Production, Parents::Live).await?;
    release::report(context, &release.built);
    release::tell_account(context, &release).await?;
    let path = path_of(context, &release.plan).await?;
    let before = config(context, &path).await?;
    let deployed = publish(context, &release, args.upload.dry_run).await?;
    let waited = match args.wait {
        Some(patience) => {
            let _progress = context.out.progress("Waiting for all nodes");
            Some(wait::settle(context.client().await?, &path, &deployed.result.version_id, patience).await)
        }
        None => None,
    };
    let mut document = deployed.raw;
    if let Some(waited) = &waited {
        document["propagation"] = waited.raw.clone();
    }
    context.out.document(&document);
    let Plan { service, environment, .. } = &release.plan;
    if args.upload.dry_run {
        context.out.line(format!("Would deploy {service} to {environment}; nothing was changed (--dry-run)"));
    } else {
        let (number, startup_ms) = (deployed.result.version_number, deployed.result.startup_time_ms);
        context.out.line(format!("Deployed {service} to {environment}: version {number}, start-up {startup_ms} ms"));
    }
    if let Some(config) = &deployed.result.config {
        effective(context, &path, config).await;
        if let Some(before) = &before {
            lost(context, before, config);
        }
    }
    urls(context, &deployed.result.hostnames).await;
    if let Some(waited) = waited {
        context.out.line(format!("\n{}", waited.outcome?));
    }
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

/// Shows what code finds in `env`, where each entry comes from, what it overrides, and what state is shared.
pub(crate) async fn effective(context: &Context, path: &EnvironmentPath, config: &model::Effective) {
    let parent = match config.parent.as_deref().map(EnvironmentName::new) {
        Some(Ok(environment)) => Some(EnvironmentPath { environment, ..path.clone() }),
        _ => None,
    };
    let inherited = match &parent {
        Some(parent) if !context.out.is_json() => inherited(context, parent).await,
        _ => Vec::new(),
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
}

/// What the parent gives. Only shown: what was deployed is live, whether or not this can be read.
async fn inherited(context: &Context, parent: &EnvironmentPath) -> Vec<model::Binding> {
    match config(context, parent).await {
        Ok(Some(found)) => found.bindings,
        Ok(None) => {
            context.out.note(format!("Nothing is live in {}, so nothing is inherited from it", parent.environment));
            Vec::new()
        }
        Err(error) => {
            context.out.note(format!("What {} gives can not be shown: {error:#}", parent.environment));
            Vec::new()
        }
    }
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
