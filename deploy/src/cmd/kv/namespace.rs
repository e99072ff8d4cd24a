//! `skerry kv namespace`
//!
//! **Owns** the commands about namespaces. **Must not know** keys. **Enter at** [`run`].

use clap::Subcommand;
use serde_json::{Value, json};

use super::find;
use crate::client::path::kv;
use crate::client::{Call, model};
use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// List the account's namespaces
    List,
    /// Make a namespace
    Create {
        /// Its title
        title: String,
    },
    /// Give a namespace another title
    Rename {
        /// Its title or id
        namespace: String,
        /// Its new title
        title: String,
    },
    /// Delete a namespace with everything in it
    Delete {
        /// Its title or id
        namespace: String,
    },
}

pub(crate) async fn run(context: &Context, command: NamespaceCommand) -> anyhow::Result<()> {
    let client = context.client().await?;
    let account = client.account().await?;
    match command {
        NamespaceCommand::List => {
            let found = client.list::<model::Namespace>(Call::get(kv(account, &[])), None, usize::MAX).await?;
            let rows = found.result.iter().map(|one| [one.title.clone(), one.id.clone()]);
            context.out.list(&found.raw, ["TITLE", "NAMESPACE"], rows, "no namespaces");
        }
        NamespaceCommand::Create { title } => {
            let call = Call::post(kv(account, &[])).json(json!({ "title": title }));
            let made = client.send::<model::Namespace>(call).await?;
            context.out.document(&made.raw);
            context.out.line(format!("Made namespace {title} with id {}", made.result.id));
        }
        NamespaceCommand::Rename { namespace, title } => {
            let found = find(context, &namespace).await?;
            let call = Call::put(kv(account, &[&found.id])).json(json!({ "title": title }));
            let renamed = client.send::<Value>(call).await?;
            context.out.document(&renamed.raw);
            context.out.line(format!("Renamed {} to {title}", found.title));
        }
        NamespaceCommand::Delete { namespace } => {
            let found = find(context, &namespace).await?;
            context.out.confirm(&format!("Delete namespace {} with every key in it?", found.title))?;
            let answer = client.send::<Value>(Call::delete(kv(account, &[&found.id]))).await?;
            context.out.document(&answer.raw);
            context.out.line(format!("Deleted namespace {}", found.title));
        }
    }
    Ok(())
}
