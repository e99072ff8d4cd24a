//! Skerry's data plane: everything between a socket and a worker.
//!
//! **Owns** ingress, routing, running workers, their bindings and storage. **Must not know** how the catalog is agreed.
//! **Enter at** [`runtime`].

pub mod bindings;
pub mod runtime;
