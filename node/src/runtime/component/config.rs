//! What an operator can choose about Wasm components.
//!
//! **Owns** its defaults and bounds. **Must not know** where they come from. **Enter at** [`ComponentConfig`].

use std::{path::PathBuf, time::Duration};

/// The settings of [`ComponentRuntime`](super::ComponentRuntime).
#[derive(Debug, Clone)]
pub struct ComponentConfig {
    /// Where compiled components are kept between starts. Tests share one.
    pub cache_dir: PathBuf,
    /// How much of the disk compiled components may take, in bytes. Default 4 GiB; the oldest go first. Too low compiles
    /// again after a start (seconds each); too high costs only disk.
    pub cache_bytes_max: u64,
    /// Instances that may exist at once on this node, 1 to 10 000. Default 400. Each takes 4 GiB of address space and, at
    /// worst, its memory limit. Too low answers 503 under load; too high lets memory run out. One account has three quarters of
    /// them at most.
    pub instances_max: u32,
    /// Instances of one worker that may exist at once. Default 100, so that one worker can not take the whole pool.
    pub instances_per_worker_max: usize,
    /// Versions whose machine code stays mapped. Default 256, the least recently used go first.
    pub versions_max: usize,
    /// How long compiling one component may take, its wait for the compiler left out. Default 2 min; the upload is refused
    /// past it.
    pub compile_time: Duration,
    /// How long a request waits for its component to be compiled, and an upload for its turn at the compiler. Default 1 min;
    /// past it the answer is 503. Too low refuses what would be ready soon; too high keeps clients that have given up.
    pub load_wait: Duration,
    /// How long an instance may go on after the end of its answer's body. Default 30 s, as for JavaScript.
    pub wait_until: Duration,
    /// How often the CPU budget of running guests is looked at, 1 ms to 10 ms. Default 1 ms. Too long lets a guest run past its
    /// budget and holds up its neighbours; too short costs switches.
    pub tick: Duration,
    /// A call that has used this much CPU time goes on at the lowest priority. Default 5 ms.
    pub heavy_after: Duration,
    /// Threads for such calls. Default one a core. Too few make long calls wait for each other; more than cores gain nothing.
    pub heavy_threads: usize,
}

impl ComponentConfig {
    /// The defaults, with the cache in `cache_dir`.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            cache_bytes_max: 4 << 30,
            instances_max: 400,
            instances_per_worker_max: 100,
            versions_max: 256,
            compile_time: Duration::from_secs(120),
            load_wait: Duration::from_secs(60),
            wait_until: Duration::from_secs(30),
            tick: Duration::from_millis(1),
            heavy_after: Duration::from_millis(5),
            heavy_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}
