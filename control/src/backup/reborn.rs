//! Pure. What a restored cluster keeps of the old one.
//!
//! **Owns** the difference between the two. **Must not know** where the old state comes from. **Enter at** [`reborn`].
//!
//! The new cluster has another id and will make another authority for its mesh, so no node of the old one, should it still
//! run, is believed by a new one. Nodes and join tokens of the old cluster are gone; every KV namespace has its home on the
//! founder. Everything that users see stays: accounts, services, versions, deployments, secrets, routes, domains, certificates
//! and the CA that made them, API tokens, and the audit log.

use skerry_proto::catalog as pb;

use super::FOUNDER;
use crate::catalog::{Catalog, Token, wire::WireError};

/// The state that a new cluster begins with.
pub(super) fn reborn(old: &Catalog, id: &str, admin: Option<&Token>) -> Result<Catalog, WireError> {
    let mut state = pb::Catalog::from(old);
    if let Some(cluster) = &mut state.cluster {
        id.clone_into(&mut cluster.id);
        cluster.mesh_authorities.clear();
    }
    state.nodes.clear();
    state.join_tokens.clear();
    for namespace in &mut state.namespaces {
        namespace.home = FOUNDER.0;
    }
    state.tokens.extend(admin.map(pb::Token::from));
    Catalog::try_from(state)
}
