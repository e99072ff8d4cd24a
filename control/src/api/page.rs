//! Numbered pages.
//!
//! **Owns** `page` and `per_page` and what they say about a listing. **Must not know** what is listed. **Enter at**
//! [`Page`], and at [`Extent`] for listings that Cloudflare gives whole.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{envelope::ResultInfo, error::ApiError, query::Query};

/// BOUND: results on one page, Cloudflare's usual limit, so that an answer stays small enough to hold in memory.
pub(crate) const PER_PAGE_MAX: usize = 100;
/// BOUND: `listDurableObjects` of wrangler asks for this many at once and never for a second page.
const PER_PAGE_ACCEPTED: usize = 1000;
const PER_PAGE_DEFAULT: usize = 20;

/// What `page` means to a listing that is given whole.
pub(crate) const PAGE_OF_WHOLE: &str = "The page, from 1; without it and `per_page` everything is listed.";
/// What `per_page` means to a listing that is given whole.
pub(crate) const PER_PAGE_OF_WHOLE: &str = "Results on a page, 1 to 100; 20 when only `page` is given.";

/// Which page of a listing the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    number: usize,
    /// 1 to [`PER_PAGE_MAX`]; a listing that is given whole is one page of any size.
    size: usize,
}

/// How much the caller wants of a listing that Cloudflare gives whole: its clients send no page and never ask for a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Whole,
    /// Only this page.
    Page(Page),
}

impl Page {
    /// Reads `page` and `per_page` from the query string. Page 0 is the first one too: `wrangler init --from-dash` asks for it.
    pub(crate) fn from_query(query: &Query) -> Result<Self, ApiError> {
        let number = query.number("page", 0..=usize::MAX)?.unwrap_or(1).max(1);
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

impl Extent {
    fn from_query(query: &Query) -> Result<Self, ApiError> {
        match (query.text("page"), query.text("per_page")) {
            (None, None) => Ok(Self::Whole),
            _ => Page::from_query(query).map(Self::Page),
        }
    }

    /// Takes this much out of `all`, which has `total` entries.
    pub(crate) fn cut<T>(self, all: impl IntoIterator<Item = T>, total: usize) -> (Vec<T>, ResultInfo) {
        let page = match self {
            Self::Whole => Page { number: 1, size: total.max(1) },
            Self::Page(page) => page,
        };
        page.cut(all, total)
    }
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::from_query(&Query::parse(parts.uri.query())?)
    }
}

impl<S: Sync> FromRequestParts<S> for Extent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::from_query(&Query::parse(parts.uri.query())?)
    }
}
