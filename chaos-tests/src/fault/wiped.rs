//! A voter's disk is gone, and somebody starts it again under its old name, or an old copy of it.
//!
//! **Owns** the order, and what each attempt must be told. **Must not know** who tells it. **Enter at** [`wipe`].

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use reqwest::Method;

use super::applicants::members;
use crate::{
    cluster::{Role, until},
    stage::Stage,
};

/// Starts that ended with what to do instead.
pub const REFUSED: &str = "starts on a wiped directory refused";
/// Log lines of members that would not talk to the copy.
pub const TURNED_AWAY: &str = "calls of an old copy turned away";
/// Deploys that went on while the copy ran.
pub const BESIDE: &str = "deploys beside an old copy";

/// Identity and keys without the log: who it is, and not what it voted for.
const IDENTITY: [&str; 4] = ["node.identity", "cluster.key", "authority.key", "ca.pem"];

/// Wipes the disk of a voter, sees it refused under its old identity and its old name, admits another
/// one in its place, and starts the old disk on the host `spare` beside it.
///
/// # Errors
/// When something comes back that must not, or deploys do not go on.
pub async fn wipe(stage: &mut Stage, at: usize, spare: usize, deploys: u64) -> Result<()> {
    let (name, dir) = (stage.cluster.door_of(at)?.name, stage.cluster.data_dir(at).to_owned());
    let copy = dir.with_extension("copy");
    stage.cluster.kill(at).await?;
    fs::rename(&dir, &copy).context("keep the old disk")?;
    let before = members(&stage.cluster).await?;

    keep_identity(&copy, &dir)?;
    refused(stage, at, &[], &["skerry cluster remove", "join again"]).await?;
    fs::remove_dir_all(&dir).context("wipe the disk")?;
    let invitation = stage.cluster.invitation(Role::Voter).await?;
    refused(stage, at, &invitation, &["use another name, or remove that node first", &name]).await?;
    ensure!(members(&stage.cluster).await? == before, "a start that was refused has changed the members");
    stage.workload.progress(deploys).await?;

    stage.cluster.write(Method::DELETE, &format!("/cluster/nodes/{name}?force=true"), None).await?;
    stage.workload.dismiss(&name);
    stage.cluster.forget(at);
    let new = stage.cluster.join(Role::Voter, None).await?;
    let door = stage.cluster.door_of(new)?;
    stage.workload.admit(door).await?;
    stage.cluster.wait_for_voters(3).await?;
    beside(stage, copy, spare, deploys).await
}

/// The old disk, log and votes and all, on another host.
async fn beside(stage: &mut Stage, copy: std::path::PathBuf, spare: usize, deploys: u64) -> Result<()> {
    let address = stage.cluster.network().hosts()[spare].address().to_string();
    let stray =
        stage.cluster.stray(spare, copy, "copy", &[]).await.context("an old copy starts, and serves what it had")?;
    stage.workload.progress(deploys).await?;
    let cluster = &stage.cluster;
    let count = until("the members turn the old copy away", async || {
        let turned =
            |log: String| log.lines().filter(|line| line.contains(&address) && line.contains("no member")).count();
        let doors = cluster.doors();
        let logs = doors.iter().map(|door| fs::read_to_string(cluster.log(&door.name)).unwrap_or_default());
        Some(logs.map(turned).sum::<usize>()).filter(|count| *count > 0)
    });
    let count = count.await?;
    stage.coverage.saw(TURNED_AWAY, count as u64);
    stage.workload.progress(deploys).await?;
    stage.coverage.saw(BESIDE, 2 * deploys);
    drop(stray);
    Ok(())
}

async fn refused(stage: &mut Stage, at: usize, flags: &[String], words: &[&str]) -> Result<()> {
    let said = stage.cluster.refused(at, flags).await?;
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
    ensure!(missing.is_empty(), "the refusal does not say {missing:?}: {said}");
    stage.coverage.saw(REFUSED, 1);
    Ok(())
}

fn keep_identity(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).context("make an empty disk")?;
    for file in IDENTITY.iter().filter(|file| from.join(file).exists()) {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("copy {file}"))?;
    }
    Ok(())
}
