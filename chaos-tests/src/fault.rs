//! What a cluster is put through.
//!
//! **Owns** one file for each fault: how it is made, how it ends, and how it is known to have happened. **Must not know** what
//! must hold meanwhile. **Enter at** the function of each file's name.

pub mod applicants;
pub mod clock_step;
pub mod cut;
pub mod expired;
pub mod full_disk;
pub mod hostile;
pub mod kill;
pub mod outage;
pub mod pause;
pub mod poison;
pub mod small_packets;
pub mod weather;
pub mod wiped;
