//! `skerry deploy --wait`
//!
//! **Owns** when a deployment counts as live everywhere, and what is said of nodes that do not serve it. **Must not know**
//! uploads. **Enter at** [`settle`].
//!
//! ```text
//! Looking --all serve it--> done   --time is up--> unknown, for those that have not said
//!    `--the last one has said, and some refused--> failed
//! ```

use std::time::Duration;

use serde_json::Value;

use crate::client::path::EnvironmentPath;
use crate::client::{Answer, Call, Client, ClientError, model};
use crate::exit::Unsettled;

/// Until a deployment is everywhere it takes tens of milliseconds on a good day.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// BOUND: a deployment that others have followed since is not waited for among more than these.
const RECENT: usize = 20;

/// What was found in the end.
#[derive(Debug)]
pub(super) struct Waited {
    /// As the API sent it last; null where it never did.
    pub(super) raw: Value,
    pub(super) outcome: anyhow::Result<String>,
}

/// Looks until every node serves the deployment that made `version` live, or one refused it, or the time is up.
pub(super) async fn settle(client: &Client, path: &EnvironmentPath, version: &str, patience: Duration) -> Waited {
    let (mut seen, mut trouble) = (None::<Answer<model::Propagation>>, None);
    let looking = async {
        let deployment = loop {
            match find(client, path, version).await {
                Ok(Some(deployment)) => break deployment,
                Ok(None) => trouble = None,
                Err(error) if error.is_refusal() => return Some(error),
                Err(error) => trouble = Some(error),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        loop {
            match client.send(Call::get(path.below(&["deployments", &deployment, "propagation"]))).await {
                Ok(found) => (seen, trouble) = (Some(found), None),
                Err(error) if error.is_refusal() => return Some(error),
                Err(error) => trouble = Some(error),
            }
            if seen.as_ref().is_some_and(|found| is_settled(&found.result)) {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let refusal = tokio::time::timeout(patience, looking).await.ok().flatten();
    let outcome = match (&seen, refusal.or(trouble)) {
        (Some(found), None) => told(&found.result, patience),
        (_, error) => Err(unread(error, patience)),
    };
    Waited { raw: seen.map(|found| found.raw).unwrap_or_default(), outcome }
}

async fn find(client: &Client, path: &EnvironmentPath, version: &str) -> Result<Option<String>, ClientError> {
    let call = Call::get(path.below(&["deployments"]));
    let found = client.list::<model::Deployment>(call, Some("deployments"), RECENT).await?.result;
    let names = |deployment: &model::Deployment| deployment.versions.iter().any(|one| one.version_id == version);
    Ok(found.into_iter().find(names).map(|deployment| deployment.id))
}

fn is_settled(found: &model::Propagation) -> bool {
    found.waiting.is_empty() && found.acknowledged + found.refused.len() as u64 >= found.total
}

/// One line for what is live where.
fn told(found: &model::Propagation, patience: Duration) -> anyhow::Result<String> {
    let model::Propagation { total, acknowledged, waiting, refused, live_ms } = found;
    let nodes = if *total == 1 { "node" } else { "nodes" };
    let live = format!("live on {acknowledged} of {total} {nodes}");
    let refusals: Vec<String> =
        refused.iter().map(|node| format!("{} refuses it: {}", name(node), node.reason)).collect();
    let silent: Vec<String> = waiting.iter().map(name).collect();
    let silence = format!("no word within {} s from {}", patience.as_secs_f32(), silent.join(", "));
    match (refusals.as_slice(), is_settled(found)) {
        ([], true) => {
            let after = live_ms.map(|ms| format!(" after {ms:.0} ms")).unwrap_or_default();
            Ok(format!("{live}{after}"))
        }
        ([], false) => Err(Unsettled(format!("{live}; {silence}")).into()),
        (_, true) => anyhow::bail!("{live}; {}", refusals.join("; ")),
        (_, false) => anyhow::bail!("{live}; {}; {silence}", refusals.join("; ")),
    }
}

fn name(node: &model::Listed) -> String {
    if node.name.is_empty() { format!("node {}", node.id) } else { node.name.clone() }
}

/// It was deployed, and where it is live was not to be learned.
fn unread(error: Option<ClientError>, patience: Duration) -> anyhow::Error {
    let why = match error {
        Some(error) => error.to_string(),
        None => format!("no answer within {} s", patience.as_secs_f32()),
    };
    Unsettled(format!("the deployment was made; which nodes serve it is not known: {why}")).into()
}

/// `--wait`, or `--wait=SECONDS`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // BOUND: an hour; whoever wants to know later asks again.
    seconds.filter(|time| *time <= Duration::from_secs(3600)).ok_or_else(|| "use seconds, 0 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    fn listed(name: &str, reason: &str) -> model::Listed {
        model::Listed { id: 7, name: name.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn the_line_says_where_it_is_live_and_the_code_what_that_means() {
        let of = |acknowledged, waiting: &[model::Listed], refused: &[model::Listed], live_ms| {
            let (waiting, refused) = (waiting.to_vec(), refused.to_vec());
            let found = model::Propagation { total: 3, acknowledged, waiting, refused, live_ms };
            match told(&found, Duration::from_secs(30)) {
                Ok(line) => (0, line),
                Err(error) => (exit::code(&error), error.to_string()),
            }
        };
        let (slow, nameless) = (listed("n2", ""), listed("", ""));
        let bad = listed("n3", "its digest differs");
        assert_eq!(of(3, &[], &[], Some(83.6)), (0, "live on 3 of 3 nodes after 84 ms".to_owned()));
        assert_eq!(of(3, &[], &[], None), (0, "live on 3 of 3 nodes".to_owned()));
        let silent = "live on 1 of 3 nodes; no word within 30 s from n2, node 7";
        assert_eq!(of(1, &[slow.clone(), nameless], &[], None), (3, silent.to_owned()));
        let refused = "live on 2 of 3 nodes; n3 refuses it: its digest differs";
        assert_eq!(of(2, &[], std::slice::from_ref(&bad), None), (1, refused.to_owned()));
        let both = "live on 1 of 3 nodes; n3 refuses it: its digest differs; no word within 30 s from n2";
        assert_eq!(of(1, &[slow], &[bad], None), (1, both.to_owned()));
    }
}
