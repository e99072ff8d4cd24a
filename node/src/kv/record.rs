//! Pure. How an entry lies in the database.
//!
//! **Owns** keys and records as bytes. **Must not know** the database. **Enter at** [`EntryKey`].

use bytes::Bytes;
use skerry_control::kv::{KvEntry, KvError, KvPut};
use skerry_proto::{
    id::NamespaceId,
    kv::Entry as Record,
    versioned::{self, Kind},
};

/// BOUND: values up to this size lie in the record itself, so that reading one is a single look-up; larger ones lie in
/// their own table, so that listing does not read them.
const INLINE_BYTES_MAX: usize = 2048;
const NAMESPACE_BYTES: usize = 16;

/// The place of one entry: 16 bytes of namespace, then the key. The order of these bytes is the order of listings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EntryKey(Box<[u8]>);

impl EntryKey {
    pub(super) fn new(namespace: &NamespaceId, key: &str) -> Self {
        let mut bytes = Vec::with_capacity(NAMESPACE_BYTES + key.len());
        bytes.extend_from_slice(&namespace_prefix(namespace));
        bytes.extend_from_slice(key.as_bytes());
        Self(bytes.into())
    }

    /// A key as it was stored.
    pub(super) fn from_stored(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What every key of the namespace begins with.
pub(super) fn namespace_prefix(namespace: &NamespaceId) -> [u8; NAMESPACE_BYTES] {
    let mut prefix = [0; NAMESPACE_BYTES];
    hex::decode_to_slice(namespace.as_str(), &mut prefix).expect("a namespace id is 32 hexadecimal digits");
    prefix
}

/// A stored key's namespace as a number: the next one's keys come after it.
pub(super) fn namespace_number(stored: &[u8]) -> Result<u128, KvError> {
    match stored.first_chunk() {
        Some(prefix) => Ok(u128::from_be_bytes(*prefix)),
        None => Err(corrupt("a key has no namespace")),
    }
}

/// The namespace of that number.
pub(super) fn namespace_of(number: u128) -> NamespaceId {
    NamespaceId::new(&format!("{number:032x}")).expect("32 hexadecimal digits are a namespace's id")
}

/// The user's key in a stored one.
pub(super) fn user_key(stored: &[u8]) -> Result<String, KvError> {
    match std::str::from_utf8(stored.get(NAMESPACE_BYTES..).unwrap_or_default()) {
        Ok(key) => Ok(key.to_owned()),
        Err(_) => Err(corrupt("a key is not UTF-8")),
    }
}

/// The place of an entry in the order of expiry.
pub(super) fn expiry_key(expiration: u64, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&expiration.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// The inverse of [`expiry_key`].
pub(super) fn split_expiry_key(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (expiration, key) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*expiration), key))
}

/// The record of a write, and the value when it is too large to lie in the record.
pub(super) fn encode(put: &KvPut) -> (Vec<u8>, Option<&[u8]>) {
    let inline = put.value.len() <= INLINE_BYTES_MAX;
    let record = Record {
        expiration: put.expiration,
        metadata: put.metadata.clone(),
        value: inline.then(|| put.value.clone()),
        value_hash: if inline { Bytes::new() } else { Bytes::copy_from_slice(blake3::hash(&put.value).as_bytes()) },
    };
    (versioned::encode(Kind::Kv, &record), (!inline).then_some(&*put.value))
}

/// Reads a record back.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, KvError> {
    match versioned::decode(Kind::Kv, bytes) {
        Ok(record) => Ok(record),
        Err(error) => Err(corrupt(&error.to_string())),
    }
}

/// The entry of a record whose value lies apart, checked against the hash that the record keeps.
pub(super) fn join(record: Record, value: &[u8]) -> Result<KvEntry, KvError> {
    if *blake3::hash(value).as_bytes() != *record.value_hash {
        return Err(corrupt("a value does not fit its hash"));
    }
    Ok(entry(record, Bytes::copy_from_slice(value)))
}

/// The entry of a record with this value.
pub(super) fn entry(record: Record, value: Bytes) -> KvEntry {
    KvEntry { value, metadata: record.metadata, expiration: record.expiration }
}

/// The database holds what this build can not have written.
pub(super) fn corrupt(what: &str) -> KvError {
    KvError::Unavailable { reason: format!("the KV database is damaged: {what}") }
}
