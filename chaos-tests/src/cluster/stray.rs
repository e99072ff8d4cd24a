//! Nodes that the cluster does not count on: an old copy of one, another cluster's, and those that are not let in.
//!
//! **Owns** their processes for as long as they run. **Must not know** what is wrong with them. **Enter at** [`Stray`].

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Cluster,
    door::{Door, Life},
    member::Member,
    process::Started,
    wall_clock::WallClock,
};

/// A node that runs beside the cluster. Killed when dropped.
#[derive(Debug)]
pub struct Stray {
    member: Member,
    /// How it is reached. Its token is the cluster's.
    pub door: Door,
}

impl Stray {
    /// The token that it has made for its operator, when it has founded a cluster.
    ///
    /// # Errors
    /// When it has not.
    pub fn admin_token(&self) -> Result<String> {
        let path = self.member.data_dir.join("admin.token");
        let token = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(token.trim().to_owned())
    }
}

/// A machine that wants to join, and should not.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// What it calls itself.
    pub name: String,
    /// What it was told.
    pub flags: Vec<String>,
    /// How wrong its clock is, in seconds.
    pub clock_seconds: i64,
}

impl Cluster {
    /// Starts what lies in a directory on a host that no node has, under a name that only its log bears.
    ///
    /// # Errors
    /// When it does not become ready; says what it said last.
    pub async fn stray(&self, host: usize, data_dir: PathBuf, name: &str, flags: &[String]) -> Result<Stray> {
        let mut member = self.outsider(host, name)?;
        member.data_dir = data_dir;
        match member.start(&self.programs, flags).await? {
            Started::Ready(process) => member.process = Some(*process),
            Started::Ended(said) => bail!("{name} ended: {said}"),
        }
        let door = self.door(&member)?;
        Ok(Stray { member, door })
    }

    /// Starts an applicant in an empty directory on a host that no node has; it must not become a node. Returns what it said last.
    ///
    /// # Errors
    /// When it becomes a node, or keeps something as if it were one.
    pub async fn turned_away(&self, host: usize, applicant: &Applicant) -> Result<String> {
        let Applicant { name, flags, clock_seconds } = applicant;
        let mut member = self.outsider(host, name)?;
        if *clock_seconds != 0 {
            let clock = WallClock::new(self.folder.path().join("applicant.clock"))?;
            clock.set(*clock_seconds)?;
            member.clock = Some(clock);
        }
        // Each in a directory of its own.
        let folder = tempfile::tempdir_in(self.folder.path()).context("make an empty disk")?;
        member.data_dir = folder.path().join("data");
        match member.start(&self.programs, flags).await? {
            Started::Ready(_) => bail!("{name} has become a node"),
            Started::Ended(said) => {
                ensure!(!member.data_dir.join("node.identity").exists(), "{name} thinks that it is a node");
                Ok(said)
            }
        }
    }

    /// Where a join token's text is kept for who is to use it.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn token_file(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("join-{name}"));
        fs::write(&path, token).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    fn outsider(&self, host: usize, name: &str) -> Result<Member> {
        let place = Arc::clone(self.network.hosts().get(host).context("the network has no such host")?);
        Ok(Member {
            process: None,
            frozen: None,
            volume: None,
            clock: None,
            name: name.to_owned(),
            place,
            data_dir: self.folder.path().join(name),
            log: self.log(name),
            flags: Vec::new(),
            advertise: None,
            door: None,
            life: Life::default(),
        })
    }
}
