//! Skerry's data plane: everything between a socket and a worker.
//!
//! **Owns** ingress, routing, running workers, their bindings and storage. **Must not know** how the catalog is agreed.
//! **Enter at** [`runtime`]. A module imports only the modules below it in this list.

pub mod runtime;

pub mod bindings;
pub mod clock;
pub mod task;
