//! What an operator can choose about the runtime.
//!
//! **Owns** its defaults and bounds. **Must not know** where they come from. **Enter at** [`RuntimeConfig`].

use std::{path::PathBuf, time::Duration};

/// The runtime's settings.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Where the engine image and compiled components are kept between starts. Tests share one.
    pub cache_dir: PathBuf,
    /// JavaScript isolates that may exist at once, 1 to 100 000. Default 10 000. The address space and the kernel's limit on
    /// mappings may lower it. Too low evicts workers that are in use; too high costs only address space.
    pub isolates_max: u32,
    /// An isolate that has had nothing to do for this long is dropped. Default 10 min. Too low brings back cold starts,
    /// too high keeps about 0.4 MB each.
    pub idle: Duration,
    /// Threads that run events which have taken more than about 2 ms, at the lowest priority. Default one a core. Too few
    /// make long events wait for each other; more than cores gain nothing.
    pub heavy_threads: usize,
    /// How long `waitUntil` may go on after the response. Default 30 s, as documented for Workers.
    pub wait_until: Duration,
    /// Whether modules may import `skerry:internal/*`. Only the prelude's own tests do.
    pub internal_modules: bool,
}

impl RuntimeConfig {
    /// The defaults, with the cache in `cache_dir`.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            isolates_max: 10_000,
            idle: Duration::from_secs(600),
            heavy_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            wait_until: Duration::from_secs(30),
            internal_modules: false,
        }
    }
}
