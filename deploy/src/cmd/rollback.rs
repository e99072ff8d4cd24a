//! `skerry rollback`
//!
//! **Owns** going back to an earlier version. **Must not know** versions' insides. **Enter at** [`run`].

use clap::Args;
use serde_json::json;

use crate::client::{Call, model};
use crate::context::Context;

/// BOUND: ten pages of history; what was live longer ago is named by its version.
const HISTORY: usize = 1000;

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
    // Named here, so that what was asked about is what becomes live.
    let (version, target) = match &args.version {
        Some(version) => (version.trim_start_matches('#').to_owned(), format!("version {version}")),
        None => {
            let call = Call::get(path.below(&["deployments"]));
            let found = client.list::<model::Deployment>(call, Some("deployments"), HISTORY).await?;
            let before = before(&found.result).ok_or_else(|| {
                anyhow::anyhow!("{} {} has no earlier version to go back to; name one", path.service, path.environment)
            })?;
            (before.version_id.clone(), before.number.map_or(before.version_id.clone(), |number| format!("#{number}")))
        }
    };
    let (service, environment) = (&path.service, &path.environment);
    context.out.confirm(&format!(
        "Replace {live} by {target} in {service} {environment}? Its variables and secrets come back with it."
    ))?;
    let mut body = json!({ "version": version });
    if let Some(message) = args.message {
        body["message"] = json!(message);
    }
    let call = Call::post(path.below(&["rollback"])).if_match(current.etag).json(body);
    let made = client.send::<model::Deployment>(call).await?;
    context.out.document(&made.raw);
    context.out.line(format!("Live in {service} {environment}: {}", super::deployments::live(&made.result)));
    Ok(())
}

/// The version of the newest deployment that was whole and of another version than the one that is live alone, as for the
/// API. The newest come first.
fn before(deployments: &[model::Deployment]) -> Option<&model::DeployedVersion> {
    let (live, earlier) = deployments.split_first()?;
    let whole = |deployment: &'_ model::Deployment| match deployment.versions.as_slice() {
        [only] => Some(only.version_id.clone()),
        _ => None,
    };
    let alone = whole(live);
    let found = earlier.iter().find(|deployment| whole(deployment).is_some_and(|only| Some(only) != alone))?;
    found.versions.first()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(shares: &[(&str, f64)]) -> model::Deployment {
        let version = |(id, percentage): &(&str, f64)| model::DeployedVersion {
            version_id: (*id).to_owned(),
            percentage: *percentage,
            number: None,
        };
        model::Deployment { versions: shares.iter().map(version).collect(), ..model::Deployment::default() }
    }

    #[test]
    fn the_version_before_is_the_last_that_was_live_alone() {
        let whole = |id| deployment(&[(id, 100.0)]);
        let found = |all: &[model::Deployment]| before(all).map(|version| version.version_id.clone());
        assert_eq!(found(&[whole("c"), whole("c"), whole("b"), whole("a")]).as_deref(), Some("b"));
        assert_eq!(found(&[whole("c"), deployment(&[("b", 90.0), ("c", 10.0)]), whole("a")]).as_deref(), Some("a"));
        assert_eq!(found(&[deployment(&[("c", 10.0), ("b", 90.0)]), whole("b"), whole("a")]).as_deref(), Some("b"));
        assert_eq!(
            found(&[deployment(&[("d", 10.0), ("c", 90.0)]), deployment(&[("d", 5.0), ("c", 95.0)]), whole("a")])
                .as_deref(),
            Some("a")
        );
        assert_eq!((found(&[whole("a")]), found(&[])), (None, None));
    }
}
