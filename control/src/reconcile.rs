//! Keeps what must exist beside the services: a valid certificate for every hostname, all code that a voter gives to
//! others, and none that nothing names.
//!
//! **Owns** issuing, renewing and removing the cluster's own certificates. **Must not know** TLS. **Enter at**
//! [`certificates`] and [`run`], and [`sweep`] and [`stock`] for the code.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use skerry_proto::id::{AccountId, CertificateId};

use crate::{
    catalog::{
        Actor, Catalog, Certificate, CertificateIssuer, Change, Command, Rejection, account_certificate_names,
        service_certificate_names,
    },
    clock,
    error::{BuildError, ProposeError},
    identity::{Issuer, is_due},
    raft::Raft,
    seal::Sealer,
    seat::Seat,
    state::States,
};

pub(crate) mod stock;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;

/// BOUND: certificates in one command; each has about 1.5 KiB.
const BATCH: usize = 100;
/// How often the clock is looked at. Certificates are renewed with 30 days left, so hours do not matter.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// How often a node that does not lead looks whether it does.
const LOOK_FOR_LEAD_EVERY: Duration = Duration::from_secs(5);

/// A certificate that should be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    names: Vec<String>,
    account: AccountId,
    /// The one that it replaces.
    renews: Option<CertificateId>,
}

/// What is missing, and what is left over.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    issue: Vec<Wanted>,
    remove: Vec<CertificateId>,
}

/// Issues every certificate that is missing or nearly over, and removes those whose names nobody has any more.
pub(crate) async fn certificates(raft: &Raft, sealer: &Sealer, actor: &str) -> Result<(), BuildError> {
    let catalog = raft.catalog();
    let Some(cluster) = catalog.cluster() else { return Ok(()) };
    let issuer = Issuer::new(Arc::clone(cluster), sealer.clone());
    let now_ms = clock::unix_ms();
    let Plan { issue, remove } = plan(&catalog, now_ms);
    for batch in issue.chunk_by(|left, right| left.account == right.account).flat_map(|same| same.chunks(BATCH)) {
        let issue =
            |wanted: &Wanted| issuer.issue(&wanted.names, Some(wanted.account.clone()), wanted.renews.clone(), now_ms);
        let issued = batch.iter().map(issue).collect::<Result<Vec<Certificate>, _>>()?;
        let changes = issued.into_iter().map(Change::PutCertificate).collect();
        raft.propose(Command::new(Actor::node(actor), now_ms, changes)).await?;
    }
    for batch in remove.chunks(BATCH) {
        let changes = batch.iter().map(|id| Change::RemoveCertificate { id: id.clone() }).collect();
        match raft.propose(Command::new(Actor::node(actor), now_ms, changes)).await {
            // It went with its service meanwhile; the next look sees what is left.
            Ok(_) | Err(ProposeError::Rejected(Rejection::NotFound { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Issues certificates whenever names change, for as long as it runs.
pub(crate) async fn run(seat: Seat, states: Arc<States>, sealer: Sealer, actor: String) {
    let mut states = states.watch();
    loop {
        // Before issuing: what changes meanwhile is looked at right afterwards.
        let before = Arc::clone(&states.borrow_and_update());
        let leader = seat.raft().filter(|raft| raft.leads());
        let looked = match &leader {
            Some(raft) => certificates(raft, &sealer, &actor).await,
            None => Ok(()),
        };
        match looked {
            Ok(()) => {}
            Err(BuildError::Bootstrap(error @ (ProposeError::Unavailable { .. } | ProposeError::NotLeader { .. }))) => {
                tracing::debug!(%error, "certificates wait for the control plane");
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "certificates are not issued"),
        }
        let changed = async {
            loop {
                states.changed().await?;
                if needs_look(&before, &states.borrow_and_update()) {
                    return Ok::<(), tokio::sync::watch::error::RecvError>(());
                }
            }
        };
        // A node that begins to lead looks at what the one before it has left.
        let wait = if leader.is_some() { LOOK_EVERY } else { LOOK_FOR_LEAD_EVERY };
        if let Ok(Err(_)) = tokio::time::timeout(wait, changed).await {
            return;
        }
    }
}

/// Whether a hostname came or went. A renamed service is another key, a renamed environment is covered by its service.
fn needs_look(before: &Catalog, now: &Catalog) -> bool {
    let accounts_changed =
        || !before.accounts().map(|account| &account.id).eq(now.accounts().map(|account| &account.id));
    let services_changed = || {
        !before.same_services(now)
            && !before.all_services().map(|service| &service.key).eq(now.all_services().map(|service| &service.key))
    };
    let domains_changed = || {
        !before.same_domains(now)
            && !before.domains().map(|domain| &domain.hostname).eq(now.domains().map(|domain| &domain.hostname))
    };
    accounts_changed() || services_changed() || domains_changed()
}

fn plan(catalog: &Catalog, now_ms: i64) -> Plan {
    let mut own: BTreeMap<&[String], Vec<&Arc<Certificate>>> = BTreeMap::new();
    let issued = catalog.certificates().filter(|found| found.issuer == CertificateIssuer::ClusterCa);
    for found in issued.filter(|found| found.account.is_some()) {
        own.entry(&found.names[..]).or_default().push(found);
    }
    let mut plan = Plan::default();
    for (names, account) in names(catalog, now_ms) {
        // Two nodes may have issued at once; the longer one stays.
        let mut same = own.remove(&names[..]).unwrap_or_default();
        same.sort_by_key(|found| found.not_after_ms);
        let best = same.pop();
        plan.remove.extend(same.into_iter().map(|found| found.id.clone()));
        if best.is_none_or(|best| is_due(best, now_ms)) {
            plan.issue.push(Wanted { names, account, renews: best.map(|best| best.id.clone()) });
        }
    }
    plan.remove.extend(own.into_values().flatten().map(|found| found.id.clone()));
    plan.issue.sort_by(|left, right| left.account.cmp(&right.account));
    plan
}

/// What the cluster's own certificates must cover, each list once, with whose it is.
fn names(catalog: &Catalog, now_ms: i64) -> Vec<(Vec<String>, AccountId)> {
    let accounts = catalog.accounts();
    let accounts = accounts.map(|account| (account_certificate_names(catalog, &account.id), account.id.clone()));
    let services = catalog.all_services();
    let services =
        services.map(|service| (service_certificate_names(catalog, &service.key), service.key.account.clone()));
    // Who brought a certificate for a domain of theirs gets none of ours beside it.
    let brought: Vec<_> = catalog
        .certificates()
        .filter(|found| found.issuer != CertificateIssuer::ClusterCa && found.not_after_ms > now_ms)
        .collect();
    let domains = catalog
        .domains()
        .filter(|domain| !brought.iter().any(|found| found.covers(domain.hostname.as_str())))
        .map(|domain| (vec![domain.hostname.to_string()], domain.environment.service.account.clone()));
    accounts.chain(services).chain(domains).filter(|(names, _)| !names.is_empty()).collect()
}
