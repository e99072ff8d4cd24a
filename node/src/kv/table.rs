//! The tables of the KV database.
//!
//! **Owns** reading and changing entries within a transaction. **Must not know** the cache, or who waits for a commit.
//! **Enter at** [`Tables`].

use std::{ops::Bound, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use skerry_control::kv::{KvEntry, KvError, KvKey, KvListOptions, KvPage, KvPut, limits};
use skerry_proto::id::NamespaceId;
use tokio::sync::watch;

use super::record::{self, EntryKey};

/// Entry key → record.
const RECORDS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("kv-records");
/// Entry key → value, where the record does not hold it.
const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("kv-values");
/// Expiry in seconds (8 bytes, big endian), entry key → nothing.
const EXPIRIES: TableDefinition<'static, &[u8], ()> = TableDefinition::new("kv-expiries");

/// BOUND: memory for redb's pages; hot entries have their own cache above.
const PAGE_CACHE_BYTES: usize = 32 << 20;
/// BOUND: rows one listing looks at, so that a namespace full of expired keys costs a page, not a scan.
const LIST_ROWS_MAX: usize = 10_000;
/// BOUND: rows removed in one transaction by a sweep or by clearing a namespace, so that writers wait for milliseconds.
const REMOVE_ROWS_MAX: usize = 5_000;

/// The open database.
pub(super) struct Tables {
    database: Database,
    // After the database: whoever listens hears of its end once the file is closed.
    _closed: watch::Sender<()>,
}

impl Tables {
    /// Opens or creates the file. `closed` goes with the tables.
    pub(super) fn open(path: &Path, closed: watch::Sender<()>) -> Result<Self, redb::Error> {
        let database = Database::builder().set_cache_size(PAGE_CACHE_BYTES).create(path)?;
        // Reading a table that was never opened for writing is an error, so a new database gets all of them at once.
        let transaction = database.begin_write()?;
        drop(Changes::new(&transaction)?);
        transaction.commit()?;
        Ok(Self { database, _closed: closed })
    }

    pub(super) fn begin(&self) -> Result<WriteTransaction, KvError> {
        self.database.begin_write().map_err(unavailable)
    }

    /// The entry, expired or not.
    pub(super) fn read(&self, key: &EntryKey) -> Result<Option<KvEntry>, KvError> {
        let transaction = self.database.begin_read().map_err(unavailable)?;
        let records = transaction.open_table(RECORDS).map_err(unavailable)?;
        let Some(guard) = records.get(key.as_bytes()).map_err(unavailable)? else { return Ok(None) };
        let mut record = record::decode(guard.value())?;
        if let Some(value) = record.value.take() {
            return Ok(Some(record::entry(record, value)));
        }
        let values = transaction.open_table(VALUES).map_err(unavailable)?;
        match values.get(key.as_bytes()).map_err(unavailable)? {
            Some(value) => record::join(record, value.value()).map(Some),
            None => Err(record::corrupt("a record has no value")),
        }
    }

    /// The namespaces that have entries, expired ones included: one look for each, however many entries it has.
    pub(super) fn namespaces(&self) -> Result<Vec<NamespaceId>, KvError> {
        let transaction = self.database.begin_read().map_err(unavailable)?;
        let records = transaction.open_table(RECORDS).map_err(unavailable)?;
        let (mut found, mut from) = (Vec::new(), Some(0_u128));
        while let Some(prefix) = from {
            let place = prefix.to_be_bytes();
            let Some(row) = records.range::<&[u8]>(&place[..]..).map_err(unavailable)?.next() else { break };
            let (key, _) = row.map_err(unavailable)?;
            let prefix = record::namespace_number(key.value())?;
            found.push(record::namespace_of(prefix));
            from = prefix.checked_add(1);
        }
        Ok(found)
    }

    /// One page of live keys. The cursor is the last key looked at, so pages never overlap, whatever is written between.
    pub(super) fn list(
        &self,
        namespace: &NamespaceId,
        options: &KvListOptions,
        now_seconds: u64,
    ) -> Result<KvPage, KvError> {
        let limit = options.limit.unwrap_or(limits::LIST_KEYS_MAX).clamp(1, limits::LIST_KEYS_MAX);
        let start = EntryKey::new(namespace, &options.prefix);
        let after = match &options.cursor {
            Some(cursor) => Some(EntryKey::new(namespace, &decode_cursor(cursor, &options.prefix)?)),
            None => None,
        };
        let lower = match &after {
            Some(after) => Bound::Excluded(after.as_bytes()),
            None => Bound::Included(start.as_bytes()),
        };
        let transaction = self.database.begin_read().map_err(unavailable)?;
        let records = transaction.open_table(RECORDS).map_err(unavailable)?;
        let rows = records.range::<&[u8]>((lower, Bound::Unbounded)).map_err(unavailable)?;
        let mut page = KvPage::default();
        let mut last = None;
        for (seen, row) in rows.enumerate() {
            let (key, value) = row.map_err(unavailable)?;
            if !key.value().starts_with(start.as_bytes()) {
                return Ok(page);
            }
            if page.keys.len() == limit || seen == LIST_ROWS_MAX {
                page.cursor = last.as_deref().map(encode_cursor);
                return Ok(page);
            }
            let name = record::user_key(key.value())?;
            let record = record::decode(value.value())?;
            if record.expiration.is_none_or(|expiration| expiration > now_seconds) {
                let key = KvKey { name: name.clone(), expiration: record.expiration, metadata: record.metadata };
                page.keys.push(key);
            }
            last = Some(name);
        }
        Ok(page)
    }
}

/// The tables within one write transaction.
pub(super) struct Changes<'txn> {
    records: Table<'txn, &'static [u8], &'static [u8]>,
    values: Table<'txn, &'static [u8], &'static [u8]>,
    expiries: Table<'txn, &'static [u8], ()>,
}

