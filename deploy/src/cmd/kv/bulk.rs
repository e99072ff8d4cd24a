//! `skerry kv bulk`
//!
//! **Owns** the commands about many keys at once. **Must not know** limits: the API names them. **Enter at** [`run`].

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::Selector;
use crate::client::Call;
use crate::client::path::kv;
use crate::context::Context;
use crate::exit::Usage;

/// BOUND: what the API takes in one bulk write.
const MAX_PAIRS: usize = 10_000;
/// BOUND: JSON of one bulk write, of which the API takes 100 MB: what a line of 2 Mbit/s carries within the time that one answer
/// may take.
const MAX_BYTES: usize = 16 << 20;
/// BOUND: what the API takes in one bulk read.
const MAX_READ: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum BulkCommand {
    /// Set the pairs of a JSON file: [{"key", "value", "base64"?, "expiration_ttl"?, "metadata"?}]
    Put {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        selector: Selector,
    },
    /// Print the values of the keys of a JSON file: ["a", "b"]
    Get {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        selector: Selector,
    },
    /// Delete the keys of a JSON file: ["a", "b"]
    Delete {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        selector: Selector,
    },
}

pub(crate) async fn run(context: &Context, command: BulkCommand) -> anyhow::Result<()> {
    let (file, selector) = match &command {
        BulkCommand::Put { file, selector }
        | BulkCommand::Get { file, selector }
        | BulkCommand::Delete { file, selector } => (file, selector),
    };
    let items = items(file)?;
    let id = selector.id(context).await?;
    let client = context.client().await?;
    let account = client.account().await?;
    let count = items.len();
    match command {
        BulkCommand::Put { .. } => {
            for chunk in writes(&items) {
                client.send::<Value>(Call::put(kv(account, &[&id, "bulk"])).json(json!(chunk))).await?;
            }
            context.out.document(&json!({ "written": count }));
            context.out.line(format!("Set {count} keys"));
        }
        BulkCommand::Get { .. } => {
            let mut values = serde_json::Map::new();
            for chunk in items.chunks(MAX_READ) {
                let call = Call::post(kv(account, &[&id, "bulk", "get"])).json(json!({ "keys": chunk }));
                let found = client.send::<Value>(call).await?;
                values.extend(found.result["values"].as_object().cloned().unwrap_or_default());
            }
            context.out.bytes(format!("{}\n", serde_json::to_string_pretty(&values)?).as_bytes());
        }
        BulkCommand::Delete { .. } => {
            context.out.confirm(&format!("Delete {count} keys?"))?;
            for chunk in writes(&items) {
                client.send::<Value>(Call::post(kv(account, &[&id, "bulk", "delete"])).json(json!(chunk))).await?;
            }
            context.out.document(&json!({ "deleted": count }));
            context.out.line(format!("Deleted {count} keys"));
        }
    }
    Ok(())
}

/// The items in as few writes as the bounds allow. One that is too large for any is left to the API to refuse.
fn writes(items: &[Value]) -> Vec<&[Value]> {
    let (mut writes, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        let length = item.to_string().len() + 1;
        if at > from && (at - from == MAX_PAIRS || bytes + length > MAX_BYTES) {
            writes.push(&items[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += length;
    }
    if from < items.len() {
        writes.push(&items[from..]);
    }
    writes
}

fn items(path: &Path) -> anyhow::Result<Vec<Value>> {
    let wrong = |why: String| Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|error| wrong(format!("must be a JSON list: {error}")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_write_is_cut_by_number_and_by_size_and_loses_nothing() {
        let lengths = |items: &[Value]| writes(items).iter().map(|write| write.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), Vec::<usize>::new());
        assert_eq!(lengths(&vec![json!(""); 2 * MAX_PAIRS + 1]), [MAX_PAIRS, MAX_PAIRS, 1]);
        let large = json!("x".repeat(MAX_BYTES / 2));
        assert_eq!(lengths(&[large.clone(), json!(1), large.clone(), large]), [2, 1, 1]);
        let larger = json!("x".repeat(MAX_BYTES));
        assert_eq!(lengths(&[json!(1), larger, json!(1)]), [1, 1, 1]);
    }
}
