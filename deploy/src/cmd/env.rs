//! `skerry env`
//!
//! **Owns** the commands about environments of one service. **Must not know** uploads. **Enter at** [`run`].

use clap::{Args, Subcommand};
use serde_json::json;
use skerry_proto::id::EnvironmentName;

use super::{diff, promote};
use crate::client::{Call, model, path};
use crate::context::{Context, environment};
use crate::exit::Usage;
use crate::output::{cell, time};

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// List the service's environments
    List,
    /// Make an environment, empty or as a copy
    Create {
        /// Its name, part of its hostname
        name: String,
        /// The environment it inherits from [default: production]
        #[arg(long, value_name = "ENV")]
        parent: Option<String>,
        /// Start with this environment's code and configuration
        #[arg(long, value_name = "ENV")]
        from: Option<String>,
    },
    /// Make a new environment that starts as a copy
    Clone(CloneArgs),
    /// Rename an environment, and so its hostname
    Rename {
        /// Its name today
        old: String,
        /// Its new name
        new: String,
        /// Even if other services bind to it
        #[arg(long)]
        force: bool,
    },
    /// Delete an environment with its history
    Delete {
        /// The environment [default: --env]
        name: Option<String>,
        /// Even if other services bind to it
        #[arg(long)]
        force: bool,
    },
    /// Move the code of one environment to another
    Promote(promote::PromoteArgs),
    /// Compare two environments
    Diff(diff::DiffArgs),
    /// Show an environment and its effective configuration
    Show {
        /// The environment [default: --env]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CloneArgs {
    /// The environment to copy
    source: String,
    /// The new environment
    target: String,
    /// Copy secrets too; they stay sealed
    #[arg(long)]
    include_secrets: bool,
    /// A line for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
}

pub(crate) async fn run(context: &Context, command: EnvCommand) -> anyhow::Result<()> {
    match command {
        EnvCommand::List => list(context).await,
        EnvCommand::Create { name, parent, from } => create(context, &name, parent, from).await,
        EnvCommand::Clone(args) => clone(context, args).await,
        EnvCommand::Rename { old, new, force } => rename(context, &old, &new, force).await,
        EnvCommand::Delete { name, force } => delete(context, chosen(context, name)?, force).await,
        EnvCommand::Promote(args) => promote::run(context, args).await,
        EnvCommand::Diff(args) => diff::run(context, args).await,
        EnvCommand::Show { name } => show(context, chosen(context, name)?).await,
    }
}

fn chosen(context: &Context, name: Option<String>) -> anyhow::Result<EnvironmentName> {
    match name {
        Some(name) => environment(&name),
        None if context.global.env.is_some() => context.environment(),
        None => Err(Usage("name an environment".to_owned()).into()),
    }
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let client = context.client().await?;
    let service = context.service()?;
    let mut segments = path::service(client.account().await?, &service);
    segments.push("environments");
    let found = client.list::<model::Environment>(Call::get(segments), None, usize::MAX).await?;
    let rows = found.result.iter().map(|one| {
        let live = one.live.as_ref().map(super::deployments::live);
        let hostname = one.hostnames.first().map(String::as_str);
        [one.name.clone(), cell(one.parent.as_deref()), cell(live.as_deref()), time(&one.modified_on), cell(hostname)]
    });
    context.out.list(&found.raw, ["ENVIRONMENT", "PARENT", "LIVE", "CHANGED", "HOSTNAME"], rows, "no environments");
    Ok(())
}

async fn create(context: &Context, name: &str, parent: Option<String>, from: Option<String>) -> anyhow::Result<()> {
    let mut body = json!({ "name": environment(name)?.as_str() });
    if let Some(parent) = parent {
        body["parent"] = json!(environment(&parent)?.as_str());
    }
    let from = from.as_deref().map(environment).transpose()?;
    if let Some(from) = &from {
        body["clone_from"] = json!(from.as_str());
    }
    make(context, body, from).await
}

/// `clone SOURCE TARGET`
pub(crate) async fn clone(context: &Context, args: CloneArgs) -> anyhow::Result<()> {
    let (source, target) = (environment(&args.source)?, environment(&args.target)?);
    let mut body = json!({
        "name": target.as_str(), "clone_from": source.as_str(), "include_secrets": args.include_secrets,
    });
    if let Some(message) = args.message {
        body["message"] = json!(message);
    }
    make(context, body, (!args.include_secrets).then_some(source)).await
}

