//! What `skerry-node` does besides serving.
//!
//! **Owns** the sub-commands. **Must not know** a running node. **Enter at** [`init`] and [`backup`].

pub mod backup;
pub mod init;
