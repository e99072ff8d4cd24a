//! Skerry's control plane: what the cluster agrees on, and the API that changes it.
//!
//! **Owns** the catalog, raft, bundles, identity and the API. **Must not know** wasmtime or how workers run. **Enter
//! at** [`catalog`] and [`kv`].

pub mod catalog;
pub mod kv;
