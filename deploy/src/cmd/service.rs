//! `skerry service`
//!
//! **Owns** the commands about whole services. **Must not know** environments' insides. **Enter at** [`run`].

use clap::Subcommand;
use skerry_proto::id::ServiceName;

use crate::client::path;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::output::{cell, time};

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List the account's services
    List,
    /// Show one service and its environments
    Show {
        /// The service [default: the project's]
        name: Option<String>,
    },
    /// Delete a service with all its environments
    Delete {
        /// The service [default: the project's]
        name: Option<String>,
        /// Even if other services bind to it, or it has more environments than production
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(context: &Context, command: ServiceCommand) -> anyhow::Result<()> {
    match command {
        ServiceCommand::List => list(context).await,
        ServiceCommand::Show { name } => show(context, &named(context, name)?).await,
        ServiceCommand::Delete { name, force } => delete(context, &named(context, name)?, force).await,
    }
}

fn named(context: &Context, name: Option<String>) -> anyhow::Result<ServiceName> {
    match name {
        Some(name) => Ok(ServiceName::new(&name).map_err(|error| Usage(error.to_string()))?),
        None => context.service(),
    }
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let client = context.client().await?;
    let call = Call::get(["accounts", client.account().await?, "workers", "services"]);
    let services = client.list::<model::Service>(call, None, usize::MAX).await?;
    let rows = services.result.iter().map(|service| {
        let environments: Vec<&str> = service.environments.iter().map(|one| one.environment.as_str()).collect();
        [service.id.clone(), environments.join(", "), time(&service.modified_on)]
    });
    context.out.list(
        &services.raw,
        ["SERVICE", "ENVIRONMENTS", "CHANGED"],
        rows,
        "no services yet: `skerry deploy` makes one",
    );
    Ok(())
}

async fn show(context: &Context, name: &ServiceName) -> anyhow::Result<()> {
    let client = context.client().await?;
    let service = client.send::<model::Service>(Call::get(path::service(client.account().await?, name))).await?;
    if context.out.is_json() {
        context.out.document(&service.raw);
        return Ok(());
    }
    context.out.line(format!("{name}, made {}\n", time(&service.result.created_on)));
    context.out.table(
        ["ENVIRONMENT", "PARENT", "CHANGED", "HOSTNAME"],
        service.result.environments.iter().map(|one| {
            let hostname = one.hostnames.first().map(String::as_str);
            [one.environment.clone(), cell(one.parent.as_deref()), time(&one.modified_on), cell(hostname)]
        }),
    );
    Ok(())
}

/// Deletes the service and everything in it, after asking.
pub(crate) async fn delete(context: &Context, name: &ServiceName, force: bool) -> anyhow::Result<()> {
    let client = context.client().await?;
    let account = client.account().await?;
    let found = client.send::<model::Service>(Call::get(path::service(account, name))).await?;
    let names: Vec<&str> = found.result.environments.iter().map(|one| one.environment.as_str()).collect();
    context.out.confirm(&format!("Delete service {name} with its environments {}?", names.join(", ")))?;
    let call = Call::delete(path::service(account, name)).if_match(found.etag);
    let call = if force { call.query("force", true) } else { call };
    let answer = client.send::<serde_json::Value>(call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Deleted service {name}"));
    Ok(())
}
