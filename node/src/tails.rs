//! Live logs.
//!
//! **Owns** who listens to which environment, and what a listener is sent. **Must not know** HTTP or the API. **Enter at**
//! [`Tails`].
//!
//! An event is sent when it ends; a line logged after the response has gone out is sent at once. Nobody samples. A listener
//! that is too slow loses the oldest events and is told how many.

mod item;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use skerry_control::catalog::EnvironmentKey;
use tokio::sync::broadcast;

pub use self::item::{EventInfo, Source, Trace, send_line};

/// BOUND: events that wait for one environment's slowest listener; past it the oldest are dropped for that listener. An event
/// has up to 256 KiB of lines, so that a listener which reads nothing holds about 16 MiB.
const BACKLOG_EVENTS_MAX: usize = 64;
/// BOUND: environments listened to at once on this node; further listeners get a channel on which nothing is sent.
const ENVIRONMENTS_MAX: usize = 10_000;

type Channel = broadcast::Sender<Arc<serde_json::Value>>;

/// The listeners of this node.
#[derive(Debug, Default)]
pub struct Tails {
    channels: Mutex<HashMap<EnvironmentKey, Channel>>,
    /// How many environments have had a listener, so that a request without any pays one load.
    open: AtomicUsize,
}

impl Tails {
    /// Without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to send the events of `environment`; `None` when nobody listens.
    #[must_use]
    pub fn channel(&self, environment: &EnvironmentKey) -> Option<Channel> {
        if self.open.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let channels = self.lock();
        channels.get(environment).filter(|channel| channel.receiver_count() > 0).cloned()
    }

    /// The events of `environment` from now on, in Cloudflare's shape. A receiver that falls behind loses the oldest.
    #[must_use]
    pub fn subscribe(&self, environment: &EnvironmentKey) -> broadcast::Receiver<Arc<serde_json::Value>> {
        let mut channels = self.lock();
        channels.retain(|_, channel| channel.receiver_count() > 0);
        let receiver = match channels.get(environment) {
            Some(channel) => channel.subscribe(),
            None => {
                let (channel, receiver) = broadcast::channel(BACKLOG_EVENTS_MAX);
                if channels.len() < ENVIRONMENTS_MAX {
                    channels.insert(environment.clone(), channel);
                }
                receiver
            }
        };
        self.open.store(channels.len(), Ordering::Relaxed);
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EnvironmentKey, Channel>> {
        // The map is changed by single calls, so a panic between them leaves it whole.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use skerry_proto::id::{AccountId, ServiceName};

    use super::*;

    fn environment(service: &str) -> EnvironmentKey {
        let account = AccountId::new(&"a".repeat(32)).unwrap();
        skerry_control::catalog::ServiceKey { account, name: ServiceName::new(service).unwrap() }.production()
    }

    #[test]
    fn only_the_listeners_of_an_environment_hear_it() {
        let tails = Tails::new();
        assert!(tails.channel(&environment("a")).is_none());
        let mut heard = tails.subscribe(&environment("a"));
        let mut deaf = tails.subscribe(&environment("b"));
        tails.channel(&environment("a")).unwrap().send(Arc::new(serde_json::json!(1))).unwrap();
        assert_eq!(*heard.try_recv().unwrap(), serde_json::json!(1));
        assert!(deaf.try_recv().is_err());
    }

    #[test]
    fn a_listener_that_left_costs_nothing() {
        let tails = Tails::new();
        drop(tails.subscribe(&environment("a")));
        assert!(tails.channel(&environment("a")).is_none());
        drop(tails.subscribe(&environment("b")));
        assert_eq!(tails.lock().len(), 1);
    }
}
