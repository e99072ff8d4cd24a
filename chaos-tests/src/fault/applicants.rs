//! Machines that want to join and must not: with a bad token, a name that is taken, a wrong clock, or at nobody.
//!
//! **Owns** what is wrong with each, and what each must be told. **Must not know** who tells it. **Enter at** [`apply_all`].

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::clock_step::believes;
use crate::{
    cluster::{Applicant, Cluster, MESH_PORT},
    stage::Stage,
};

/// Applicants that were told in one line what to do.
pub const TURNED_AWAY: &str = "joins turned away with what to do";

/// What is wrong, what it says, in which words.
type Case = (&'static str, Applicant, &'static [&'static str]);

const YEARS: i64 = 11 * 365 * 86_400;
/// More than the shortest life of a token.
const TWO_MINUTES: i64 = 120;

/// Everyone who must not join tries to, from the host `spare`; another cluster stands on the host after it.
///
/// # Errors
/// When one is let in, is not told why, or changes anything.
pub async fn apply_all(stage: &mut Stage, spare: usize, deploys: u64) -> Result<()> {
    let before = members(&stage.cluster).await?;
    let cases = cases(&stage.cluster, spare).await?;
    for (what, applicant, words) in &cases {
        let said = stage.cluster.turned_away(spare, applicant).await.with_context(|| (*what).to_owned())?;
        ensure!(said.starts_with("skerry-node: "), "{what}: not a line for people: {said}");
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        ensure!(missing.is_empty(), "{what}: the line does not say {missing:?}: {said}");
        stage.coverage.saw(TURNED_AWAY, 1);
    }
    // Last, for every clock goes wrong for it.
    let token = token(&stage.cluster, &json!({ "ttl_seconds": 60 })).await?;
    let late = applicant(&stage.cluster, "late", &token, None)?;
    let nodes = stage.cluster.doors().len();
    for at in 0..nodes {
        believes(&stage.cluster, at, TWO_MINUTES).await?;
    }
    let said = stage.cluster.turned_away(spare, &late).await.context("an expired token")?;
    ensure!(said.contains("it has expired; make another with `skerry cluster join-token`"), "an expired token: {said}");
    stage.coverage.saw(TURNED_AWAY, 1);
    ensure!(members(&stage.cluster).await? == before, "a join that was refused has changed the members");
    stage.workload.progress(deploys).await
}

async fn cases(cluster: &Cluster, spare: usize) -> Result<Vec<Case>> {
    let (fresh, foreign) = (token(cluster, &json!({ "uses": 1000 })).await?, foreign_token(cluster, spare + 1).await?);
    let unknown = format!("{}{}", &fresh[..fresh.len() - 8], "0".repeat(8));
    let edges = token(cluster, &json!({ "role": "edge" })).await?;
    let spent = spent_token(cluster)?;
    let nobody = format!("10.77.0.{}:{MESH_PORT}", 200);
    let with = |name: &str, token: &str, at: Option<&str>| applicant(cluster, name, token, at);
    const MAKE: &str = "make another with `skerry cluster join-token`";
    Ok(vec![
        ("a wrong token", with("wrong", &unknown, None)?, &["it is unknown", MAKE][..]),
        ("a used token", with("reused", &spent, None)?, &["used up", MAKE]),
        (
            "a token for edges",
            with("voter", &edges, None)?,
            &["it admits no voter; join as an edge, or", "--role voter"],
        ),
        ("half a token", with("half", &fresh[..70], None)?, &["copy it whole"]),
        ("no token", with("none", "hello", None)?, &["begins with `skj_`", "skerry cluster join-token"]),
        (
            "a token of another cluster",
            with("foreign", &foreign, None)?,
            &["another cluster", "skerry cluster join-token"],
        ),
        (
            "a name that is taken",
            with("n2", &fresh, None)?,
            &["is called \"n2\"", "use another name, or remove that node first"],
        ),
        (
            "a clock that is years ahead",
            Applicant { clock_seconds: YEARS, ..with("early", &fresh, None)? },
            &["ended at", "this machine's clock says", "set the clock"],
        ),
        (
            "a clock that is years behind",
            Applicant { clock_seconds: -YEARS, ..with("old", &fresh, None)? },
            &["begins at", "this machine's clock says", "set the clock"],
        ),
        ("nobody there", with("lost", &fresh, Some(&nobody))?, &["does not answer", "UDP"]),
        ("no such name", with("blind", &fresh, Some("node.invalid:8701"))?, &["can not be resolved", "--join"]),
    ])
}

fn applicant(cluster: &Cluster, name: &str, token: &str, at: Option<&str>) -> Result<Applicant> {
    let first = format!("{}:{MESH_PORT}", cluster.network().hosts()[0].address());
    let file = cluster.token_file(name, token)?.display().to_string();
    let flags = ["--join", at.unwrap_or(&first), "--join-token-file", &file].map(str::to_owned).to_vec();
    Ok(Applicant { name: name.to_owned(), flags, clock_seconds: 0 })
}

async fn token(cluster: &Cluster, body: &Value) -> Result<String> {
    let made = cluster.write(Method::POST, "/cluster/join-tokens", Some(body.clone())).await?;
    Ok(made["token"].as_str().context("a join token has a text")?.to_owned())
}

/// The token that the second node has joined with.
fn spent_token(cluster: &Cluster) -> Result<String> {
    let flags = cluster.flags(1);
    let file = flags.iter().skip_while(|flag| *flag != "--join-token-file").nth(1).context("it has joined")?;
    std::fs::read_to_string(file).with_context(|| file.clone())
}

/// A token of a cluster that was founded beside this one.
async fn foreign_token(cluster: &Cluster, host: usize) -> Result<String> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let flags = ["--bootstrap".to_owned()];
    let other = cluster.stray(host, folder.path().join("other"), "other", &flags).await?;
    let door = other.door.with_token(&other.admin_token()?);
    let made = door.call(Method::POST, "/cluster/join-tokens", Some(json!({}))).await.done()?;
    Ok(made["token"].as_str().context("a join token has a text")?.to_owned())
}

/// Who the members are, by id and name.
pub(super) async fn members(cluster: &Cluster) -> Result<Vec<(Value, Value)>> {
    let nodes = cluster.write(Method::GET, "/cluster/nodes", None).await?;
    let nodes = nodes.as_array().context("nodes are a list")?;
    Ok(nodes.iter().map(|node| (node["id"].clone(), node["name"].clone())).collect())
}
