//! Pure. All routes, arranged for looking up a request.
//!
//! **Owns** the search for the most specific match. **Must not know** what a match leads to. **Enter at** [`RouteTable`].

use std::{collections::HashMap, sync::Arc};

use skerry_proto::id::AccountId;

use super::{HostPattern, Route, Scheme};

/// All routes, arranged for looking up a request. Built once for each catalog; a look-up is one hash for each label of the
/// host and a scan of the few routes that share it.
#[derive(Debug, Default, Clone)]
pub struct RouteTable {
    /// By exact host; each list in falling specificity.
    exact: HashMap<String, Vec<Arc<Route>>>,
    /// By suffix, wildcard hosts; each list in falling specificity.
    suffix: HashMap<String, Vec<Arc<Route>>>,
    /// For every host.
    any: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Arranges the routes.
    #[must_use]
    pub fn build<'a>(routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let list = match route.pattern.host() {
                HostPattern::Exact(host) => table.exact.entry(host.to_string()).or_default(),
                HostPattern::Subdomains(host) | HostPattern::Within(host) => {
                    table.suffix.entry(host.to_string()).or_default()
                }
                HostPattern::Any => &mut table.any,
            };
            list.push(Arc::clone(route));
        }
        let lists = table.exact.values_mut().chain(table.suffix.values_mut()).chain([&mut table.any]);
        for list in lists {
            list.sort_by(|left, right| right.pattern.specificity(&left.pattern));
        }
        table
    }

    /// The most specific route that matches. `host` is lower-case and without port; `path_and_query` begins with `/`.
    #[must_use]
    pub fn find(&self, scheme: Scheme, host: &str, path_and_query: &str) -> Option<&Arc<Route>> {
        self.near(host).find(|route| route.pattern.matches(scheme, host, path_and_query))
    }

    /// The most specific route of one account that matches.
    #[must_use]
    pub fn find_of(
        &self,
        account: &AccountId,
        scheme: Scheme,
        host: &str,
        path_and_query: &str,
    ) -> Option<&Arc<Route>> {
        let mut near = self.near(host);
        near.find(|route| route.pattern.matches(scheme, host, path_and_query) && route.account == *account)
    }

    /// Every route that may match a host, in falling specificity.
    fn near(&self, host: &str) -> impl Iterator<Item = &Arc<Route>> {
        let lists = self.exact.get(host).into_iter();
        let lists = lists.chain(suffixes(host).filter_map(move |suffix| self.suffix.get(suffix))).chain([&self.any]);
        lists.flatten()
    }
}

/// `a.b.c`, `b.c`, `c`.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| rest.split_once('.').map(|(_, suffix)| suffix))
}
