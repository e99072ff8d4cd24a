//! Pure. Routes and custom domains.
//!
//! **Owns** that no two of them meet. **Must not know** what a pattern matches. **Enter at** [`Step::put_route`].

use std::{collections::BTreeSet, sync::Arc};

use skerry_proto::id::{AccountId, DomainId, Hostname, RouteId};

use super::{Step, limits};
use crate::catalog::{Domain, EnvironmentKey, NewRoute, Noun, Rejection, Route, RoutePattern};

impl Step {
    pub(super) fn put_route(&mut self, new: &NewRoute) -> Result<(), Rejection> {
        self.known_account(&new.account)?;
        if let Some(target) = &new.target {
            self.environment(target)?;
            if target.service.account != new.account {
                return Err(Rejection::not_found(Noun::Environment, target));
            }
        }
        let old = self.catalog.routes.get(&new.id).cloned();
        if old.as_ref().is_some_and(|old| old.account != new.account) {
            return Err(Rejection::exists(Noun::Route, &new.id));
        }
        let own = self.catalog.routes.values().filter(|route| route.account == new.account).count();
        if old.is_none() && own >= limits::ROUTES_MAX {
            let rule = format!("an account has at most {} routes", limits::ROUTES_MAX);
            return Err(Rejection::invalid("pattern", rule));
        }
        let pattern = new.pattern.to_string();
        if let Some(name) = new.pattern.host().name() {
            self.outside_cluster("pattern", name)?;
        }
        if self.catalog.route_patterns.get(&pattern).is_some_and(|id| *id != new.id) {
            return Err(Rejection::exists(Noun::Route, &pattern));
        }
        if let Some(old) = &old {
            self.catalog.route_patterns.remove(&old.pattern.to_string());
        }
        let created_at_ms = old.as_ref().map_or(self.at_ms, |old| old.created_at_ms);
        let (id, account) = (new.id.clone(), new.account.clone());
        let route = Route { id, account, pattern: new.pattern.clone(), target: new.target.clone(), created_at_ms };
        self.catalog.route_patterns.insert(pattern.clone(), new.id.clone());
        self.catalog.routes.insert(new.id.clone(), Arc::new(route));
        self.touch(old.as_ref().and_then(|old| old.target.as_ref()))?;
        self.touch(new.target.as_ref())?;
        let target = new.target.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        self.log("route.put", &pattern, [("id", new.id.to_string()), ("target", target)]);
        Ok(())
    }

    pub(super) fn delete_route(&mut self, account: &AccountId, id: &RouteId) -> Result<(), Rejection> {
        let owned = self.catalog.routes.get(id).filter(|route| route.account == *account);
        let owned = owned.cloned().ok_or_else(|| Rejection::not_found(Noun::Route, id))?;
        let pattern = owned.pattern.to_string();
        self.catalog.routes.remove(id);
        self.catalog.route_patterns.remove(&pattern);
        self.touch(owned.target.as_ref())?;
        self.log("route.delete", &pattern, [("id", id.to_string())]);
        Ok(())
    }

    pub(super) fn replace_routes(
        &mut self,
        key: &EnvironmentKey,
        routes: &[(RouteId, RoutePattern)],
    ) -> Result<(), Rejection> {
        self.environment(key)?;
        let wanted: BTreeSet<String> = routes.iter().map(|(_, pattern)| pattern.to_string()).collect();
        if wanted.len() != routes.len() {
            return Err(Rejection::invalid("routes", "name each pattern once"));
        }
        let account = &key.service.account;
        let gone: Vec<RouteId> = (self.catalog.routes_of(key))
            .filter(|route| !wanted.contains(&route.pattern.to_string()))
            .map(|route| route.id.clone())
            .collect();
        gone.iter().try_for_each(|id| self.delete_route(account, id))?;
        for (id, pattern) in routes {
            let known = self.catalog.route_patterns.get(&pattern.to_string()).cloned();
            let own = known.filter(|id| self.catalog.route(id).is_some_and(|route| route.target.as_ref() == Some(key)));
            if own.is_none() {
                let target = Some(key.clone());
                self.put_route(&NewRoute {
                    account: account.clone(),
                    id: id.clone(),
                    pattern: pattern.clone(),
                    target,
                })?;
            }
        }
        // Counts the environment as modified even when every route stayed.
        self.environment_mut(key)?;
        Ok(())
    }

