//! Pure. Creating, renaming and deleting services.
//!
//! **Owns** the rules of service names. **Must not know** versions. **Enter at** [`Step::create_service`].

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;
use skerry_proto::id::{EnvironmentId, EnvironmentName, ServiceId, ServiceName};

use super::{Step, limits};
use crate::catalog::{
    Binding, CertificateIssuer, Environment, EnvironmentKey, Noun, Pipeline, Rejection, Service, ServiceKey, WhenBound,
    hostname::{looks_like_preview, service_certificate_names},
};

impl Step {
    pub(super) fn create_service(
        &mut self,
        key: &ServiceKey,
        id: &ServiceId,
        production: &EnvironmentId,
    ) -> Result<(), Rejection> {
        self.known_account(&key.account)?;
        self.free_service_name(key)?;
        if self.catalog.services(&key.account).count() >= limits::SERVICES_MAX {
            let rule = format!("an account has at most {} services", limits::SERVICES_MAX);
            return Err(Rejection::invalid("service", rule));
        }
        let name = EnvironmentName::production();
        let environment = Environment::new(production.clone(), name.clone(), None, self.at_ms, self.revision);
        let service = Service {
            key: key.clone(),
            id: id.clone(),
            created_at_ms: self.at_ms,
            modified_at_ms: self.at_ms,
            revision: self.revision,
            environments: OrdMap::unit(name.clone(), Arc::new(environment)),
            default_environment: name,
            pipeline: None,
        };
        self.catalog.services.insert(key.clone(), Arc::new(service));
        self.log("service.create", key, []);
        Ok(())
    }

    pub(super) fn rename_service(&mut self, key: &ServiceKey, to: &ServiceName) -> Result<(), Rejection> {
        let mut service = Service::clone(self.service(key)?);
        let new = ServiceKey { account: key.account.clone(), name: to.clone() };
        self.free_service_name(&new)?;
        self.remove_own_certificates(key);
        self.catalog.services.remove(key);
        service.key = new.clone();
        (service.modified_at_ms, service.revision) = (self.at_ms, self.revision);
        self.catalog.services.insert(new.clone(), Arc::new(service));
        self.retarget(|target| {
            (target.service == *key)
                .then(|| EnvironmentKey { service: new.clone(), environment: target.environment.clone() })
        });
        self.log("service.rename", key, [("to", to.to_string())]);
        Ok(())
    }

    pub(super) fn delete_service(&mut self, key: &ServiceKey, bound: WhenBound) -> Result<(), Rejection> {
        self.service(key)?;
        if bound == WhenBound::Refuse {
            self.refuse_used_service(key)?;
        }
        self.remove_own_certificates(key);
        self.catalog.services.remove(key);
        self.drop_targets(|target| target.service == *key);
        self.log("service.delete", key, []);
        Ok(())
    }

    /// Moves the whole production of `key`, with its identity, so secrets open and nothing of its history is rewritten.
    pub(super) fn move_service(&mut self, key: &ServiceKey, to: &EnvironmentKey) -> Result<(), Rejection> {
        let service = self.service(key)?;
        let (Some(moved), 1) = (service.environments.get(&service.default_environment), service.environments.len())
        else {
            return Err(Rejection::invalid("service", format!("{key} has more environments than production")));
        };
        let mut moved = Environment::clone(moved);
        let home = self.service(&to.service)?;
        if to.service == *key || to.service.account != key.account || to.environment.is_production() {
            let rule = "a service becomes an environment other than production, of another service of its account";
            return Err(Rejection::invalid("to", rule));
        }
        self.free_environment(home, to)?;
        (moved.name, moved.parent) = (to.environment.clone(), Some(EnvironmentName::production()));
        (moved.modified_at_ms, moved.revision) = (self.at_ms, self.revision);
        self.remove_own_certificates(key);
        self.catalog.services.remove(key);
        self.service_mut(&to.service)?.environments.insert(to.environment.clone(), Arc::new(moved));
        self.retarget(|target| (target.service == *key).then(|| to.clone()));
        self.log("service.move", key, [("to", to.to_string())]);
        Ok(())
    }

