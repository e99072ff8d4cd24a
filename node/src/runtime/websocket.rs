//! A WebSocket between the world and a worker, as two bounded channels.
//!
//! **Owns** the ends that ingress and the runtime hold. **Must not know** RFC 6455 framing. **Enter at** [`Accepted`].

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::limits;
use crate::bindings::outbound::SocketMessage;

/// One side's end.
#[derive(Debug)]
pub struct Ends {
    /// Messages to the other side. BOUND: 256 wait; the sender waits too then.
    pub outgoing: mpsc::Sender<SocketMessage>,
    /// Messages from the other side. The socket has ended when this has, after a `Close` when it ended in order.
    pub incoming: mpsc::Receiver<SocketMessage>,
}

/// The end that the receiver of a 101 response takes out of its extensions, once.
#[derive(Debug, Clone)]
pub struct Accepted {
    ends: Arc<Mutex<Option<Ends>>>,
}

impl Accepted {
    /// Wraps an end for a response's extensions.
    #[must_use]
    pub fn new(ends: Ends) -> Self {
        Self { ends: Arc::new(Mutex::new(Some(ends))) }
    }

    /// The end; `None` when it was taken before.
    #[must_use]
    pub fn take(&self) -> Option<Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connected pair of ends.
#[must_use]
pub fn pair() -> (Ends, Ends) {
    let (to_b, from_a) = mpsc::channel(limits::SOCKET_MESSAGES_MAX);
    let (to_a, from_b) = mpsc::channel(limits::SOCKET_MESSAGES_MAX);
    (Ends { outgoing: to_b, incoming: from_b }, Ends { outgoing: to_a, incoming: from_a })
}
