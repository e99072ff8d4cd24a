//! Each account's connections to the Internet.
//!
//! **Owns** that no account waits for another one's connections, and how many there may be. **Must not know** requests.
//! **Enter at** [`Pools::of`].
//!
//! Connections of HTTP/2 carry many requests, so whoever shares one shares its window and its number of streams: an account has
//! its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use skerry_proto::id::AccountId;
use tokio::sync::Semaphore;

use super::{
    CONNECT_TIMEOUT, EgressRule, HEADER_BYTES_MAX,
    places::Placed,
    resolver::{LOOKUPS_MAX, LOOKUPS_PER_ACCOUNT_MAX, Resolver},
    share::Share,
};
use crate::worker::Body;

/// BOUND: unused connections kept for one host.
const IDLE_PER_HOST_MAX: usize = 32;
/// BOUND: how long an unused connection is kept; most servers close theirs after 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// BOUND: connections of all workers, used or not. They are open files ([`crate::descriptors`]).
pub const CONNECTIONS_MAX: usize = 4096;
/// BOUND: connections of one account's workers.
const CONNECTIONS_PER_ACCOUNT_MAX: usize = 1024;
/// BOUND: accounts with connections; past it all begin anew, and connections in use live on.
const ACCOUNTS_MAX: usize = 1024;
/// BOUND: bytes of one HTTP/2 answer that wait for the worker to read them: 40 Mbit/s from a server 100 ms away.
const STREAM_BYTES_MAX: u32 = 512 << 10;
/// BOUND: what the streams of one connection may have together: an account that leaves 32 answers unread waits for itself.
const CONNECTION_BYTES_MAX: u32 = 16 << 20;
/// A half-open connection is noticed by the system within some minutes after this.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// A connection that a firewall forgot is noticed within these two.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Pool = Client<Placed<HttpsConnector<HttpConnector<Resolver>>>, Body>;

/// The connections of one account.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) client: Pool,
    /// For WebSockets, which need HTTP/1.1 and keep their connection.
    pub(super) sockets: Pool,
    lookups: Share,
    connections: Share,
}

/// The connections of all.
#[derive(Debug)]
pub(super) struct Pools {
    tenants: Mutex<HashMap<AccountId, Tenant>>,
    rule: Arc<EgressRule>,
    tls: ClientConfig,
    lookups: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Pools {
    pub(super) fn new(rule: Arc<EgressRule>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring offers the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tenants: Mutex::default(),
            rule,
            tls,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// The connections of an account. Where no more may be opened, unused ones are let go first, and those in use live on: of the
    /// account, or of all.
    pub(super) fn of(&self, account: &AccountId) -> Tenant {
        // Each change is one insert or a clear, so a panic leaves it whole.
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() > ACCOUNTS_MAX || self.connections.available_permits() == 0 {
            tenants.clear();
        }
        let tenant = match tenants.get(account) {
            Some(tenant) if !tenant.connections.is_used_up() => return tenant.clone(),
            Some(full) => self.tenant(full.lookups.clone(), full.connections.clone()),
            None => {
                let lookups = Share::of(&self.lookups, LOOKUPS_PER_ACCOUNT_MAX);
                self.tenant(lookups, Share::of(&self.connections, CONNECTIONS_PER_ACCOUNT_MAX))
            }
        };
        tenants.insert(account.clone(), tenant.clone());
        tenant
    }

    fn tenant(&self, lookups: Share, connections: Share) -> Tenant {
        let mut tcp =
            HttpConnector::new_with_resolver(Resolver { rule: Arc::clone(&self.rule), lookups: lookups.clone() });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let tls = || HttpsConnectorBuilder::new().with_tls_config(self.tls.clone()).https_or_http();
        let placed = |connector| Placed::new(connector, connections.clone());
        Tenant {
            client: builder().build(placed(tls().enable_all_versions().wrap_connector(tcp.clone()))),
            sockets: builder().build(placed(tls().enable_http1().wrap_connector(tcp))),
            lookups,
            connections,
        }
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .http1_max_buf_size(HEADER_BYTES_MAX)
        .http2_max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .http2_initial_stream_window_size(STREAM_BYTES_MAX)
        .http2_initial_connection_window_size(CONNECTION_BYTES_MAX)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_connections_are_let_go_when_no_more_may_be_opened() {
        let pools = Pools::new(Arc::default());
        let account = |letter: &str| AccountId::new(&letter.repeat(32)).unwrap();
        let (one, two) = (account("a"), account("b"));
        let (first, _) = (pools.of(&one), pools.of(&two));
        assert_eq!(pools.tenants.lock().unwrap().len(), 2);
        let own: Vec<_> = std::iter::from_fn(|| first.connections.try_take()).collect();
        assert_eq!(own.len(), CONNECTIONS_PER_ACCOUNT_MAX);
        // A pool of its own again, of the same places.
        assert!(pools.of(&one).connections.is_used_up());
        assert!(!pools.of(&two).connections.is_used_up(), "another account's are its own");
        let everyone: Vec<_> = std::iter::from_fn(|| pools.connections.try_acquire().ok()).collect();
        assert_eq!(own.len() + everyone.len(), CONNECTIONS_MAX);
        pools.of(&two);
        assert_eq!(pools.tenants.lock().unwrap().len(), 1, "all let go of theirs");
    }
}
