//! Numbered pages.
//!
//! **Owns** `page` and `per_page` and what they say about a listing. **Must not know** what is listed. **Enter at**
//! [`Page`].

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{envelope::ResultInfo, error::ApiError, query::Query};

/// BOUND: results on one page, Cloudflare's usual limit, so that an answer stays small enough to hold in memory.
pub(crate) const PER_PAGE_MAX: usize = 100;
/// BOUND: `listDurableObjects` of wrangler asks for this many at once and never for a second page.
const PER_PAGE_ACCEPTED: usize = 1000;
const PER_PAGE_DEFAULT: usize = 20;

/// Which page of a listing the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    number: usize,
    /// 1 to [`PER_PAGE_MAX`].
    size: usize,
}

impl Page {
    /// Reads `page` and `per_page` from the query string.
    pub(crate) fn from_query(query: &Query) -> Result<Self, ApiError> {
        let number = query.number("page", 1..=usize::MAX)?.unwrap_or(1);
        let size = query.number("per_page", 1..=PER_PAGE_ACCEPTED)?.unwrap_or(PER_PAGE_DEFAULT).min(PER_PAGE_MAX);
        Ok(Self { number, size })
    }

    /// Takes this page out of `all`, which has `total` entries and is not walked past the page.
    pub(crate) fn cut<T>(self, all: impl IntoIterator<Item = T>, total: usize) -> (Vec<T>, ResultInfo) {
        let items: Vec<T> = all.into_iter().skip((self.number - 1).saturating_mul(self.size)).take(self.size).collect();
        let info = ResultInfo {
            page: Some(self.number),
            per_page: Some(self.size),
            count: items.len(),
            total_count: Some(total),
            total_pages: Some(total.div_ceil(self.size)),
            cursor: None,
        };
        (items, info)
    }
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::from_query(&Query::parse(parts.uri.query())?)
    }
}
