//! Named, supervised background tasks.
//!
//! **Owns** spawning. **Must not know** what a task does. **Enter at** [`spawn`].

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task. A panic in it is logged with `name`; the rest of the process goes on.
#[allow(clippy::disallowed_methods, reason = "this file is where the crate spawns")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(async move {
        let watch = PanicWatch { name };
        let output = future.await;
        drop(watch);
        output
    })
}

struct PanicWatch {
    name: &'static str,
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.name, "a task panicked");
        }
    }
}
