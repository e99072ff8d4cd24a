//! Figures measured beside their peers in one run on one machine.
//!
//! **Owns** what is measured and how it is shown. **Must not know** how a node does its work. **Enter at**
//! [`report::Report`].

pub mod cluster;
pub mod cold;
pub mod hops;
pub mod load;
pub mod peer;
pub mod process;
pub mod report;
pub mod spread;
pub mod throughput;
