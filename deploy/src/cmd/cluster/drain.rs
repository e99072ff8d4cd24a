//! `skerry cluster drain`
//!
//! **Owns** waiting until a node has handed over, and saying what is true then. **Must not know** who takes over. **Enter at**
//! [`run`].

use super::{LOOK_EVERY, LOOKS, nodes};
use crate::client::{Answer, Call, Client, ClientError, model};
use crate::context::Context;
use crate::exit::Unsettled;

pub(super) async fn run(context: &Context, node: &str) -> anyhow::Result<()> {
    let client = context.client().await?;
    let told = client.send::<model::Node>(Call::post(["cluster", "nodes", node, "drain"])).await?;
    let name = told.result.name.clone();
    let may_vote = told.result.role == "voter" || told.result.votes();
    if may_vote && !sees_votes(client).await? {
        context.out.document(&told.raw);
        return Err(Unsettled(format!(
            "{name} takes no new work; whether it has handed over its vote is known to voters only: ask one of them"
        ))
        .into());
    }
    if told.result.votes() && is_last(client, told.result.id).await? {
        context.out.document(&told.raw);
        anyhow::bail!(
            "{name} takes no new work and still votes, because no other node may: let another voter join, or nothing can be \
             changed while {name} is stopped"
        );
    }
    let now = hand_over(context, client, told).await?;
    context.out.document(&now.raw);
    if now.result.votes() {
        return Err(Unsettled(format!(
            "{name} takes no new work and still votes; it hands over as soon as enough other voters answer and have caught up: \
             see `skerry cluster status` before it is stopped"
        ))
        .into());
    }
    context.out.line(match may_vote {
        true => format!("Node {name} takes no new work, does not lead and has no vote"),
        false => format!("Node {name} takes no new work"),
    });
    if now.result.alive == Some(false) {
        context.out.note(format!("{name} does not answer; it learns of this when it does."));
    }
    context.out.note("Its /readyz says 503, and it answers whoever still comes.");
    Ok(())
}

/// Whether the node that answers takes part in raft; an edge does not know who votes.
async fn sees_votes(client: &Client) -> Result<bool, ClientError> {
    Ok(client.send::<model::Cluster>(Call::get(["cluster"])).await?.result.term.is_some())
}

/// Whether nobody else may vote.
async fn is_last(client: &Client, id: u64) -> anyhow::Result<bool> {
    let nodes = nodes(client).await?.result;
    let may_vote = |node: &model::Node| node.id != id && node.role == "voter" && node.state == "active";
    Ok(!nodes.iter().any(may_vote))
}

/// Waits until the others can agree without the node, and another one leads; returns the node as it is then, or as it still is.
async fn hand_over(
    context: &Context,
    client: &Client,
    mut now: Answer<model::Node>,
) -> Result<Answer<model::Node>, ClientError> {
    // By its id from now on: names may change hands.
    let (id, name) = (now.result.id.to_string(), now.result.name.clone());
    let _progress = now.result.votes().then(|| context.out.progress(format!("Waiting until {name} votes no more")));
    for _ in 0..LOOKS {
        if !now.result.votes() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        now = client.send::<model::Node>(Call::get(["cluster", "nodes", id.as_str()])).await?;
    }
    Ok(now)
}
