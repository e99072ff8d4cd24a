//! The environment that a path names, in either of its two spellings.
//!
//! **Owns** `/workers/scripts/{script}` and `/workers/services/{service}/environments/{environment}` meaning the same.
//! **Must not know** what is done with the environment. **Enter at** [`Target`] for one that exists, [`Place`] for one
//! that an upload may make.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use skerry_proto::id::{EnvironmentName, ServiceName};

use super::{
    Deps,
    account::Account,
    auth::{Caller, WRANGLER},
    error::{ApiError, Thing},
    params::Params,
    script_name::{self, Meaning},
};
use crate::catalog::{Catalog, Environment, EnvironmentKey, Service, ServiceKey};

/// An environment that exists, with the catalog in which it does.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// One agreed state.
    pub catalog: Arc<Catalog>,
    /// Which environment.
    pub key: EnvironmentKey,
    /// Its service.
    pub service: Arc<Service>,
    /// Itself.
    pub environment: Arc<Environment>,
}

/// An environment that exists or may be made.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// One agreed state.
    pub catalog: Arc<Catalog>,
    /// Which environment.
    pub key: EnvironmentKey,
    /// What was not found, when the environment does not exist.
    missing: Option<(Thing, String)>,
}

/// A service that exists.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// One agreed state.
    pub catalog: Arc<Catalog>,
    /// Itself.
    pub service: Arc<Service>,
}

impl Place {
    /// The same place in a newer state.
    pub(crate) fn again(&self, catalog: Arc<Catalog>) -> Self {
        Self { catalog, key: self.key.clone(), missing: self.missing.clone() }
    }

    /// The environment, or the error that says what was not found.
    pub(crate) fn existing(self) -> Result<Target, ApiError> {
        let found = self.catalog.service(&self.key.service).cloned();
        let found = found.and_then(|service| {
            let environment = Arc::clone(service.environment(&self.key.environment)?);
            Some((service, environment))
        });
        match (found, self.missing) {
            (Some((service, environment)), _) => {
                Ok(Target { catalog: self.catalog, key: self.key, service, environment })
            }
            (None, Some((what, id))) => Err(ApiError::not_found(what, id)),
            (None, None) => Err(ApiError::not_found(Thing::Environment, &self.key)),
        }
    }
}

impl From<Target> for Place {
    fn from(target: Target) -> Self {
        Self { catalog: target.catalog, key: target.key, missing: None }
    }
}

impl Target {
    /// The environment of this key in this catalog.
    pub(crate) fn find(catalog: Arc<Catalog>, key: EnvironmentKey) -> Result<Self, ApiError> {
        Place { catalog, key, missing: None }.existing()
    }

    /// The same environment as it is in `self.catalog`, which the caller has replaced by a newer one.
    pub(crate) fn again(self) -> Result<Self, ApiError> {
        Self::find(self.catalog, self.key)
    }
}

impl FromRequestParts<Deps> for Place {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let account = Account::from_request_parts(parts, deps).await?;
        let params = Params::from_request_parts(parts, deps).await?;
        match params.find("script") {
            Some(script) => by_script(account, script),
            None => {
                let (service, environment) = (params.id("service")?, params.id("environment")?);
                let is_wrangler = Caller::from_request_parts(parts, deps).await?.source == WRANGLER;
                Ok(by_service(account, service, &environment, is_wrangler && parts.method.is_safe()))
            }
        }
    }
}

impl FromRequestParts<Deps> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        Place::from_request_parts(parts, deps).await?.existing()
    }
}

impl FromRequestParts<Deps> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Deps) -> Result<Self, ApiError> {
        let account = Account::from_request_parts(parts, deps).await?;
        let params = Params::from_request_parts(parts, deps).await?;
        let key = ServiceKey { account: account.id, name: params.id("service")? };
        match account.catalog.service(&key).cloned() {
            Some(service) => Ok(Self { catalog: account.catalog, service }),
            None => Err(ApiError::not_found(Thing::Service, key)),
        }
    }
}

fn by_script(account: Account, script: &str) -> Result<Place, ApiError> {
    let name = ServiceName::new(script)?;
    let (key, missing) = match script_name::resolve(&account.catalog, &account.id, &name) {
        Meaning::Environment(key) => (key, None),
        Meaning::NewService(service) => (service.production(), Some((Thing::Script, script.to_owned()))),
        Meaning::Ambiguous(keys) => return Err(ambiguous(script, &keys)),
    };
    Ok(Place { catalog: account.catalog, key, missing })
}

/// The path means what it says: `app-staging/production` is a service of its own, whatever `app` has. Only wrangler reads
/// back what it deployed as `app-staging` through this spelling, and then `may_guess`; a write never does.
fn by_service(account: Account, service: ServiceName, environment: &EnvironmentName, may_guess: bool) -> Place {
    let key = ServiceKey { account: account.id.clone(), name: service };
    let place = |key: EnvironmentKey, missing| Place { catalog: Arc::clone(&account.catalog), key, missing };
    if account.catalog.service(&key).is_some() {
        return place(key.environment(environment.clone()), None);
    }
    if may_guess
        && let Meaning::Environment(found) = script_name::resolve(&account.catalog, &account.id, &key.name)
        && (environment.is_production() || *environment == found.environment)
    {
        return place(found, None);
    }
    let missing = Some((Thing::Service, key.to_string()));
    place(key.environment(environment.clone()), missing)
}

/// The environment that a script name or a service name of wrangler means.
pub(crate) fn by_name(account: Account, name: &str) -> Result<Target, ApiError> {
    let mut place = by_script(account, name)?;
    if let Some((what, _)) = &mut place.missing {
        *what = Thing::Service;
    }
    place.existing()
}

fn ambiguous(script: &str, keys: &[EnvironmentKey]) -> ApiError {
    let list: Vec<_> = keys.iter().map(ToString::to_string).collect();
    ApiError::Conflict(format!(
        "script name {script:?} could mean {}; use /workers/services/SERVICE/environments/ENVIRONMENT to tell them apart",
        list.join(" or ")
    ))
}
