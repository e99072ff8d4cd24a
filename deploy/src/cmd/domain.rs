//! `skerry domain`
//!
//! **Owns** the commands about custom domains. **Must not know** DNS or certificates. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Value, json};

use super::deploy::reaches_today;
use crate::client::{Call, model};
use crate::context::Context;
use crate::output::cell;

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// List the account's custom domains
    List,
    /// Let the environment answer a whole hostname
    Add {
        /// The hostname, without wildcards
        hostname: String,
    },
    /// Delete a custom domain
    Delete {
        /// Its hostname or id
        domain: String,
    },
}

pub(crate) async fn run(context: &Context, command: DomainCommand) -> anyhow::Result<()> {
    let client = context.client().await?;
    let base = ["accounts", client.account().await?, "workers", "domains"];
    match command {
        DomainCommand::List => {
            let found = client.list::<model::Domain>(Call::get(base), None, usize::MAX).await?;
            let rows = found.result.iter().map(|domain| {
                let environment = domain.environment.as_deref();
                [domain.hostname.clone(), domain.service.clone(), cell(environment), domain.id.clone()]
            });
            context.out.list(&found.raw, ["HOSTNAME", "SERVICE", "ENVIRONMENT", "DOMAIN"], rows, "no custom domains");
        }
        DomainCommand::Add { hostname } => {
            let path = context.environment_path().await?;
            let hostname = hostname.to_lowercase();
            let all = client.list::<model::Domain>(Call::get(base), None, usize::MAX).await?.result;
            let taken = reaches_today(&all, &hostname, &path);
            if let Some(taken) = &taken {
                context.out.confirm(&format!("{taken} Replace it?"))?;
            }
            let body = json!({
                "hostname": hostname, "service": path.service.as_str(), "environment": path.environment.as_str(),
                "override_existing_origin": taken.is_some(),
            });
            let made = client.send::<Value>(Call::put(base).json(body)).await?;
            context.out.document(&made.raw);
            context.out.line(format!("{hostname} now reaches {} {}", path.service, path.environment));
        }
        DomainCommand::Delete { domain } => {
            let all = client.list::<model::Domain>(Call::get(base), None, usize::MAX).await?;
            let named = |one: &&model::Domain| one.hostname.eq_ignore_ascii_case(&domain) || one.id == domain;
            let found = all.result.iter().find(named);
            let found = found.ok_or_else(|| anyhow::anyhow!("there is no domain {domain:?}"))?;
            context.out.confirm(&format!("Delete domain {}?", found.hostname))?;
            let segments = base.into_iter().chain([found.id.as_str()]);
            let answer = client.send::<Value>(Call::delete(segments)).await?;
            context.out.document(&answer.raw);
            context.out.line(format!("Deleted domain {}", found.hostname));
        }
    }
    Ok(())
}
