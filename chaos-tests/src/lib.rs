//! Real Skerry nodes under faults and under load.
//!
//! **Owns** starting nodes, talking to them as users do, and judging what they did. **Must not know** their insides: only
//! programs, the command line and HTTP. **Enter at** [`node::Node`].

pub mod api;
pub mod bench;
pub mod clock;
pub mod crash;
pub mod node;
pub mod offenders;
pub mod programs;
pub mod rng;
pub mod visitor;
