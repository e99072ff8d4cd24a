//! How a cluster is made.
//!
//! **Owns** what the first node writes: the cluster, its first account and token, and its own place in it. **Must not
//! know** how other nodes join. **Enter at** [`cluster`] and [`identity`].

use std::{fs, io, path::Path};

use super::{FOUNDER, RECOVERY_PATIENCE, introduce};
use crate::{
    catalog::{
        Access, Account, Actor, Admission, Authority, Catalog, Change, Cluster, Command, Fingerprint, NewNode,
        NodeRole, Resource, Scope, SealScope, Token, TokenHash,
    },
    clock,
    config::{Bootstrap, ControlConfig, MeshSettings},
    error::{BuildError, JoinFailure},
    identity::new_authority,
    mesh::{self, NodeIdentity, certificate_request},
    mint,
    peer::join::{authorities, issue, members, own_key, remove_key, request_key},
    raft::Raft,
    reconcile,
    seal::{KeyFile, Sealer, WhenMissing},
    store::{Privacy, write_file},
};

/// Makes the cluster when there is none and the configuration allows it; the only voter is this node.
pub(super) async fn cluster(config: &ControlConfig, raft: &Raft) -> Result<Sealer, BuildError> {
    if !raft.is_founded().await? && config.bootstrap != Bootstrap::IfEmpty {
        return Err(BuildError::NotBootstrapped { path: config.data_dir.display().to_string() });
    }
    raft.found().await?;
    raft.recover(RECOVERY_PATIENCE).await?;
    let sealed_before = raft.catalog().cluster().is_some();
    let missing = if sealed_before { WhenMissing::Fail } else { WhenMissing::Create };
    let sealer = Sealer::open_key(&config.data_dir, KeyFile::Cluster, missing)?;
    match raft.catalog().cluster() {
        None => bootstrap(config, raft, &sealer).await?,
        Some(cluster) if cluster.domain != config.domain => {
            tracing::warn!(from = %cluster.domain, to = %config.domain, "the cluster's domain changes");
            let cluster = Cluster { domain: config.domain.clone(), ..Cluster::clone(cluster) };
            propose(config, raft, vec![Change::SetCluster(cluster)]).await?;
        }
        Some(_) => {}
    }
    reconcile::certificates(raft, &sealer, &config.node_name).await?;
    Ok(sealer)
}

/// Makes the first node's identity: the mesh's authority, its own entry in the catalog, and its certificate.
pub(super) async fn identity(
    config: &ControlConfig,
    settings: &MeshSettings,
    raft: &Raft,
) -> Result<NodeIdentity, BuildError> {
    let catalog = raft.catalog();
    let cluster = catalog.cluster().expect("`cluster` has made it");
    let missing = if cluster.mesh_authorities.is_empty() { WhenMissing::Create } else { WhenMissing::Fail };
    let sealer = Sealer::open_key(&config.data_dir, KeyFile::Authority, missing)?;
    if cluster.mesh_authorities.is_empty() {
        let made = mesh::new_authority(&cluster.id, clock::unix_ms()).map_err(JoinFailure::Key)?;
        let scope = SealScope::mesh_authority(Fingerprint::of(&made.certificate));
        let key = sealer.seal(scope, &made.key);
        let authority = Authority { certificate: made.certificate, key, created_at_ms: clock::unix_ms() };
        propose(config, raft, vec![Change::SetMeshAuthorities { authorities: vec![authority], replaces: Vec::new() }])
            .await?;
    }
    let key = own_key(&config.data_dir)?;
    let request = certificate_request(&key).map_err(JoinFailure::Key)?;
    let public_key = request_key(&request).expect("it was just made");
    if raft.catalog().nodes().next().is_none() {
        propose(config, raft, vec![Change::AdmitNode(founder(config, settings, public_key))]).await?;
    }
    let catalog = raft.catalog();
    let chain = issue(&sealer, &catalog, FOUNDER, &request);
    let identity = NodeIdentity {
        cluster: catalog.cluster().expect("it is never removed").id.clone(),
        node: FOUNDER,
        key,
        chain: chain.map_err(|reason| BuildError::Raft { reason })?,
        authorities: authorities(&catalog),
        members: members(&catalog),
        role: NodeRole::Voter.as_str().to_owned(),
        feature_level: catalog.feature_level(),
    };
    identity.save(&config.data_dir)?;
    remove_key(&config.data_dir)?;
    Ok(identity)
}

fn founder(config: &ControlConfig, settings: &MeshSettings, public_key: [u8; 32]) -> NewNode {
    NewNode {
        admission: Admission::Founder,
        name: config.node_name.clone(),
        role: NodeRole::Voter,
        region: config.region.clone(),
        zone: config.zone.clone(),
        address: settings.advertised(),
        api: config.api.clone(),
        public_key,
        feature_level: config.feature_level,
        build: introduce::BUILD.to_owned(),
        boot: 0,
    }
}

async fn propose(config: &ControlConfig, raft: &Raft, changes: Vec<Change>) -> Result<(), BuildError> {
    let actor = Actor::node(&config.node_name);
    raft.propose(Command::new(actor, clock::unix_ms(), changes)).await?;
    Ok(())
}

/// Makes the cluster in one command. The token's file comes first: a crash in between leaves a file that the next start
/// reads, and never a cluster that nobody can enter.
async fn bootstrap(config: &ControlConfig, raft: &Raft, sealer: &Sealer) -> Result<(), BuildError> {
    let now_ms = clock::unix_ms();
    let hash = admin_token(&config.data_dir)?;
    let authority = new_authority(config.domain.as_str(), now_ms)?;
    let key = sealer.seal(SealScope::cluster_ca(), &authority.key);
    let cluster = Cluster::new(config.domain.clone(), authority.certificate, key, now_ms);
    let account = Account { id: mint::account_id(), name: "default".to_owned(), label: None, created_at_ms: now_ms };
    let token = Token {
        id: mint::token().id,
        account: None,
        name: "admin".to_owned(),
        scopes: [Scope { resource: Resource::All, access: Access::Write }].into(),
        hash,
        created_at_ms: now_ms,
        expires_at_ms: None,
    };
    // Accounts and tokens of the whole cluster may share a command: the token is about no account.
    let changes = vec![Change::SetCluster(cluster), Change::CreateAccount(account), Change::CreateToken(token)];
    propose(config, raft, changes).await?;
    tracing::info!(domain = %config.domain, "the cluster is made");
    Ok(())
}

/// The hash of the token in `DIR/admin.token`, which is written when there is none.
pub(super) fn admin_token(data_dir: &Path) -> Result<TokenHash, BuildError> {
    let path = data_dir.join("admin.token");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 64 => return Ok(TokenHash::of(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(BuildError::io(&path, source)),
    }
    let token = mint::token();
    let content = format!("{}\n", token.text);
    write_file(&path, content.as_bytes(), Privacy::Secret).map_err(|source| BuildError::io(&path, source))?;
    Ok(token.hash)
}

/// `DIR/ca.pem`, for `curl --cacert`.
pub(super) fn write_ca(data_dir: &Path, catalog: &Catalog) -> Result<(), BuildError> {
    let Some(cluster) = catalog.cluster() else { return Ok(()) };
    let path = data_dir.join("ca.pem");
    let pem = crate::identity::pem(&cluster.ca_certificate);
    if fs::read(&path).is_ok_and(|old| old == pem.as_bytes()) {
        return Ok(());
    }
    write_file(&path, pem.as_bytes(), Privacy::Public).map_err(|source| BuildError::io(&path, source))
}
