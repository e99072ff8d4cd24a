//! The control plane through its public doors.

mod api;
