//! Who is alive, and what everybody says of themselves.
//!
//! **Owns** the membership view and the newest revision that anyone claims. **Must not know** the catalog, or what the view
//! decides elsewhere: gossip is never asked who owns something. **Enter at** [`Gossip`].
//!
//! SWIM by foca, in datagrams that the mesh carries and whose senders it proves. `swim` is the whole behaviour, without I/O;
//! `driver` gives it time and datagrams. Anything may be lost, late or doubled; what a datagram says of a third node is hearsay.

use std::{fmt, num::NonZeroU64, path::PathBuf, sync::Arc};

use bytes::Bytes;
use skerry_proto::id::{NodeId, Revision};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    limits::{GOSSIP_DATAGRAM_BYTES, NEWS_VERSION_BYTES_MAX},
    mint,
};

mod boot;
mod codec;
mod core;
mod dice;
mod driver;
mod identity;
mod members;
mod news;
mod profile;
mod refusal;
mod roster;
mod swim;
mod teller;
#[cfg(test)]
mod tests;
mod timers;

pub use self::{
    boot::BootError,
    members::{Liveness, MemberState, Members},
    news::News,
    roster::{Profile, Roster},
};
use self::{
    driver::Driver,
    identity::Identity,
    swim::{Swim, SwimConfig},
    teller::Own,
};

/// Carries datagrams to members; implemented by the mesh.
pub trait Datagrams: Send + Sync {
    /// Sends it if that is possible now, and loses it otherwise. Does not wait.
    fn send(&self, to: NodeId, bytes: Bytes);
    /// How many bytes a datagram to whomever can have.
    fn bytes_max(&self) -> usize;
}

/// What gossip is told once.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// This node.
    pub node: NodeId,
    /// Where the boot counter lies.
    pub data_dir: PathBuf,
    /// The newest feature level that this build knows.
    pub feature_level: u32,
    /// The version of this build, 0 to 64 bytes.
    pub version: String,
}

/// What gossip works with.
pub struct GossipDeps {
    /// Sends.
    pub datagrams: Arc<dyn Datagrams>,
    /// What arrives, with the sender as the mesh has proven it. Bound it by
    /// [`GOSSIP_INBOX_MAX`](crate::limits::GOSSIP_INBOX_MAX), and drop what does not fit.
    pub inbox: mpsc::Receiver<(NodeId, Bytes)>,
    /// The nodes that the catalog lists.
    pub roster: watch::Receiver<Roster>,
}

/// Why gossip does not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The boot counter can not be used. State: unchanged. Retry: as the error says.
    #[error("gossip can not count this start")]
    Boot(#[from] BootError),
    /// The mesh carries too little. State: unchanged. Retry: no.
    #[error("the mesh carries datagrams of {bytes_max} bytes; gossip needs {GOSSIP_DATAGRAM_BYTES}")]
    Datagrams {
        /// What it carries.
        bytes_max: usize,
    },
    /// The version is too long. State: unchanged. Retry: no.
    #[error("the version {version:?} has more than {NEWS_VERSION_BYTES_MAX} bytes")]
    Version {
        /// The version.
        version: String,
    },
}

/// How gossip goes. Counters count from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GossipStatus {
    /// Changes of members that wait to be passed on. More than there are nodes means that they do not get through.
    pub updates_backlog: usize,
    /// News that waits to be passed on. As above.
    pub custom_broadcast_backlog: usize,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams received, bad ones included.
    pub received: u64,
    /// Datagrams that were refused.
    pub bad: u64,
    /// Own news that was too large to be told.
    pub too_large: u64,
    /// How often this node came back after others took it for down.
    pub rejoins: u64,
}

/// This node's part in gossip.
pub struct Gossip {
    driver: Driver,
    handle: GossipHandle,
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").field("status", &self.handle.status()).finish_non_exhaustive()
    }
}

/// Reads the view and tells this node's news. Clones share them.
#[derive(Debug, Clone)]
pub struct GossipHandle {
    members: watch::Receiver<Arc<Members>>,
    status: watch::Receiver<GossipStatus>,
    own: Arc<watch::Sender<Own>>,
}

impl Gossip {
    /// Counts this start; sends nothing yet. Blocking.
    pub fn build(config: GossipConfig, deps: GossipDeps) -> Result<Self, BuildError> {
        // Every node has the same size, whatever more its own paths would carry: foca refuses what it would not send.
        let bytes_max = deps.datagrams.bytes_max();
        if bytes_max < GOSSIP_DATAGRAM_BYTES {
            return Err(BuildError::Datagrams { bytes_max });
        }
        if config.version.len() > NEWS_VERSION_BYTES_MAX {
            return Err(BuildError::Version { version: config.version });
        }
        let boot = boot::next(&config.data_dir)?;
        let swim = SwimConfig {
            identity: Identity::started(config.node, boot),
            feature_level: config.feature_level,
            version: config.version.into(),
            seed: mint::random(),
        };
        let (members, members_seen) = watch::channel(Arc::default());
        let (status, status_seen) = watch::channel(GossipStatus::default());
        let (own, own_seen) = watch::channel(Own::default());
        let driver = Driver {
            swim: Swim::new(clock::monotonic(), swim),
            data_dir: config.data_dir,
            datagrams: deps.datagrams,
            inbox: deps.inbox,
            roster: deps.roster,
            own: own_seen,
            members,
            status,
        };
        Ok(Self { driver, handle: GossipHandle { members: members_seen, status: status_seen, own: Arc::new(own) } })
    }

    /// For those who read the view or have news.
    #[must_use]
    pub fn handle(&self) -> GossipHandle {
        self.handle.clone()
    }

    /// Takes part until `shutdown` is cancelled, and then tells the others. The mesh must run longer.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { driver, handle } = self;
        driver.run(shutdown).await;
        drop(handle);
    }
}

impl GossipHandle {
    /// Sees the view whenever it changes.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<Arc<Members>> {
        self.members.clone()
    }

    /// Tells which revision this node serves: at once when nobody has told of it yet.
    pub fn announce_revision(&self, revision: Revision) {
        self.own.send_if_modified(|own| std::mem::replace(&mut own.revision, revision) != revision);
    }

    /// Tells how many requests are in flight here. Others see it at most five times a second, in a large cluster less often.
    pub fn set_load(&self, load: u32) {
        self.own.send_if_modified(|own| std::mem::replace(&mut own.load, load) != load);
    }

    /// Tells when the certificate that this node shows ends, in seconds since the Unix epoch.
    pub fn set_certificate_end(&self, ends_s: u64) {
        let ends_s = NonZeroU64::new(ends_s);
        self.own.send_if_modified(|own| std::mem::replace(&mut own.certificate_ends_s, ends_s) != ends_s);
    }

    /// How gossip goes.
    #[must_use]
    pub fn status(&self) -> GossipStatus {
        *self.status.borrow()
    }
}
