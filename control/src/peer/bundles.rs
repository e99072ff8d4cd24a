//! Bundles from node to node, by their hash.
//!
//! **Owns** asking holders in turn, and storing on other voters before a version may name the bundle. **Must not know**
//! when code is needed. **Enter at** [`MeshSource`], [`Copier`] and [`BundleService`].

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use skerry_proto::{
    id::{BundleHash, NodeId},
    mesh::{self as pb, Chunk, Method, refusal::Code},
};
use tokio::sync::Semaphore;

use super::raft::{CHUNK_BYTES, read_chunks};
use crate::{
    bundles::{BundleSource, Bundles},
    catalog::{Catalog, Node, NodeRole},
    limits::{BUNDLE_BYTES_MAX, link_time},
    mesh::{Caller, FrameError, Incoming, Mesh, Service, Stream},
    state::States,
    task,
};

/// BOUND: bytes of the small messages around a bundle.
const NOTE_BYTES_MAX: usize = 1024;
/// BOUND: how long one holder may take for a bundle, besides the time that its bytes take on the slowest link.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(10);
/// BOUND: nodes that are asked for one bundle; all voters, and some that may have it.
const HOLDERS_MAX: usize = 8;
/// BOUND: how long a connection to a holder may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// BOUND: bundles that go to slow voters after a majority has them; each keeps its bytes for at most [`HOLDER_TIMEOUT`].
const LATE_COPIES_MAX: usize = 16;

/// Asks other nodes for bundles: voters first, which stored them before any version named them.
pub(crate) struct MeshSource {
    pub(crate) mesh: Mesh,
    pub(crate) states: Arc<States>,
}

#[async_trait]
impl BundleSource for MeshSource {
    async fn fetch(&self, hash: &BundleHash) -> Option<Bytes> {
        for holder in holders(&self.states.catalog(), self.mesh.node(), hash) {
            match fetch_from(&self.mesh, holder, hash).await {
                Ok(bytes) if BundleHash::of(&bytes) == *hash => return Some(bytes),
                Ok(_) => tracing::warn!(%hash, %holder, "a node gave bytes that are not the bundle"),
                Err(error) => tracing::debug!(%hash, %holder, %error, "a node does not give a bundle"),
            }
        }
        tracing::warn!(%hash, "no node gives a bundle");
        None
    }
}

/// Whom to ask, in which order: each node another one first, so that a new bundle does not come from one voter alone.
fn holders(catalog: &Catalog, own: NodeId, hash: &BundleHash) -> Vec<NodeId> {
    let rank = |node: &Node| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&hash.0).update(&own.0.to_be_bytes()).update(&node.id.0.to_be_bytes());
        (node.role == NodeRole::Edge, *hasher.finalize().as_bytes())
    };
    let mut holders: Vec<_> = catalog.nodes().filter(|node| node.id != own).map(|node| (rank(node), node.id)).collect();
    holders.sort_unstable();
    holders.into_iter().map(|(_, id)| id).take(HOLDERS_MAX).collect()
}

async fn fetch_from(mesh: &Mesh, holder: NodeId, hash: &BundleHash) -> Result<Bytes, FrameError> {
    let (mut stream, size_bytes) = in_time(0, ask(mesh, holder, hash)).await?;
    if size_bytes > BUNDLE_BYTES_MAX {
        return Err(FrameError::TooLarge { size_bytes, max_bytes: BUNDLE_BYTES_MAX });
    }
    in_time(size_bytes, read_chunks(&mut stream.receive, size_bytes)).await
}

/// Asks a holder for a bundle; returns its size, and the stream on which it comes.
async fn ask(mesh: &Mesh, holder: NodeId, hash: &BundleHash) -> Result<(Stream, usize), FrameError> {
    let mut stream = open(mesh, holder, Method::BundleGet).await?;
    stream.send.send(&pb::BundleGet { hash: Bytes::copy_from_slice(&hash.0) }).await?;
    stream.send.finish()?;
    let size: Option<pb::BundleSize> = stream.receive.next(NOTE_BYTES_MAX).await?;
    let size_bytes = size.and_then(|size| usize::try_from(size.size_bytes).ok()).unwrap_or(usize::MAX);
    Ok((stream, size_bytes))
}

/// Gives up on another node when it takes longer than so many bytes may.
async fn in_time<T>(bytes: usize, work: impl Future<Output = Result<T, FrameError>>) -> Result<T, FrameError> {
    let within = HOLDER_TIMEOUT + link_time(bytes);
    match tokio::time::timeout(within, work).await {
        Ok(done) => done,
        Err(_) => Err(FrameError::Lost { reason: format!("nothing within {} s", within.as_secs()) }),
    }
}

/// Stores bundles on other voters. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Copier {
    mesh: Mesh,
    late: Arc<Semaphore>,
}

