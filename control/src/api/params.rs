//! What stands in a path.
//!
//! **Owns** reading path parameters as validated identifiers. **Must not know** what is done with them. **Enter at**
//! [`Params`].

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::error::ApiError;

/// The parameters of one path, percent-decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// The parameter of this name, if the path has it.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The parameter of this name, which the route declares.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ApiError> {
        self.find(name).ok_or_else(|| ApiError::field(name, "is missing from the path"))
    }

    /// The parameter of this name as an identifier.
    pub(crate) fn id<T: std::str::FromStr<Err = skerry_proto::id::IdError>>(&self, name: &str) -> Result<T, ApiError> {
        Ok(self.text(name)?.parse()?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(raw) => Ok(Self(raw.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())),
            Err(_) => Err(ApiError::field("path", "has a parameter that is not UTF-8 once percent-decoded")),
        }
    }
}
