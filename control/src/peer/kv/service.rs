//! Answers other nodes from the entries that this one keeps.
//!
//! **Owns** what is taken from another node, and how much of it is in memory at once. **Must not know** where entries are
//! stored. **Enter at** [`KvService`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use skerry_proto::{
    id::NamespaceId,
    kv::{self as pb, answer::Outcome, request::Operation},
    mesh::refusal::Code,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    flow::{receive_value, send_value},
    keeper::Keeper,
    message::{
        INLINE_BYTES_MAX, PAIR_BYTES_MAX, REQUEST_BYTES_MAX, access, announce, asked, failure, listed, page, paired,
        span_name,
    },
};
use crate::{
    kv::{KvEntry, KvError, KvPut, LocalStore},
    limits::REQUEST_TIMEOUT,
    mesh::{Caller, FrameError, FrameReceiver, Incoming, Service},
    trace::{SpanKind, TraceContext, Tracer},
};

/// BOUND: KiB of large values on their way from or to other nodes; ten of the largest, or two bulk writes.
const ROOM_KIB: usize = 256 << 10;
/// BOUND: how long a call waits for room; its caller waits 5 s in all.
const ROOM_TIMEOUT: Duration = Duration::from_secs(3);

/// Answers calls about the namespaces whose home this node is.
pub(crate) struct KvService {
    keeper: Arc<Keeper>,
    room: Arc<Semaphore>,
    tracer: Tracer,
}

#[async_trait]
impl Service for KvService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a call about KV was not answered");
        }
    }
}

impl KvService {
    pub(crate) fn new(keeper: Arc<Keeper>, tracer: Tracer) -> Self {
        Self { keeper, room: Arc::new(Semaphore::new(ROOM_KIB)), tracer }
    }

    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let Caller::Node(_) = from else {
            return call.refuse(Code::Forbidden, "only members ask for KV").await;
        };
        let request: pb::Request = call.request(REQUEST_BYTES_MAX).await?;
        let (namespace, operation) = match asked(request) {
            Ok(asked) => asked,
            Err(why) => return call.refuse(Code::Invalid, why).await,
        };
        let parent = call.traceparent().and_then(|text| TraceContext::parse(text, None));
        let mut span = self.tracer.below(parent.as_ref(), SpanKind::Server, span_name(&operation));
        span.record(|record| record.text("skerry.kv.namespace", namespace.as_str()));
        let store = match self.keeper.entries(&namespace, access(&operation)).await {
            Ok(store) => store,
            Err(error) => return call.refuse(Code::Unavailable, &failure(error).message).await,
        };
        let done = match operation {
            Operation::Get(get) => return self.give(call, &*store, &namespace, &get.key).await,
            Operation::Put(put) => return self.take(call, &*store, &namespace, &put).await,
            Operation::Delete(delete) => store.delete_many(&namespace, delete.keys).await.map(Outcome::Removed),
            Operation::Increment(add) => store.increment(&namespace, &add.key, add.delta).await.map(Outcome::Sum),
            Operation::List(list) => store.list(&namespace, listed(list)).await.map(|keys| Outcome::Page(page(keys))),
            Operation::Clear(_) => store.delete_namespace(&namespace).await.map(|()| Outcome::Done(pb::Done {})),
        };
        call.answer(&answer(done)).await
    }

    async fn give(
        &self,
        call: Incoming,
        store: &dyn LocalStore,
        namespace: &NamespaceId,
        key: &str,
    ) -> Result<(), FrameError> {
        let (entry, _room) = match self.read(store, namespace, key).await {
            Ok(read) => read,
            Err(error) => return call.answer(&answer(Err(error))).await,
        };
        let value = entry.as_ref().map(|entry| announce(&entry.value, entry.metadata.as_ref(), entry.expiration));
        let mut stream = call.accept_flow().await?;
        stream.send.send(&answer(Ok(Outcome::Found(pb::Found { value })))).await?;
        if let Some(entry) = &entry {
            send_value(&mut stream.send, &entry.value).await?;
        }
        stream.send.finish()
    }

    /// An entry, with the room that it takes. Nobody waits for room with a large value in hand: it is read again.
    async fn read(
        &self,
        store: &dyn LocalStore,
        namespace: &NamespaceId,
        key: &str,
    ) -> Result<(Option<KvEntry>, Option<OwnedSemaphorePermit>), KvError> {
        let entry = store.get(namespace, key).await?;
        let needed = kib(entry.as_ref().map_or(0, |entry| entry.value.len()));
        if needed == 0 {
            return Ok((entry, None));
        }
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(needed) {
            return Ok((entry, Some(room)));
        }
        drop(entry);
        let busy = || KvError::Undone { reason: "too many large values are on their way".to_owned() };
        let room = self.room(needed).await.ok_or_else(busy)?;
        let entry = store.get(namespace, key).await?;
        match kib(entry.as_ref().map_or(0, |entry| entry.value.len())) {
            now if now <= needed => Ok((entry, Some(room))),
            _ => Err(busy()),
        }
    }

    async fn take(
        &self,
        call: Incoming,
        store: &dyn LocalStore,
        namespace: &NamespaceId,
        put: &pb::Put,
    ) -> Result<(), FrameError> {
        let size_bytes = usize::try_from(put.size_bytes).unwrap_or(usize::MAX);
        let needed = kib(size_bytes);
        let room = self.room(needed).await;
        if room.is_none() {
            return call.refuse(Code::Unavailable, "too many large values are on their way").await;
        }
        let mut stream = call.accept_flow().await?;
        let reading = receive_pairs(&mut stream.receive, put.pairs, size_bytes);
        let pairs = match tokio::time::timeout(REQUEST_TIMEOUT, reading).await {
            Ok(pairs) => pairs?,
            Err(_) => return Err(FrameError::Lost { reason: "the values stopped coming".to_owned() }),
        };
        let done = store.put_many(namespace, pairs).await.map(|()| Outcome::Done(pb::Done {}));
        stream.send.send(&answer(done)).await?;
        stream.send.finish()
    }

    async fn room(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room).acquire_many_owned(kib);
        tokio::time::timeout(ROOM_TIMEOUT, room).await.ok()?.ok()
    }
}

/// The room that values of so many bytes take; small ones take none.
fn kib(size_bytes: usize) -> u32 {
    if size_bytes <= INLINE_BYTES_MAX { 0 } else { u32::try_from(size_bytes.div_ceil(1024)).unwrap_or(u32::MAX) }
}

fn answer(done: Result<Outcome, KvError>) -> pb::Answer {
    let outcome = done.unwrap_or_else(|error| Outcome::Failure(failure(error)));
    pb::Answer { outcome: Some(outcome) }
}

/// All pairs of a write; nothing is done before the last of them is here.
async fn receive_pairs(
    receive: &mut FrameReceiver,
    count: u32,
    size_bytes: usize,
) -> Result<Vec<(String, KvPut)>, FrameError> {
    let malformed = |reason: &str| FrameError::Malformed { reason: reason.to_owned() };
    let (mut pairs, mut left) = (Vec::new(), size_bytes);
    for _ in 0..count {
        let pair = receive.next::<pb::Pair>(PAIR_BYTES_MAX).await?;
        let (key, announced) = paired(pair.ok_or_else(|| malformed("a pair is missing"))?).map_err(malformed)?;
        left =
            left.checked_sub(announced.size_bytes).ok_or_else(|| malformed("the values are larger than announced"))?;
        let KvEntry { value, metadata, expiration } = receive_value(receive, announced).await?;
        pairs.push((key, KvPut { value, metadata, expiration }));
    }
    Ok(pairs)
}
