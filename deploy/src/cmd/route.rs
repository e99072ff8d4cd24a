//! `skerry route`
//!
//! **Owns** the commands about routes. **Must not know** how patterns match. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Call, model};
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the environment's routes
    List,
    /// Add a pattern such as `example.com/api/*` or `*.example.com/*`
    Add {
        /// The pattern
        pattern: String,
    },
    /// Delete a route
    Delete {
        /// Its pattern or id
        route: String,
    },
}

pub(crate) async fn run(context: &Context, command: RouteCommand) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let client = context.client().await?;
    match command {
        RouteCommand::List => {
            let found = client.send::<Vec<model::Route>>(Call::get(path.below(&["routes"]))).await?;
            let rows = found.result.iter().map(|route| [route.pattern.clone(), route.id.clone()]);
            context.out.list(&found.raw, ["PATTERN", "ROUTE"], rows, "no routes");
        }
        RouteCommand::Add { pattern } => {
            let call = Call::post(path.below(&["routes"])).json(json!({ "pattern": pattern }));
            let made = client.send::<model::Route>(call).await?;
            context.out.document(&made.raw);
            context.out.line(format!("{pattern} now reaches {} {}", path.service, path.environment));
        }
        RouteCommand::Delete { route } => {
            let all = client.send::<Vec<model::Route>>(Call::get(path.below(&["routes"]))).await?;
            let found = all.result.iter().find(|one| one.pattern == route || one.id == route);
            let found =
                found.ok_or_else(|| anyhow::anyhow!("{} {} has no route {route:?}", path.service, path.environment))?;
            context.out.confirm(&format!("Delete route {}?", found.pattern))?;
            let answer = client.send::<Value>(Call::delete(path.below(&["routes", &found.id]))).await?;
            context.out.document(&answer.raw);
            context.out.line(format!("Deleted route {}", found.pattern));
        }
    }
    Ok(())
}
