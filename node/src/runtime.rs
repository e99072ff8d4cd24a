//! Runs workers.
//!
//! **Owns** isolates, instances and their limits. **Must not know** the catalog, hostnames or sockets. **Enter at**
//! [`worker::WorkerSpec`].

pub use crate::worker;