    pub(super) fn set_pipeline(&mut self, key: &ServiceKey, pipeline: Option<&Pipeline>) -> Result<(), Rejection> {
        let service = self.service(key)?;
        if let Some(Pipeline { stages }) = pipeline {
            if stages.len() < 2 || stages.iter().collect::<BTreeSet<_>>().len() != stages.len() {
                return Err(Rejection::invalid("stages", "name at least two environments, each once"));
            }
            if let Some(missing) = stages.iter().find(|stage| service.environment(stage).is_none()) {
                return Err(Rejection::not_found(Noun::Environment, key.environment(missing.clone())));
            }
        }
        let stages = pipeline.map(|pipeline| pipeline.stages.iter().map(ToString::to_string).collect::<Vec<_>>());
        self.service_mut(key)?.pipeline = pipeline.cloned();
        self.log("pipeline.set", key, [("stages", stages.unwrap_or_default().join(" -> "))]);
        Ok(())
    }

    /// A name may neither be taken nor lead to a hostname that something else has.
    fn free_service_name(&self, key: &ServiceKey) -> Result<(), Rejection> {
        refuse_preview_name("service", key.name.as_str())?;
        let is_first = self.catalog.first_account() == Some(&key.account);
        let is_label = is_first && self.catalog.account_by_label(&key.name).is_some();
        if is_label || self.catalog.services.contains_key(key) {
            return Err(Rejection::exists(Noun::Service, key));
        }
        Ok(())
    }

    fn refuse_used_service(&self, key: &ServiceKey) -> Result<(), Rejection> {
        let in_use = |by: String| Err(Rejection::InUse { noun: Noun::Service, name: key.to_string(), by });
        if let Some(by) = self.binder(key) {
            return in_use(format!("the binding of {by}; pass force to delete it all the same"));
        }
        let environments = self.service(key)?.environments.keys();
        let others: Vec<&str> =
            environments.filter(|name| !name.is_production()).map(EnvironmentName::as_str).collect();
        match others.as_slice() {
            [] => Ok(()),
            others => in_use(format!("its environments {}; pass force to delete them too", others.join(", "))),
        }
    }

    /// The first environment of another service whose live version with the larger share binds this one. What only the
    /// smaller share binds is asked about before the command is made, so that older logs come out as they did.
    fn binder(&self, key: &ServiceKey) -> Option<EnvironmentKey> {
        let others = self.catalog.services(&key.account).filter(|service| service.key != *key);
        others.flat_map(|service| service.environments.values().map(move |found| (service, found))).find_map(
            |(service, found)| {
                let config = &found.live_version()?.config;
                let binds =
                    |binding: &Binding| matches!(binding, Binding::Service(target) if target.service == key.name);
                config.bindings.values().any(binds).then(|| service.key.environment(found.name.clone()))
            },
        )
    }

    /// Certificates that the cluster issued for the service's hostnames go with the names.
    fn remove_own_certificates(&mut self, key: &ServiceKey) {
        let names = service_certificate_names(&self.catalog, key);
        let own = self.catalog.certificates.values().filter(|certificate| {
            certificate.issuer == CertificateIssuer::ClusterCa && !names.is_empty() && certificate.names == names
        });
        let ids: Vec<_> = own.map(|certificate| certificate.id.clone()).collect();
        for id in ids {
            self.catalog.certificates.remove(&id);
        }
    }
}

/// A name that reads like a preview hostname could hide a version.
pub(super) fn refuse_preview_name(field: &str, name: &str) -> Result<(), Rejection> {
    if looks_like_preview(name) {
        let rule = "a name may not begin with 8 hexadecimal digits and '-': such hostnames belong to versions";
        return Err(Rejection::invalid(field, rule));
    }
    Ok(())
}
