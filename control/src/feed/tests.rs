//! The feed's promises: under a virtual clock with a thousand nodes, and on real files.

mod acks;
mod driver;
mod follow;
mod lab;
mod messages;
mod publish;
mod quarantine;
mod rank;
mod scenarios;
mod world;
