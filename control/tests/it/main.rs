//! The control plane through its public doors.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod api;
mod many;
