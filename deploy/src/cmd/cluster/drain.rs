//! `skerry cluster drain`
//!
//! **Owns** waiting until a node has handed over the lead, and saying what is true then. **Must not know** who takes over. **Enter
//! at** [`run`].

use super::{LOOK_EVERY, LOOKS, nodes};
use crate::client::{Answer, Call, Client, ClientError, model};
use crate::context::Context;
use crate::exit::Unsettled;

pub(super) async fn run(context: &Context, node: &str) -> anyhow::Result<()> {
    let client = context.client().await?;
    let told = client.send::<model::Node>(Call::post(["cluster", "nodes", node, "drain"])).await?;
    let name = told.result.name.clone();
    if told.result.votes() && is_last(client, told.result.id).await? {
        context.out.document(&told.raw);
        anyhow::bail!(
            "{name} takes no new work and still leads, because no other node may: let another voter join, or nothing can be \
             changed while {name} is stopped"
        );
    }
    let may_lead = told.result.role == "voter";
    let now = if may_lead { hand_over(context, client, told).await? } else { told };
    context.out.document(&now.raw);
    if may_lead && may_still_lead(&now.result) {
        return Err(Unsettled(format!(
            "{name} takes no new work, and no other leader is known yet; it hands over as soon as another voter answers and has \
             caught up: see `skerry cluster status` before it is stopped"
        ))
        .into());
    }
    let leads_not = if may_lead { " and does not lead" } else { "" };
    context.out.line(format!("Node {name} takes no new work{leads_not}"));
    if now.result.alive == Some(false) {
        context.out.note(format!("{name} does not answer; it learns of this when it does."));
    }
    if now.result.votes() {
        context
            .out
            .note("It keeps its vote until another node can take it: the other voters agree while it is stopped.");
    }
    context.out.note("Its /readyz says 503, and it answers whoever still comes.");
    Ok(())
}

/// Whether it leads, or whoever says otherwise is not the leader and may not know.
fn may_still_lead(node: &model::Node) -> bool {
    node.raft.as_deref() == Some("leader") || node.seen_without_leader().is_some()
}

/// Whether nobody else may lead.
async fn is_last(client: &Client, id: u64) -> anyhow::Result<bool> {
    let nodes = nodes(client).await?.result;
    let may_lead = |node: &model::Node| node.id != id && node.role == "voter" && node.state == "active";
    Ok(!nodes.iter().any(may_lead))
}

/// Waits until another node leads; returns the node as it is then, or as it still is.
async fn hand_over(
    context: &Context,
    client: &Client,
    mut now: Answer<model::Node>,
) -> Result<Answer<model::Node>, ClientError> {
    // By its id from now on: names may change hands.
    let (id, name) = (now.result.id.to_string(), now.result.name.clone());
    let _progress =
        may_still_lead(&now.result).then(|| context.out.progress(format!("Waiting until {name} leads no more")));
    for _ in 0..LOOKS {
        if !may_still_lead(&now.result) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        now = client.send::<model::Node>(Call::get(["cluster", "nodes", id.as_str()])).await?;
    }
    Ok(now)
}