impl Copier {
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh, late: Arc::new(Semaphore::new(LATE_COPIES_MAX)) }
    }

    /// Stores a bundle on other voters until `needed` of them have it, and says how many do. The others, which may be slow or
    /// dead, get it in the background.
    pub(crate) async fn store(&self, bytes: &Bytes, voters: &[NodeId], needed: usize) -> usize {
        let hash = BundleHash::of(bytes);
        let others = voters.iter().copied().filter(|voter| *voter != self.mesh.node());
        let mut storing: FuturesUnordered<_> =
            others.map(|voter| copy(self.mesh.clone(), voter, hash, bytes.clone())).collect();
        let mut stored = 0;
        while stored < needed
            && let Some(done) = storing.next().await
        {
            stored += usize::from(done);
        }
        if !storing.is_empty()
            && let Ok(place) = Arc::clone(&self.late).try_acquire_owned()
        {
            // Detached: it ends by itself, and a voter that has missed a bundle asks for it by its hash.
            drop(task::spawn("late bundle copies", async move {
                while storing.next().await.is_some() {}
                drop(place);
            }));
        }
        stored
    }
}

/// Whether a voter has stored it.
async fn copy(mesh: Mesh, voter: NodeId, hash: BundleHash, bytes: Bytes) -> bool {
    let stored = in_time(bytes.len(), store_at(&mesh, voter, &hash, bytes)).await;
    if let Err(error) = &stored {
        tracing::warn!(%hash, %voter, %error, "a voter does not store a bundle");
    }
    stored.is_ok()
}

async fn store_at(mesh: &Mesh, voter: NodeId, hash: &BundleHash, bytes: Bytes) -> Result<(), FrameError> {
    let mut stream = open(mesh, voter, Method::BundlePut).await?;
    let put = pb::BundlePut { hash: Bytes::copy_from_slice(&hash.0), size_bytes: bytes.len() as u64 };
    stream.send.send(&put).await?;
    send_chunks(&mut stream, bytes).await?;
    stream.send.finish()?;
    match stream.receive.next::<pb::BundleStored>(NOTE_BYTES_MAX).await? {
        Some(_) => Ok(()),
        None => Err(FrameError::Lost { reason: "it ended without an answer".to_owned() }),
    }
}

async fn open(mesh: &Mesh, to: NodeId, method: Method) -> Result<Stream, FrameError> {
    mesh.open(to, method, DIAL_TIMEOUT).await.map_err(|error| FrameError::Lost { reason: error.to_string() })
}

async fn send_chunks(stream: &mut Stream, mut bytes: Bytes) -> Result<(), FrameError> {
    while !bytes.is_empty() {
        let bytes = bytes.split_to(CHUNK_BYTES.min(bytes.len()));
        stream.send.send(&Chunk { bytes }).await?;
    }
    Ok(())
}

/// Gives bundles to members, and takes them from voters.
pub(crate) struct BundleService {
    pub(crate) bundles: Bundles,
    pub(crate) states: Arc<States>,
}

#[async_trait]
impl Service for BundleService {
    async fn serve(&self, from: Caller, call: Incoming) {
        let served = match call.method() {
            Method::BundleGet => self.give(call).await,
            _ => self.take(from, call).await,
        };
        if let Err(error) = served {
            tracing::debug!(%error, ?from, "a bundle did not travel");
        }
    }
}

impl BundleService {
    async fn give(&self, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::BundleGet = call.request(NOTE_BYTES_MAX).await?;
        let Ok(hash) = BundleHash::try_from(&request.hash[..]) else {
            return call.refuse(Code::Invalid, "hash: use 32 bytes").await;
        };
        let bytes = match self.bundles.get(&hash).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return call.refuse(Code::NotFound, "this node does not have the bundle").await,
            Err(error) => return call.refuse(Code::Unavailable, &error.to_string()).await,
        };
        let mut stream = call.accept_flow().await?;
        stream.send.send(&pb::BundleSize { size_bytes: bytes.len() as u64 }).await?;
        send_chunks(&mut stream, bytes).await?;
        stream.send.finish()
    }

    async fn take(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let request: pb::BundlePut = call.request(NOTE_BYTES_MAX).await?;
        let catalog = self.states.catalog();
        let from = match from {
            Caller::Node(node) => catalog.node(node),
            Caller::Stranger(_) => None,
        };
        if from.is_none_or(|node| node.role != NodeRole::Voter) {
            return call.refuse(Code::Forbidden, "only nodes that may vote store bundles").await;
        }
        let size_bytes = usize::try_from(request.size_bytes).unwrap_or(usize::MAX);
        let (Ok(hash), true) = (BundleHash::try_from(&request.hash[..]), size_bytes <= BUNDLE_BYTES_MAX) else {
            return call.refuse(Code::Invalid, "the hash or the size is not a bundle's").await;
        };
        let mut stream = call.accept_flow().await?;
        let bytes = read_chunks(&mut stream.receive, size_bytes).await?;
        if BundleHash::of(&bytes) != hash {
            return Err(FrameError::Malformed { reason: "the bytes are not the bundle".to_owned() });
        }
        let stored = self.bundles.put(bytes).await;
        stored.map_err(|error| FrameError::Lost { reason: error.to_string() })?;
        stream.send.send(&pb::BundleStored {}).await?;
        stream.send.finish()
    }
}

/// The methods that [`BundleService`] answers.
pub(crate) fn methods(service: &Arc<BundleService>) -> [(Method, Arc<dyn Service>); 2] {
    [Method::BundleGet, Method::BundlePut].map(|method| (method, Arc::clone(service) as Arc<dyn Service>))
}
