//! Certificates for new names.
//!
//! **Owns** that a name has a certificate in the same command that makes the name. **Must not know** X.509. **Enter at**
//! [`missing`].

use skerry_proto::id::AccountId;

use super::{Deps, error::ApiError};
use crate::catalog::{Catalog, Change};

/// The change that gives `names` a certificate; nothing when they all have one.
pub(crate) fn missing(
    deps: &Deps,
    catalog: &Catalog,
    account: &AccountId,
    names: Vec<String>,
) -> Result<Option<Change>, ApiError> {
    let is_covered = |name: &String| catalog.certificates().any(|certificate| certificate.names.contains(name));
    if names.iter().all(is_covered) {
        return Ok(None);
    }
    let issued = deps.control.issuer().issue(&names, Some(account.clone()), None, deps.clock.now_ms());
    Ok(Some(Change::PutCertificate(issued.map_err(|error| ApiError::internal(&error))?)))
}
