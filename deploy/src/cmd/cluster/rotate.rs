//! `skerry cluster rotate-ca`
//!
//! **Owns** what whoever rotates sees, and the warning before a step is forced. **Must not know** when a step is safe; the
//! leader does. **Enter at** [`run`].

use std::time::Duration;

use clap::Args;

use crate::client::{Answer, Call, Client, ClientError, model};
use crate::context::Context;
use crate::exit::Unsettled;

/// How often it is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long somebody is waited for; whoever answers follows within seconds.
const PATIENCE_LOOKS: u32 = 60;

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Do the step that is under way without the nodes that it waits for; they may have to join anew
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: RotateArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    if args.force {
        return force(context, client).await;
    }
    let call = Call::post(["cluster", "rotate-ca"]);
    let begun = client.send::<model::Mesh>(call).await?;
    let _progress = context.out.progress("Waiting for every node to follow");
    let last = follow(client, begun).await?;
    context.out.document(&last.raw);
    match last.result.rotation {
        None => {
            context.out.line("The mesh has a new authority, and every node a certificate of it");
            context.out.note("Join tokens from before are good no more: make new ones.");
            Ok(())
        }
        Some(rotation) => Err(Unsettled(format!(
            "the rotation is {}; it waits for {} and goes on by itself. For machines that are lost: `skerry cluster \
             remove`, or --force",
            rotation.phase,
            rotation.named(),
        ))
        .into()),
    }
}

/// Looks until it is over, or waits for the same nodes for too long.
async fn follow(client: &Client, mut last: Answer<model::Mesh>) -> Result<Answer<model::Mesh>, ClientError> {
    let (mut looks, mut before) = (0, String::new());
    while let Some(rotation) = &last.result.rotation {
        let now = format!("{} {}", rotation.phase, rotation.named());
        looks = if now == before { looks + 1 } else { 0 };
        if looks >= PATIENCE_LOOKS {
            return Ok(last);
        }
        before = now;
        tokio::time::sleep(LOOK_EVERY).await;
        last = client.send(Call::get(["cluster", "mesh"])).await?;
    }
    Ok(last)
}

async fn force(context: &Context, client: &Client) -> anyhow::Result<()> {
    let now = client.send::<model::Mesh>(Call::get(["cluster", "mesh"])).await?.result;
    let Some(rotation) = now.rotation else {
        anyhow::bail!("no rotation is under way; begin one with `skerry cluster rotate-ca`");
    };
    let Some(waiting) = &rotation.waiting else {
        anyhow::bail!("the leader has not asked the nodes yet; try again in a moment");
    };
    if !waiting.is_empty() {
        let what = match rotation.phase.as_str() {
            "trusting" => "do not trust the new authority yet and will refuse the others",
            _ => "still show a certificate of the old authority and will be refused",
        };
        let question = format!(
            "Do this step without {}? They {what}: a node that is locked out has to be removed and to join anew.",
            rotation.named()
        );
        context.out.confirm(&question)?;
    }
    let call = Call::post(["cluster", "rotate-ca"]).query("force", true);
    let forced = client.send::<model::Mesh>(call).await?;
    context.out.document(&forced.raw);
    context.out.line(match &forced.result.rotation {
        Some(rotation) => format!("The rotation is {} now", rotation.phase),
        None => "The mesh has its new authority alone".to_owned(),
    });
    Ok(())
}

/// A line for `cluster status`; the leader may not answer, and then there is only the phase.
pub(super) async fn status(client: &Client, phase: &str) -> String {
    let asked = client.send::<model::Mesh>(Call::get(["cluster", "mesh"])).await;
    let rotation = asked.ok().and_then(|answer| answer.result.rotation);
    match rotation {
        Some(rotation) if rotation.waiting.is_some() => format!("{}, waiting for {}", rotation.phase, rotation.named()),
        _ => phase.to_owned(),
    }
}
