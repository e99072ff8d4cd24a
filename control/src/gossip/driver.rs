//! The task that gives the member its datagrams, its time and its files.
//!
//! **Owns** the one task that touches [`Swim`]. **Must not know** what any of it means. **Enter at** [`Driver::run`].

use std::{future, path::PathBuf, sync::Arc, time::Instant};

use bytes::Bytes;
use skerry_proto::id::NodeId;
use tokio::{
    sync::{mpsc, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{
    Datagrams, GossipStatus, boot,
    members::Members,
    roster::Roster,
    swim::{Action, Input, Swim},
    teller::Own,
};
use crate::clock;

pub(super) struct Driver {
    pub(super) swim: Swim,
    pub(super) data_dir: PathBuf,
    pub(super) datagrams: Arc<dyn Datagrams>,
    pub(super) inbox: mpsc::Receiver<(NodeId, Bytes)>,
    pub(super) roster: watch::Receiver<Roster>,
    pub(super) own: watch::Receiver<Own>,
    pub(super) members: watch::Sender<Arc<Members>>,
    pub(super) status: watch::Sender<GossipStatus>,
}

impl Driver {
    /// Returns when `shutdown` is cancelled and the others have been told.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let (roster, own) = (self.roster.borrow_and_update().clone(), *self.own.borrow_and_update());
        self.step(Input::Roster(roster)).await;
        self.step(Input::Own(own)).await;
        while let Some(input) = self.next(&shutdown).await {
            self.step(input).await;
        }
        self.step(Input::Leave).await;
    }

    /// What happens next; `None` at shutdown. A source that has ended is not asked again.
    async fn next(&mut self, shutdown: &CancellationToken) -> Option<Input> {
        let timeout = self.swim.next_timeout();
        tokio::select! {
            () = shutdown.cancelled() => None,
            () = reached(timeout) => Some(Input::Timeout),
            Some((from, bytes)) = self.inbox.recv() => Some(Input::Datagram { from, bytes }),
            Ok(()) = self.roster.changed() => Some(Input::Roster(self.roster.borrow_and_update().clone())),
            Ok(()) = self.own.changed() => Some(Input::Own(*self.own.borrow_and_update())),
        }
    }

    async fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.swim.handle(clock::monotonic(), input, &mut actions);
        for action in actions {
            match action {
                Action::Send { to, bytes } => self.datagrams.send(to, bytes),
                Action::Publish(members) => {
                    self.members.send_replace(members);
                }
                Action::KeepBoot(boot) => self.keep_boot(boot).await,
            }
        }
        self.status.send_replace(self.swim.status());
    }

    /// When it fails, the next start learns the same again.
    async fn keep_boot(&self, boot: u64) {
        let data_dir = self.data_dir.clone();
        match tokio::task::spawn_blocking(move || boot::keep(&data_dir, boot)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "the boot counter is not kept"),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the boot counter is not kept"),
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => future::pending().await,
    }
}
