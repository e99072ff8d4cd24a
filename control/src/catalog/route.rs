//! Pure. Which URLs an environment answers besides its own hostname.
//!
//! **Owns** route patterns, what they match and which of two wins. **Must not know** hostnames of the cluster's domain.
//! **Enter at** [`RoutePattern`] and [`RouteTable`].
//!
//! A pattern is `[scheme://]host[/path]`. `*` stands for anything, only at the start of the host and the end of the path:
//! ```text
//! example.com/          exactly that path, without a query      (so does example.com)
//! example.com/img/*     everything below /img/, with any query
//! *.example.com/*       every subdomain, not example.com itself
//! *example.com/*        example.com and every subdomain (but not badexample.com)
//! */*                   every host, see below
//! ```
//! Matching is over the whole URL including its query; the path is case-sensitive, the host is not.
//!
//! The most specific of the matching patterns wins, decided in this order:
//! 1. host: exact, then the longest suffix; at equal suffix `*.example.com` before `*example.com`; `*` last;
//! 2. path: exact, then the longest text before `*`;
//! 3. scheme: given before not given.
//!
//! Host comes first, as with virtual hosts everywhere: `a.example.com/*` wins over `*.example.com/a` on `a.example.com`.
//! Only text before `*` counts, so `example.com/images/*` wins over `example.com/images*`, which Cloudflare gets wrong.
//!
//! Whoever looks a request up asks first whose its host is: no route, however wide, answers in the cluster's own domain, and
//! on an account's custom domain only routes of that account do.

use std::{cmp::Ordering, fmt, str::FromStr};

use skerry_proto::id::{AccountId, Hostname, RouteId};

use super::EnvironmentKey;

mod table;
#[cfg(test)]
mod tests;

pub use table::RouteTable;

/// A pattern with whom it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its identity.
    pub id: RouteId,
    /// Its owner.
    pub account: AccountId,
    /// What it matches; unique in the cluster.
    pub pattern: RoutePattern,
    /// Who answers; `None`: no worker does.
    pub target: Option<EnvironmentKey>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// A route pattern, as in the module's doc.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoutePattern {
    scheme: Option<Scheme>,
    host: HostPattern,
    path: PathPattern,
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The host part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `example.com`
    Exact(Hostname),
    /// `*.example.com`: subdomains only.
    Subdomains(Hostname),
    /// `*example.com`: the name itself and its subdomains.
    Within(Hostname),
    /// `*`
    Any,
}

/// The path part of a pattern; the query counts as part of the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PathPattern {
    /// Without `*`.
    Exact(String),
    /// With `*` at its end; the text before it.
    Prefix(String),
}

/// Why a text is not a route pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route pattern {pattern:?} is invalid: {rule}")]
pub struct PatternError {
    /// The pattern, cut to 200 characters.
    pub pattern: String,
    /// The rule that it breaks and what to do.
    pub rule: &'static str,
}

/// BOUND: 2048 bytes a pattern; no browser sends a longer path that anyone would route by.
pub const PATTERN_BYTES_MAX: usize = 2048;

impl FromStr for RoutePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text).map_err(|rule| PatternError { pattern: text.chars().take(200).collect(), rule })
    }
}

impl RoutePattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err("use at most 2048 bytes");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(("*", rest)) => (None, rest),
            Some(_) => return Err("the scheme is http, https or absent"),
            None => (None, text),
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Ok(Self { scheme, host: HostPattern::parse(host)?, path: PathPattern::parse(path)? })
    }

    /// Whether it matches. `host` is lower-case and without port; `path_and_query` begins with `/`.
    #[must_use]
    pub fn matches(&self, scheme: Scheme, host: &str, path_and_query: &str) -> bool {
        self.scheme.is_none_or(|own| own == scheme) && self.host.matches(host) && self.path.matches(path_and_query)
    }

    /// The host part.
    #[must_use]
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// Orders by specificity: of two patterns that match the same URL the *greater* wins. Different patterns that match
    /// a common URL are never equal.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        (self.host.rank().cmp(&other.host.rank()))
            .then_with(|| self.path.rank().cmp(&other.path.rank()))
            .then_with(|| self.scheme.is_some().cmp(&other.scheme.is_some()))
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.as_str())?;
        }
        match &self.host {
            HostPattern::Exact(host) => write!(f, "{host}")?,
            HostPattern::Subdomains(host) => write!(f, "*.{host}")?,
            HostPattern::Within(host) => write!(f, "*{host}")?,
            HostPattern::Any => f.write_str("*")?,
        }
        match &self.path {
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "the host is a DNS name without port; '*' may only stand at its start";
        let lower = text.to_ascii_lowercase();
        let name = |text: &str| Hostname::new(text).or(Err(RULE));
        match (lower.as_str(), lower.strip_prefix("*."), lower.strip_prefix('*')) {
            ("*", _, _) => Ok(Self::Any),
            (_, Some(suffix), _) => Ok(Self::Subdomains(name(suffix)?)),
            (_, None, Some(suffix)) => Ok(Self::Within(name(suffix)?)),
            (host, None, None) => Ok(Self::Exact(name(host)?)),
        }
    }

    /// Whether it matches a lower-case host.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let below = |suffix: &Hostname| host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.'));
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::Subdomains(suffix) => below(suffix),
            Self::Within(suffix) => suffix.as_str() == host || below(suffix),
            Self::Any => true,
        }
    }

    /// The name without its `*`; `None` for `*` alone.
    #[must_use]
    pub fn name(&self) -> Option<&Hostname> {
        match self {
            Self::Exact(name) | Self::Subdomains(name) | Self::Within(name) => Some(name),
            Self::Any => None,
        }
    }

    fn rank(&self) -> (u8, usize, u8) {
        match self {
            Self::Exact(_) => (2, 0, 0),
            Self::Subdomains(suffix) => (1, suffix.as_str().len(), 1),
            Self::Within(suffix) => (1, suffix.as_str().len(), 0),
            Self::Any => (0, 0, 0),
        }
    }
}

impl PathPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (path, wild) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if path.contains('*') {
            return Err("'*' may only stand at the start of the host and the end of the path");
        }
        if path.contains(['?', '#']) {
            return Err("a pattern has no query and no fragment; end the path with '*' to match any query");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the path is printable ASCII without spaces; percent-encode anything else");
        }
        Ok(if wild { Self::Prefix(path.to_owned()) } else { Self::Exact(path.to_owned()) })
    }

    fn matches(&self, path_and_query: &str) -> bool {
        match self {
            Self::Exact(path) => path == path_and_query,
            Self::Prefix(prefix) => path_and_query.starts_with(prefix.as_str()),
        }
    }

    fn rank(&self) -> (bool, usize) {
        match self {
            Self::Exact(path) => (true, path.len()),
            Self::Prefix(prefix) => (false, prefix.len()),
        }
    }
}
