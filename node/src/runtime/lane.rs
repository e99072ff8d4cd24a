//! The heavy lane: threads of the lowest priority for events that take long, so that short ones do not wait for them.
//!
//! **Owns** those threads and the turns on them. **Must not know** what an event is. **Enter at** [`Lane::push`].

use std::{
    collections::VecDeque,
    future::Future,
    io,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
};

use tokio::runtime::Handle;

use super::thread as cpu;

/// The rest of an event: pending only between two of its turns.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The threads; they end when this is dropped, without finishing what is queued.
pub(crate) struct Lane {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    // BOUND: one job for each isolate.
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    stop: bool,
}

impl Lane {
    /// Starts `threads` threads, whose jobs may use what `handle`'s runtime offers to its tasks.
    pub(crate) fn start(threads: usize, handle: &Handle) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let mut lane = Self { queue: Arc::clone(&queue), threads: Vec::new() };
        for _ in 0..threads.max(1) {
            let (queue, handle) = (Arc::clone(&queue), handle.clone());
            let thread = thread::Builder::new().name("skerry-heavy".to_owned()).spawn(move || work(&queue, &handle))?;
            lane.threads.push(thread);
        }
        Ok(lane)
    }

    /// Queues a job behind the others.
    pub(crate) fn push(&self, job: Job) {
        self.queue.push(job);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let left = {
            let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.stop = true;
            std::mem::take(&mut state.jobs)
        };
        // Jobs own isolates, whose end may take locks: never under ours.
        drop(left);
        self.queue.ready.notify_all();
        for thread in self.threads.drain(..) {
            // The last handle may be dropped by a job itself; a thread can not wait for its own end.
            if thread.thread().id() != thread::current().id() {
                let _panicked = thread.join();
            }
        }
    }
}

impl Queue {
    fn push(&self, job: Job) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.stop {
            state.jobs.push_back(job);
            drop(state);
            self.ready.notify_one();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.stop {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(queue: &Queue, handle: &Handle) {
    cpu::become_heavy();
    let _entered = handle.enter();
    let mut context = Context::from_waker(Waker::noop());
    while let Some(mut job) = queue.next() {
        cpu::begin_turn();
        // A panic is the job's end, not the thread's: nobody would start another.
        let poll = panic::catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut context)));
        let _unused = cpu::take_turn();
        // It yielded after its slice and goes behind the others.
        if matches!(poll, Ok(Poll::Pending)) {
            queue.push(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_leaves_its_thread_to_the_others() {
        let lane = Lane::start(1, &Handle::current()).unwrap();
        let (sender, log) = sync_channel(1);
        lane.push(Box::pin(async { panic!("a mistake in a job") }));
        lane.push(Box::pin(async move { sender.send(()).unwrap() }));
        log.recv().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_may_use_the_runtime() {
        let lane = Lane::start(1, &Handle::current()).unwrap();
        let (sender, woken) = tokio::sync::oneshot::channel();
        lane.push(Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            sender.send(()).unwrap();
        }));
        woken.await.unwrap();
    }

    #[tokio::test]
    async fn jobs_take_turns() {
        let lane = Lane::start(1, &Handle::current()).unwrap();
        let (sender, log) = sync_channel(16);
        for name in ["a", "b"] {
            let sender = sender.clone();
            lane.push(Box::pin(async move {
                for turn in 0..2 {
                    sender.send((name, turn)).unwrap();
                    let mut yielded = false;
                    std::future::poll_fn(|_| {
                        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                }
            }));
        }
        let mut seen: Vec<_> = (0..4).map(|_| log.recv().unwrap()).collect();
        seen.sort_by_key(|(_, turn)| *turn);
        assert_eq!(seen.iter().map(|(_, turn)| *turn).collect::<Vec<_>>(), [0, 0, 1, 1]);
    }
}
