//! The feed's promises: machine by machine, under a virtual clock with a thousand nodes, and on real files.
//!
//! **Owns** what they share: a history of commands, a world of nodes. **Must not know** QUIC. **Enter at**
//! [`scenarios`].

mod acks;
mod driver;
mod follow;
pub(in crate::feed) mod lab;
mod messages;
mod publish;
mod quarantine;
mod rank;
mod scenarios;
mod world;