/// `left_behind`: the environment whose code comes along and whose secrets do not.
async fn make(context: &Context, body: serde_json::Value, left_behind: Option<EnvironmentName>) -> anyhow::Result<()> {
    let client = context.client().await?;
    let service = context.service()?;
    let secrets = match &left_behind {
        Some(source) => {
            let path = context.path_of(source.clone()).await?;
            client.send::<Vec<model::Binding>>(Call::get(path.below(&["secrets"]))).await?.result
        }
        None => Vec::new(),
    };
    let mut segments = path::service(client.account().await?, &service);
    segments.push("environments");
    let made = client.send::<model::Environment>(Call::post(segments).json(body)).await?;
    context.out.document(&made.raw);
    let name = &made.result.name;
    context.out.line(format!("Made environment {name} of {service}"));
    if let Some(source) = left_behind.filter(|_| !secrets.is_empty()) {
        let secrets: Vec<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
        context.out.note(format!(
            "{name} lacks {source}'s secrets {}; `skerry secret put NAME --env {name}` sets one",
            secrets.join(", ")
        ));
    }
    super::deploy::urls(context, &made.result.hostnames).await;
    Ok(())
}

async fn rename(context: &Context, old: &str, new: &str, force: bool) -> anyhow::Result<()> {
    let (old, new) = (environment(old)?, environment(new)?);
    let path = context.path_of(old.clone()).await?;
    let client = context.client().await?;
    let found = client.send::<model::Environment>(Call::get(path.below(&[]))).await?;
    context.out.confirm(&format!("Rename {old} to {new}? Its hostname changes with it."))?;
    let call = Call::patch(path.below(&[])).if_match(found.etag).json(json!({ "name": new.as_str() }));
    let call = if force { call.query("force", true) } else { call };
    let renamed = client.send::<model::Environment>(call).await?;
    context.out.document(&renamed.raw);
    context.out.line(format!("Renamed {old} to {new}"));
    super::deploy::urls(context, &renamed.result.hostnames).await;
    Ok(())
}

/// Deletes one environment, after asking.
pub(crate) async fn delete(context: &Context, name: EnvironmentName, force: bool) -> anyhow::Result<()> {
    let path = context.path_of(name.clone()).await?;
    let client = context.client().await?;
    let found = client.send::<model::Environment>(Call::get(path.below(&[]))).await?;
    let versions = found.result.version_count;
    context.out.confirm(&format!("Delete environment {name} of {} with its {versions} versions?", path.service))?;
    let call = Call::delete(path.below(&[])).if_match(found.etag);
    let call = if force { call.query("force", true) } else { call };
    let answer = client.send::<serde_json::Value>(call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Deleted environment {name} of {}", path.service));
    Ok(())
}

async fn show(context: &Context, name: EnvironmentName) -> anyhow::Result<()> {
    let path = context.path_of(name).await?;
    let client = context.client().await?;
    let found = client.send::<model::Environment>(Call::get(path.below(&[]))).await?;
    let config = client.send::<model::Effective>(Call::get(path.below(&["config"]))).await;
    if context.out.is_json() {
        let mut document = found.raw;
        document["config"] = config.map(|config| config.raw).unwrap_or_default();
        context.out.document(&document);
        return Ok(());
    }
    let one = found.result;
    context.out.line(format!("Environment {} of {}", one.name, path.service));
    context.out.line(format!("  parent    {}", one.parent.as_deref().unwrap_or("none")));
    context.out.line(format!("  made      {}, changed {}", time(&one.created_on), time(&one.modified_on)));
    context
        .out
        .line(format!("  live      {}", one.live.as_ref().map_or("nothing".to_owned(), super::deployments::live)));
    let crons: Vec<String> =
        one.crons.iter().map(|cron| cron.as_str().or(cron["cron"].as_str()).unwrap_or("?").to_owned()).collect();
    if !crons.is_empty() {
        context.out.line(format!("  crons     {}", crons.join(", ")));
    }
    match config {
        Ok(config) => super::deploy::effective(context, &path, &config.result).await,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    super::deploy::urls(context, &one.hostnames).await;
    Ok(())
}
