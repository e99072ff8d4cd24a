//! Pure. Commands as messages.
//!
//! **Owns** their translation. **Must not know** what a change does. **Enter at** the `From` and `TryFrom` here.

use skerry_proto::catalog as pb;

use super::{WireError, hash, list, maybe_id, need, revision};
use crate::catalog::{Command, Expectation, Idempotency};

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        let idempotency = command.idempotency.as_ref().map(|idempotency| pb::Idempotency {
            key: idempotency.key.clone(),
            fingerprint: idempotency.fingerprint.to_vec().into(),
        });
        Self {
            actor: Some((&command.actor).into()),
            at_ms: command.at_ms,
            expects: command.expects.iter().map(Into::into).collect(),
            idempotency,
            changes: command.changes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = WireError;

    fn try_from(command: pb::Command) -> Result<Self, WireError> {
        let idempotency = |from: pb::Idempotency| {
            let fingerprint = hash("idempotency.fingerprint", &from.fingerprint)?;
            Ok::<_, WireError>(Idempotency { key: from.key, fingerprint })
        };
        Ok(Self {
            actor: command.actor.unwrap_or_default().try_into()?,
            at_ms: command.at_ms,
            expects: list(command.expects)?,
            idempotency: command.idempotency.map(idempotency).transpose()?,
            changes: list(command.changes)?,
        })
    }
}

impl From<&Expectation> for pb::Expectation {
    fn from(expectation: &Expectation) -> Self {
        use pb::expectation::Kind;
        let kind = match expectation {
            Expectation::Unchanged { environment, revision } => {
                Kind::Unchanged(pb::ExpectUnchanged { environment: Some(environment.into()), revision: revision.0 })
            }
            Expectation::ServiceUnchanged { service, revision } => Kind::ServiceUnchanged(pb::ExpectServiceUnchanged {
                service: Some(service.into()),
                revision: revision.0,
            }),
            Expectation::Live { environment, version } => Kind::Live(pb::ExpectLive {
                environment: Some(environment.into()),
                version: version.as_ref().map(ToString::to_string),
            }),
            Expectation::Absent { environment } => Kind::Absent(environment.into()),
            Expectation::Present { environment } => Kind::Present(environment.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::Expectation> for Expectation {
    type Error = WireError;

    fn try_from(expectation: pb::Expectation) -> Result<Self, WireError> {
        use pb::expectation::Kind;
        Ok(match need("expectation.kind", expectation.kind)? {
            Kind::Unchanged(from) => Self::Unchanged {
                environment: need("expectation.environment", from.environment)?.try_into()?,
                revision: revision(from.revision),
            },
            Kind::ServiceUnchanged(from) => Self::ServiceUnchanged {
                service: need("expectation.service", from.service)?.try_into()?,
                revision: revision(from.revision),
            },
            Kind::Live(from) => Self::Live {
                environment: need("expectation.environment", from.environment)?.try_into()?,
                version: maybe_id("expectation.version", from.version.as_ref())?,
            },
            Kind::Absent(environment) => Self::Absent { environment: environment.try_into()? },
            Kind::Present(environment) => Self::Present { environment: environment.try_into()? },
        })
    }
}
