//! Pure. What a KV call may ask for, with the messages that users of Workers KV know.
//!
//! **Owns** KV's limits as checks; the texts are those of Cloudflare's own validator (workers-sdk,
//! `packages/miniflare/src/workers/kv/validator.worker.ts`). A worker's binding puts `KV PUT failed: 400 ` and the like
//! before them. **Must not know** where entries are stored. **Enter at** [`KvPut::check`] and [`check_key`].

use bytes::Bytes;

use super::{KvError, KvListOptions, KvPut, limits};

impl KvPut {
    /// Checks a write at `now_s` (seconds since the Unix epoch). A time to live wins over a moment when both are given.
    pub fn check(
        key: &str,
        value: Bytes,
        metadata: Option<String>,
        expiry: KvExpiry,
        now_s: u64,
    ) -> Result<Self, KvError> {
        check_key(key)?;
        let expiration = expiry.check(now_s)?;
        if let Some(length) = metadata.as_ref().map(String::len).filter(|length| *length > limits::METADATA_BYTES_MAX) {
            let limit = limits::METADATA_BYTES_MAX;
            return Err(invalid(413, format!("Metadata length of {length} exceeds limit of {limit}.")));
        }
        if value.len() > limits::VALUE_BYTES_MAX {
            let (length, limit) = (value.len(), limits::VALUE_BYTES_MAX);
            return Err(invalid(413, format!("Value length of {length} exceeds limit of {limit}.")));
        }
        Ok(Self { value, metadata, expiration })
    }
}

impl KvListOptions {
    /// Checks a listing.
    pub fn check(&self) -> Result<(), KvError> {
        let max = limits::LIST_KEYS_MAX;
        let problem = match self.limit {
            Some(0) => "Please specify an integer greater than 0.".to_owned(),
            Some(limit) if limit > max => format!("Please specify an integer less than {max}."),
            _ => return check_key_length(&self.prefix),
        };
        Err(invalid(400, format!("Invalid key_count_limit of {}. {problem}", self.limit.unwrap_or_default())))
    }
}

/// When an entry shall stop existing, as the caller said it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KvExpiry {
    /// Seconds since the Unix epoch.
    pub at_s: Option<i64>,
    /// Seconds from now.
    pub ttl_s: Option<i64>,
}

impl KvExpiry {
    /// The moment, in seconds since the Unix epoch.
    fn check(self, now_s: u64) -> Result<Option<u64>, KvError> {
        let min = limits::TTL_SECONDS_MIN;
        if let Some(ttl) = self.ttl_s {
            let problem = match u64::try_from(ttl) {
                Ok(ttl) if ttl >= min => return Ok(Some(now_s.saturating_add(ttl))),
                Ok(1..) => format!("Expiration TTL must be at least {min}."),
                _ => "Please specify integer greater than 0.".to_owned(),
            };
            return Err(invalid(400, format!("Invalid expiration_ttl of {ttl}. {problem}")));
        }
        let Some(at) = self.at_s else { return Ok(None) };
        let problem = match u64::try_from(at) {
            Ok(at) if at >= now_s.saturating_add(min) => return Ok(Some(at)),
            Ok(at) if at > now_s => format!("Expiration times must be at least {min} seconds in the future."),
            _ => "Please specify integer greater than the current number of seconds since the UNIX epoch.".to_owned(),
        };
        Err(invalid(400, format!("Invalid expiration of {at}. {problem}")))
    }
}

/// Checks a key.
pub fn check_key(key: &str) -> Result<(), KvError> {
    match key {
        "" => Err(invalid(400, "Key names must not be empty".to_owned())),
        "." | ".." => Err(invalid(400, format!("Illegal key name \"{key}\". Please use a different name."))),
        _ => check_key_length(key),
    }
}

/// Checks a prefix: a key that may be empty.
pub fn check_key_length(key: &str) -> Result<(), KvError> {
    let (length, limit) = (key.len(), limits::KEY_BYTES_MAX);
    if length <= limit {
        return Ok(());
    }
    Err(invalid(414, format!("UTF-8 encoded length of {length} exceeds key length limit of {limit}.")))
}

/// Checks how long a read may be served from a cache.
pub fn check_cache_ttl(cache_ttl_s: i64) -> Result<(), KvError> {
    let min = limits::CACHE_TTL_SECONDS_MIN;
    if u64::try_from(cache_ttl_s).is_ok_and(|ttl| ttl >= min) {
        return Ok(());
    }
    Err(invalid(400, format!("Invalid cache_ttl of {cache_ttl_s}. Cache TTL must be at least {min}.")))
}

fn invalid(status: u16, message: String) -> KvError {
    KvError::Invalid { status, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn refusal(expiry: KvExpiry) -> String {
        KvPut::check("k", Bytes::new(), None, expiry, NOW).unwrap_err().to_string()
    }

    #[test]
    fn expiries_are_refused_in_the_words_of_workers_kv() {
        let ttl = |ttl_s| KvExpiry { ttl_s: Some(ttl_s), at_s: None };
        let at = |at_s| KvExpiry { at_s: Some(at_s), ttl_s: None };
        assert_eq!(refusal(ttl(30)), "Invalid expiration_ttl of 30. Expiration TTL must be at least 60.");
        assert_eq!(refusal(ttl(0)), "Invalid expiration_ttl of 0. Please specify integer greater than 0.");
        assert_eq!(
            refusal(at(1_700_000_030)),
            "Invalid expiration of 1700000030. Expiration times must be at least 60 seconds in the future."
        );
        assert_eq!(
            refusal(at(5)),
            "Invalid expiration of 5. Please specify integer greater than the current number of seconds since the UNIX \
             epoch."
        );
        let put = KvPut::check("k", Bytes::new(), None, ttl(60), NOW).unwrap();
        assert_eq!(put.expiration, Some(NOW + 60));
    }

    #[test]
    fn keys_are_one_to_512_bytes_and_not_dots() {
        assert!(check_key(&"é".repeat(256)).is_ok());
        assert_eq!(
            check_key(&"é".repeat(257)).unwrap_err().to_string(),
            "UTF-8 encoded length of 514 exceeds key length limit of 512."
        );
        assert_eq!(check_key("..").unwrap_err().to_string(), "Illegal key name \"..\". Please use a different name.");
        assert_eq!(check_key("").unwrap_err().to_string(), "Key names must not be empty");
    }
}
