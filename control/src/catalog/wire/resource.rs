//! Pure. Accounts, routes, domains, namespaces, certificates, tokens and the audit log as messages.
//!
//! **Owns** their translation. **Must not know** commands. **Enter at** the `From` and `TryFrom` here.

use skerry_proto::{catalog as pb, id::NodeId};

use super::{WireError, hash, id, list, maybe_id, need, parse, revision};
use crate::catalog::{
    Account, Actor, AuditAction, AuditEntry, Certificate, CertificateIssuer, Domain, Namespace, Route, Token, TokenHash,
};

impl From<&Actor> for pb::Actor {
    fn from(actor: &Actor) -> Self {
        Self {
            token: actor.token.as_ref().map(ToString::to_string),
            name: actor.name.clone(),
            from: actor.from.clone(),
            agent: actor.agent.clone(),
        }
    }
}

impl TryFrom<pb::Actor> for Actor {
    type Error = WireError;

    fn try_from(actor: pb::Actor) -> Result<Self, WireError> {
        let token = maybe_id("actor.token", actor.token.as_ref())?;
        Ok(Self { token, name: actor.name, from: actor.from, agent: actor.agent })
    }
}

impl From<&Account> for pb::Account {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            label: account.label.as_ref().map(ToString::to_string),
            created_at_ms: account.created_at_ms,
        }
    }
}

impl TryFrom<pb::Account> for Account {
    type Error = WireError;

    fn try_from(account: pb::Account) -> Result<Self, WireError> {
        Ok(Self {
            id: id("account.id", &account.id)?,
            name: account.name,
            label: maybe_id("account.label", account.label.as_ref())?,
            created_at_ms: account.created_at_ms,
        })
    }
}

impl From<&Route> for pb::Route {
    fn from(route: &Route) -> Self {
        Self {
            id: route.id.to_string(),
            account: route.account.to_string(),
            pattern: route.pattern.to_string(),
            target: route.target.as_ref().map(Into::into),
            created_at_ms: route.created_at_ms,
        }
    }
}

impl TryFrom<pb::Route> for Route {
    type Error = WireError;

    fn try_from(route: pb::Route) -> Result<Self, WireError> {
        Ok(Self {
            id: id("route.id", &route.id)?,
            account: id("route.account", &route.account)?,
            pattern: parse("route.pattern", &route.pattern)?,
            target: route.target.map(TryInto::try_into).transpose()?,
            created_at_ms: route.created_at_ms,
        })
    }
}

impl From<&Domain> for pb::Domain {
    fn from(domain: &Domain) -> Self {
        Self {
            id: domain.id.to_string(),
            hostname: domain.hostname.to_string(),
            environment: Some((&domain.environment).into()),
            created_at_ms: domain.created_at_ms,
        }
    }
}

impl TryFrom<pb::Domain> for Domain {
    type Error = WireError;

    fn try_from(domain: pb::Domain) -> Result<Self, WireError> {
        Ok(Self {
            id: id("domain.id", &domain.id)?,
            hostname: id("domain.hostname", &domain.hostname)?,
            environment: need("domain.environment", domain.environment)?.try_into()?,
            created_at_ms: domain.created_at_ms,
        })
    }
}

impl From<&Namespace> for pb::Namespace {
    fn from(namespace: &Namespace) -> Self {
        Self {
            id: namespace.id.to_string(),
            account: namespace.account.to_string(),
            title: namespace.title.clone(),
            created_at_ms: namespace.created_at_ms,
            home: home_number(namespace.home),
        }
    }
}

/// The first node is written as if nothing were said, so what was stored before there were several stays as it is, byte
/// for byte, and so does its digest.
pub(super) fn home_number(home: NodeId) -> u64 {
    if home == Namespace::FIRST_HOME { 0 } else { home.0 }
}

/// The inverse of [`home_number`].
pub(super) fn home(number: u64) -> NodeId {
    if number == 0 { Namespace::FIRST_HOME } else { NodeId(number) }
}

impl TryFrom<pb::Namespace> for Namespace {
    type Error = WireError;

    fn try_from(namespace: pb::Namespace) -> Result<Self, WireError> {
        Ok(Self {
            id: id("namespace.id", &namespace.id)?,
            account: id("namespace.account", &namespace.account)?,
            title: namespace.title,
            created_at_ms: namespace.created_at_ms,
            home: home(namespace.home),
        })
    }
}

