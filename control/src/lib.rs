//! Skerry's control plane: what the cluster agrees on, and the API that changes it.
//!
//! **Owns** the catalog, raft, bundles, identity and the API. **Must not know** wasmtime or how workers run. **Enter
//! at** [`control`], [`catalog`] and [`api`]. A module imports only modules below it.

pub mod api;

pub mod control;

pub mod backup;

mod reconcile;
mod rotation;
pub mod voters;

mod peer;
mod seat;

mod handover;

pub mod raft;

pub mod feed;

pub mod config;
pub mod error;

pub mod gossip;

pub mod mesh;

pub mod bundles;
pub mod identity;
pub mod seal;

pub mod state;
mod store;

pub mod tails;

pub mod mint;

pub mod catalog;
pub mod kv;
pub mod trace;

mod turn;

pub mod limits;

pub mod clock;
pub mod task;
