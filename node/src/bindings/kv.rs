//! A worker's KV binding.
//!
//! **Owns** how a binding's calls become calls of the store. **Must not know** where entries are. **Enter at** [`serve`].

use skerry_control::kv::{KvError, KvStore, limits};
use skerry_proto::id::NamespaceId;

use super::outbound::{KvCall, KvReply};

/// Does one call. A bulk read asks for its keys one after the other: hot keys are answered from memory, and a worker that reads
/// a hundred cold ones does not crowd out its neighbours.
pub async fn serve(store: &dyn KvStore, namespace: &NamespaceId, call: KvCall) -> Result<KvReply, KvError> {
    match call {
        KvCall::Get { keys, .. } => {
            // Every read here is current, so `cacheTtl` has nothing to say.
            if keys.len() > limits::BULK_GET_KEYS_MAX {
                return Err(too_many_keys(keys.len()));
            }
            let mut entries = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            for key in &keys {
                let entry = store.get(namespace, key).await?;
                bytes += entry.as_ref().map_or(0, |entry| entry.value.len());
                if bytes > limits::BULK_GET_BYTES_MAX {
                    return Err(too_many_bytes());
                }
                entries.push(entry);
            }
            Ok(KvReply::Entries(entries))
        }
        KvCall::Put { key, put } => store.put(namespace, &key, put).await.map(|()| KvReply::Done),
        KvCall::Delete { key } => store.delete(namespace, &key).await.map(|()| KvReply::Done),
        KvCall::Increment { key, delta } => store.increment(namespace, &key, delta).await.map(KvReply::Count),
        KvCall::List(options) => store.list(namespace, options).await.map(KvReply::Page),
    }
}

/// What a worker is told that asks for more values at once than it may: they are held outside its own memory.
pub(crate) fn too_many_bytes() -> KvError {
    let mib = limits::BULK_GET_BYTES_MAX >> 20;
    KvError::Invalid { status: 413, message: format!("KV GET failed: 413 The values have more than {mib} MiB in all.") }
}

fn too_many_keys(count: usize) -> KvError {
    let max = limits::BULK_GET_KEYS_MAX;
    KvError::Invalid {
        status: 400,
        message: format!("KV GET failed: 400 {count} keys were asked for; the limit is {max}."),
    }
}