impl From<&Certificate> for pb::Certificate {
    fn from(certificate: &Certificate) -> Self {
        let issuer = match certificate.issuer {
            CertificateIssuer::ClusterCa => pb::CertificateIssuer::ClusterCa,
            CertificateIssuer::Operator => pb::CertificateIssuer::Operator,
            CertificateIssuer::Acme => pb::CertificateIssuer::Acme,
        };
        Self {
            id: certificate.id.to_string(),
            account: certificate.account.as_ref().map(ToString::to_string),
            names: certificate.names.clone(),
            chain: certificate.chain.clone(),
            key: Some((&certificate.key).into()),
            not_before_ms: certificate.not_before_ms,
            not_after_ms: certificate.not_after_ms,
            issuer: issuer.into(),
        }
    }
}

impl TryFrom<pb::Certificate> for Certificate {
    type Error = WireError;

    fn try_from(certificate: pb::Certificate) -> Result<Self, WireError> {
        let issuer = match certificate.issuer() {
            pb::CertificateIssuer::ClusterCa => CertificateIssuer::ClusterCa,
            pb::CertificateIssuer::Operator => CertificateIssuer::Operator,
            pb::CertificateIssuer::Acme => CertificateIssuer::Acme,
            pb::CertificateIssuer::Unspecified => return Err(WireError::field("certificate.issuer", "is unknown")),
        };
        Ok(Self {
            id: id("certificate.id", &certificate.id)?,
            account: maybe_id("certificate.account", certificate.account.as_ref())?,
            names: certificate.names,
            chain: certificate.chain,
            key: need("certificate.key", certificate.key)?.into(),
            not_before_ms: certificate.not_before_ms,
            not_after_ms: certificate.not_after_ms,
            issuer,
        })
    }
}

impl From<&Token> for pb::Token {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            account: token.account.as_ref().map(ToString::to_string),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            hash: token.hash.0.to_vec().into(),
            created_at_ms: token.created_at_ms,
            expires_at_ms: token.expires_at_ms,
        }
    }
}

impl TryFrom<pb::Token> for Token {
    type Error = WireError;

    fn try_from(token: pb::Token) -> Result<Self, WireError> {
        let scopes = token.scopes.iter().map(|scope| parse("token.scopes", scope));
        Ok(Self {
            id: id("token.id", &token.id)?,
            account: maybe_id("token.account", token.account.as_ref())?,
            name: token.name,
            scopes: scopes.collect::<Result<_, _>>()?,
            hash: TokenHash(hash("token.hash", &token.hash)?),
            created_at_ms: token.created_at_ms,
            expires_at_ms: token.expires_at_ms,
        })
    }
}

impl From<&AuditEntry> for pb::AuditEntry {
    fn from(entry: &AuditEntry) -> Self {
        let detail = |(name, value): &(String, String)| pb::Detail { name: name.clone(), value: value.clone() };
        let action = |action: &AuditAction| pb::AuditAction {
            action: action.action.clone(),
            subject: action.subject.clone(),
            detail: action.detail.iter().map(detail).collect(),
        };
        Self {
            revision: entry.revision.0,
            at_ms: entry.at_ms,
            actor: Some((&entry.actor).into()),
            account: entry.account.as_ref().map(ToString::to_string),
            actions: entry.actions.iter().map(action).collect(),
        }
    }
}

impl TryFrom<pb::AuditEntry> for AuditEntry {
    type Error = WireError;

    fn try_from(entry: pb::AuditEntry) -> Result<Self, WireError> {
        Ok(Self {
            revision: revision(entry.revision),
            at_ms: entry.at_ms,
            actor: entry.actor.unwrap_or_default().try_into()?,
            account: maybe_id("audit.account", entry.account.as_ref())?,
            actions: list(entry.actions)?,
        })
    }
}

impl TryFrom<pb::AuditAction> for AuditAction {
    type Error = WireError;

    fn try_from(action: pb::AuditAction) -> Result<Self, WireError> {
        let detail = action.detail.into_iter().map(|detail| (detail.name, detail.value)).collect();
        Ok(Self { action: action.action, subject: action.subject, detail })
    }
}
