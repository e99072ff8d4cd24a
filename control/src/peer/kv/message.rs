//! Pure. What nodes ask and answer about KV, as messages.
//!
//! **Owns** the translation between the contract of [`crate::kv`] and `proto::kv`, and the bounds of what is taken from
//! another node. **Must not know** how messages travel. **Enter at** [`asked`] and [`announce`].

use bytes::Bytes;
use skerry_proto::{
    id::NamespaceId,
    kv::{self as pb, failure::Kind, request::Operation},
};

use super::Access;
use crate::kv::{KvEntry, KvError, KvKey, KvListOptions, KvPage, KvPut, limits};

/// BOUND: bytes of a value that travels in its message; larger ones follow in chunks, so that no frame holds up others.
pub(super) const INLINE_BYTES_MAX: usize = 64 << 10;
/// BOUND: bytes of a request: the most keys that one call removes, each of the longest.
pub(super) const REQUEST_BYTES_MAX: usize = 8 << 20;
/// BOUND: bytes of one pair's message: an inline value, a key, metadata.
pub(super) const PAIR_BYTES_MAX: usize = INLINE_BYTES_MAX + (4 << 10);
/// BOUND: bytes of an answer: the most keys of a page, each of the longest and with the most metadata, take 1.6 MB.
pub(super) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A request's parts, as far as they can be checked before anything else is read.
pub(super) fn asked(request: pb::Request) -> Result<(NamespaceId, Operation), &'static str> {
    let namespace = NamespaceId::new(&request.namespace).map_err(|_invalid| "namespace: use 32 hexadecimal digits")?;
    let operation = request.operation.ok_or("operation: this node does not know what is asked")?;
    let key_fits = |key: &String| key.len() <= limits::KEY_BYTES_MAX;
    let fits = match &operation {
        Operation::Get(get) => key_fits(&get.key),
        Operation::Put(put) => put.pairs as usize <= limits::BULK_KEYS_MAX && bulk_fits(put.size_bytes),
        Operation::Delete(delete) => delete.keys.len() <= limits::BULK_KEYS_MAX && delete.keys.iter().all(key_fits),
        Operation::Increment(increment) => key_fits(&increment.key),
        Operation::List(list) => key_fits(&list.prefix),
        Operation::Clear(_) => true,
    };
    if fits { Ok((namespace, operation)) } else { Err("operation: it is larger than KV allows") }
}

fn bulk_fits(size_bytes: u64) -> bool {
    usize::try_from(size_bytes).is_ok_and(|size_bytes| size_bytes <= limits::BULK_BYTES_MAX)
}

/// What a call is called in traces, at both of its ends.
pub(super) fn span_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Get(_) => "kv get",
        Operation::Put(_) => "kv put",
        Operation::Delete(_) => "kv delete",
        Operation::Increment(_) => "kv increment",
        Operation::List(_) => "kv list",
        Operation::Clear(_) => "kv clear",
    }
}

/// What an operation means for the entries.
pub(super) fn access(operation: &Operation) -> Access {
    match operation {
        Operation::Get(_) | Operation::List(_) => Access::Read,
        Operation::Put(_) | Operation::Delete(_) | Operation::Increment(_) => Access::Write,
        Operation::Clear(_) => Access::Clear,
    }
}

/// A value whose bytes may be still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// The bytes, unless they follow.
    pub(super) inline: Option<Bytes>,
    /// How many there are.
    pub(super) size_bytes: usize,
    metadata: Option<String>,
    expiration: Option<u64>,
}

impl Announced {
    /// With its bytes.
    pub(super) fn with(self, value: Bytes) -> KvEntry {
        KvEntry { value, metadata: self.metadata, expiration: self.expiration }
    }
}

/// Whether a value's bytes follow its message.
pub(super) fn follows(value: &Bytes) -> bool {
    value.len() > INLINE_BYTES_MAX
}

