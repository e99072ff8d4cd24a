//! `skerry kv`
//!
//! **Owns** the commands about KV namespaces and their keys. **Must not know** storage. **Enter at** [`run`].

mod bulk;
mod key;
mod namespace;

use clap::{Args, Subcommand};

use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Namespaces
    #[command(subcommand)]
    Namespace(namespace::NamespaceCommand),
    /// Keys of a namespace
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Many keys at once
    #[command(subcommand)]
    Bulk(bulk::BulkCommand),
}

/// Which namespace a command is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Selector {
    /// The namespace bound to this name in the environment
    #[arg(long, value_name = "NAME")]
    binding: Option<String>,
    /// The namespace with this title
    #[arg(long, value_name = "TITLE")]
    namespace: Option<String>,
    /// The namespace with this id
    #[arg(long, value_name = "ID")]
    namespace_id: Option<String>,
}

pub(crate) async fn run(context: &Context, command: KvCommand) -> anyhow::Result<()> {
    match command {
        KvCommand::Namespace(command) => namespace::run(context, command).await,
        KvCommand::Key(command) => key::run(context, command).await,
        KvCommand::Bulk(command) => bulk::run(context, command).await,
    }
}

impl Selector {
    /// The namespace's id.
    async fn id(&self, context: &Context) -> anyhow::Result<String> {
        match self {
            Self { namespace_id: Some(id), .. } => Ok(id.clone()),
            Self { namespace: Some(title), .. } => Ok(find(context, title).await?.id),
            Self { binding, .. } => bound(context, binding.as_deref().unwrap_or_default()).await,
        }
    }
}

/// The namespace with this title or id.
async fn find(context: &Context, title: &str) -> anyhow::Result<model::Namespace> {
    let client = context.client().await?;
    let call = Call::get(crate::client::path::kv(client.account().await?, &[]));
    let all = client.list::<model::Namespace>(call, None, usize::MAX).await?.result;
    let found = all.into_iter().find(|one| one.title == title || one.id == title);
    found.ok_or_else(|| anyhow::anyhow!("there is no KV namespace {title:?}"))
}

/// The namespace that the environment's live version has under this name, inherited or own.
async fn bound(context: &Context, name: &str) -> anyhow::Result<String> {
    let path = context.environment_path().await?;
    let config: model::Effective = context.client().await?.send(Call::get(path.below(&["config"]))).await?.result;
    let binding = config.bindings.into_iter().find(|binding| binding.name == name && binding.kind == "kv_namespace");
    let missing = || Usage(format!("{} {} has no KV binding {name:?}", path.service, path.environment));
    Ok(binding.and_then(|binding| binding.namespace_id).ok_or_else(missing)?)
}
