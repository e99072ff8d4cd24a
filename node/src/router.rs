//! Pure. Which environment answers a host and path.
//!
//! **Owns** the table of hostnames, custom domains and routes. **Must not know** how an environment answers: it hands out
//! whatever its maker put there. **Enter at** [`Router::find`].
//!
//! A table is never changed: each state of the catalog makes the next one from the last, at the cost of what changed, and
//! readers keep the one they began with. Looked at in this order:
//! 1. the cluster's own hostnames of environments, which nobody else can claim;
//! 2. routes, the most specific first (one without a service hides everything below it): none in the cluster's own domain,
//!    however wide its pattern, and on a custom domain only those of the account that has it;
//! 3. custom domains;
//! 4. the cluster's own hostnames of single versions (previews).

mod changes;

use std::{collections::HashMap, sync::Arc};

use skerry_control::catalog::{
    Catalog, Domain, Environment, EnvironmentKey, Route, RouteTable, Scheme, find_host, hostname,
};
use skerry_proto::id::VersionId;

use self::changes::changed_services;

/// Everything needed to find who answers, for one state of the catalog. `T` is what answers an environment.
#[derive(Debug)]
pub struct Router<T> {
    catalog: Arc<Catalog>,
    environments: imbl::HashMap<EnvironmentKey, Arc<T>>,
    hosts: imbl::HashMap<Box<str>, Arc<T>>,
    domains: Arc<HashMap<Box<str>, Arc<Domain>>>,
    /// `None` when there is no route, as on most nodes.
    routes: Option<Arc<RouteTable>>,
}

/// Who answers.
#[derive(Debug)]
pub struct Found<'a, T> {
    /// The environment's entry.
    pub target: &'a Arc<T>,
    /// The version that a preview hostname names; `None` for what is deployed.
    pub preview: Option<VersionId>,
    /// The route that leads there; `None` for a hostname.
    pub route: Option<&'a Arc<Route>>,
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self {
            catalog: Arc::clone(&self.catalog),
            environments: self.environments.clone(),
            hosts: self.hosts.clone(),
            domains: Arc::clone(&self.domains),
            routes: self.routes.clone(),
        }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            catalog: Arc::default(),
            environments: imbl::HashMap::new(),
            hosts: imbl::HashMap::new(),
            domains: Arc::default(),
            routes: None,
        }
    }
}

impl<T> Router<T> {
    /// The table of the next state of the catalog. `make` is called for each environment of a service that changed, with
    /// the entry it had before.
    #[must_use]
    pub fn next(
        &self,
        catalog: &Arc<Catalog>,
        mut make: impl FnMut(&EnvironmentKey, &Arc<Environment>, Option<&Arc<T>>) -> Arc<T>,
    ) -> Self {
        let mut next = self.clone();
        for change in changed_services(&self.catalog, catalog) {
            if let Some(old) = change.old {
                for environment in old.environments.values() {
                    let key = old.key.environment(environment.name.clone());
                    next.environments.remove(&key);
                    if let Some(host) = hostname(&self.catalog, &key) {
                        next.hosts.remove(host.as_str());
                    }
                }
            }
            for environment in change.new.iter().flat_map(|service| service.environments.values()) {
                let Some(service) = change.new else { continue };
                let key = service.key.environment(environment.name.clone());
                let entry = make(&key, environment, self.environments.get(&key));
                if environment.workers_dev.is_public()
                    && let Some(host) = hostname(catalog, &key)
                {
                    next.hosts.insert(host.as_str().into(), Arc::clone(&entry));
                }
                next.environments.insert(key, entry);
            }
        }
        next.update_domains(catalog);
        next.update_routes(catalog);
        next.catalog = Arc::clone(catalog);
        next
    }

    /// The state that this table shows.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The entry of an environment.
    #[must_use]
    pub fn environment(&self, key: &EnvironmentKey) -> Option<&Arc<T>> {
        self.environments.get(key)
    }

    /// Every entry, in no particular order.
    pub fn environments(&self) -> impl Iterator<Item = (&EnvironmentKey, &Arc<T>)> {
        self.environments.iter()
    }

    /// Another entry for an environment that has one.
    pub fn put(&mut self, key: &EnvironmentKey, entry: &Arc<T>) {
        if let Some(place) = self.environments.get_mut(key) {
            *place = Arc::clone(entry);
        }
        if let Some(place) = hostname(&self.catalog, key).and_then(|host| self.hosts.get_mut(host.as_str())) {
            *place = Arc::clone(entry);
        }
    }

    /// Who answers. `host` is lower-case and without port; `path_and_query` begins with `/`. A route that leads to `except`
    /// is passed over, so that a worker which fetches its own URL reaches what lies behind it, as on Cloudflare.
    #[must_use]
    pub fn find(
        &self,
        scheme: Scheme,
        host: &str,
        path_and_query: &str,
        except: Option<&EnvironmentKey>,
    ) -> Option<Found<'_, T>> {
        if let Some(target) = self.hosts.get(host) {
            return Some(Found { target, preview: None, route: None });
        }
        let domain = self.domains.get(host);
        if let Some(route) = self.find_route(scheme, host, path_and_query, domain)
            && (except.is_none() || route.target.as_ref() != except)
        {
            let target = self.environments.get(route.target.as_ref()?)?;
            return Some(Found { target, preview: None, route: Some(route) });
        }
        if let Some(domain) = domain {
            let target = self.environments.get(&domain.environment)?;
            return Some(Found { target, preview: None, route: None });
        }
        self.find_preview(host)
    }

    /// The most specific route that may answer a host, which is `domain` or nobody's custom domain.
    fn find_route(
        &self,
        scheme: Scheme,
        host: &str,
        path_and_query: &str,
        domain: Option<&Arc<Domain>>,
    ) -> Option<&Arc<Route>> {
        let routes = self.routes.as_ref()?;
        if self.catalog.cluster().is_some_and(|cluster| cluster.owns(host)) {
            return None;
        }
        match domain {
            Some(domain) => routes.find_of(&domain.environment.service.account, scheme, host, path_and_query),
            None => routes.find(scheme, host, path_and_query),
        }
    }

    fn find_preview(&self, host: &str) -> Option<Found<'_, T>> {
        let found = find_host(&self.catalog, host)?;
        let preview = Some(found.preview?);
        let exposed = self.catalog.environment(&found.environment)?.preview_urls.is_public();
        let target = self.environments.get(&found.environment)?;
        exposed.then_some(Found { target, preview, route: None })
    }

    fn update_domains(&mut self, catalog: &Catalog) {
        if !catalog.same_domains(&self.catalog) {
            let domains = catalog.domains().map(|domain| (domain.hostname.as_str().into(), Arc::clone(domain)));
            self.domains = Arc::new(domains.collect());
        }
    }

    fn update_routes(&mut self, catalog: &Catalog) {
        if !catalog.same_routes(&self.catalog) {
            self.routes = catalog.routes().next().map(|_| Arc::new(RouteTable::build(catalog.routes())));
        }
    }
}

#[cfg(test)]
mod tests;
