//! Pure. The cluster and what lets machines join it.
//!
//! **Owns** the rules of mesh authorities, feature levels and join tokens. **Must not know** X.509 and token texts. **Enter
//! at** [`Step::set_cluster`].

use std::{collections::BTreeSet, sync::Arc};

use skerry_proto::id::TokenId;

use super::{Step, config::check_text, limits};
use crate::catalog::{Authority, Catalog, Cluster, Fingerprint, JoinToken, Node, Noun, Rejection, SealScope};

impl Catalog {
    /// Fails when a command needs more than every node is known to understand. It is asked before a command is proposed, because
    /// an older build can not even decode it, and again when it is applied.
    pub fn check_level(&self, needs: u32) -> Result<(), Rejection> {
        let now = self.feature_level();
        if needs <= now {
            return Ok(());
        }
        let rule = format!(
            "this needs {needs} and the cluster is at {now}; update every node, then run `skerry cluster upgrade`"
        );
        Err(Rejection::invalid("feature level", rule))
    }
}

impl Step {
    pub(super) fn set_cluster(&mut self, cluster: &Cluster) -> Result<(), Rejection> {
        let mut cluster = cluster.clone();
        if let Some(old) = &self.catalog.cluster {
            // These have changes of their own: whoever sets the domain must not undo one that came in between.
            cluster.id.clone_from(&old.id);
            cluster.mesh_authorities.clone_from(&old.mesh_authorities);
            cluster.feature_level = old.feature_level;
        }
        check_authorities(&cluster.mesh_authorities)?;
        self.log("cluster.set", &cluster.domain, []);
        self.catalog.cluster = Some(Arc::new(cluster));
        Ok(())
    }

    pub(super) fn set_mesh_authorities(
        &mut self,
        authorities: &[Authority],
        replaces: &[Fingerprint],
    ) -> Result<(), Rejection> {
        if authorities.is_empty() {
            return Err(Rejection::invalid("mesh authorities", "the mesh needs at least one"));
        }
        check_authorities(authorities)?;
        let cluster = self.cluster_mut()?;
        let found: Vec<Fingerprint> = cluster.mesh_authorities.iter().map(Authority::fingerprint).collect();
        // A step of a rotation that was taken out of turn would bring back an authority that was given up.
        if !replaces.is_empty() && *replaces != found {
            let (subject, expected) = ("the mesh's authorities".to_owned(), names(replaces));
            return Err(Rejection::Stale { subject, expected, found: names(&found) });
        }
        cluster.mesh_authorities = authorities.to_vec();
        let fingerprints: Vec<Fingerprint> = authorities.iter().map(Authority::fingerprint).collect();
        self.log("cluster.mesh_authorities", self.cluster_id(), [("fingerprints", names(&fingerprints))]);
        Ok(())
    }

    pub(super) fn set_feature_level(&mut self, level: u32) -> Result<(), Rejection> {
        let now = self.catalog.feature_level();
        if level < now {
            let rule = format!("the cluster is at {now} and never goes back; what it stores may need it");
            return Err(Rejection::invalid("level", rule));
        }
        if level > now {
            if self.catalog.nodes().next().is_none() {
                return Err(Rejection::invalid("level", "the cluster has no nodes yet; start its first one"));
            }
            self.all_know(level)?;
        }
        self.cluster_mut()?.feature_level = level;
        self.log("cluster.feature_level", self.cluster_id(), [("from", now.to_string()), ("to", level.to_string())]);
        Ok(())
    }

    /// Fails when a node's build does not know a level, and names those.
    fn all_know(&self, level: u32) -> Result<(), Rejection> {
        let behind: Vec<_> = self.catalog.nodes().filter(|node| node.feature_level < level).collect();
        let one = |node: &&Arc<Node>| format!("node {:?} knows {} at most", node.name, node.feature_level);
        let named = behind.iter().take(limits::NAMED_MAX).map(one).collect::<Vec<_>>().join(", ");
        match behind.len() {
            0 => Ok(()),
            1..=limits::NAMED_MAX => Err(Rejection::invalid("level", format!("{named}; update Skerry there first"))),
            all => {
                let more = all - limits::NAMED_MAX;
                Err(Rejection::invalid("level", format!("{named} and {more} more do; update Skerry there first")))
            }
        }
    }

