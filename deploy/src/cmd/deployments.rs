//! `skerry deployments`
//!
//! **Owns** how deployments are listed. **Must not know** how they come about. **Enter at** [`run`].

use clap::Subcommand;

use crate::client::{Call, model};
use crate::context::Context;
use crate::output::{cell, time};

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentsCommand {
    /// List the environment's deployments, newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
    /// Show which versions are live
    Status,
    /// Show one deployment
    View {
        /// Its id, as `list` shows it
        id: String,
    },
}

pub(crate) async fn run(context: &Context, command: DeploymentsCommand) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let client = context.client().await?;
    match command {
        DeploymentsCommand::List { limit } => {
            let call = Call::get(path.below(&["deployments"]));
            let found = client.list::<model::Deployment>(call, Some("deployments"), limit).await?;
            let rows = found.result.iter().map(row);
            context.out.list(
                &found.raw,
                ["DEPLOYMENT", "TIME", "VERSIONS", "BY", "MESSAGE"],
                rows,
                "no deployments yet",
            );
        }
        DeploymentsCommand::Status => {
            let call = Call::get(path.below(&["deployments"]));
            let found = client.list::<model::Deployment>(call, Some("deployments"), 1).await?;
            match found.result.first() {
                Some(deployment) => show(context, &found.raw[0], deployment),
                None => context.out.list::<1>(&found.raw, [""], [], "no deployments yet"),
            }
        }
        DeploymentsCommand::View { id } => {
            let found = client.send::<model::Deployment>(Call::get(path.below(&["deployments", &id]))).await?;
            show(context, &found.raw, &found.result);
        }
    }
    Ok(())
}

fn row(deployment: &model::Deployment) -> [String; 5] {
    let by = deployment.author_email.as_deref().filter(|author| !author.is_empty());
    let message = deployment.annotations.message.as_deref().or(deployment.annotations.triggered_by.as_deref());
    [
        deployment.id.clone(),
        time(&deployment.created_on),
        live(deployment),
        format!("{} ({})", by.unwrap_or("-"), deployment.source),
        cell(message),
    ]
}

fn show(context: &Context, raw: &serde_json::Value, deployment: &model::Deployment) {
    context.out.document(raw);
    context.out.line(format!("Deployment {}", deployment.id));
    let [_, time, _, by, message] = row(deployment);
    context.out.line(format!("  time      {time}\n  by        {by}\n  message   {message}\n"));
    context.out.table(
        ["PERCENTAGE", "NUMBER", "VERSION"],
        deployment.versions.iter().map(|version| {
            let number = version.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            [format!("{}%", version.percentage), number, version.version_id.clone()]
        }),
    );
}

/// `#3`, or `#3 90%, #4 10%` while two versions are live.
pub(crate) fn live(deployment: &model::Deployment) -> String {
    let name = |version: &model::DeployedVersion| match version.number {
        Some(number) => format!("#{number}"),
        None => version.version_id.chars().take(8).collect(),
    };
    match deployment.versions.as_slice() {
        [only] => name(only),
        several => {
            let parts = several.iter().map(|version| format!("{} {}%", name(version), version.percentage));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}
