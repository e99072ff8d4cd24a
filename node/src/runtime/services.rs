//! What every isolate of a node shares.
//!
//! **Owns** the pieces' lifetimes. **Must not know** workers. **Enter at** [`Services`].

use std::sync::Arc;

use tokio::{runtime::Handle, sync::Semaphore};

use super::{census::Census, config::RuntimeConfig, isolate::Mould, lane::Lane, ticker::Ticker};

/// The shared pieces.
pub(crate) struct Services {
    pub(crate) config: RuntimeConfig,
    pub(crate) mould: Mould,
    pub(crate) ticker: Ticker,
    pub(crate) lane: Lane,
    pub(crate) handle: Handle,
    pub(crate) census: Arc<Census>,
    /// The places of uploads that are tried out.
    pub(crate) validations: Arc<Semaphore>,
}

impl Services {
    /// What an isolate's Math.random begins with, in [0, 1).
    pub(crate) fn seed(&self) -> f64 {
        let mut bytes = [0; 8];
        // Math.random promises no secrecy: without randomness every isolate begins alike, as the language allows.
        let _filled = getrandom::fill(&mut bytes);
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
