//! Certificates for new names.
//!
//! **Owns** that a name has a certificate, not one that is nearly over, in the same command that makes the name. **Must not know** X.509. **Enter at**
//! [`missing`].

use std::sync::Arc;

use skerry_proto::id::AccountId;

use super::{Deps, error::ApiError};
use crate::{
    catalog::{Catalog, Certificate, CertificateIssuer, Change},
    identity::is_due,
};

/// The change that gives `names` a certificate; nothing when they all have one.
pub(crate) fn missing(
    deps: &Deps,
    catalog: &Catalog,
    account: &AccountId,
    names: Vec<String>,
) -> Result<Option<Change>, ApiError> {
    let now_ms = deps.clock.now_ms();
    let is_covered = |name: &String| {
        catalog.certificates().any(|certificate| certificate.names.contains(name) && !is_due(certificate, now_ms))
    };
    if names.iter().all(is_covered) {
        return Ok(None);
    }
    let same = |certificate: &&Arc<Certificate>| {
        certificate.issuer == CertificateIssuer::ClusterCa
            && certificate.names == names
            && certificate.account.as_ref() == Some(account)
    };
    let renews = catalog.certificates().find(same).map(|certificate| certificate.id.clone());
    let issued = deps.control.issuer().issue(&names, Some(account.clone()), renews, now_ms);
    Ok(Some(Change::PutCertificate(issued.map_err(|error| ApiError::internal(&error))?)))
}
