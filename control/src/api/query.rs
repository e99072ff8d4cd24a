//! The query string.
//!
//! **Owns** reading parameters by name, with errors that name them. **Must not know** which call they belong to.
//! **Enter at** [`Query`].

use std::{ops::RangeInclusive, str::FromStr};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::error::ApiError;

/// BOUND: parameters in one query string; no call has more than a dozen.
const PARAMETERS_MAX: usize = 64;

/// The parameters of one request, in the order given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a raw query string; bad percent-encoding decodes to the replacement character, as browsers do it.
    pub(crate) fn parse(raw: Option<&str>) -> Result<Self, ApiError> {
        let pairs: Vec<_> = form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
            .take(PARAMETERS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(ApiError::field("query", format!("has more than {PARAMETERS_MAX} parameters")));
        }
        Ok(Self(pairs))
    }

    /// The first parameter of this name that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// `true`, `1` or present without a value mean yes.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(ApiError::field(name, "use true or false")),
        }
    }

    /// A number within `range`.
    pub(crate) fn number<N>(&self, name: &str, range: RangeInclusive<N>) -> Result<Option<N>, ApiError>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<N>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::field(name, format!("use a number from {} to {}", range.start(), range.end()))),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(parts.uri.query())
    }
}