/// A value's message; its bytes follow when they are many.
pub(super) fn announce(value: &Bytes, metadata: Option<&String>, expiration: Option<u64>) -> pb::Value {
    let (inline, size_bytes) = match follows(value) {
        true => (None, value.len() as u64),
        false => (Some(value.clone()), 0),
    };
    pb::Value { inline, size_bytes, metadata: metadata.cloned(), expiration }
}

/// A value as its message announces it.
pub(super) fn announced(value: Option<pb::Value>) -> Result<Announced, &'static str> {
    let pb::Value { inline, size_bytes, metadata, expiration } = value.ok_or("a value is missing")?;
    let size_bytes = match &inline {
        Some(bytes) => bytes.len(),
        None => usize::try_from(size_bytes).unwrap_or(usize::MAX),
    };
    let metadata_bytes = metadata.as_ref().map_or(0, String::len);
    if size_bytes > limits::VALUE_BYTES_MAX || metadata_bytes > limits::METADATA_BYTES_MAX {
        return Err("a value or its metadata is larger than KV allows");
    }
    Ok(Announced { inline, size_bytes, metadata, expiration })
}

/// A write's message; its bytes follow when they are many.
pub(super) fn pair(key: &str, put: &KvPut) -> pb::Pair {
    pb::Pair { key: key.to_owned(), value: Some(announce(&put.value, put.metadata.as_ref(), put.expiration)) }
}

/// A write as its message announces it.
pub(super) fn paired(pair: pb::Pair) -> Result<(String, Announced), &'static str> {
    match pair.key.len() <= limits::KEY_BYTES_MAX {
        true => Ok((pair.key, announced(pair.value)?)),
        false => Err("a key is longer than KV allows"),
    }
}

/// A listing's message.
pub(super) fn list(options: KvListOptions) -> pb::List {
    let KvListOptions { prefix, limit, cursor } = options;
    pb::List { prefix, limit: limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)), cursor }
}

/// A listing.
pub(super) fn listed(list: pb::List) -> KvListOptions {
    let pb::List { prefix, limit, cursor } = list;
    KvListOptions { prefix, limit: limit.map(|limit| limit as usize), cursor }
}

/// A page's message.
pub(super) fn page(page: KvPage) -> pb::Page {
    let key = |KvKey { name, expiration, metadata }| pb::Key { name, expiration, metadata };
    pb::Page { keys: page.keys.into_iter().map(key).collect(), cursor: page.cursor }
}

/// A page.
pub(super) fn paged(page: pb::Page) -> KvPage {
    let key = |pb::Key { name, expiration, metadata }| KvKey { name, expiration, metadata };
    KvPage { keys: page.keys.into_iter().map(key).collect(), cursor: page.cursor }
}

/// A failure's message.
pub(super) fn failure(error: KvError) -> pb::Failure {
    let (kind, status, message) = match error {
        KvError::Invalid { status, message } => (Kind::Invalid, status, message),
        KvError::Undone { reason } => (Kind::Undone, 0, reason),
        KvError::Unavailable { reason } => (Kind::Unavailable, 0, reason),
    };
    pb::Failure { kind: kind.into(), status: u32::from(status), message }
}

