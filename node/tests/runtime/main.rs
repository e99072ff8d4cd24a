//! The runtime's promises, kept by real isolates.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with its runtime")]

mod answers;
mod faults;
mod lifetimes;
mod limits;
mod loading;
mod pieces;
mod recursion;
mod room;
mod sockets;
mod sources;
mod streams;
mod support;
