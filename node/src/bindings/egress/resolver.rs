//! Names to addresses.
//!
//! **Owns** which addresses of a name workers may reach, and how many names are looked up at once. **Must not know**
//! connections. **Enter at** [`Resolver`].
//!
//! The system's resolver blocks a thread, for as long as a name server pleases, and can not be told to stop. The threads are
//! those on which KV reads its disk and code is loaded, so a lookup keeps its place until its thread is free again, whether
//! or not anybody still waits for it.

use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::{EgressRule, share::Share};

/// BOUND: names looked up at once by the node, an eighth of the threads that may block.
pub(super) const LOOKUPS_MAX: usize = 64;
/// BOUND: names looked up at once by one account.
pub(super) const LOOKUPS_PER_ACCOUNT_MAX: usize = 16;
/// BOUND: how long somebody waits for a name; a resolver asks each of its servers twice, 5 s each, before it gives up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Resolves names and drops the addresses that workers may not reach.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    pub(super) rule: Arc<EgressRule>,
    pub(super) lookups: Share,
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the name can not be resolved")]
    Lookup(#[source] io::Error),
    #[error("the name was not resolved within {} s", LOOKUP_TIMEOUT.as_secs())]
    TimedOut,
    #[error("every address of the name is refused")]
    Refused,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { rule, lookups } = self.clone();
        Box::pin(async move {
            let looking = tokio::time::timeout(LOOKUP_TIMEOUT, look_up(name, lookups));
            let found = looking.await.map_err(|_elapsed| ResolveError::TimedOut)?.map_err(ResolveError::Lookup)?;
            let addresses: Vec<SocketAddr> = found.into_iter().filter(|address| rule.permits(address.ip())).collect();
            if addresses.is_empty() { Err(ResolveError::Refused) } else { Ok(addresses.into_iter()) }
        })
    }
}

async fn look_up(name: Name, lookups: Share) -> io::Result<Vec<SocketAddr>> {
    let places = lookups.take().await;
    let looking = tokio::task::spawn_blocking(move || {
        let _places = places;
        (name.as_str(), 0).to_socket_addrs().map(Iterator::collect)
    });
    looking.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn an_account_that_fills_its_places_leaves_room_for_others() {
        let everyone = Arc::new(Semaphore::new(LOOKUPS_MAX));
        let resolver = || Resolver { rule: Arc::default(), lookups: Share::of(&everyone, LOOKUPS_PER_ACCOUNT_MAX) };
        let (greedy, mut other) = (resolver(), resolver());
        let held: Vec<_> = std::iter::from_fn(|| greedy.lookups.try_take()).collect();
        assert_eq!(held.len(), LOOKUPS_PER_ACCOUNT_MAX);
        let found = other.call("localhost".parse().unwrap()).await;
        assert!(matches!(found, Err(ResolveError::Refused)), "it was looked up, and leads to this machine");
        drop(held);
        assert_eq!(everyone.available_permits(), LOOKUPS_MAX);
    }
}
