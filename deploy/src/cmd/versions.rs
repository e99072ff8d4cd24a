//! `skerry versions`
//!
//! **Owns** how versions are listed, uploaded and made live by percentage. **Must not know** building. **Enter at**
//! [`run`].

use clap::{Args, Subcommand};
use serde_json::json;

use crate::bundle::Mode;
use crate::client::path::EnvironmentPath;
use crate::client::{Call, model};
use crate::context::Context;
use crate::exit::Usage;
use crate::output::{cell, time};
use crate::project::Plan;
use crate::release::{self, Parents, UploadArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum VersionsCommand {
    /// List the environment's versions, newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
    /// Show one version
    View {
        /// Its number or id
        version: String,
    },
    /// Build the project and upload it without making it live
    Upload(Box<UploadArgs>),
    /// Make one version live, or two with percentages
    Deploy(DeployArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// `VERSION` or `VERSION@PERCENTAGE`; a version is a number or an id
    #[arg(required = true, num_args = 1..=2)]
    versions: Vec<String>,
    /// A line for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
}

pub(crate) async fn run(context: &Context, command: VersionsCommand) -> anyhow::Result<()> {
    match command {
        VersionsCommand::List { limit } => list(context, limit).await,
        VersionsCommand::View { version } => view(context, &version).await,
        VersionsCommand::Upload(args) => upload(context, &args).await,
        VersionsCommand::Deploy(args) => deploy(context, args).await,
    }
}

async fn list(context: &Context, limit: usize) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let call = Call::get(path.below(&["versions"]));
    let found = context.client().await?.list::<model::Version>(call, Some("items"), limit).await?;
    let rows = found.result.iter().map(|version| {
        let note = version.annotations.message.as_deref().or(version.annotations.triggered_by.as_deref());
        [
            version.number.to_string(),
            version.id.clone(),
            time(&version.metadata.created_on),
            format!("{} ({})", version.metadata.author_email.as_deref().unwrap_or("-"), version.metadata.source),
            cell(version.annotations.tag.as_deref()),
            cell(note),
        ]
    });
    context.out.list(&found.raw, ["NUMBER", "VERSION", "TIME", "BY", "TAG", "MESSAGE"], rows, "no versions yet");
    Ok(())
}

async fn view(context: &Context, version: &str) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let found = find(context, &path, version).await?;
    context.out.document(&found.raw);
    let version = found.result;
    context.out.line(format!("Version {} of {} {}", version.number, path.service, path.environment));
    context.out.line(format!("  id        {}", version.id));
    context.out.line(format!("  time      {}", time(&version.metadata.created_on)));
    context.out.line(format!(
        "  by        {} ({})",
        cell(version.metadata.author_email.as_deref()),
        version.metadata.source
    ));
    context.out.line(format!("  message   {}", cell(version.annotations.message.as_deref())));
    context.out.line(format!("  tag       {}", cell(version.annotations.tag.as_deref())));
    if let Some(startup_ms) = version.startup_time_ms {
        context.out.line(format!("  start-up  {startup_ms} ms"));
    }
    for url in &version.urls {
        context.out.line(format!("  url       {url}"));
    }
    if !version.resources.bindings.is_empty() {
        context.out.line("");
        super::deploy::bindings(context, &version.resources.bindings);
    }
    Ok(())
}

async fn find(
    context: &Context,
    path: &EnvironmentPath,
    version: &str,
) -> anyhow::Result<crate::client::Answer<model::Version>> {
    let version = version.trim_start_matches('#');
    let client = context.client().await?;
    Ok(client.send::<model::Version>(Call::get(path.below(&["versions", version]))).await?)
}

