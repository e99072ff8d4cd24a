//! `skerry promote`
//!
//! **Owns** showing a promotion before it happens. **Must not know** what a promotion moves. **Enter at** [`run`].

use clap::Args;
use serde_json::{Value, json};

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
    // The target's state now: if somebody changes it while the question stands, the promotion is refused.
    let etag = match client.send::<Value>(Call::get(path.below(&[]))).await {
        Ok(found) => found.etag,
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    let mut promotion =
        json!({ "service": path.service.as_str(), "source": source.as_str(), "target": target.as_str() });
    for (key, value) in [("version", &args.version), ("if_match", &etag)] {
        if let Some(value) = value {
            promotion[key] = json!(value.trim_start_matches('#').trim_matches('"'));
        }
    }
    let mut body = json!({ "promotions": [promotion], "dry_run": true });
    if let Some(message) = &args.message {
        body["message"] = json!(message);
    }
    let planned: Answer<model::Promotions> = client.send(Call::post(segments).json(body.clone())).await?;
    if args.dry_run {
        context.out.document(&planned.raw);
    }
    for one in &planned.result.promotions {
        context.out.line(format!("{}: {} to {}", one.service, one.source, one.target));
        if let Some(found) = &one.diff {
            diff::show(context, found);
        }
    }
    if args.dry_run {
        return Ok(());
    }
    context.out.confirm(&format!("Promote {source} to {target} in {}?", path.service))?;
    body["dry_run"] = json!(false);
    let done: Answer<model::Promotions> = client.send(Call::post(segments).json(body)).await?;
    context.out.document(&done.raw);
    for one in &done.result.promotions {
        let version = one.version_id.as_deref().unwrap_or("the same version");
        context.out.line(format!("Promoted {} {} to {}: {version} is live", one.service, one.source, one.target));
    }
    Ok(())
}
