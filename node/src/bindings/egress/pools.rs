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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    CONNECT_TIMEOUT, EgressRule, HEADER_BYTES_MAX,
    places::Placed,
    resolver::{LOOKUPS_MAX, Resolver},
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
/// BOUND: bytes of one HTTP/2 answer that wait for the worker to read them: 40 Mbit/s from a server 100 ms away, and 512 MB of
/// an event that reads none of 1000 answers.
const STREAM_BYTES_MAX: u32 = 512 << 10;
/// What the streams of one connection may have together: no bound of its own, or answers that nobody reads would stop the
/// others (RFC 9113 section 6.9.1 has this as the largest).
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// A connection that a firewall forgot is noticed within these two.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

type Connector = HttpsConnector<Placed<HttpConnector<Resolver>>>;
pub(super) type Pool = Client<Connector, Body>;

/// Places that an account may have, of those that all have.
#[derive(Debug, Clone)]
pub(super) struct Share {
    everyone: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// A place of an account, and the same of all.
pub(super) type Place = [OwnedSemaphorePermit; 2];

/// The connections of one account.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) client: Pool,
    /// For WebSockets, which need HTTP/1.1 and keep their connection.
    pub(super) sockets: Pool,
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

impl Share {
    pub(super) fn of(everyone: &Arc<Semaphore>, own_max: usize) -> Self {
        Self { everyone: Arc::clone(everyone), own: Arc::new(Semaphore::new(own_max)) }
    }

    /// The account's own first: whoever waits for it keeps nobody else's.
    pub(super) async fn take(&self) -> Place {
        let take = async |places: &Arc<Semaphore>| {
            Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
        };
        [take(&self.own).await, take(&self.everyone).await]
    }
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

    /// The connections of an account.
    pub(super) fn of(&self, account: &AccountId) -> Tenant {
        // Each change is one insert or a clear, so a panic leaves it whole.
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(account) {
            return tenant.clone();
        }
        if tenants.len() >= ACCOUNTS_MAX {
            tenants.clear();
        }
        let tenant = self.tenant();
        tenants.insert(account.clone(), tenant.clone());
        tenant
    }

    fn tenant(&self) -> Tenant {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(&self.rule), &self.lookups));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tcp = Placed::new(tcp, Share::of(&self.connections, CONNECTIONS_PER_ACCOUNT_MAX));
        let tls = || HttpsConnectorBuilder::new().with_tls_config(self.tls.clone()).https_or_http();
        Tenant {
            client: builder().build(tls().enable_all_versions().wrap_connector(tcp.clone())),
            sockets: builder().build(tls().enable_http1().wrap_connector(tcp)),
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
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    builder
}
