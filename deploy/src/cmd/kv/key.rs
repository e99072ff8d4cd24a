//! `skerry kv key`
//!
//! **Owns** the commands about single keys. **Must not know** limits: the API names them. **Enter at** [`run`].

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Selector;
use crate::client::path::kv;
use crate::client::{Call, Part, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::output::cell;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List keys in the order of their bytes
    List {
        #[command(flatten)]
        selector: Selector,
        /// Only keys that begin so
        #[arg(long)]
        prefix: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Print a value as it is
    Get {
        /// The key
        #[arg(value_parser = legal)]
        key: String,
        #[command(flatten)]
        selector: Selector,
    },
    /// Set a value
    Put(PutArgs),
    /// Delete a key
    Delete {
        /// The key
        #[arg(value_parser = legal)]
        key: String,
        #[command(flatten)]
        selector: Selector,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The key
    #[arg(value_parser = legal)]
    key: String,
    /// The value [default: standard input]
    value: Option<String>,
    /// Read the value from a file
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    path: Option<PathBuf>,
    /// Seconds until it goes, at least 60
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// When it goes, in seconds since 1970
    #[arg(long, value_name = "TIME", conflicts_with = "ttl")]
    expiration: Option<u64>,
    /// JSON to keep beside the value
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    #[command(flatten)]
    selector: Selector,
}

/// A path can not end in these: URLs resolve them, escaped or not.
fn legal(key: &str) -> Result<String, &'static str> {
    match key {
        "." | ".." => Err("no key may have this name; use another"),
        key => Ok(key.to_owned()),
    }
}

pub(crate) async fn run(context: &Context, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::List { selector, prefix, limit } => list(context, &selector, prefix, limit).await,
        KeyCommand::Get { key, selector } => {
            let id = selector.id(context).await?;
            let client = context.client().await?;
            let value = client.download(Call::get(kv(client.account().await?, &[&id, "values", &key]))).await?;
            match context.out.is_json() {
                true => {
                    context.out.document(&serde_json::json!({ "name": key, "value": String::from_utf8_lossy(&value) }))
                }
                false => context.out.bytes(&value),
            }
            Ok(())
        }
        KeyCommand::Put(args) => put(context, args).await,
        KeyCommand::Delete { key, selector } => {
            let id = selector.id(context).await?;
            let client = context.client().await?;
            context.out.confirm(&format!("Delete key {key:?}?"))?;
            let call = Call::delete(kv(client.account().await?, &[&id, "values", &key]));
            let answer = client.send::<Value>(call).await?;
            context.out.document(&answer.raw);
            context.out.line(format!("Deleted {key}"));
            Ok(())
        }
    }
}

async fn list(context: &Context, selector: &Selector, prefix: Option<String>, limit: usize) -> anyhow::Result<()> {
    let id = selector.id(context).await?;
    let client = context.client().await?;
    let account = client.account().await?;
    let (mut keys, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    while keys.len() < limit {
        let call = Call::get(kv(account, &[&id, "keys"]))
            .query("limit", (limit - keys.len()).clamp(10, 1000))
            .query_some("prefix", prefix.as_ref())
            .query_some("cursor", cursor.as_ref());
        let page = client.send::<Vec<Value>>(call).await?;
        keys.extend(page.result);
        cursor = page.info.cursor.filter(|cursor| !cursor.is_empty());
        if cursor.is_none() {
            break;
        }
    }
    keys.truncate(limit);
    let raw = Value::Array(keys);
    let keys: Vec<model::Key> = serde_json::from_value(raw.clone())?;
    let rows = keys.into_iter().map(|key| {
        let expiration = key.expiration.map(|at| at.to_string());
        [key.name, cell(expiration.as_deref()), cell(key.metadata.map(|json| json.to_string()).as_deref())]
    });
    context.out.list(&raw, ["KEY", "EXPIRES", "METADATA"], rows, "no keys");
    Ok(())
}

async fn put(context: &Context, args: PutArgs) -> anyhow::Result<()> {
    let value = match (args.value, args.path) {
        (Some(value), _) => value.into_bytes(),
        (None, Some(path)) => std::fs::read(&path).map_err(|error| Usage(format!("{}: {error}", path.display())))?,
        (None, None) => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
            bytes
        }
    };
    let id = args.selector.id(context).await?;
    let client = context.client().await?;
    let call = Call::put(kv(client.account().await?, &[&id, "values", &args.key]))
        .query_some("expiration_ttl", args.ttl)
        .query_some("expiration", args.expiration);
    let call = match args.metadata {
        None => call.bytes(value),
        Some(metadata) => {
            serde_json::from_str::<Value>(&metadata).map_err(|error| Usage(format!("--metadata: {error}")))?;
            let part = |name: &str, content_type: &str, bytes| Part {
                name: name.to_owned(),
                file_name: None,
                content_type: content_type.to_owned(),
                bytes,
            };
            call.form(vec![
                part("value", "application/octet-stream", value),
                part("metadata", "application/json", metadata.into_bytes()),
            ])
        }
    };
    let answer = client.send::<Value>(call).await?;
    context.out.document(&answer.raw);
    context.out.line(format!("Set {}", args.key));
    Ok(())
}
