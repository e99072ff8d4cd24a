//! Real Skerry nodes under faults and under load, and their agreement in a simulation.
//!
//! **Owns** starting nodes, talking to them as users do, and judging what they did. **Must not know** their insides: only
//! programs, the command line and HTTP; [`sim`] alone links parts of a node: raft, the feed, bundles. **Enter at**
//! [`node::Node`], [`cluster::Cluster`] and [`scenario`].

pub mod api;
pub mod bench;
pub mod clock;
pub mod cluster;
pub mod coverage;
pub mod crash;
pub mod fault;
pub mod history;
pub mod invariant;
pub mod node;
pub mod offenders;
pub mod programs;
pub mod rng;
pub mod scenario;
pub mod sim;
pub mod stage;
pub mod visitor;
pub mod workload;
