//! KV from JavaScript.
//!
//! **Owns** the arguments and replies of the KV operations. **Must not know** where values are kept. **Enter at**
//! [`Ops::kv`].

use std::sync::Arc;

use bytes::Bytes;
use skerry_control::kv::{KvError, KvListOptions, KvPut, limits as kv_limits};
use skerry_proto::id::NamespaceId;
use tokio::sync::Semaphore;

use super::{
    OpError, Ops, code,
    pending::{Done, Work},
    room::{self, Taken},
};
use crate::{
    bindings::outbound::{CallContext, KvCall, KvReply},
    runtime::{
        frame::{Reader, Value, Writer},
        limits,
        worker::EnvValue,
    },
};

impl Ops {
    /// KV_GET, KV_PUT, KV_DELETE, KV_LIST
    pub(super) fn kv(
        &mut self,
        code: i32,
        context: CallContext,
        args: &mut Reader<'_>,
        room: Option<Taken>,
    ) -> Result<Work, OpError> {
        let binding = args.text()?;
        let namespace = self.namespace(binding)?;
        let now_seconds = (self.now_ms / 1000.0) as u64;
        let call = match code {
            code::KV_GET => KvCall::Get {
                keys: args.texts()?.into_iter().map(str::to_owned).collect(),
                cache_ttl_seconds: optional_integer(args)?,
            },
            code::KV_PUT => KvCall::Put { key: args.text()?.to_owned(), put: put(args, now_seconds)? },
            code::KV_DELETE => KvCall::Delete { key: args.text()?.to_owned() },
            _ => KvCall::List(KvListOptions {
                prefix: args.optional_text()?.unwrap_or_default().to_owned(),
                limit: optional_integer(args)?.and_then(|limit| usize::try_from(limit).ok()),
                cursor: args.optional_text()?.filter(|cursor| !cursor.is_empty()).map(str::to_owned),
            }),
        };
        check(&call)?;
        context
            .count_subrequest(self.worker.limits.subrequests)
            .map_err(|error| OpError::throw("Error", error.to_string()))?;
        let replies = Arc::clone(self.room.replies());
        Ok(Box::pin(async move {
            let answer = answer(&replies, &context, &namespace, call).await;
            drop(room);
            match answer {
                Ok((reply, reply_room)) => Done::Kv { reply, _room: reply_room },
                Err(KvError::Invalid { message, .. }) => Done::Failed { name: "Error", message },
                Err(error) => Done::Failed { name: "Error", message: error.to_string() },
            }
        }))
    }

    fn namespace(&self, binding: &str) -> Result<NamespaceId, OpError> {
        self.worker
            .env
            .iter()
            .find_map(|(name, value)| match value {
                EnvValue::Kv(namespace) if name == binding => Some(namespace.clone()),
                _ => None,
            })
            .ok_or_else(|| OpError::throw("TypeError", format!("{binding} is no KV namespace.")))
    }
}

/// The answer to a call, with the room that it takes. How long it is shows only once it is here. Nobody waits for room with a
/// long one in hand: it is let go, and asked for again.
async fn answer(
    replies: &Arc<Semaphore>,
    context: &CallContext,
    namespace: &NamespaceId,
    call: KvCall,
) -> Result<(KvReply, Option<Taken>), KvError> {
    let most = reply_bytes_max(&call);
    if most == 0 {
        return Ok((context.outbound.kv(context, namespace, call).await?, None));
    }
    let assumed = most.min(limits::REPLY_BYTES_ASSUMED);
    let mut wanted = assumed;
    loop {
        let mut taken = room::wait(Arc::clone(replies), room::permits(wanted)).await;
        let reply = context.outbound.kv(context, namespace, call.clone()).await?;
        let bytes = reply_bytes(&reply).min(most);
        if fit(&mut taken, bytes) {
            return Ok((reply, Some(taken)));
        }
        // One that has grown meanwhile gets room for the longest: there is no third time.
        wanted = if wanted == assumed { bytes } else { most };
    }
}

/// Makes `taken` as large as `bytes`, unless there is no room now.
fn fit(taken: &mut Taken, bytes: usize) -> bool {
    let held = taken.num_permits();
    if bytes <= held {
        drop(taken.split(held - bytes));
        return true;
    }
    match Arc::clone(taken.semaphore()).try_acquire_many_owned(room::permits(bytes - held)) {
        Ok(more) => {
            taken.merge(more);
            true
        }
        Err(_full) => false,
    }
}

/// BOUND: a cursor names a key, encoded in base64.
const CURSOR_BYTES_MAX: usize = 2 * kv_limits::KEY_BYTES_MAX;

