//! The built `skerry`, run as a person runs it: against an API that the test plays, and against a real node.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cluster;
mod deploying;
mod developing;
mod environments;
mod fake;
mod operations;
mod outcomes;
mod projects;
mod real_node;
mod run;
mod tailing;
mod up;
mod waiting;