impl<'txn> Changes<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            values: transaction.open_table(VALUES)?,
            expiries: transaction.open_table(EXPIRIES)?,
        })
    }

    pub(super) fn put(&mut self, key: &EntryKey, put: &KvPut) -> Result<(), KvError> {
        self.delete(key)?;
        let (record, value) = record::encode(put);
        self.records.insert(key.as_bytes(), record.as_slice()).map_err(unavailable)?;
        if let Some(value) = value {
            self.values.insert(key.as_bytes(), value).map_err(unavailable)?;
        }
        if let Some(expiration) = put.expiration {
            let place = record::expiry_key(expiration, key.as_bytes());
            self.expiries.insert(place.as_slice(), ()).map_err(unavailable)?;
        }
        Ok(())
    }

    /// Removes the entry; says whether there was one.
    pub(super) fn delete(&mut self, key: &EntryKey) -> Result<bool, KvError> {
        let old = match self.records.remove(key.as_bytes()).map_err(unavailable)? {
            Some(guard) => record::decode(guard.value())?,
            None => return Ok(false),
        };
        if old.value.is_none() {
            self.values.remove(key.as_bytes()).map_err(unavailable)?;
        }
        if let Some(expiration) = old.expiration {
            let place = record::expiry_key(expiration, key.as_bytes());
            self.expiries.remove(place.as_slice()).map_err(unavailable)?;
        }
        Ok(true)
    }

    /// Adds to a decimal number in place, keeping what is stored beside it; returns the sum and what was written.
    pub(super) fn increment(&mut self, key: &EntryKey, delta: i64, now_seconds: u64) -> Result<(i64, KvPut), KvError> {
        let old = match self.records.get(key.as_bytes()).map_err(unavailable)? {
            Some(guard) => Some(record::decode(guard.value())?),
            None => None,
        };
        let old = old.filter(|record| record.expiration.is_none_or(|expiration| expiration > now_seconds));
        let (number, metadata, expiration) = match old {
            // A value too large for its record is far longer than any number.
            Some(record) => (parse_number(record.value.as_deref())?, record.metadata, record.expiration),
            None => (0, None, None),
        };
        let Some(sum) = number.checked_add(delta) else {
            return Err(not_a_number("the sum is outside the range of 64-bit integers"));
        };
        let put = KvPut { value: Bytes::from(sum.to_string()), metadata, expiration };
        self.put(key, &put)?;
        Ok((sum, put))
    }

    /// Removes some entries that expired at or before `now_seconds`, and returns their keys.
    pub(super) fn sweep(&mut self, now_seconds: u64) -> Result<Vec<EntryKey>, KvError> {
        let mut expired = Vec::new();
        for row in self.expiries.iter().map_err(unavailable)?.take(REMOVE_ROWS_MAX) {
            let (place, _) = row.map_err(unavailable)?;
            match record::split_expiry_key(place.value()) {
                Some((expiration, key)) if expiration <= now_seconds => expired.push(EntryKey::from_stored(key)),
                Some(_) => break,
                None => return Err(record::corrupt("an expiry has no time")),
            }
        }
        for key in &expired {
            self.delete(key)?;
        }
        Ok(expired)
    }

    /// Removes some entries of the namespace, and returns their keys; none when it is empty.
    pub(super) fn clear(&mut self, namespace: &NamespaceId) -> Result<Vec<EntryKey>, KvError> {
        let prefix = record::namespace_prefix(namespace);
        let mut keys = Vec::new();
        for row in self.records.range::<&[u8]>(&prefix[..]..).map_err(unavailable)?.take(REMOVE_ROWS_MAX) {
            let (key, _) = row.map_err(unavailable)?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            keys.push(EntryKey::from_stored(key.value()));
        }
        for key in &keys {
            self.delete(key)?;
        }
        Ok(keys)
    }
}

fn parse_number(value: Option<&[u8]>) -> Result<i64, KvError> {
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    match text.and_then(|text| text.trim().parse().ok()) {
        Some(number) => Ok(number),
        None => Err(not_a_number("the stored value is not a whole number")),
    }
}

fn not_a_number(why: &str) -> KvError {
    KvError::Invalid { status: 400, message: format!("KV INCREMENT failed: 400 {why}.") }
}

fn encode_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn decode_cursor(cursor: &str, prefix: &str) -> Result<String, KvError> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match key {
        Some(key) if key.starts_with(prefix) => Ok(key),
        _ => Err(KvError::Invalid {
            status: 400,
            message: "KV GET failed: 400 Invalid cursor: it was not given by a listing of this prefix.".into(),
        }),
    }
}

/// The database can not answer; says why without naming keys or values.
pub(super) fn unavailable(error: impl Into<redb::Error>) -> KvError {
    KvError::Unavailable { reason: error.into().to_string() }
}
