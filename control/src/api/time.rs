//! Pure. Times as the API writes and reads them.
//!
//! **Owns** the text form of a moment. **Must not know** the clock. **Enter at** [`rfc3339`].

use super::error::ApiError;

/// Milliseconds since the Unix epoch as RFC 3339 in UTC, such as `2026-11-22T03:17:27.042Z`.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// RFC 3339 as milliseconds since the Unix epoch; the error names `field`.
pub(crate) fn parse(field: &str, text: &str) -> Result<i64, ApiError> {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => Ok(at.as_millisecond()),
        Err(_) => Err(ApiError::field(field, "use RFC 3339, such as 2026-11-22T03:17:27Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = rfc3339(1_795_000_000_042);
        assert_eq!(text, "2026-11-18T11:06:40.042Z");
        assert_eq!(parse("since", &text).unwrap(), 1_795_000_000_042);
    }
}
