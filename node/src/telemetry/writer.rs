//! Writes log lines from a thread of its own.
//!
//! **Owns** the queue between those who log and standard error. **Must not know** what is logged. **Enter at**
//! [`LineWriter`]. Whoever logs never waits: when the reader of standard error stalls, or a worker floods its log, lines are
//! dropped and counted, and the count is written once there is room.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use crate::clock;

/// BOUND: lines that wait to be written; at 16 KiB a line, the longest, 64 MiB.
const LINES_MAX: usize = 4096;

/// BOUND: how long a process that ends waits for its last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands lines to the writing thread.
#[derive(Debug, Clone)]
pub(super) struct LineWriter {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicU64,
    dropped: AtomicU64,
}

/// Waits for the last lines when it is dropped. Keep it until the process ends.
#[derive(Debug)]
pub struct FlushGuard(Arc<Counts>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        let deadline = clock::monotonic() + FLUSH_TIMEOUT;
        while self.0.waiting.load(Ordering::Relaxed) > 0 && clock::monotonic() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// One line in the making; it is handed over when it is dropped.
pub(super) struct Line {
    bytes: Vec<u8>,
    writer: LineWriter,
}

impl LineWriter {
    /// Starts the thread. Without it (no thread can be started) lines are dropped.
    pub(super) fn start() -> Self {
        let (lines, queue) = sync_channel(LINES_MAX);
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || write(&queue, &counted));
        if let Err(error) = thread {
            eprintln!("no log lines will be written: {error}");
        }
        Self { lines, counts }
    }

    pub(super) fn guard(&self) -> FlushGuard {
        FlushGuard(Arc::clone(&self.counts))
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bytes: Vec::with_capacity(256), writer: self.clone() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        let Counts { waiting, dropped } = &*self.writer.counts;
        waiting.fetch_add(1, Ordering::Relaxed);
        match self.writer.lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                waiting.fetch_sub(1, Ordering::Relaxed);
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn write(queue: &Receiver<Vec<u8>>, counts: &Counts) {
    let mut stderr = io::stderr();
    while let Ok(line) = queue.recv() {
        // There is nowhere to say that nothing can be said.
        let _closed = stderr.write_all(&line);
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        let count = counts.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _closed =
                writeln!(stderr, "{{\"level\":\"WARN\",\"message\":\"log lines were dropped\",\"count\":{count}}}");
        }
    }
}
