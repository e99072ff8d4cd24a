//! Pure. The whole catalog as a message.
//!
//! **Owns** its translation, and the derived indexes that are not stored. **Must not know** snapshots' files. **Enter at**
//! the `From` and `TryFrom` here.

use std::sync::Arc;

use imbl::OrdMap;
use skerry_proto::catalog as pb;

use super::{WireError, hash, id, list, need, revision};
use crate::catalog::{
    Account, Applied, AuditEntry, Catalog, Certificate, CreatedDeployment, CreatedVersion, Domain, JoinToken,
    Namespace, Node, Repeated, Route, Service, Token, apply::Replay,
};

impl From<&Catalog> for pb::Catalog {
    fn from(catalog: &Catalog) -> Self {
        Self {
            revision: catalog.revision.0,
            cluster: catalog.cluster.as_deref().map(Into::into),
            accounts: catalog.accounts.values().map(|account| account.as_ref().into()).collect(),
            services: catalog.services.values().map(|service| service.as_ref().into()).collect(),
            namespaces: catalog.namespaces.values().map(|namespace| namespace.as_ref().into()).collect(),
            routes: catalog.routes.values().map(|route| route.as_ref().into()).collect(),
            domains: catalog.domains.values().map(|domain| domain.as_ref().into()).collect(),
            certificates: catalog.certificates.values().map(|certificate| certificate.as_ref().into()).collect(),
            tokens: catalog.tokens.values().map(|token| token.as_ref().into()).collect(),
            audit: catalog.audit.iter().map(|entry| entry.as_ref().into()).collect(),
            replays: catalog.replays.values().map(|replay| replay.as_ref().into()).collect(),
            nodes: catalog.nodes.values().map(|node| node.as_ref().into()).collect(),
            join_tokens: catalog.join_tokens.values().map(|token| token.as_ref().into()).collect(),
        }
    }
}

impl TryFrom<pb::Catalog> for Catalog {
    type Error = WireError;

    fn try_from(catalog: pb::Catalog) -> Result<Self, WireError> {
        let tokens: Vec<Token> = list(catalog.tokens)?;
        let routes: Vec<Route> = list(catalog.routes)?;
        let audit: Vec<AuditEntry> = list(catalog.audit)?;
        let replays: Vec<Replay> = list(catalog.replays)?;
        let nodes: Vec<Node> = list(catalog.nodes)?;
        Ok(Self {
            revision: revision(catalog.revision),
            cluster: catalog.cluster.map(TryInto::try_into).transpose()?.map(Arc::new),
            accounts: keyed(list(catalog.accounts)?, |account: &Account| account.id.clone()),
            services: keyed(list(catalog.services)?, |service: &Service| service.key.clone()),
            namespaces: keyed(list(catalog.namespaces)?, |namespace: &Namespace| namespace.id.clone()),
            domains: keyed(list(catalog.domains)?, |domain: &Domain| domain.hostname.clone()),
            certificates: keyed(list(catalog.certificates)?, |certificate: &Certificate| certificate.id.clone()),
            token_hashes: tokens.iter().map(|token| (token.hash, token.id.clone())).collect(),
            tokens: keyed(tokens, |token| token.id.clone()),
            route_patterns: routes.iter().map(|route| (route.pattern.to_string(), route.id.clone())).collect(),
            routes: keyed(routes, |route| route.id.clone()),
            audit: audit.into_iter().map(Arc::new).collect(),
            replay_keys: replays.iter().map(|replay| (replay.key.clone(), replay.applied.revision)).collect(),
            replays: keyed(replays, |replay| replay.applied.revision),
            node_keys: nodes.iter().map(|node| (node.public_key, node.id)).collect(),
            nodes: keyed(nodes, |node| node.id),
            join_tokens: keyed(list(catalog.join_tokens)?, |token: &JoinToken| token.id.clone()),
        })
    }
}

fn keyed<K: Ord + Clone, V>(values: Vec<V>, key: impl Fn(&V) -> K) -> OrdMap<K, Arc<V>> {
    values.into_iter().map(|value| (key(&value), Arc::new(value))).collect()
}

impl From<&Replay> for pb::Replay {
    fn from(replay: &Replay) -> Self {
        let version = |created: &CreatedVersion| pb::CreatedVersion {
            environment: Some((&created.environment).into()),
            id: created.id.to_string(),
            number: created.number.0,
        };
        let deployment = |created: &CreatedDeployment| pb::CreatedDeployment {
            environment: Some((&created.environment).into()),
            id: created.id.to_string(),
        };
        Self {
            key: replay.key.clone(),
            fingerprint: replay.fingerprint.to_vec().into(),
            revision: replay.applied.revision.0,
            versions: replay.applied.versions.iter().map(version).collect(),
            deployments: replay.applied.deployments.iter().map(deployment).collect(),
        }
    }
}

impl TryFrom<pb::Replay> for Replay {
    type Error = WireError;

    fn try_from(replay: pb::Replay) -> Result<Self, WireError> {
        Ok(Self {
            key: replay.key,
            fingerprint: hash("replay.fingerprint", &replay.fingerprint)?,
            applied: Applied {
                revision: revision(replay.revision),
                versions: list(replay.versions)?,
                deployments: list(replay.deployments)?,
                repeated: Repeated::No,
            },
        })
    }
}

impl TryFrom<pb::CreatedVersion> for CreatedVersion {
    type Error = WireError;

    fn try_from(created: pb::CreatedVersion) -> Result<Self, WireError> {
        Ok(Self {
            environment: need("created.environment", created.environment)?.try_into()?,
            id: id("created.id", &created.id)?,
            number: skerry_proto::id::VersionNumber(created.number),
        })
    }
}

impl TryFrom<pb::CreatedDeployment> for CreatedDeployment {
    type Error = WireError;

    fn try_from(created: pb::CreatedDeployment) -> Result<Self, WireError> {
        let environment = need("created.environment", created.environment)?.try_into()?;
        Ok(Self { environment, id: id("created.id", &created.id)? })
    }
}
