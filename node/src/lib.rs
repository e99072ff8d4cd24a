//! Skerry's data plane: everything between a socket and a worker.
//!
//! **Owns** ingress, routing, running workers, their bindings and storage. **Must not know** how the catalog is agreed.
//! **Enter at** [`app::App`]. A module imports only the modules below it in this list.

pub mod app;
pub mod command;

pub mod ingress;
pub mod ports;
pub mod triggers;

pub mod dispatch;
pub mod router;
pub mod runtime;

pub mod kv;
pub mod tails;

pub mod bindings;

pub mod worker;

pub mod telemetry;

pub mod config;
pub mod data_dir;
pub mod descriptors;

pub mod address;
pub mod task;

pub use skerry_control::clock;
