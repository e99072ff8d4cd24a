//! The code that environments wait for.
//!
//! **Owns** how often and how much at once it is tried to get it. **Must not know** where it comes from, or what is served
//! meanwhile. **Enter at** [`Awaited`].

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use skerry_control::catalog::EnvironmentKey;
use tokio::sync::Semaphore;

use crate::{
    dispatch::{Dispatch, Unready, site::Site, spec::SpecError},
    telemetry::chain,
};

/// BOUND: environments whose code is fetched and compiled at once; each may have 65 MiB in memory.
const AT_ONCE_MAX: usize = 8;
/// How soon it is tried again, and how late at most: somebody has to make room, or a node has to come back.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

type Trying = Pin<Box<dyn Future<Output = Tried> + Send>>;

/// The newest entry of each environment whose code is not here.
pub(super) struct Awaited {
    dispatch: Dispatch,
    trying: FuturesUnordered<Abortable<Trying>>,
    waiting: BTreeMap<EnvironmentKey, Waiting>,
    failed: BTreeMap<EnvironmentKey, Failed>,
    ready: Vec<Arc<Site>>,
    places: Arc<Semaphore>,
}

struct Waiting {
    unready: Unready,
    trial: AbortHandle,
}

struct Failed {
    reason: String,
    pause: Duration,
}

struct Tried {
    site: Arc<Site>,
    result: Result<(), SpecError>,
}

impl Awaited {
    pub(super) fn new(dispatch: Dispatch) -> Self {
        Self {
            dispatch,
            trying: FuturesUnordered::new(),
            waiting: BTreeMap::new(),
            failed: BTreeMap::new(),
            ready: Vec::new(),
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }

    /// Begins to get the code of these, in place of what their environments waited for before.
    pub(super) fn want(&mut self, unready: &[Unready]) {
        for unready in unready {
            self.failed.remove(&unready.site.key);
            self.attempt(Duration::ZERO, unready.clone());
        }
    }

    fn attempt(&mut self, pause: Duration, unready: Unready) {
        let (dispatch, places, wanted) = (self.dispatch.clone(), Arc::clone(&self.places), unready.clone());
        let trying: Trying = Box::pin(async move {
            tokio::time::sleep(pause).await;
            let _place = places.acquire().await.expect("the semaphore is never closed");
            let result = dispatch.make_ready(&wanted).await;
            Tried { site: wanted.site, result }
        });
        let (trial, registration) = AbortHandle::new_pair();
        self.trying.push(Abortable::new(trying, registration));
        if let Some(before) = self.waiting.insert(unready.site.key.clone(), Waiting { unready, trial }) {
            before.trial.abort();
        }
    }

    /// Returns when something has been tried, and for which environment; never while there is nothing to try.
    pub(super) async fn next(&mut self) -> EnvironmentKey {
        loop {
            match self.trying.next().await {
                Some(Ok(tried)) => {
                    let key = tried.site.key.clone();
                    self.take(tried);
                    return key;
                }
                Some(Err(_aborted)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Returns once each of these has been tried.
    pub(super) async fn tried(&mut self, unready: &[Unready]) {
        let mut left: BTreeSet<_> = unready.iter().map(|unready| &unready.site.key).collect();
        while !left.is_empty() {
            let tried = self.next().await;
            left.remove(&tried);
        }
    }

    fn take(&mut self, Tried { site, result }: Tried) {
        let newest = self.waiting.remove(&site.key);
        let Some(Waiting { unready, trial }) = newest else { return };
        if !Arc::ptr_eq(&unready.site, &site) {
            // It tells of an attempt that was given up as it ended.
            self.waiting.insert(site.key.clone(), Waiting { unready, trial });
            return;
        }
        let before = self.failed.remove(&site.key);
        let Err(error) = result else { return self.ready.push(site) };
        let pause = before.as_ref().map_or(RETRY.0, |before| (before.pause * 2).min(RETRY.1));
        let reason = format!("{}: {}", site.key, chain(&error));
        if before.is_none_or(|before| before.reason != reason) {
            tracing::warn!(environment = %site.key, error = &error as &dyn Error, "new code is not ready");
        }
        self.failed.insert(site.key.clone(), Failed { reason, pause });
        self.attempt(pause, unready);
    }

    /// Those whose code has come.
    pub(super) fn take_ready(&mut self) -> Vec<Arc<Site>> {
        std::mem::take(&mut self.ready)
    }

    /// Gives up what is not the newest of its environment any more.
    pub(super) fn retain_newest(&mut self) {
        let (dispatch, failed) = (&self.dispatch, &mut self.failed);
        self.waiting.retain(|key, waiting| {
            let is_newest = dispatch.is_newest(&waiting.unready.site);
            if !is_newest {
                waiting.trial.abort();
                failed.remove(key);
            }
            is_newest
        });
    }

    /// Whether nothing is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Why the first that has failed has done so.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.failed.values().next().map(|failed| failed.reason.as_str())
    }
}
