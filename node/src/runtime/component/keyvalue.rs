//! `wasi:keyvalue`: the worker's KV bindings, each a bucket of the binding's name.
//!
//! **Owns** translating calls and errors, and checking KV's limits on this side. **Must not know** where entries are stored.
//! **Enter at** [`KeyValue`].

use std::sync::Arc;

use skerry_control::kv::{KvEntry, KvError, KvExpiry, KvListOptions, KvPage, KvPut, check_key, limits};
use skerry_proto::id::NamespaceId;
use wasmtime::component::{HasData, Resource, ResourceTable, ResourceTableError};

use super::{
    door::Door,
    wit::wasi::keyvalue::{atomics, batch, store},
};
use crate::{
    bindings::{
        self,
        outbound::{KvCall, KvReply},
    },
    clock,
};

/// BOUND: listings of one bucket that a call may have in progress; a guest that wants more opens the bucket again.
const CURSORS_MAX: usize = 1000;

/// Marks the interfaces for the linker.
pub(super) struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = KeyValueView<'a>;
}

/// One call's buckets.
pub(super) struct KeyValueView<'a> {
    pub(super) table: &'a mut ResourceTable,
    pub(super) door: &'a Arc<Door>,
}

/// An open KV binding.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the generated bindings re-export it, in a private module")]
pub struct Bucket {
    namespace: NamespaceId,
    /// KV's cursors are text and the interface's are numbers: a number is an index in here.
    cursors: Vec<String>,
}

/// Why a call on a bucket has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest is told.
    Told(store::Error),
    /// The guest broke the rules of handles, and is stopped.
    Trap(wasmtime::Error),
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        told(error.to_string())
    }
}

fn told(message: impl Into<String>) -> Failure {
    Failure::Told(store::Error::Other(message.into()))
}

impl KeyValueView<'_> {
    async fn call(&mut self, bucket: &Resource<Bucket>, call: KvCall) -> Result<KvReply, Failure> {
        let namespace = self.table.get(bucket)?.namespace.clone();
        Ok(self.door.kv(&namespace, call).await?)
    }

    async fn read(&mut self, bucket: &Resource<Bucket>, keys: Vec<String>) -> Result<Vec<Option<KvEntry>>, Failure> {
        for key in &keys {
            within("GET", check_key(key))?;
        }
        match self.call(bucket, KvCall::Get { keys, cache_ttl_seconds: None }).await? {
            KvReply::Entries(entries) => Ok(entries),
            _ => Err(Failure::Trap(wasmtime::format_err!("a read was answered with something else"))),
        }
    }

    async fn read_one(&mut self, bucket: &Resource<Bucket>, key: String) -> Result<Option<KvEntry>, Failure> {
        Ok(self.read(bucket, vec![key]).await?.pop().flatten())
    }

    async fn write(&mut self, bucket: &Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Failure> {
        let put = KvPut::check(&key, value.into(), None, KvExpiry::default(), clock::unix_seconds());
        let put = within("PUT", put)?;
        self.call(bucket, KvCall::Put { key, put }).await.map(|_done| ())
    }

    async fn remove(&mut self, bucket: &Resource<Bucket>, key: String) -> Result<(), Failure> {
        within("DELETE", check_key(&key))?;
        self.call(bucket, KvCall::Delete { key }).await.map(|_done| ())
    }

    /// KV's own cursor for the interface's number.
    fn cursor(&self, bucket: &Resource<Bucket>, number: u64) -> Result<String, Failure> {
        let cursors = &self.table.get(bucket)?.cursors;
        let cursor = usize::try_from(number).ok().and_then(|index| cursors.get(index));
        cursor.cloned().ok_or_else(|| told(format!("{number} is no cursor of this bucket")))
    }

    /// The interface's number for KV's own cursor.
    fn remember(&mut self, bucket: &Resource<Bucket>, cursor: String) -> Result<u64, Failure> {
        let cursors = &mut self.table.get_mut(bucket)?.cursors;
        if cursors.len() >= CURSORS_MAX {
            return Err(told(format!("more than {CURSORS_MAX} pages of one bucket in one call")));
        }
        cursors.push(cursor);
        Ok(cursors.len() as u64 - 1)
    }
}

/// A broken limit in the words that users of Workers KV know.
fn within<T>(operation: &str, checked: Result<T, KvError>) -> Result<T, Failure> {
    checked.map_err(|error| match error {
        KvError::Invalid { status, message } => told(format!("KV {operation} failed: {status} {message}")),
        unavailable @ (KvError::Undone { .. } | KvError::Unavailable { .. }) => unavailable.into(),
    })
}

impl store::Host for KeyValueView<'_> {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Failure> {
        let Some(namespace) = self.door.kv_binding(&identifier) else {
            return Err(Failure::Told(store::Error::NoSuchStore));
        };
        let bucket = Bucket { namespace: namespace.clone(), cursors: Vec::new() };
        Ok(self.table.push(bucket)?)
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<store::Error> {
        match failure {
            Failure::Told(error) => Ok(error),
            Failure::Trap(error) => Err(error),
        }
    }
}

impl store::HostBucket for KeyValueView<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.read_one(&bucket, key).await?.map(|entry| entry.value.into()))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Failure> {
        self.write(&bucket, key, value).await
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Failure> {
        self.remove(&bucket, key).await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failure> {
        Ok(self.read_one(&bucket, key).await?.is_some())
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<store::KeyResponse, Failure> {
        let cursor = cursor.map(|number| self.cursor(&bucket, number)).transpose()?;
        let options = KvListOptions { prefix: String::new(), limit: None, cursor };
        let KvReply::Page(KvPage { keys, cursor }) = self.call(&bucket, KvCall::List(options)).await? else {
            return Err(Failure::Trap(wasmtime::format_err!("a listing was answered with something else")));
        };
        let cursor = cursor.map(|cursor| self.remember(&bucket, cursor)).transpose()?;
        Ok(store::KeyResponse { keys: keys.into_iter().map(|key| key.name).collect(), cursor })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for KeyValueView<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Failure> {
        within("INCREMENT", check_key(&key))?;
        let delta = i64::try_from(delta).map_err(|_too_large| told(format!("{delta} is more than {}", i64::MAX)))?;
        match self.call(&bucket, KvCall::Increment { key, delta }).await? {
            KvReply::Count(sum) => u64::try_from(sum).map_err(|_negative| told(format!("the sum {sum} is below 0"))),
            _ => Err(Failure::Trap(wasmtime::format_err!("an increment was answered with something else"))),
        }
    }
}

impl batch::Host for KeyValueView<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Failure> {
        let mut pairs = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for keys in keys.chunks(limits::BULK_GET_KEYS_MAX) {
            let entries = self.read(&bucket, keys.to_vec()).await?;
            bytes += entries.iter().flatten().map(|entry| entry.value.len()).sum::<usize>();
            // They are held at once, outside the guest's own memory.
            if bytes > limits::BULK_GET_BYTES_MAX {
                return Err(bindings::kv::too_many_bytes().into());
            }
            let found = |(key, entry): (&String, Option<KvEntry>)| Some((key.clone(), entry?.value.into()));
            pairs.extend(keys.iter().zip(entries).map(found));
        }
        Ok(pairs)
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, key_values: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        for (key, value) in key_values {
            self.write(&bucket, key, value).await?;
        }
        Ok(())
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Result<(), Failure> {
        for key in keys {
            self.remove(&bucket, key).await?;
        }
        Ok(())
    }
}
