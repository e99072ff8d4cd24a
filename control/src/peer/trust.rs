//! Whom a node believes in the mesh, and whose certificate it shows.
//!
//! **Owns** asking it and answering. **Must not know** what the answer is for. **Enter at** [`ask`] and [`TrustService`].

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, refusal::Code},
};

use crate::{
    catalog::Fingerprint,
    mesh::{Caller, FrameError, Incoming, Mesh, Service},
};

/// BOUND: how long a node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// BOUND: bytes of the question.
const REQUEST_BYTES_MAX: usize = 64;

/// What a node believes and shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Whose certificate it shows.
    pub(crate) signed_by: Option<Fingerprint>,
    /// Whom it believes.
    pub(crate) trusts: Vec<Fingerprint>,
}

/// What another node says; `None` when it does not answer, or does not know the question.
pub(crate) async fn ask(mesh: &Mesh, node: NodeId) -> Option<Held> {
    match mesh.call(node, &pb::Trust {}, ANSWER_TIMEOUT).await {
        Ok(trusted) => Some(Held {
            signed_by: fingerprint(&trusted.signed_by),
            trusts: trusted.trusts.iter().filter_map(fingerprint).collect(),
        }),
        Err(error) => {
            tracing::debug!(%error, %node, "a node does not say whom it trusts");
            None
        }
    }
}

/// What this node would say.
pub(crate) fn held(mesh: &Mesh) -> Held {
    let identity = mesh.identity();
    Held {
        signed_by: identity.chain.get(1).map(|issuer| Fingerprint::of(issuer)),
        trusts: identity.authorities.iter().map(|one| Fingerprint::of(one)).collect(),
    }
}

fn fingerprint(bytes: &Bytes) -> Option<Fingerprint> {
    bytes[..].try_into().ok().map(Fingerprint)
}

/// Answers members.
pub(crate) struct TrustService {
    pub(crate) mesh: Mesh,
}

#[async_trait]
impl Service for TrustService {
    async fn serve(&self, from: Caller, call: Incoming) {
        if let Err(error) = self.answer(from, call).await {
            tracing::debug!(%error, ?from, "a node was not told whom this one trusts");
        }
    }
}

impl TrustService {
    async fn answer(&self, from: Caller, mut call: Incoming) -> Result<(), FrameError> {
        let _: pb::Trust = call.request(REQUEST_BYTES_MAX).await?;
        let Caller::Node(_) = from else {
            return call.refuse(Code::Forbidden, "only members ask this").await;
        };
        let (held, bytes) = (held(&self.mesh), |one: &Fingerprint| Bytes::copy_from_slice(&one.0));
        let signed_by = held.signed_by.as_ref().map(bytes).unwrap_or_default();
        call.answer(&pb::Trusted { signed_by, trusts: held.trusts.iter().map(bytes).collect() }).await
    }
}