/// A failure. One that this build does not know may have changed something.
pub(super) fn failed(failure: pb::Failure) -> KvError {
    let (kind, reason) = (failure.kind(), failure.message);
    match (kind, u16::try_from(failure.status)) {
        (Kind::Invalid, Ok(status)) => KvError::Invalid { status, message: reason },
        (Kind::Undone, _) => KvError::Undone { reason },
        (Kind::Invalid | Kind::Unavailable | Kind::Unspecified, _) => KvError::Unavailable { reason },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn again<M: Message + Default>(message: &M) -> M {
        M::decode(&message.encode_to_vec()[..]).unwrap()
    }

    fn ask(operation: Operation) -> Result<(NamespaceId, Operation), &'static str> {
        asked(pb::Request { namespace: "a".repeat(32), operation: Some(operation) })
    }

    proptest! {
        #[test]
        fn writes_listings_and_pages_are_read_back_as_they_were_written(
            key in "\\PC{0,20}", value in prop::collection::vec(any::<u8>(), 0..50), metadata in prop::option::of("\\PC*"),
            expiration in any::<Option<u64>>(), limit in prop::option::of(1..1000_usize), cursor in prop::option::of("\\PC*"),
        ) {
            let put = KvPut { value: value.into(), metadata: metadata.clone(), expiration };
            let (read, announced) = paired(again(&pair(&key, &put))).unwrap();
            let value = announced.inline.clone().unwrap();
            prop_assert_eq!((&read, announced.with(value)), (&key, KvEntry {
                value: put.value, metadata: put.metadata, expiration: put.expiration,
            }));
            let options = KvListOptions { prefix: key.clone(), limit, cursor: cursor.clone() };
            prop_assert_eq!(listed(again(&list(options.clone()))), options);
            let keys = KvPage { keys: vec![KvKey { name: key, expiration, metadata }], cursor };
            prop_assert_eq!(paged(again(&page(keys.clone()))), keys);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_read_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = pb::Request::decode(&bytes[..]).map(asked);
            let _ = pb::Pair::decode(&bytes[..]).map(paired);
            let _ = pb::Failure::decode(&bytes[..]).map(failed);
        }
    }

    #[test]
    fn a_failure_means_the_same_on_both_sides() {
        let text = || "Value length of 9 exceeds limit of 8.".to_owned();
        for error in [
            KvError::Invalid { status: 413, message: text() },
            KvError::Undone { reason: text() },
            KvError::Unavailable { reason: text() },
        ] {
            assert_eq!(format!("{:?}", failed(again(&failure(error.clone())))), format!("{error:?}"));
        }
        let unknown = pb::Failure { kind: 9, status: 400, message: text() };
        assert!(matches!(failed(unknown), KvError::Unavailable { .. }), "a write may have been done");
    }

    #[test]
    fn a_large_value_follows_its_message() {
        let value = Bytes::from(vec![7; INLINE_BYTES_MAX + 1]);
        let apart = announced(Some(again(&announce(&value, None, None)))).unwrap();
        assert_eq!((apart.inline, apart.size_bytes), (None, value.len()));
        let small = value.slice(1..);
        assert_eq!(announced(Some(announce(&small, None, None))).unwrap().inline, Some(small));
    }

    #[test]
    fn what_is_larger_than_kv_allows_is_refused_before_it_is_read() {
        let put = |pairs: usize, size_bytes: usize| {
            ask(Operation::Put(pb::Put { pairs: u32::try_from(pairs).unwrap(), size_bytes: size_bytes as u64 }))
        };
        put(limits::BULK_KEYS_MAX, limits::BULK_BYTES_MAX).unwrap();
        put(limits::BULK_KEYS_MAX + 1, 1).unwrap_err();
        put(1, limits::BULK_BYTES_MAX + 1).unwrap_err();
        ask(Operation::Get(pb::Get { key: "k".repeat(513) })).unwrap_err();
        ask(Operation::Delete(pb::Delete { keys: vec![String::new(); 10_001] })).unwrap_err();
        let large = pb::Value { size_bytes: limits::VALUE_BYTES_MAX as u64 + 1, ..pb::Value::default() };
        announced(Some(large)).unwrap_err();
        let metadata = pb::Value { metadata: Some("m".repeat(1025)), ..announce(&Bytes::new(), None, None) };
        announced(Some(metadata)).unwrap_err();
        paired(pb::Pair { key: "k".repeat(513), value: Some(announce(&Bytes::new(), None, None)) }).unwrap_err();
        paired(pb::Pair { key: "k".to_owned(), value: None }).unwrap_err();
        asked(pb::Request { namespace: "a".repeat(32), operation: None }).unwrap_err();
        asked(pb::Request { namespace: "none".to_owned(), operation: Some(Operation::Clear(pb::Clear {})) })
            .unwrap_err();
    }
}
