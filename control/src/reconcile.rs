//! Keeps what must exist beside the services: a valid certificate for every hostname.
//!
//! **Owns** issuing and renewing the cluster's own certificates. **Must not know** TLS. **Enter at** [`certificates`] and
//! [`run`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use skerry_proto::id::{AccountId, CertificateId};

use crate::{
    catalog::{
        Actor, Catalog, Certificate, CertificateIssuer, Change, Command, account_certificate_names,
        service_certificate_names,
    },
    clock,
    error::{BuildError, ProposeError},
    identity::{Issuer, is_due},
    raft::Raft,
    seal::Sealer,
};

/// BOUND: certificates in one command; each has about 1.5 KiB.
const BATCH: usize = 100;
/// How often the clock is looked at. Certificates are renewed with 30 days left, so hours do not matter.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// A certificate that should be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    names: Vec<String>,
    account: AccountId,
    /// The one that it replaces.
    renews: Option<CertificateId>,
}

/// Issues every certificate that is missing or nearly over.
pub(crate) async fn certificates(raft: &Raft, sealer: &Sealer, actor: &str) -> Result<(), BuildError> {
    let catalog = raft.catalog();
    let Some(cluster) = catalog.cluster() else { return Ok(()) };
    let issuer = Issuer::new(Arc::clone(cluster), sealer.clone());
    let now_ms = clock::unix_ms();
    let wanted = plan(&catalog, now_ms);
    for batch in wanted.chunk_by(|left, right| left.account == right.account).flat_map(|same| same.chunks(BATCH)) {
        let issue =
            |wanted: &Wanted| issuer.issue(&wanted.names, Some(wanted.account.clone()), wanted.renews.clone(), now_ms);
        let issued = batch.iter().map(issue).collect::<Result<Vec<Certificate>, _>>()?;
        let changes = issued.into_iter().map(Change::PutCertificate).collect();
        raft.propose(Command::new(Actor::node(actor), now_ms, changes)).await?;
    }
    Ok(())
}

/// Issues certificates whenever services change, for as long as it runs.
pub(crate) async fn run(raft: Raft, sealer: Sealer, actor: String) {
    let mut states = raft.watch();
    loop {
        match certificates(&raft, &sealer, &actor).await {
            Ok(()) => {}
            Err(BuildError::Bootstrap(ProposeError::Unavailable { reason })) => {
                tracing::debug!(reason, "certificates wait for the control plane");
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "certificates are not issued"),
        }
        let before = Arc::clone(&states.borrow_and_update());
        let changed = async {
            loop {
                states.changed().await?;
                if needs_look(&before, &states.borrow_and_update()) {
                    return Ok::<(), tokio::sync::watch::error::RecvError>(());
                }
            }
        };
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, changed).await {
            return;
        }
    }
}

fn needs_look(before: &Catalog, now: &Catalog) -> bool {
    let count = |catalog: &Catalog| (catalog.all_services().count(), catalog.accounts().count());
    let names_changed = || before.all_services().zip(now.all_services()).any(|(left, right)| left.key != right.key);
    !before.same_services(now) && (count(before) != count(now) || names_changed())
}

fn plan(catalog: &Catalog, now_ms: i64) -> Vec<Wanted> {
    let accounts = catalog.accounts().map(|account| (account_certificate_names(catalog, &account.id), &account.id));
    let services = catalog.all_services();
    let services = services.map(|service| (service_certificate_names(catalog, &service.key), &service.key.account));
    let issued = catalog.certificates().filter(|found| found.issuer == CertificateIssuer::ClusterCa);
    let issued: BTreeMap<&[String], &Arc<Certificate>> = issued.map(|found| (&found.names[..], found)).collect();
    let mut wanted: Vec<Wanted> = accounts
        .chain(services)
        .filter(|(names, _)| !names.is_empty())
        .filter_map(|(names, account)| {
            let found = issued.get(&names[..]);
            let fresh = found.is_some_and(|found| !is_due(found, now_ms));
            let renews = found.map(|found| found.id.clone());
            (!fresh).then(|| Wanted { names, account: account.clone(), renews })
        })
        .collect();
    wanted.sort_by(|left, right| left.account.cmp(&right.account));
    wanted
}
