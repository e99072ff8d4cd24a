//! How every node comes to the newest state, and how the cluster learns that it has.
//!
//! **Owns** deltas, snapshots, acknowledgements, and a node's own copy on disk. **Must not know** QUIC, raft, or how a
//! revision is served. **Enter at** [`Feed`], or at [`relay::Relay`] for simulations.
//!
//! ```text
//!   voters (raft writes `States`)          each line: deltas and heartbeats down, acknowledgements up
//!    │  │  │
//!   relays: a few nodes of each region     each node: `follow` (two upstreams) → disk → `States` → `publish`
//!    │  │  │                               `relay` is all of that as one pure machine; `driver` runs it
//!   everyone else
//! ```
//! Read `message`, `publish`, `follow` (with `follow/hold.rs` for what is not believed), `rank` for the tree's shape, `acks`,
//! `quarantine`, then `store` and `driver`.

pub mod driver;
mod handle;
mod link;
pub(crate) mod stopped;
mod store;

pub mod relay;

pub mod follow;
pub mod quarantine;
pub mod uplink;

pub mod publish;
pub mod rank;

pub mod acks;
pub mod message;
pub mod rules;

pub mod limits;
mod tail;

#[cfg(test)]
mod tests;

pub use self::{
    acks::{Ack, Propagation, Refusal},
    driver::{BuildError, Feed, FeedConfig, Leadership, Role},
    handle::{FeedHandle, FeedStatus, SubscriberStatus, UpstreamStatus},
    link::{Dial, DialError, Link, LinkReceiver, LinkSender},
    message::Position,
    rank::Candidate,
};
