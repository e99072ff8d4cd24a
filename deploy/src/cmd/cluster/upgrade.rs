//! `skerry cluster upgrade`
//!
//! **Owns** which level is meant, and saying who is in the way. **Must not know** what a level brings. **Enter at** [`run`].

use clap::Args;
use serde_json::json;

use super::nodes;
use crate::client::{Call, model};
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// The feature level [default: the newest that any node knows]
    #[arg(long, value_name = "N")]
    level: Option<u32>,
}

pub(super) async fn run(context: &Context, args: UpgradeArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    let now = client.send::<model::Cluster>(Call::get(["cluster"])).await?;
    let nodes = nodes(client).await?.result;
    let newest = nodes.iter().map(|node| node.feature_level).max().unwrap_or(now.result.feature_level);
    let (from, to) = (now.result.feature_level, args.level.unwrap_or(newest));
    if to == from {
        context.out.document(&now.raw);
        context.out.line(format!("The cluster is at feature level {from}; its nodes know {newest}. Nothing to do"));
        return Ok(());
    }
    let behind: Vec<&model::Node> = nodes.iter().filter(|node| node.feature_level < to).collect();
    if !behind.is_empty() {
        anyhow::bail!("the cluster stays at feature level {from}: {}; update Skerry there first", named(&behind));
    }
    let question = format!(
        "Raise the feature level from {from} to {to}? Older builds can not join or start again then, and there is no way \
         back."
    );
    context.out.confirm(&question)?;
    let call = Call::put(["cluster", "feature-level"]).json(json!({ "level": to }));
    let raised = client.send::<model::Cluster>(call).await?;
    context.out.document(&raised.raw);
    context.out.line(format!("The cluster is at feature level {}", raised.result.feature_level));
    Ok(())
}

fn named(behind: &[&model::Node]) -> String {
    let one = |node: &&model::Node| format!("{} (build {}) knows {}", node.name, node.build, node.feature_level);
    behind.iter().map(one).collect::<Vec<_>>().join(", ")
}