async fn upload(context: &Context, args: &UploadArgs) -> anyhow::Result<()> {
    let release = release::prepare(context, args, Mode::Production, Parents::Live).await?;
    release::report(context, &release.built);
    if args.dry_run {
        context.out.document(&json!({ "dry_run": true, "main_module": release.built.bundle.main }));
        context.out.line("Nothing was uploaded (--dry-run)");
        return Ok(());
    }
    release::tell_account(context, &release).await?;
    let sent = super::deploy::upload_version(context, &release).await?;
    context.out.document(&sent.raw);
    let version = sent.result;
    let Plan { service, environment, .. } = &release.plan;
    context.out.line(format!("Uploaded version {} ({}) of {service} {environment}", version.number, version.id));
    for url in &version.urls {
        context.out.line(format!("  {url}"));
    }
    context.out.line(format!("It is not live: `skerry versions deploy {}` makes it so", version.number));
    Ok(())
}

async fn deploy(context: &Context, args: DeployArgs) -> anyhow::Result<()> {
    let path = context.environment_path().await?;
    let client = context.client().await?;
    let shares = shares(&args.versions)?;
    let (mut versions, mut names) = (Vec::new(), Vec::new());
    for (version, percentage) in &shares {
        let found = find(context, &path, version).await?.result;
        names.push(format!("#{} at {percentage}%", found.number));
        versions.push(json!({ "version_id": found.id, "percentage": percentage }));
    }
    let current = client.send::<model::Environment>(Call::get(path.below(&[]))).await?;
    let live = current.result.live.as_ref().map_or_else(|| "nothing".to_owned(), super::deployments::live);
    let (service, environment) = (&path.service, &path.environment);
    context.out.confirm(&format!("Replace {live} by {} in {service} {environment}?", names.join(", ")))?;
    let mut body = json!({ "strategy": "percentage", "versions": versions });
    if let Some(message) = args.message {
        body["annotations"] = json!({ "workers/message": message });
    }
    let call = Call::post(path.below(&["deployments"])).if_match(current.etag).json(body);
    let made = client.send::<model::Deployment>(call).await?;
    context.out.document(&made.raw);
    context.out.line(format!("Live in {service} {environment}: {}", super::deployments::live(&made.result)));
    Ok(())
}

/// `A` is 100%; `A@90 B` gives B the rest.
fn shares(given: &[String]) -> Result<Vec<(&str, f64)>, Usage> {
    let mut shares = Vec::new();
    for text in given {
        let (version, share) = match text.split_once('@') {
            None => (text.as_str(), None),
            Some((version, share)) => {
                let share =
                    share.trim_end_matches('%').parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
                (version, Some(share.ok_or_else(|| Usage(format!("{text}: the percentage must be 0 to 100")))?))
            }
        };
        shares.push((version, share));
    }
    let given_sum: f64 = shares.iter().filter_map(|(_, share)| *share).sum();
    let open = shares.iter().filter(|(_, share)| share.is_none()).count();
    let rest = (100.0 - given_sum) / open.max(1) as f64;
    let sums_up = if open == 0 { (given_sum - 100.0).abs() < 1e-9 } else { rest >= 0.0 };
    if !sums_up {
        return Err(Usage("the percentages must sum to 100".to_owned()));
    }
    Ok(shares.into_iter().map(|(version, share)| (version, share.unwrap_or(rest))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[&str]) -> Result<Vec<(String, f64)>, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        let shares = shares(&given).map_err(|error| error.to_string())?;
        Ok(shares.into_iter().map(|(version, share)| (version.to_owned(), share)).collect())
    }

    #[test]
    fn percentages_are_completed_and_must_sum_to_a_hundred() {
        assert_eq!(of(&["7"]), Ok(vec![("7".to_owned(), 100.0)]));
        assert_eq!(of(&["7@90", "8"]), Ok(vec![("7".to_owned(), 90.0), ("8".to_owned(), 10.0)]));
        assert_eq!(of(&["7@25%", "8@75%"]), Ok(vec![("7".to_owned(), 25.0), ("8".to_owned(), 75.0)]));
        assert!(of(&["7@90", "8@20"]).is_err());
        assert!(of(&["7@101"]).is_err());
        assert!(of(&["7@50"]).is_err());
    }
}
