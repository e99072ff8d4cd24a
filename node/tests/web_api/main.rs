//! The promises of the web APIs about whole requests, kept by real isolates: one worker (`js/tests/requests/worker.js`)
//! with a route for each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../runtime/support.rs"]
#[allow(dead_code, reason = "shared with the runtime's tests, which use all of it")]
mod support;

mod bindings;
mod entry;
mod failures;
mod fetching;
mod handing_on;
mod requests;
mod sockets;
mod stage;
