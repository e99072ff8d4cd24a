//! Ctrl-C and its kin.
//!
//! **Owns** what asks a command without an end to end. **Must not know** what ends. **Enter at** [`Signals::listen`].

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP, from the moment this is made.
///
/// They no longer end the process by themselves afterwards, so everything that is waited for has to be raced with them.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What `work` comes to; `None` when a signal came first, and `work` was dropped.
    pub(crate) async fn race<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
            _ = self.hangup.recv() => None,
            outcome = work => Some(outcome),
        }
    }
}