    pub(super) fn create_join_token(&mut self, token: &JoinToken) -> Result<(), Rejection> {
        if !token.name.is_empty() {
            check_text("name", &token.name)?;
        }
        if !(1..=limits::JOIN_TOKEN_USES_MAX).contains(&token.uses_left) {
            return Err(Rejection::invalid("uses", format!("use 1 to {}", limits::JOIN_TOKEN_USES_MAX)));
        }
        if !token.is_current(self.at_ms) {
            return Err(Rejection::invalid("expires_on", "use a time in the future"));
        }
        self.forget_expired_join_tokens();
        if self.catalog.join_tokens.len() >= limits::JOIN_TOKENS_MAX {
            let rule = format!("a cluster has at most {}; revoke some", limits::JOIN_TOKENS_MAX);
            return Err(Rejection::invalid("join tokens", rule));
        }
        let taken = self.catalog.join_token_by_hash(&token.hash).is_some();
        if taken || self.catalog.join_tokens.contains_key(&token.id) {
            return Err(Rejection::exists(Noun::JoinToken, &token.id));
        }
        self.catalog.join_tokens.insert(token.id.clone(), Arc::new(token.clone()));
        let role = token.role.map_or("any", |role| role.as_str()).to_owned();
        let detail = [("name", token.name.clone()), ("role", role), ("uses", token.uses_left.to_string())];
        self.log("join_token.create", &token.id, detail);
        Ok(())
    }

    pub(super) fn revoke_join_token(&mut self, id: &TokenId) -> Result<(), Rejection> {
        let gone = self.catalog.join_tokens.remove(id);
        let gone = gone.ok_or_else(|| Rejection::not_found(Noun::JoinToken, id))?;
        self.log("join_token.revoke", id, [("name", gone.name.clone())]);
        Ok(())
    }

    /// What nobody can use any more goes whenever a token is made or used, by the clock of the command.
    pub(super) fn forget_expired_join_tokens(&mut self) {
        let expired = self.catalog.join_tokens.values().filter(|token| !token.is_current(self.at_ms));
        let expired: Vec<TokenId> = expired.map(|token| token.id.clone()).collect();
        for id in expired {
            self.catalog.join_tokens.remove(&id);
        }
    }

    fn cluster_mut(&mut self) -> Result<&mut Cluster, Rejection> {
        let cluster = self.catalog.cluster.as_mut();
        cluster.map(Arc::make_mut).ok_or_else(|| Rejection::not_found(Noun::Cluster, "of this node"))
    }

    fn cluster_id(&self) -> String {
        self.catalog.cluster().map(|cluster| cluster.id.clone()).unwrap_or_default()
    }
}

fn names(fingerprints: &[Fingerprint]) -> String {
    fingerprints.iter().map(Fingerprint::to_string).collect::<Vec<_>>().join(" ")
}

fn check_authorities(authorities: &[Authority]) -> Result<(), Rejection> {
    let wrong = |rule: String| Err(Rejection::invalid("mesh authorities", rule));
    if authorities.len() > limits::MESH_AUTHORITIES_MAX {
        return wrong(format!("a mesh has at most {}", limits::MESH_AUTHORITIES_MAX));
    }
    let mut seen = BTreeSet::new();
    for authority in authorities {
        let fingerprint = authority.fingerprint();
        if !(1..=limits::AUTHORITY_BYTES_MAX).contains(&authority.certificate.len()) {
            return wrong(format!("a certificate has 1 to {} bytes", limits::AUTHORITY_BYTES_MAX));
        }
        if authority.key.scope != SealScope::mesh_authority(fingerprint) {
            return wrong(format!("the key of {fingerprint} was sealed for something else"));
        }
        if !seen.insert(fingerprint) {
            return wrong(format!("{fingerprint} is there twice"));
        }
    }
    Ok(())
}
