//! The live events of other nodes.
//!
//! **Owns** who is listened to, and for how long. **Must not know** who listens, or what an event is. **Enter at** [`listen`]
//! and [`TailService`].
//!
//! A listener at one node has a flow from each other node. What it does not want is left out where it happens. A flow waits
//! while its listener is slow; meanwhile the source drops the oldest events, and says how many.
//!
//! ```text
//! every node of the catalog: asked --taken on--> flowing --broken--> asked again after a pause
//! a node that joins is asked; one that is removed is let go; all are when the listener goes
//! ```

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use skerry_proto::{
    id::{AccountId, EnvironmentName, NodeId, ServiceName},
    mesh::{self as pb, Method, refusal::Code},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    catalog::{Catalog, EnvironmentKey, ServiceKey},
    limits::FRAME_BYTES_MAX,
    mesh::{Caller, FrameError, Incoming, Mesh, Service, Stream},
    state::States,
    tails::{FILTER_BYTES_MAX, Filter, Heard, Tails, wanted},
};

/// BOUND: how long a connection to another node may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// How soon a node is asked again that did not answer or broke off.
const RETRY: Duration = Duration::from_secs(1);
/// BOUND: bytes of the question: the filters, and three names.
const REQUEST_BYTES_MAX: usize = FILTER_BYTES_MAX + 1024;
/// BOUND: listeners of other nodes on this one; each has a task, and its share of a channel.
const FLOWS_MAX: usize = 1024;
/// BOUND: listeners at this node that hear other nodes. Each takes a stream of the bulk connection to every node, which has
/// 256 and carries bundles and API calls too.
const LISTENERS_MAX: usize = 64;

/// How many listen at this node.
pub(crate) fn listeners() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LISTENERS_MAX))
}

/// What is listened to.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) environment: EnvironmentKey,
    pub(crate) filter: Filter,
}

type Flow = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Brings the events of all other nodes, until `out` has no receiver any more.
pub(crate) async fn listen(mesh: Mesh, states: Arc<States>, ask: Arc<Ask>, out: mpsc::Sender<Heard>) {
    let mut catalogs = states.watch();
    let mut flowing: BTreeMap<NodeId, AbortHandle> = BTreeMap::new();
    let mut flows: FuturesUnordered<Abortable<Flow>> = FuturesUnordered::new();
    loop {
        let catalog = Arc::clone(&catalogs.borrow_and_update());
        let others: Vec<_> = others(&catalog, mesh.node());
        flowing.retain(|node, flow| {
            let stays = others.contains(node);
            if !stays {
                flow.abort();
            }
            stays
        });
        for node in others {
            flowing.entry(node).or_insert_with(|| {
                let flow: Flow = Box::pin(follow(mesh.clone(), node, Arc::clone(&ask), out.clone()));
                let (handle, registration) = AbortHandle::new_pair();
                flows.push(Abortable::new(flow, registration));
                handle
            });
        }
        loop {
            tokio::select! {
                () = out.closed() => return,
                changed = catalogs.changed() => match changed {
                    Ok(()) if catalog.same_nodes(&catalogs.borrow_and_update()) => {}
                    Ok(()) => break,
                    Err(_) => return,
                },
                // Flows end only when they are let go.
                Some(_) = flows.next() => {}
            }
        }
    }
}

fn others(catalog: &Catalog, own: NodeId) -> Vec<NodeId> {
    catalog.nodes().map(|node| node.id).filter(|node| *node != own).collect()
}

/// One node's events, for as long as it is polled.
async fn follow(mesh: Mesh, node: NodeId, ask: Arc<Ask>, out: mpsc::Sender<Heard>) {
    loop {
        if let Err(error) = flow(&mesh, node, &ask, &out).await {
            tracing::debug!(%node, %error, "a node's live events do not come");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn flow(mesh: &Mesh, node: NodeId, ask: &Ask, out: &mpsc::Sender<Heard>) -> Result<(), FrameError> {
    let opened = mesh.open(node, Method::Tail, DIAL_TIMEOUT).await;
    let mut stream = opened.map_err(|error| FrameError::Lost { reason: error.to_string() })?;
    let EnvironmentKey { service, environment } = &ask.environment;
    let request = pb::TailRequest {
        account: service.account.to_string(),
        service: service.name.to_string(),
        environment: environment.to_string(),
        filters: ask.filter.as_str().to_owned(),
    };
    stream.send.send(&request).await?;
    while let Some(pb::TailEvent { event, lost }) = stream.receive.next(FRAME_BYTES_MAX).await? {
        let heard = if lost > 0 { Heard::Lost(lost) } else { Heard::Event(event) };
        if out.send(heard).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Sends this node's events to listeners at other nodes.
pub(crate) struct TailService {
    tails: Arc<OnceLock<Arc<dyn Tails>>>,
    places: Semaphore,
}

impl TailService {
    /// With the events of `tails`, once there are any.
    pub(crate) fn new(tails: Arc<OnceLock<Arc<dyn Tails>>>) -> Self {
        Self { tails, places: Semaphore::new(FLOWS_MAX) }
    }

    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let Caller::Node(_) = from else {
            return call.refuse(Code::Forbidden, "only members ask for live events").await;
        };
        let request: pb::TailRequest = call.request(REQUEST_BYTES_MAX).await?;
        let ask = match asked(&request) {
            Ok(ask) => ask,
            Err(why) => return call.refuse(Code::Invalid, &why).await,
        };
        let (Some(tails), Ok(_place)) = (self.tails.get(), self.places.try_acquire()) else {
            return call.refuse(Code::Unavailable, "this node has no more room for listeners").await;
        };
        let mut events = tails.subscribe(&ask.environment);
        let mut stream = call.accept_flow().await?;
        loop {
            let heard = tokio::select! {
                // The listener says nothing more, so this is its end.
                _gone = stream.receive.next::<pb::TailRequest>(REQUEST_BYTES_MAX) => return Ok(()),
                heard = wanted(&mut events, &ask.filter) => heard,
            };
            match heard {
                Some(heard) => send(&mut stream, heard).await?,
                None => return stream.send.finish(),
            }
        }
    }
}

async fn send(stream: &mut Stream, heard: Heard) -> Result<(), FrameError> {
    let event = match heard {
        Heard::Event(event) => pb::TailEvent { event, lost: 0 },
        Heard::Lost(lost) => pb::TailEvent { event: String::new(), lost },
    };
    stream.send.send(&event).await
}

fn asked(request: &pb::TailRequest) -> Result<Ask, String> {
    let named = || {
        let account = AccountId::new(&request.account).ok()?;
        let service = ServiceKey { account, name: ServiceName::new(&request.service).ok()? };
        Some(service.environment(EnvironmentName::new(&request.environment).ok()?))
    };
    let environment = named().ok_or("the environment's name is none")?;
    let filter = Filter::parse(&request.filters).map_err(|error| error.to_string())?;
    Ok(Ask { environment, filter })
}

#[async_trait]
impl Service for TailService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "live events are not sent any more");
        }
    }
}
