//! `skerry status`
//!
//! **Owns** the overview. **Must not know** how a cluster is run. **Enter at** [`run`].

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Call, model, path};
use crate::context::Context;
use crate::output::{cell, time};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(context: &Context, StatusArgs {}: StatusArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    let cluster = client.send::<model::Cluster>(Call::get(["cluster"])).await?;
    let user = client.send::<Value>(Call::get(["user"])).await?;
    let account = client.account().await?;
    let service = match context.given_service()? {
        Some(service) => Some(service),
        None => context.project()?.and_then(|project| project.file.name),
    };
    let mut document = json!({
        "api": client.api(), "account": account, "cluster": cluster.raw, "user": user.raw, "environments": [],
    });
    let who = user.result["email"].as_str().or(user.result["id"].as_str()).unwrap_or("?").to_owned();
    context.out.line(format!("API       {} (version {})", client.api(), cluster.result.version));
    context.out.line(format!("cluster   {} at revision {}", cluster.result.domain, cluster.result.revision));
    context.out.line(format!("token     {who}"));
    context.out.line(format!("account   {account}"));
    if let Some(service) = service {
        let mut segments = path::service(account, &service);
        segments.push("environments");
        match client.list::<model::Environment>(Call::get(segments), None, usize::MAX).await {
            Ok(found) => {
                document["service"] = json!(service.as_str());
                document["environments"] = found.raw;
                context.out.line(format!("service   {service}\n"));
                context.out.table(
                    ["ENVIRONMENT", "LIVE", "SINCE", "HOSTNAME"],
                    found.result.iter().map(|one| {
                        let live = one.live.as_ref();
                        let since = live.map(|live| time(&live.created_on));
                        let name = live.map(super::deployments::live);
                        let hostname = one.hostnames.first().map(String::as_str);
                        [one.name.clone(), cell(name.as_deref()), cell(since.as_deref()), cell(hostname)]
                    }),
                );
            }
            Err(error) if error.is_not_found() => context.out.line(format!("service   {service} (not deployed yet)")),
            Err(error) => return Err(error.into()),
        }
    }
    context.out.document(&document);
    Ok(())
}
