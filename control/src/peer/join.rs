//! How a machine becomes a node.
//!
//! **Owns** both sides of joining: what the joiner says, and what a voter gives it. **Must not know** what tokens allow; the
//! catalog does. **Enter at** [`join`] and [`JoinService`].
//!
//! The joiner checks the voter's certificate against the fingerprint in the token before it says anything. It may be
//! cut off at any moment and ask again with the same key: it gets the same identity, and the token is used once.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use skerry_proto::{
    id::NodeId,
    mesh::{self as pb, refusal::Code},
};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use crate::{
    catalog::{Actor, Admission, Catalog, Change, Command, NewNode, Node, NodeRole, TokenHash},
    clock,
    control::Proposer,
    error::{BuildError, ProposeError},
    keys::{AuthorityKey, Keys},
    limits::{LEAF_LIFE, FRAME_BYTES_MAX},
    mesh::{Authority, Caller, FrameError, Incoming, JoinError, JoinToken, NodeIdentity, Service, certificate_request, new_key},
};

/// BOUND: how long one attempt may take; an admission is one write.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// BOUND: attempts while nobody answers; a cluster that has just started needs some seconds to elect a leader.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// What a machine says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Joiner<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) at: &'a str,
    pub(crate) token: &'a str,
    pub(crate) name: &'a str,
    pub(crate) role: NodeRole,
    pub(crate) region: &'a str,
    pub(crate) zone: &'a str,
    /// Where other nodes reach its mesh.
    pub(crate) address: String,
    pub(crate) feature_level: u32,
    pub(crate) build: &'a str,
}
