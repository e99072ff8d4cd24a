//! `skerry audit`
//!
//! **Owns** how the audit log is shown. **Must not know** how it is written. **Enter at** [`run`].

use clap::Args;

use crate::client::{Call, model};
use crate::context::Context;
use crate::output::time;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// How many entries at most, newest first
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Only after this time, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Only what this token did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this kind of change, such as version, deployment.create or environment.promote
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// What was done to the cluster itself: nodes, join tokens, authorities, tokens for all accounts
    #[arg(long, conflicts_with_all = ["service", "env"])]
    cluster: bool,
}

pub(crate) async fn run(context: &Context, args: AuditArgs) -> anyhow::Result<()> {
    let client = context.client().await?;
    // The project's service is no filter: the log is the account's, unless --service or --env narrow it.
    let service = context.given_service()?;
    let call = match args.cluster {
        true => Call::get(["cluster", "audit_logs"]),
        false => Call::get(["accounts", client.account().await?, "audit_logs"]),
    };
    let call = call
        .query_some("since", args.since)
        .query_some("before", args.before)
        .query_some("actor", args.actor)
        .query_some("action", args.action)
        .query_some("service", service)
        .query_some("environment", context.global.env.as_ref());
    let found = client.list::<model::AuditEntry>(call, None, args.limit).await?;
    let rows = found.result.iter().map(|entry| {
        let resource = entry.resource.id.clone().unwrap_or_else(|| entry.resource.kind.clone());
        let actor = entry.actor.name.as_deref().unwrap_or(&entry.actor.kind).to_owned();
        let revision = entry.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let details = entry.metadata.iter().map(|(name, value)| match value {
            serde_json::Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        });
        let details = details.collect::<Vec<_>>().join(" ");
        [time(&entry.when), actor, entry.action.kind.clone(), resource, revision, details]
    });
    context.out.list(&found.raw, ["TIME", "WHO", "ACTION", "WHAT", "REVISION", "DETAIL"], rows, "nothing happened yet");
    Ok(())
}