    pub(super) fn put_domain(
        &mut self,
        id: &DomainId,
        hostname: &Hostname,
        key: &EnvironmentKey,
    ) -> Result<(), Rejection> {
        self.environment(key)?;
        self.outside_cluster("hostname", hostname)?;
        let old = self.catalog.domains.get(hostname).cloned();
        let account = &key.service.account;
        if old.as_ref().is_some_and(|old| old.environment.service.account != *account) {
            return Err(Rejection::exists(Noun::Domain, hostname));
        }
        let own = self.catalog.domains.values().filter(|domain| domain.environment.service.account == *account).count();
        if old.is_none() && own >= limits::DOMAINS_MAX {
            let rule = format!("an account has at most {} custom domains", limits::DOMAINS_MAX);
            return Err(Rejection::invalid("hostname", rule));
        }
        let known = old.as_ref().map(|old| (old.id.clone(), old.created_at_ms));
        let (id, created_at_ms) = known.unwrap_or_else(|| (id.clone(), self.at_ms));
        let domain = Domain { id, hostname: hostname.clone(), environment: key.clone(), created_at_ms };
        self.catalog.domains.insert(hostname.clone(), Arc::new(domain));
        self.touch(old.as_ref().map(|old| &old.environment))?;
        self.touch(Some(key))?;
        self.log("domain.put", hostname, [("target", key.to_string())]);
        Ok(())
    }

    pub(super) fn delete_domain(&mut self, account: &AccountId, hostname: &Hostname) -> Result<(), Rejection> {
        let owned = self.catalog.domains.get(hostname).filter(|found| found.environment.service.account == *account);
        let owned = owned.cloned().ok_or_else(|| Rejection::not_found(Noun::Domain, hostname))?;
        self.catalog.domains.remove(hostname);
        self.touch(Some(&owned.environment))?;
        self.log("domain.delete", hostname, []);
        Ok(())
    }

    /// What leads to an environment is part of it: whoever saw it before must not change it unseen.
    fn touch(&mut self, key: Option<&EnvironmentKey>) -> Result<(), Rejection> {
        key.map_or(Ok(()), |key| self.environment_mut(key).map(|_touched| ()))
    }

    /// Routes and domains follow what they lead to when `rename` gives it a new name.
    pub(super) fn retarget(&mut self, rename: impl Fn(&EnvironmentKey) -> Option<EnvironmentKey>) {
        let catalog = &mut self.catalog;
        let moved = catalog.routes.values().filter_map(|route| {
            let target = Some(rename(route.target.as_ref()?)?);
            Some(Arc::new(Route { target, ..Route::clone(route) }))
        });
        for route in moved.collect::<Vec<_>>() {
            catalog.routes.insert(route.id.clone(), route);
        }
        let moved = catalog.domains.values().filter_map(|domain| {
            let environment = rename(&domain.environment)?;
            Some(Arc::new(Domain { environment, ..Domain::clone(domain) }))
        });
        for domain in moved.collect::<Vec<_>>() {
            catalog.domains.insert(domain.hostname.clone(), domain);
        }
    }

    /// Routes and domains go with what they lead to.
    pub(super) fn drop_targets(&mut self, gone: impl Fn(&EnvironmentKey) -> bool) {
        let routes = self.catalog.routes.values().filter(|route| route.target.as_ref().is_some_and(&gone));
        let routes: Vec<_> = routes.map(|route| (route.id.clone(), route.pattern.to_string())).collect();
        for (id, pattern) in routes {
            self.catalog.routes.remove(&id);
            self.catalog.route_patterns.remove(&pattern);
        }
        let domains = self.catalog.domains.values().filter(|domain| gone(&domain.environment));
        let domains: Vec<Hostname> = domains.map(|domain| domain.hostname.clone()).collect();
        for hostname in domains {
            self.catalog.domains.remove(&hostname);
        }
    }

    /// The cluster's own domain belongs to environments. A pattern that is wider than that domain is of use elsewhere; whoever
    /// looks a request up does not let it answer there.
    fn outside_cluster(&self, field: &str, name: &Hostname) -> Result<(), Rejection> {
        let Some(cluster) = self.catalog.cluster() else { return Ok(()) };
        if cluster.owns(name.as_str()) {
            let rule = format!(
                "{name} lies in the cluster's own domain {}, where environments have their hostnames",
                cluster.domain
            );
            return Err(Rejection::invalid(field, rule));
        }
        Ok(())
    }
}
