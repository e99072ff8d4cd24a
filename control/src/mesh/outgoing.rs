//! Making a connection.
//!
//! **Owns** one attempt: look the address up, shake hands, wait to be let in. **Must not know** when attempts are made.
//! **Enter at** [`dial`].

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use quinn::{Connection, ConnectionError, Endpoint};
use skerry_proto::id::NodeId;

use super::{
    class::Class,
    counters::Reason,
    links::{Line, Usage},
    shared::Shared,
    tls,
};
use crate::clock;

/// BOUND: addresses of one name that are tried.
const ADDRESSES_MAX: usize = 3;

/// Why an attempt made no connection.
#[derive(Debug)]
pub(super) struct DialError {
    pub(super) reason: Reason,
    pub(super) text: String,
}

impl DialError {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One attempt to reach a node.
pub(super) async fn dial(shared: &Shared, node: NodeId, class: Class) -> Result<Line, DialError> {
    let no_address = || DialError::new(Reason::Address, format!("no address of node {node} is known"));
    let address = shared.address_of(node).ok_or_else(no_address)?;
    let credentials = shared.credentials.load_full();
    let client = credentials.client(class);
    let name = super::name::NodeName::new(node, &shared.cluster);
    let dial =
        Dialling { endpoint: &shared.endpoint, client, name: name.to_string(), within: shared.config.dial_timeout };
    let connection = dial.any_of(&address).await?;
    let ours = tls::peer(&connection, &shared.cluster).ok().filter(|leaf| leaf.name == name);
    let Some(leaf) = ours else {
        return Err(DialError::new(Reason::Certificate, format!("{address} shows no certificate of {name} alone")));
    };
    let ends_ms = credentials.ends_ms.min(leaf.life.ends_ms);
    Ok(Line { connection, address, credentials, ends_ms, usage: Arc::new(Usage::new(clock::monotonic())) })
}

/// What is dialled how.
pub(super) struct Dialling<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) client: quinn::ClientConfig,
    /// The name that the other side must prove.
    pub(super) name: String,
    pub(super) within: Duration,
}

impl Dialling<'_> {
    /// Tries what the name resolves to, one after the other.
    pub(super) async fn any_of(&self, address: &str) -> Result<Connection, DialError> {
        let addresses = resolve(address, self.within).await?;
        self.first_of(address, addresses).await
    }

    /// Tries these addresses of `name`, one after the other.
    pub(super) async fn first_of(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Connection, DialError> {
        let within = self.within / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut failed = DialError::new(Reason::Address, format!("{name} resolves to nothing"));
        for remote in addresses {
            match tokio::time::timeout(within, self.one(remote)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failed = DialError { text: format!("{remote}: {error}"), ..error },
                Err(_) => {
                    let text = format!("{remote} does not answer within {} ms", within.as_millis());
                    failed = DialError::new(Reason::Unreachable, text);
                }
            }
        }
        Err(failed)
    }

    async fn one(&self, remote: SocketAddr) -> Result<Connection, DialError> {
        let connecting = self.endpoint.connect_with(self.client.clone(), remote, &self.name);
        let connecting = connecting.map_err(|error| DialError::new(Reason::Address, error.to_string()))?;
        let connection = connecting.await.map_err(|error| broken(&error))?;
        // In TLS 1.3 a client is done before the server has looked at its certificate: only the welcome says that it has.
        let mut welcome = connection.accept_uni().await.map_err(|error| broken(&error))?;
        match welcome.read_to_end(super::WELCOME.len()).await {
            Ok(text) if text == super::WELCOME => Ok(connection),
            Ok(_) => Err(DialError::new(Reason::Malformed, "the peer speaks another protocol")),
            Err(error) => Err(DialError::new(Reason::Lost, error.to_string())),
        }
    }
}

async fn resolve(address: &str, within: Duration) -> Result<Vec<SocketAddr>, DialError> {
    let failed = |text: String| DialError::new(Reason::Address, format!("{address} can not be resolved: {text}"));
    match tokio::time::timeout(within, tokio::net::lookup_host(address)).await {
        Ok(Ok(addresses)) => Ok(addresses.take(ADDRESSES_MAX).collect()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {} ms", within.as_millis()))),
    }
}

/// What a connection that failed means.
pub(super) fn broken(error: &ConnectionError) -> DialError {
    match error {
        ConnectionError::TransportError(error) if is_tls(error.code.into()) => {
            let text = error.reason.trim_start_matches("other error: ");
            DialError::new(Reason::Certificate, text)
        }
        ConnectionError::ConnectionClosed(close) if is_tls(close.error_code.into()) => {
            let text = format!("the peer refuses this node: {}", said(&close.reason));
            DialError::new(Reason::Certificate, text)
        }
        ConnectionError::ApplicationClosed(close) => {
            DialError::new(Reason::Refused, format!("the peer closed the connection: {}", said(&close.reason)))
        }
        ConnectionError::TimedOut => DialError::new(Reason::Unreachable, "no answer"),
        ConnectionError::Reset => DialError::new(Reason::Lost, "the peer was restarted"),
        error => DialError::new(Reason::Unreachable, error.to_string()),
    }
}

/// Whether a QUIC error is a TLS alert (RFC 9001 section 4.8).
fn is_tls(code: u64) -> bool {
    (0x100..0x200).contains(&code)
}

/// What a peer says about itself, fit for a log.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start_matches("other error: ");
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}
