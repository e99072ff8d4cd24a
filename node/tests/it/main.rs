//! A real node in this process: deployed to through its API, asked through its sockets.
//!
//! Each test has a node of its own on port 0 with a directory of its own; they share the compiled engine image.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod between;
mod bindings;
mod framing;
mod harness;
mod http;
mod late_code;
mod lifecycle;
mod many;
mod routing;
mod sockets;
mod sources;
mod stalls;
mod tails;
mod tls;
mod traces;
mod uploads;
