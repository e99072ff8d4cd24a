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
                return Err(too_many_keys());
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

/// What a worker is told that asks for more values at once than it may: they are held outside its own memory. In Cloudflare's
/// words, as below.
pub(crate) fn too_many_bytes() -> KvError {
    let mib = limits::BULK_GET_BYTES_MAX >> 20;
    let message = format!("KV GET_BULK failed: 413 Total size of request exceeds the limit of {mib}MB");
    KvError::Invalid { status: 413, message }
}

fn too_many_keys() -> KvError {
    let max = limits::BULK_GET_KEYS_MAX;
    KvError::Invalid {
        status: 400,
        message: format!("KV GET_BULK failed: 400 You can request a maximum of {max} keys"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use skerry_control::kv::{KvEntry, KvListOptions, KvPage, KvPut};

    use super::*;

    /// A store that has a value of 1 MiB under every key.
    struct Full;

    #[async_trait::async_trait]
    impl KvStore for Full {
        async fn get(&self, _: &NamespaceId, _: &str) -> Result<Option<KvEntry>, KvError> {
            Ok(Some(KvEntry { value: Bytes::from(vec![0; 1 << 20]), metadata: None, expiration: None }))
        }
        async fn put(&self, _: &NamespaceId, _: &str, _: KvPut) -> Result<(), KvError> {
            unreachable!("only reads are tested")
        }
        async fn delete(&self, _: &NamespaceId, _: &str) -> Result<(), KvError> {
            unreachable!("only reads are tested")
        }
        async fn increment(&self, _: &NamespaceId, _: &str, _: i64) -> Result<i64, KvError> {
            unreachable!("only reads are tested")
        }
        async fn list(&self, _: &NamespaceId, _: KvListOptions) -> Result<KvPage, KvError> {
            unreachable!("only reads are tested")
        }
        async fn put_many(&self, _: &NamespaceId, _: Vec<(String, KvPut)>) -> Result<(), KvError> {
            unreachable!("only reads are tested")
        }
        async fn delete_many(&self, _: &NamespaceId, _: Vec<String>) -> Result<u64, KvError> {
            unreachable!("only reads are tested")
        }
        async fn delete_namespace(&self, _: &NamespaceId) -> Result<(), KvError> {
            unreachable!("only reads are tested")
        }
    }

    async fn read(count: usize) -> Result<KvReply, KvError> {
        let namespace = NamespaceId::new("0123456789abcdef0123456789abcdef").unwrap();
        let keys = (0..count).map(|key| key.to_string()).collect();
        serve(&Full, &namespace, KvCall::Get { keys, cache_ttl_seconds: None }).await
    }

    #[tokio::test]
    async fn a_bulk_read_past_a_limit_is_refused_in_the_words_of_workers_kv() {
        assert!(matches!(read(25).await, Ok(KvReply::Entries(entries)) if entries.len() == 25));
        let bytes = read(26).await.unwrap_err().to_string();
        assert_eq!(bytes, "KV GET_BULK failed: 413 Total size of request exceeds the limit of 25MB");
        let keys = read(101).await.unwrap_err().to_string();
        assert_eq!(keys, "KV GET_BULK failed: 400 You can request a maximum of 100 keys");
    }
}
