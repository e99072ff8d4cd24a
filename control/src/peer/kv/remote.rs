//! A namespace's entries on another node.
//!
//! **Owns** asking the home, and what is known when it does not answer. **Must not know** which node is the home. **Enter
//! at** [`RemoteKv`].

use std::time::{Duration, Instant};

use async_trait::async_trait;
use skerry_proto::{
    id::{NamespaceId, NodeId},
    kv::{self as pb, answer::Outcome, request::Operation},
    mesh::Method,
};

use super::{
    flow::{patience, receive_value, send_value},
    message::{ANSWER_BYTES_MAX, announced, failed, list, paged, pair, span_name},
};
use crate::{
    clock,
    kv::{KvEntry, KvError, KvListOptions, KvPage, KvPut, KvStore},
    mesh::{FrameError, FrameReceiver, Mesh, Stream, StreamCode},
    trace::{SpanKind, TraceContext, Tracer},
};

/// BOUND: how long a connection to the home may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The entries that another node keeps.
pub(super) struct RemoteKv {
    pub(super) mesh: Mesh,
    pub(super) home: NodeId,
    pub(super) tracer: Tracer,
    pub(super) trace: Option<TraceContext>,
}

/// What the home answered, and where the rest of it comes from.
struct Reply {
    outcome: Outcome,
    receive: FrameReceiver,
    asked_at: Instant,
}

type Pairs = [(String, KvPut)];

impl RemoteKv {
    /// Asks once: what may have been done is not repeated.
    async fn ask(&self, namespace: &NamespaceId, operation: Operation, pairs: &Pairs) -> Result<Reply, KvError> {
        let mut span = self.tracer.below(self.trace.as_ref(), SpanKind::Client, span_name(&operation));
        span.record(|record| {
            record.text("skerry.kv.namespace", namespace.as_str());
            record.number("skerry.peer", i64::try_from(self.home.0).unwrap_or(i64::MAX));
        });
        let traced = span.context().map(|context| self.mesh.traced(&context.traceparent()));
        let asked = self.ask_by(traced.as_ref().unwrap_or(&self.mesh), namespace, operation, pairs).await;
        if let Err(error) = &asked {
            span.record(|record| record.failed("kv", error.to_string()));
        }
        asked
    }

    async fn ask_by(
        &self,
        mesh: &Mesh,
        namespace: &NamespaceId,
        operation: Operation,
        pairs: &Pairs,
    ) -> Result<Reply, KvError> {
        let within = patience(pairs.iter().map(|(_, put)| put.value.len()).sum());
        let asked_at = clock::monotonic();
        let request = pb::Request { namespace: namespace.to_string(), operation: Some(operation) };
        // Until the last byte has left the home can not act, so that a failure before it changes nothing.
        let mut stream = match tokio::time::timeout(within, self.send(mesh, &request, pairs, within)).await {
            Ok(sent) => sent?,
            Err(_) => return Err(self.undone(&format!("it did not take the call within {} s", within.as_secs()))),
        };
        let answer = stream.receive.next::<pb::Answer>(ANSWER_BYTES_MAX);
        let outcome = match tokio::time::timeout(left(within, asked_at), answer).await {
            Ok(Ok(answer)) => answer.and_then(|answer| answer.outcome),
            Ok(Err(error)) => return Err(self.unanswered(error)),
            Err(_) => return Err(self.unavailable(&format!("no answer within {} s", within.as_secs()))),
        };
        match outcome {
            Some(Outcome::Failure(failure)) => Err(failed(failure)),
            Some(outcome) => Ok(Reply { outcome, receive: stream.receive, asked_at }),
            None => Err(self.unavailable("its answer says nothing")),
        }
    }

    async fn send(
        &self,
        mesh: &Mesh,
        request: &pb::Request,
        pairs: &Pairs,
        within: Duration,
    ) -> Result<Stream, KvError> {
        let opened = mesh.open(self.home, Method::Kv, DIAL_TIMEOUT.min(within)).await;
        let mut stream = opened.map_err(|error| KvError::Undone { reason: error.to_string() })?;
        let sent = async {
            stream.send.send(request).await?;
            for (key, put) in pairs {
                stream.send.send(&pair(key, put)).await?;
                send_value(&mut stream.send, &put.value).await?;
            }
            Ok::<(), FrameError>(())
        };
        if let Err(broken) = sent.await {
            // A home that refuses stops reading; its refusal says more than the broken stream.
            return Err(match stream.receive.accepted().await {
                Err(FrameError::Refused { message, .. }) => self.undone(&message),
                _ => self.undone(&broken.to_string()),
            });
        }
        // An error says that the home does not read on, which it need not.
        let _ = stream.send.finish();
        Ok(stream)
    }

