//! `skerry promote`
//!
//! **Owns** showing a promotion before it happens. **Must not know** what a promotion moves. **Enter at** [`run`].

use clap::Args;
use serde_json::json;

use super::diff;
use crate::client::{Answer, Call, model};
use crate::context::{Context, environment};

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The environment whose code moves
    source: String,
    /// The environment that gets it; its variables, secrets and bindings stay
    target: String,
    /// Another version of the source than its live one, by number or id
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// A line for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Show the difference, change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(context: &Context, args: PromoteArgs) -> anyhow::Result<()> {
    let (source, target) = (environment(&args.source)?, environment(&args.target)?);
    let path = context.path_of(target.clone()).await?;
    let client = context.client().await?;
    let segments = ["accounts", path.account.as_str(), "workers", "promotions"];
    let mut promotion =
        json!({ "service": path.service.as_str(), "source": source.as_str(), "target": target.as_str() });
    if let Some(version) = &args.version {
        promotion["version"] = json!(version.trim_start_matches('#'));
    }
    let mut body = json!({ "promotions": [promotion], "dry_run": true });
    if let Some(message) = &args.message {
        body["message"] = json!(message);
    }
    let planned: Answer<model::Promotions> = client.send(Call::post(segments).json(body.clone())).await?;
    for one in &planned.result.promotions {
        diff::show_promotion(context, one);
    }
    if args.dry_run {
        context.out.document(&planned.raw);
        return Ok(());
    }
    context.out.confirm(&format!("Promote {source} to {target} in {}?", path.service))?;
    body["dry_run"] = json!(false);
    // What was shown and no other: the version that moves, and the target as it was. If somebody changes the target
    // while the question stands, the promotion is refused.
    let shown = planned.result.promotions.into_iter().next().unwrap_or_default();
    body["promotions"][0]["if_match"] = json!(shown.if_match);
    if let Some(version) = shown.source_version_id {
        body["promotions"][0]["version"] = json!(version);
    }
    let done: Answer<model::Promotions> = client.send(Call::post(segments).json(body)).await?;
    context.out.document(&done.raw);
    for one in &done.result.promotions {
        context.out.line(format!("Promoted {} {} to {}: {}", one.service, one.source, one.target, version(one)));
    }
    Ok(())
}

fn version(promotion: &model::Promotion) -> String {
    match promotion.version_number {
        Some(number) => format!("version {number} is live"),
        None => "its live version stays".to_owned(),
    }
}
