//! Pure. Cloudflare's envelope around every answer.
//!
//! **Owns** what success, refusal and an unknown outcome look like. **Must not know** connections. **Enter at**
//! [`Envelope`].

use serde::Deserialize;
use serde_json::Value;

use super::ClientError;

/// The code of an answer that says: the write was sent on, and nobody knows whether it happened.
const UNKNOWN_OUTCOME: u32 = 10998;

#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<ApiError>,
    #[serde(default)]
    result: Value,
}

/// Beside the result.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Info {
    pub(super) result_info: Option<ResultInfo>,
    #[serde(default)]
    pub(super) messages: Value,
}

/// Where a page lies in its list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ResultInfo {
    #[serde(default)]
    pub(crate) total_pages: Option<u64>,
    /// KV: where the next page begins; empty at the end.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
}

/// One reason of a refusal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ApiError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Envelope {
    pub(super) fn into_result(self, status: u16, what: &str) -> Result<Value, ClientError> {
        if self.success && status < 400 {
            return Ok(self.result);
        }
        match self.errors.iter().find(|error| error.code == UNKNOWN_OUTCOME) {
            Some(error) => Err(ClientError::Unknown { what: what.to_owned(), reason: error.message.clone() }),
            None => Err(ClientError::Refused { status, errors: self.errors }),
        }
    }
}

/// One line for each reason, with its code and, where there is one, what to do.
pub(super) fn describe(status: u16, errors: &[ApiError]) -> String {
    if errors.is_empty() {
        return format!("the API refused with status {status} and no reason");
    }
    let lines = errors.iter().map(|error| {
        let hint = match (status, error.code) {
            (401, _) => "; give a token with --token, --token-file or SKERRY_TOKEN",
            (412, _) => "; somebody else changed it meanwhile: look, then try again",
            _ => "",
        };
        format!("{} [code {}]{hint}", error.message, error.code)
    });
    lines.collect::<Vec<_>>().join("\n")
}