    fn undone(&self, why: &str) -> KvError {
        KvError::Undone { reason: format!("node {}: {why}", self.home) }
    }

    fn unavailable(&self, why: &str) -> KvError {
        KvError::Unavailable { reason: format!("node {}: {why}", self.home) }
    }

    /// What a stream means that broke while it waited for the answer to a whole call.
    fn unanswered(&self, error: FrameError) -> KvError {
        match error {
            FrameError::Refused { message, .. } => self.undone(&message),
            FrameError::Reset { code } if code != StreamCode::Abandoned => self.undone(code.meaning()),
            FrameError::Reset { .. }
            | FrameError::Lost { .. }
            | FrameError::Malformed { .. }
            | FrameError::TooLarge { .. } => self.unavailable(&error.to_string()),
        }
    }

    /// The home answered something else than was asked: it may have done anything.
    fn odd<T>(&self) -> Result<T, KvError> {
        Err(self.unavailable("its answer is none to what it was asked"))
    }

    async fn done(&self, namespace: &NamespaceId, operation: Operation, pairs: &Pairs) -> Result<(), KvError> {
        match self.ask(namespace, operation, pairs).await?.outcome {
            Outcome::Done(_) => Ok(()),
            _ => self.odd(),
        }
    }
}

#[async_trait]
impl KvStore for RemoteKv {
    async fn get(&self, namespace: &NamespaceId, key: &str) -> Result<Option<KvEntry>, KvError> {
        let mut reply = self.ask(namespace, Operation::Get(pb::Get { key: key.to_owned() }), &[]).await?;
        let value = match reply.outcome {
            Outcome::Found(pb::Found { value: None }) => return Ok(None),
            Outcome::Found(pb::Found { value }) => announced(value).map_err(|why| self.unavailable(why))?,
            _ => return self.odd(),
        };
        let within = patience(value.size_bytes);
        let value = receive_value(&mut reply.receive, value);
        match tokio::time::timeout(left(within, reply.asked_at), value).await {
            Ok(Ok(entry)) => Ok(Some(entry)),
            Ok(Err(error)) => Err(self.unavailable(&error.to_string())),
            Err(_) => Err(self.unavailable(&format!("the value did not come within {} s", within.as_secs()))),
        }
    }

    async fn put(&self, namespace: &NamespaceId, key: &str, put: KvPut) -> Result<(), KvError> {
        self.put_many(namespace, vec![(key.to_owned(), put)]).await
    }

    async fn delete(&self, namespace: &NamespaceId, key: &str) -> Result<(), KvError> {
        self.delete_many(namespace, vec![key.to_owned()]).await.map(drop)
    }

    async fn increment(&self, namespace: &NamespaceId, key: &str, delta: i64) -> Result<i64, KvError> {
        let operation = Operation::Increment(pb::Increment { key: key.to_owned(), delta });
        match self.ask(namespace, operation, &[]).await?.outcome {
            Outcome::Sum(sum) => Ok(sum),
            _ => self.odd(),
        }
    }

    async fn list(&self, namespace: &NamespaceId, options: KvListOptions) -> Result<KvPage, KvError> {
        match self.ask(namespace, Operation::List(list(options)), &[]).await?.outcome {
            Outcome::Page(page) => Ok(paged(page)),
            _ => self.odd(),
        }
    }

    async fn put_many(&self, namespace: &NamespaceId, entries: Vec<(String, KvPut)>) -> Result<(), KvError> {
        let size_bytes = entries.iter().map(|(_, put)| put.value.len() as u64).sum();
        let pairs = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.done(namespace, Operation::Put(pb::Put { pairs, size_bytes }), &entries).await
    }

    async fn delete_many(&self, namespace: &NamespaceId, keys: Vec<String>) -> Result<u64, KvError> {
        match self.ask(namespace, Operation::Delete(pb::Delete { keys }), &[]).await?.outcome {
            Outcome::Removed(count) => Ok(count),
            _ => self.odd(),
        }
    }

    async fn delete_namespace(&self, namespace: &NamespaceId) -> Result<(), KvError> {
        self.done(namespace, Operation::Clear(pb::Clear {}), &[]).await
    }
}

fn left(within: Duration, asked_at: Instant) -> Duration {
    within.saturating_sub(clock::monotonic().saturating_duration_since(asked_at))
}