/// How many bytes the answer may have; 0 where it has none.
fn reply_bytes_max(call: &KvCall) -> usize {
    match call {
        KvCall::Get { keys, .. } => kv_limits::BULK_GET_BYTES_MAX + keys.len() * kv_limits::METADATA_BYTES_MAX,
        KvCall::List(options) => {
            let keys = options.limit.unwrap_or(kv_limits::LIST_KEYS_MAX);
            keys * (kv_limits::KEY_BYTES_MAX + kv_limits::METADATA_BYTES_MAX)
        }
        KvCall::Put { .. } | KvCall::Delete { .. } | KvCall::Increment { .. } => 0,
    }
}

fn reply_bytes(reply: &KvReply) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match reply {
        KvReply::Entries(entries) => {
            entries.iter().flatten().map(|entry| entry.value.len() + text(&entry.metadata)).sum()
        }
        KvReply::Page(page) => page.keys.iter().map(|key| key.name.len() + text(&key.metadata)).sum(),
        KvReply::Done | KvReply::Count(_) => 0,
    }
}

fn put(args: &mut Reader<'_>, now_seconds: u64) -> Result<KvPut, OpError> {
    let value = Bytes::copy_from_slice(args.bytes()?);
    let metadata = args.optional_text()?.map(str::to_owned);
    let expiration = optional_integer(args)?;
    let ttl = optional_integer(args)?;
    // The lifetime counts from now, and says more than a date when both are given.
    let expiration = ttl.map(|ttl| now_seconds.saturating_add(ttl)).or(expiration);
    Ok(KvPut { value, metadata, expiration })
}

/// What the prelude has checked already, with better messages: a guest that goes around it gets plain ones.
fn check(call: &KvCall) -> Result<(), OpError> {
    let key_fits = |key: &String| !key.is_empty() && key.len() <= kv_limits::KEY_BYTES_MAX && key != "." && key != "..";
    let fits = match call {
        KvCall::Get { keys, .. } => keys.len() <= kv_limits::BULK_GET_KEYS_MAX && keys.iter().all(key_fits),
        KvCall::Put { key, put } => {
            key_fits(key)
                && put.value.len() <= kv_limits::VALUE_BYTES_MAX
                && put.metadata.as_ref().is_none_or(|metadata| metadata.len() <= kv_limits::METADATA_BYTES_MAX)
        }
        KvCall::Delete { key } => key_fits(key),
        KvCall::List(options) => {
            options.limit.is_none_or(|limit| (1..=kv_limits::LIST_KEYS_MAX).contains(&limit))
                && options.prefix.len() <= kv_limits::KEY_BYTES_MAX
                && options.cursor.as_ref().is_none_or(|cursor| cursor.len() <= CURSOR_BYTES_MAX)
        }
        KvCall::Increment { key, .. } => key_fits(key),
    };
    if fits { Ok(()) } else { Err(OpError::throw("Error", "KV call failed: 400 an argument is out of bounds.")) }
}

fn optional_integer(args: &mut Reader<'_>) -> Result<Option<u64>, OpError> {
    Ok(match args.optional()? {
        None => None,
        Some(Value::Int(value)) => Some(u64::try_from(value).unwrap_or(0)),
        Some(Value::Number(value)) if value.is_finite() && value >= 0.0 => Some(value as u64),
        Some(Value::Number(_)) => Some(0),
        Some(_) => return Err(crate::runtime::frame::FrameError::Unexpected.into()),
    })
}

/// The value of a completed operation.
pub(crate) fn describe(reply: KvReply, out: &mut Writer) {
    match reply {
        KvReply::Done => drop(out.undefined()),
        KvReply::Count(count) => drop(out.number(count as f64)),
        KvReply::Entries(entries) => {
            out.list(entries.len());
            for entry in entries {
                match entry {
                    None => drop(out.null()),
                    Some(entry) => {
                        out.list(3).bytes(&entry.value);
                        nullable_text(out, entry.metadata.as_deref());
                        nullable_number(out, entry.expiration);
                    }
                }
            }
        }
        KvReply::Page(page) => {
            out.list(2).list(page.keys.len());
            for key in &page.keys {
                out.list(3).text(&key.name);
                nullable_number(out, key.expiration);
                nullable_text(out, key.metadata.as_deref());
            }
            nullable_text(out, page.cursor.as_deref());
        }
    }
}

fn nullable_text(out: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => drop(out.text(text)),
        None => drop(out.null()),
    }
}

fn nullable_number(out: &mut Writer, number: Option<u64>) {
    match number {
        Some(number) => drop(out.number(number as f64)),
        None => drop(out.null()),
    }
}
