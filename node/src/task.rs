//! Named, supervised background tasks.
//!
//! **Owns** the end of what was spawned, and waking threads for it; the spawning itself is the control plane's. **Must not
//! know** what a task does. **Enter at** [`spawn`] for one task and [`Tasks`] for a group that ends together.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
pub use skerry_control::task::spawn;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A group of tasks that are told to stop, and waited for, together. Clones share the group.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// A group with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task in the group. It should end soon after [`Tasks::stopping`] resolves.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tracked = self.tracker.track_future(future);
        // The handle is not needed: the tracker knows when the task ends.
        let _detached = spawn(name, tracked);
    }

    /// Starts a task without which the process must not go on: `lost` is called when it panics. A node that no longer follows
    /// the catalog would look well and serve what was true yesterday.
    pub fn spawn_essential<F>(&self, name: &'static str, future: F, lost: impl FnOnce() + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, async move {
            // Nothing that the task shared is looked at again.
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked that the node can not be without");
                lost();
            }
        });
    }

    /// Resolves once the group is told to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many tasks of the group are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task of the group is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tells every task to stop and waits for them, at most for `deadline`. Returns how many were still alive then.
    pub async fn stop(&self, deadline: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        match tokio::time::timeout(deadline, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_) => self.tracker.len(),
        }
    }
}

/// Lets another thread of the runtime look after connections while this one is busy for a while. A thread that runs a task
/// polls no sockets, and tokio wakes no other thread to do it, though it be idle; for a second task that waits here, it does.
/// (Its `enable_eager_driver_handoff` does so for every task, and is not stable.)
pub fn rouse_another_thread() {
    for _ in 0..2 {
        let _detached = spawn("rouse", async {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_every_task() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("test", async move { stopping.cancelled().await });
        assert_eq!(tasks.len(), 1);
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn the_loss_of_an_essential_task_is_noticed() {
        let tasks = Tasks::new();
        let (panicked, noticed) = tokio::sync::oneshot::channel();
        tasks.spawn_essential("panics", async { panic!("on purpose") }, move || panicked.send(()).unwrap());
        noticed.await.unwrap();
        let stopping = tasks.stopping();
        tasks.spawn_essential("stops", async move { stopping.cancelled().await }, || panic!("it was told to"));
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test]
    async fn stop_gives_up_at_its_deadline_and_says_how_many_are_left() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        assert_eq!(tasks.stop(Duration::from_millis(10)).await, 1);
    }

    #[test]
    fn while_a_thread_is_busy_another_one_looks_after_its_sockets() {
        use std::{io::Write, os::unix::net::UnixStream, sync::mpsc::sync_channel};

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            let _entered = runtime.enter();
            (ours, tokio::net::UnixStream::from_std(theirs).unwrap())
        };
        let ((mut first, busy), (mut second, other)) = (pair(), pair());
        let (is_busy, noticed) = sync_channel(1);
        let (answer, answered) = sync_channel(1);
        let other = runtime.spawn(async move {
            other.readable().await.unwrap();
            answer.send(()).unwrap();
        });
        let busy = runtime.spawn(async move {
            // The thread that polls the sockets wakes up with this one and is busy from then on.
            busy.readable().await.unwrap();
            rouse_another_thread();
            is_busy.send(()).unwrap();
            answered.recv_timeout(Duration::from_secs(30)).expect("the other thread answers meanwhile");
        });
        first.write_all(b"x").unwrap();
        noticed.recv().unwrap();
        second.write_all(b"x").unwrap();
        runtime.block_on(busy).unwrap();
        runtime.block_on(other).unwrap();
    }
}
