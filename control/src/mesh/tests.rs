//! The mesh over real sockets on loopback.
//!
//! **Owns** the mesh's promises as tests. **Must not know** what calls mean. **Enter at** [`World`], a cluster to try things
//! on.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, Method},
};
use tokio::sync::Notify;

use super::*;
use crate::{limits::NODE_CERTIFICATE_LIFE, mesh::code::CloseCode};

mod calls;
mod certificates;
mod hostile;
mod identities;
mod joining;
mod levels;
mod members;

/// Much longer than anything takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(20);

/// Who is where. Nodes share one, unless they should disagree.
#[derive(Default)]
struct Book(Mutex<BTreeMap<NodeId, String>>);

impl Book {
    fn put(&self, node: u64, address: SocketAddr) {
        self.0.lock().unwrap().insert(NodeId(node), address.to_string());
    }

    fn remove(&self, node: u64) {
        self.0.lock().unwrap().remove(&NodeId(node));
    }
}

impl Directory for Book {
    fn address(&self, node: NodeId) -> Option<String> {
        self.0.lock().unwrap().get(&node).cloned()
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.0.lock().unwrap().contains_key(&node)
    }
}

/// A cluster's authority and its directory.
struct World {
    cluster: String,
    authority: Authority,
    book: Arc<Book>,
}

impl World {
    fn new() -> Self {
        let cluster = hex::encode(crate::mint::random::<16>());
        let authority = new_authority(&cluster, clock::unix_ms()).unwrap();
        Self { cluster, authority, book: Arc::default() }
    }

    fn identity(&self, node: u64) -> NodeIdentity {
        self.identity_at(node, clock::unix_ms(), NODE_CERTIFICATE_LIFE)
    }

    fn identity_at(&self, node: u64, now_ms: i64, life: Duration) -> NodeIdentity {
        let key = new_key().unwrap();
        let request = certificate_request(&key).unwrap();
        let chain = self.authority.issue(&request, &self.cluster, NodeId(node), now_ms, life).unwrap();
        NodeIdentity {
            cluster: self.cluster.clone(),
            node: NodeId(node),
            key,
            chain,
            authorities: vec![self.authority.certificate.clone()],
            members: Vec::new(),
            role: "voter".to_owned(),
            feature_level: 1,
        }
    }

    /// A node that answers every echo and stands in the book.
    fn node(&self, node: u64) -> Mesh {
        self.start(config(), self.identity(node))
    }

    fn start(&self, config: MeshConfig, identity: NodeIdentity) -> Mesh {
        let node = identity.node.0;
        let mesh = Mesh::build(config, identity, Arc::<Book>::clone(&self.book)).unwrap();
        mesh.serve(Services::from([(Method::Renew, Arc::new(Echo) as Arc<dyn Service>)]));
        self.book.put(node, mesh.address());
        mesh
    }
}

fn config() -> MeshConfig {
    MeshConfig { sweep_interval: Duration::from_millis(20), ..MeshConfig::new((Ipv4Addr::LOCALHOST, 0).into()) }
}

/// Answers a renewal with what was asked.
struct Echo;

#[async_trait]
impl Service for Echo {
    async fn serve(&self, _from: Caller, mut call: Incoming) {
        let Ok(request) = call.request::<pb::Renew>(1 << 20).await else { return };
        let chain = vec![request.certificate_request];
        // The caller may have gone.
        let _ = call.answer(&pb::Renewed { chain, authorities: Vec::new() }).await;
    }
}

/// Reads the request and answers when it is told to.
#[derive(Default)]
struct Slow {
    reached: Notify,
    go_on: Notify,
}

#[async_trait]
impl Service for Slow {
    async fn serve(&self, from: Caller, call: Incoming) {
        self.reached.notify_one();
        self.go_on.notified().await;
        Echo.serve(from, call).await;
    }
}

async fn echo(mesh: &Mesh, to: u64, text: &str) -> Result<String, CallError> {
    let call = pb::Renew { certificate_request: Bytes::copy_from_slice(text.as_bytes()) };
    let renewed = mesh.call(NodeId(to), &call, LONG).await?;
    Ok(String::from_utf8(renewed.chain[0].to_vec()).unwrap())
}

/// Waits for a condition; fails when it takes too long.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, holds).await.is_ok(), "{what} did not come about");
}

/// The caller may hear of it before the node has counted it.
async fn until_refused_for_its_certificate(mesh: &Mesh) {
    let once = BTreeMap::from([(Reason::Certificate, 1)]);
    until("it is counted", || std::future::ready(mesh.stranger_errors() == once)).await;
}

/// Why a call was not sent.
fn unsent<T: fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Unsent { reason, .. }) => reason,
        other => panic!("the call should not have been sent: {other:?}"),
    }
}

/// A QUIC client that shows no certificate.
struct Stranger {
    endpoint: Endpoint,
    name: String,
    client: quinn::ClientConfig,
}

impl Stranger {
    fn new(world: &World, node: u64, class: Class) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(world.authority.certificate.to_vec().into()).unwrap();
        let tls = rustls::ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = tls::quic_client(&config(), tls, class).unwrap();
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { endpoint, name: name::NodeName::new(NodeId(node), &world.cluster).to_string(), client }
    }

    async fn connect(&self, to: &Mesh) -> Result<quinn::Connection, outgoing::DialError> {
        let (client, name) = (self.client.clone(), self.name.clone());
        let dialling = outgoing::Dialling { endpoint: &self.endpoint, client, name, within: LONG };
        dialling.any_of(&to.address().to_string()).await
    }
}
