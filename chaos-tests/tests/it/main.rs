//! Promises that only real processes can keep. Each test starts its own node on free ports in its own folder.

mod crash;
mod faults;
mod neighbours;
mod wrangler;
