//! `skerry rollback`
//!
//! **Owns** going back to an earlier version. **Must not know** versions' insides. **Enter at** [`run`].

use clap::Args;
use serde_json::json;

use crate::client::{Call, model};
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Its number or id [default: the version live before]
    version: Option<String>,
    /// A line for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
}

pub(crate) async fn run(context: &Context, args: RollbackArgs) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let client = context.client().await?;
    let current = client.send::<model::Environment>(Call::get(path.below(&[]))).await?;
    let live = current.result.live.as_ref().map_or_else(|| "nothing".to_owned(), super::deployments::live);
    let target = match &args.version {
        Some(version) => format!("version {version}"),
        None => "the version live before it".to_owned(),
    };
    let (service, environment) = (&path.service, &path.environment);
    context.out.confirm(&format!(
        "Replace {live} by {target} in {service} {environment}? Its variables and secrets come back with it."
    ))?;
    let mut body = json!({});
    if let Some(version) = args.version {
        body["version"] = json!(version.trim_start_matches('#'));
    }
    if let Some(message) = args.message {
        body["message"] = json!(message);
    }
    let call = Call::post(path.below(&["rollback"])).if_match(current.etag).json(body);
    let made = client.send::<model::Deployment>(call).await?;
    context.out.document(&made.raw);
    context.out.line(format!("Live in {service} {environment}: {}", super::deployments::live(&made.result)));
    Ok(())
}
