//! `skerry secret`
//!
//! **Owns** the commands about secrets. **Must not know** how they are sealed. **Enter at** [`run`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::configure;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::release;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret, typed unseen or read from standard input; it is live at once if a version is
    Put {
        /// The name that code finds in `env`
        name: String,
    },
    /// List the names of the environment's secrets
    List,
    /// Delete a secret
    Delete {
        /// Its name
        name: String,
    },
    /// Set many at once: a JSON object or NAME=VALUE lines; in JSON, null deletes
    Bulk {
        /// The file [default: standard input]
        file: Option<PathBuf>,
    },
}

pub(crate) async fn run(context: &Context, command: SecretCommand) -> anyhow::Result<()> {
    match command {
        SecretCommand::Put { name } => put(context, &name).await,
        SecretCommand::List => list(context).await,
        SecretCommand::Delete { name } => delete(context, &name).await,
        SecretCommand::Bulk { file } => bulk(context, file).await,
    }
}

async fn put(context: &Context, name: &str) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let text = context.out.secret(&format!("Value of {name}"))?;
    let body = json!({ "name": name, "text": text, "type": "secret_text" });
    let answer = configure::send::<Value>(context, Call::put(path.below(&["secrets"])).json(body)).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Set secret {name} in {} {}", path.service, path.environment));
    Ok(())
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let found = context.client().await?.send::<Vec<model::Binding>>(Call::get(path.below(&["secrets"]))).await?;
    let rows = found.result.iter().map(|secret| [secret.name.clone()]);
    context.out.list(&found.raw, ["SECRET"], rows, "no secrets");
    Ok(())
}

async fn delete(context: &Context, name: &str) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    context.out.confirm(&format!("Delete secret {name} of {} {}?", path.service, path.environment))?;
    let call = Call::delete(path.below(&["secrets", name]));
    let answer = configure::send::<Value>(context, call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Deleted secret {name} of {} {}", path.service, path.environment));
    Ok(())
}

async fn bulk(context: &Context, file: Option<PathBuf>) -> anyhow::Result<()> {
    let secrets = match file {
        None => parse(&std::io::read_to_string(std::io::stdin())?, "standard input")?,
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
            parse(&text, &path.display().to_string())?
        }
    };
    let path = context.environment_path().await?;
    let deleted: Vec<&str> =
        secrets.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !deleted.is_empty() {
        let names = deleted.join(", ");
        context.out.confirm(&format!("Delete secrets {names} of {} {}?", path.service, path.environment))?;
    }
    let done = match (secrets.len() - deleted.len(), deleted.len()) {
        (set, 0) => format!("Set {set} secrets"),
        (0, deleted) => format!("Deleted {deleted} secrets"),
        (set, deleted) => format!("Set {set} secrets and deleted {deleted}"),
    };
    let call = Call::patch(path.below(&["secrets-bulk"])).json(json!({ "secrets": secrets }));
    let answer = configure::send::<Value>(context, call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("{done} in {} {}", path.service, path.environment));
    Ok(())
}

fn parse(text: &str, from: &str) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    Ok(release::read_secrets(text).map_err(|error| Usage(format!("{from}: {error}")))?)
}
