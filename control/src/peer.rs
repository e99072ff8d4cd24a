//! What nodes ask of each other.
//!
//! **Owns** each question's way over the mesh and back: one file a question, both of its sides. **Must not know** when
//! they are asked. **Enter at** [`services`].

use std::sync::Arc;

use skerry_proto::mesh::Method;

use crate::mesh::{Service, Services};

pub(crate) mod api;
pub(crate) mod book;
pub(crate) mod bundles;
pub(crate) mod feed;
pub(crate) mod gossip;
pub(crate) mod holdings;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod propose;
pub(crate) mod raft;
pub(crate) mod renew;
pub(crate) mod role;
pub(crate) mod sight;
pub(crate) mod tails;
pub(crate) mod trust;

/// The services of these methods.
pub(crate) fn services<const N: usize>(of: [(Method, Arc<dyn Service>); N]) -> Services {
    of.into_iter().collect()
}
